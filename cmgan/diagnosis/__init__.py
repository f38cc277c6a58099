"""What a training log of one's own shows: read it, look for signs, name likely causes."""
