"""When PESQ fails, and what that does to labels and validation."""
