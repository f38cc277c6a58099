"""When the compiled kernels apply: on the CPU in float32.

A chain of operations over all tokens at once writes and reads every intermediate result from main memory. In the
kernels the tokens pass through the whole chain in blocks that fit the second-level cache, and what the backward pass
needs is computed again, block by block, instead of being kept.
"""

import torch
from torch import Tensor


def applies_to(x: Tensor) -> bool:
    """Whether the fast path may run: float32 on the CPU and no autocasting."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
