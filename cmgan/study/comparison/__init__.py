"""The finished arms against each other: in numbers, in figures and by ear."""
