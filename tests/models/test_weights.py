"""Weights files: what loads, and what is refused with which words."""

import pickle
from pathlib import Path

import pytest
import torch

from cmgan.models.mpsenet import MPSENetGenerator
from cmgan.models.tscnet import TSCNet
from cmgan.models.weights import WeightsError, generator_from_file, load_public_weights, save_public_weights
from cmgan.torch_files import DamagedFileError


def saved(content: object, folder: Path) -> Path:
    path = folder / "weights.pt"
    torch.save(content, path)
    return path


@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_survive_the_file_with_and_without_parallel_prefix(tmp_path: Path, prefix: str) -> None:
    source, target = TSCNet(4, 9, 1), TSCNet(4, 9, 1)
    path = saved({prefix + name: value for name, value in source.state_dict().items()}, tmp_path)
    load_public_weights(target, path)
    for name, value in target.state_dict().items():
        assert torch.equal(value, source.state_dict()[name]), name


def test_generator_takes_its_sizes_from_the_file(tmp_path: Path) -> None:
    source = TSCNet(num_channel=8, num_features=17, num_blocks=3).eval()
    generator = generator_from_file(saved(source.state_dict(), tmp_path))
    noisy = torch.randn(1, 2, 5, 17)
    assert not generator.training
    with torch.no_grad():
        assert torch.equal(generator(noisy)[0], source(noisy)[0])


@pytest.mark.parametrize(
    "source",
    [TSCNet(8, 17, 2), MPSENetGenerator(num_channel=8, num_blocks=2, num_features=17)],
    ids=["CMGAN", "MP-SENet"],
)
def test_an_exported_generator_comes_back_as_what_it_was(tmp_path: Path, source: torch.nn.Module) -> None:
    noisy = torch.randn(1, 2, 5, 17, generator=torch.Generator().manual_seed(0))
    own, exported = saved(source.state_dict(), tmp_path), tmp_path / "exported"
    save_public_weights(generator_from_file(own), exported)
    for path in (own, exported):
        generator = generator_from_file(path)
        assert type(generator) is type(source)
        with torch.no_grad():
            assert torch.equal(generator(noisy)[0], source.eval()(noisy)[0])


def test_mpsenet_is_exported_under_the_key_that_its_public_code_reads(tmp_path: Path) -> None:
    save_public_weights(MPSENetGenerator(num_channel=8, num_blocks=1, num_features=17), tmp_path / "g_best")
    assert list(torch.load(tmp_path / "g_best", weights_only=True)) == ["generator"]


def test_wrong_width_is_named_with_both_shapes(tmp_path: Path) -> None:
    path = saved(TSCNet(8, 9, 1).state_dict(), tmp_path)
    with pytest.raises(WeightsError, match=r"weights\.pt.*\(8, 3, 1, 1\).*\(4, 3, 1, 1\).*width"):
        load_public_weights(TSCNet(4, 9, 1), path)


def test_missing_and_unknown_names_are_named_and_nothing_is_loaded(tmp_path: Path) -> None:
    state = TSCNet(4, 9, 1).state_dict()
    state["surprise"] = state.pop("mask_decoder.conv_1.bias")
    path = saved(state, tmp_path)
    target = TSCNet(4, 9, 1)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(WeightsError, match=r"mask_decoder\.conv_1\.bias missing, surprise unknown"):
        load_public_weights(target, path)
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3}])
def test_file_without_a_dictionary_of_tensors_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(WeightsError, match=r"weights\.pt: holds no dictionary of tensors"):
        load_public_weights(TSCNet(4, 9, 1), saved(content, tmp_path))


@pytest.mark.parametrize("content", ["Not a checkpoint", "torn", ""])
def test_file_that_is_not_torch_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "weights.pt"
    path.write_text(content)
    with pytest.raises(DamagedFileError, match=r"weights\.pt: not plain tensors of torch.save") as caught:
        load_public_weights(TSCNet(4, 9, 1), path)
    assert "\n" not in str(caught.value)


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    path = saved(TSCNet(4, 9, 1).state_dict(), tmp_path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DamagedFileError, match="cut off or damaged"):
        load_public_weights(TSCNet(4, 9, 1), path)


class Trap:
    """Its unpickling creates a file: proof that code from the file ran."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("plain_pickle", [True, False])
def test_code_in_the_file_never_runs(tmp_path: Path, plain_pickle: bool) -> None:
    trap, path = tmp_path / "sprung", tmp_path / "weights.pt"
    if plain_pickle:
        path.write_bytes(pickle.dumps(Trap(trap), protocol=2))
    else:
        torch.save({"weight": Trap(trap)}, path)
    with pytest.raises(DamagedFileError):
        load_public_weights(TSCNet(4, 9, 1), path)
    assert not trap.exists()


def test_absent_file_and_foreign_state_dict_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt: no such file"):
        load_public_weights(TSCNet(4, 9, 1), tmp_path / "nowhere.pt")
    with pytest.raises(WeightsError, match="not the weights of a CMGAN or MP-SENet generator"):
        generator_from_file(saved(torch.nn.Linear(2, 2).state_dict(), tmp_path))
