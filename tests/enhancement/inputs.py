"""What enhancement is tested with: a model that changes nothing, noise and tones."""

import numpy as np
from torch import Tensor, nn


class Identity(nn.Module):
    """Returns the noisy spectrum and keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[int] = []
        self.levels: list[float] = []

    def forward(self, spectrum: Tensor) -> tuple[Tensor, Tensor]:
        self.frames.append(spectrum.shape[2])
        self.levels.append(spectrum.square().sum(1).mean().item())
        return spectrum[:, :1], spectrum[:, 1:]


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (0.1 * rng.standard_normal(shape)).astype(np.float32)


def tones(rate: int, seconds: float, frequencies: tuple[float, ...]) -> np.ndarray:
    time = np.arange(round(rate * seconds)) / rate
    return sum(0.1 * np.sin(2 * np.pi * f * time) for f in frequencies).astype(np.float32)
