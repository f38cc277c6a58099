"""Sequences along one axis of (B, T, F, C), as the compiled kernels see them (`sequences.h`)."""

import ctypes

import torch

from cmgan.kernels.library import structure


class Sequences(ctypes.Structure):
    _fields_ = structure("sequences", "inner", "outer_step", "inner_step", "n", "step")


def sequences_along(shape: torch.Size, axis: int) -> Sequences:
    """Those along T (axis 1) or F (axis 2)."""
    batch, frames, bins, _ = shape
    if axis == 1:
        return Sequences(batch * bins, bins, frames * bins, 1, frames, bins)
    return Sequences(batch * frames, 1, bins, 0, bins, 1)
