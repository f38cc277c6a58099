"""Dropout whose decisions on a CPU follow from a hash of place and seeds: those of `conformer.c`, bit for bit.

A training's course then does not depend on whether the machine has a C compiler.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Dropout(nn.Dropout):
    """x / (1 − p) where kept, 0 elsewhere, in training; elements are numbered row after row from `first`.

    Elsewhere than on a CPU torch's own dropout, which needs no seeds.
    """

    @property
    def rate(self) -> float:
        """What share is dropped now: p in training, else 0."""
        return self.p if self.training else 0.0

    def forward(self, x: Tensor, seeds: Tensor | None = None, first: int = 0) -> Tensor:
        """seeds: two of `draw_seeds`; drawn here where there are none."""
        if not self.rate or x.device.type != "cpu":
            return functional.dropout(x, self.rate)
        seeds = draw_seeds() if seeds is None else seeds
        return torch.where(kept(x.shape, seeds, first, self.rate), x / (1 - self.rate), 0.0)


def draw_seeds() -> Tensor:
    """Two numbers below 2³² from torch's generator, (2,) int64."""
    return torch.randint(0, 2**32, (2,))


def threshold_of(rate: float) -> int:
    """An element is dropped where its hash is below this number of 2³²."""
    return round(rate * 2**32)


def kept(shape: torch.Size, seeds: Tensor, first: int, rate: float) -> Tensor:
    """Which of the elements first, first + 1, … of an array dropout keeps, bool of its shape.

    Wellons' lowbias32 with a seed before and one between its rounds, in 32 bits that wrap around.
    """
    numbers = torch.arange(first, first + shape.numel())
    h = (numbers + seeds[0] + (numbers >> 32) * 0x9E3779B9).to(torch.int32)
    h = _multiplied(_mixed(h, 16), 0x21F0AAAD)
    h = _multiplied(_mixed(h, 15), 0xD35A2D97)
    h = _multiplied(_mixed(h, 15) ^ seeds[1].to(torch.int32), 0x21F0AAAD)
    # Signed numbers in the order of the unsigned ones that they stand for.
    return ((_mixed(h, 16) ^ -(2**31)) >= threshold_of(rate) - 2**31).view(shape)


def _mixed(h: Tensor, shift: int) -> Tensor:
    # torch shifts the sign in: those bits are masked.
    return h ^ ((h >> shift) & ((1 << (32 - shift)) - 1))


def _multiplied(h: Tensor, factor: int) -> Tensor:
    return h * (factor - (2**32 if factor >= 2**31 else 0))
