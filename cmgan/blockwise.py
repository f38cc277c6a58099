"""Building blocks of the fast path on the CPU in float32: when it applies, and blocks of rows.

A chain of operations over all tokens at once writes and reads every intermediate result from main memory. Here the
tokens pass through the whole chain in blocks that fit the second-level cache, and what the backward pass needs is
computed again, block by block, instead of being kept.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK_BYTES = 1 << 20


def applies_to(x: Tensor) -> bool:
    """Whether the fast path may run: float32 on the CPU and no autocasting."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def row_blocks(rows: int, row_floats: int) -> Iterator[slice]:
    """Slices of consecutive rows, about 1 MiB each when a row has `row_floats` floats."""
    size = BLOCK_BYTES // (4 * row_floats)
    size = size // 16 * 16 or max(size, 1)
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))
