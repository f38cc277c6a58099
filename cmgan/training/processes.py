"""What the processes of one training tell each other; with one process every function gives back what it got."""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

Item = TypeVar("Item")


def gathered(values: np.ndarray, accelerator: Accelerator) -> np.ndarray:
    """(B,) of each process → (processes · B,) in their order, on all of them; float64."""
    if accelerator.num_processes == 1:
        return values
    local = torch.as_tensor(values, dtype=torch.float64, device=accelerator.device)
    return accelerator.gather(local).cpu().numpy()


def averaged(values: Mapping[str, float], accelerator: Accelerator) -> dict[str, float]:
    """Means over the processes of values that all of them have under the same names."""
    if accelerator.num_processes == 1:
        return dict(values)
    local = torch.tensor([*values.values()], dtype=torch.float64, device=accelerator.device)
    return dict(zip(values, accelerator.reduce(local, "mean").tolist(), strict=True))


def collected(items: list[Item], accelerator: Accelerator) -> list[Item]:
    """The items of all processes, in their order, on all of them."""
    return items if accelerator.num_processes == 1 else gather_object(items)
