"""Training the arms, watching them, and what their logs say."""
