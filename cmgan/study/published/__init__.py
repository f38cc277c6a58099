"""What published logs, results and code say about the collapse."""
