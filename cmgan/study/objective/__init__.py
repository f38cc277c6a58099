"""What the training objective itself asks for: its minimum, found clip by clip without a network."""
