"""Published weights: state dicts under the public names, read without ever running code from the file."""

import re
from os import PathLike
from pathlib import Path

from torch import Tensor, nn

from cmgan.models.mpsenet import MPSENet, MPSENetGenerator
from cmgan.models.tscnet import TSCNet
from cmgan.torch_files import load_whole, save_whole

# Where a public state dict shows its network's width, bins and blocks.
NAMES = {
    TSCNet: ("dense_encoder.conv_1.0.bias", "mask_decoder.prelu_out.weight", r"TSCB_\d+\."),
    MPSENetGenerator: (
        "dense_encoder.dense_conv_1.0.bias",
        "mask_decoder.lsigmoid.slope",
        r"TSTransformer\.\d+\.",
    ),
}
GENERATOR = "generator"


class WeightsError(ValueError):
    """A weights file that cannot be used; the message names the file, the fault and the remedy."""


def load_public_weights(module: nn.Module, path: str | PathLike[str]) -> None:
    """Load a .pt state dict with the public names into `module`, in place.

    A `module.` prefix (data-parallel training) is dropped. Only tensors are unpickled, never code. Raises
    WeightsError (one line) when the file holds no state dict, or its names or shapes are not the module's,
    DamagedFileError when it cannot be read or its checksums are wrong, and FileNotFoundError when there is none; the
    module is then unchanged.
    """
    state, expected = _read_state_dict(path), module.state_dict()
    missing = [name for name in expected if name not in state]
    unknown = [name for name in state if name not in expected]
    if missing or unknown:
        raise WeightsError(
            f"{path}: not the weights of {type(module).__name__} "
            f"({_some(missing)} missing, {_some(unknown)} unknown):"
            " use a file saved from this network with the same number of blocks"
        )
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape:
            raise WeightsError(
                f"{path}: {name} has shape {tuple(state[name].shape)}, this {type(module).__name__} needs"
                f" {tuple(tensor.shape)}: build the network at the file's width"
            )
    module.load_state_dict(state)


def generator_from_file(path: str | PathLike[str]) -> TSCNet | MPSENetGenerator:
    """CMGAN's or MP-SENet's generator, as the names in a public state dict tell, with its sizes, in eval mode.

    Raises what `load_public_weights` does.
    """
    state = _read_state_dict(path)
    for kind, (width, bins, block) in NAMES.items():
        blocks = {found[0] for name in state if (found := re.match(block, name))}
        if width in state and bins in state and blocks:
            generator = kind(
                num_channel=len(state[width]), num_features=len(state[bins]), num_blocks=len(blocks)
            )
            load_public_weights(generator, path)
            return generator.eval()
    raise WeightsError(
        f"{path}: not the weights of a CMGAN or MP-SENet generator: use one saved under the public names"
    )


def save_public_weights(generator: TSCNet | MPSENet, path: str | PathLike[str]) -> None:
    """Write the weights as the generator's own public code reads them: MP-SENet's lie under the key `generator`."""
    state = generator.state_dict()
    save_whole({GENERATOR: state} if isinstance(generator, MPSENet) else state, Path(path))


def _read_state_dict(path: str | PathLike[str]) -> dict[str, Tensor]:
    """Tensors of a .pt file by name, on the CPU; one state dict under the key `generator` is taken out of it."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file: give the path of a .pt state dict")
    content = load_whole(path)
    if isinstance(content, dict) and isinstance(content.get(GENERATOR), dict):
        content = content[GENERATOR]
    is_state = isinstance(content, dict) and content and all(isinstance(v, Tensor) for v in content.values())
    if not is_state:
        raise WeightsError(
            f"{path}: holds no dictionary of tensors: save it with torch.save(model.state_dict(), path)"
        )
    return {name.removeprefix("module."): tensor for name, tensor in content.items()}


def _some(names: list[str]) -> str:
    if not names:
        return "none"
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
