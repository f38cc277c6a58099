"""CMGAN rebuilt: generator, discriminator, PESQ labels, losses, training, enhancement and metrics."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cmgan.discriminator import MetricDiscriminator
    from cmgan.enhancement import enhance
    from cmgan.generator import TSCNet
    from cmgan.metrics import speech_metrics
    from cmgan.mpsenet import MPSENet

__all__ = ["MPSENet", "MetricDiscriminator", "TSCNet", "enhance", "speech_metrics"]

_HOMES = {
    "TSCNet": "cmgan.generator",
    "MetricDiscriminator": "cmgan.discriminator",
    "MPSENet": "cmgan.mpsenet",
    "speech_metrics": "cmgan.metrics",
    "enhance": "cmgan.enhancement",
}


def __getattr__(name: str) -> object:
    # Loaded on first use: PESQ workers and the pipeline import parts of the package that need no torch.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'cmgan' has no attribute {name!r}")
