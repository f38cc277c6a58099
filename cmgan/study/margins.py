"""What counts as a difference, fixed before any data was seen, and the shares and bands of the claims under test."""

MARGIN_PESQ = 0.1  # a smaller difference of PESQ does not matter
HEALTHY_BAND = (0.05, 0.25)  # where, the debugging effort says, a discriminator loss has to be
CLAIMED_SKIP_SHARE = 0.56  # share of batches that the debugging effort says were skipped
NEARLY_ZERO = 0.001  # below this it took a logged loss for a skipped step
