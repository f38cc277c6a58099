"""The networks: CMGAN's and MP-SENet's generators, the discriminator, and weights in the public formats."""
