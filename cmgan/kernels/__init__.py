"""The compiled CPU path and the torch path that it must equal."""
