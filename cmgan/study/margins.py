"""What counts as a difference, fixed before any data was seen; every judgement in the study uses these."""

MARGIN_PESQ = 0.1  # a smaller difference of PESQ does not matter
HEALTHY_BAND = (0.05, 0.25)  # where, the debugging effort says, a discriminator loss has to be
