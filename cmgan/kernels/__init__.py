"""The compiled CPU path: what is here equals the torch code of `cmgan.models`, with less time and memory.

A chain of operations over all tokens at once writes and reads every intermediate result from main memory. In the
kernels the tokens pass through the whole chain in blocks that fit the second-level cache, and what the backward pass
needs is computed again, block by block, instead of being kept.
"""

from cmgan.kernels.library import takes, torch_only

__all__ = ["takes", "torch_only"]
