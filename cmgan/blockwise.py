"""Building blocks of the fast path on the CPU in float32: matrix products, dropout masks, blocks of rows.

A chain of operations over all tokens at once writes and reads every intermediate result from main memory. Here the
tokens pass through the whole chain in blocks that fit the second-level cache, and what the backward pass needs is
computed again, block by block, instead of being kept.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

BLOCK_BYTES = 1 << 20
_ONEDNN_LINEAR = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
_WORTHWHILE = 6000  # elements of a weight gradient from which on oneDNN's convolution beats the plain product


def applies_to(x: Tensor) -> bool:
    """Whether the fast path may run: float32 on the CPU and no autocasting."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def row_blocks(rows: int, row_floats: int) -> Iterator[slice]:
    """Slices of consecutive rows, about 1 MiB each when a row has `row_floats` floats."""
    size = BLOCK_BYTES // (4 * row_floats)
    size = size // 16 * 16 or max(size, 1)
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b for x (rows, in), without autograd.

    oneDNN uses the widest vectors of every processor; the BLAS behind torch's own product reaches half its speed
    on those of another maker.
    """
    if _ONEDNN_LINEAR:
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return functional.linear(x, weight, bias)


def weight_gradient(grad: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of W and b for y = x Wᵀ + b: grad (rows, out), x (rows, in) → (out, in), (out,)."""
    rows, outputs = grad.shape
    inputs = x.shape[1]
    # torch hands a 1×1 convolution to oneDNN on one thread only from 16 images on: any cut of the rows will do.
    images = next((count for count in range(16, 128) if rows % count == 0), 0)
    if not (_ONEDNN_LINEAR and images and outputs * inputs > _WORTHWHILE):
        return grad.T @ x, grad.sum(0)
    _, weight, bias = torch.ops.aten.convolution_backward(
        grad.view(images, 1, -1, outputs).permute(0, 3, 1, 2),
        x.view(images, 1, -1, inputs).permute(0, 3, 1, 2),
        grad.new_empty(outputs, inputs, 1, 1),
        [outputs],
        [1, 1],
        [0, 0],
        [1, 1],
        False,
        [0, 0],
        1,
        [False, True, True],
    )
    return weight.view(outputs, inputs), bias


def draw_keep_mask(keep: Tensor, rate: float) -> None:
    """Fill a bool mask: True with probability 1 − rate, rounded to a multiple of 2⁻¹⁶.

    Four elements share one 64-bit draw of torch's generator, so that a mask costs an eighth of Bernoulli draws.
    """
    words = torch.empty(-(-keep.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    threshold = round(rate * 2**16) - 2**15
    torch.ge(words.view(torch.int16)[: keep.numel()].view(keep.shape), threshold, out=keep)
