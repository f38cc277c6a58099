"""What the networks are trained and tested on."""
