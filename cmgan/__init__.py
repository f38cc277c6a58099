"""CMGAN rebuilt: generator, discriminator, PESQ labels, losses, training, enhancement and metrics."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cmgan.enhancement.waveforms import enhance
    from cmgan.metrics.speech import speech_metrics
    from cmgan.models.discriminator import MetricDiscriminator
    from cmgan.models.mpsenet import MPSENet
    from cmgan.models.tscnet import TSCNet

__all__ = ["MPSENet", "MetricDiscriminator", "TSCNet", "enhance", "speech_metrics"]

_HOMES = {
    "TSCNet": "cmgan.models.tscnet",
    "MetricDiscriminator": "cmgan.models.discriminator",
    "MPSENet": "cmgan.models.mpsenet",
    "speech_metrics": "cmgan.metrics.speech",
    "enhance": "cmgan.enhancement.waveforms",
}


def __getattr__(name: str) -> object:
    # Loaded on first use: PESQ workers and the pipeline import parts of the package that need no torch.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'cmgan' has no attribute {name!r}")
