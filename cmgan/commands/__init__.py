"""The commands of `cmgan`, one a module."""
