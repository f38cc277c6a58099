"""CMGAN rebuilt: generator, discriminator, PESQ labels, losses, training, enhancement and metrics."""
