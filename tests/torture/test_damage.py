"""Bytes that changed on the way: refused by name, or without any effect; never used without a word."""

import resource
import zipfile

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from cmgan.dataset import load_pairs
from cmgan.enhancement.files import enhance_file
from cmgan.models.tscnet import TSCNet
from cmgan.models.weights import generator_from_file, load_public_weights
from cmgan.torch_files import DamagedFileError
from cmgan.training.checkpoints import CURRENT, PREVIOUS, TrainingState, load_state, random_state, save_state
from data_prep.audio import AudioError, read_audio, write_audio
from tests.enhancement.inputs import Identity, tones

COUNTS = [pytest.param(60, id="60 places"), pytest.param(4_000, id="4000 places", marks=pytest.mark.torture)]


def _flipped(path, count):
    """The file with one bit after another turned round, at places from beginning to end."""
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    # The archive's own bookkeeping lies at its end.
    places = {*rng.integers(0, len(content), count).tolist(), *range(len(content) - count // 2, len(content))}
    for place in sorted(places):
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        yield place
    path.write_bytes(content)


def _error_of(call):
    try:
        call()
    except ValueError as error:
        return error
    return None


@pytest.mark.parametrize("count", COUNTS)
def test_a_flipped_bit_in_weights_is_refused_or_has_no_effect(tmp_path, seen, count):
    path, network = tmp_path / "generator.pt", TSCNet(4, 9, 1)
    torch.save(network.state_dict(), path)
    good = {name: value.clone() for name, value in network.state_dict().items()}
    refused, harmless, said = 0, 0, ""
    for _ in _flipped(path, count):
        error = _error_of(lambda: load_public_weights(network, path))
        assert not error or (str(path) in str(error) and "\n" not in str(error)), error
        refused, harmless = refused + bool(error), harmless + (not error)
        said = said or (isinstance(error, DamagedFileError) and str(error))
        assert all(torch.equal(value, good[name]) for name, value in network.state_dict().items())
    assert refused > 0.5 * (refused + harmless)
    seen(
        f"one bit of `generator.pt` flipped, at {refused + harmless} places",
        f"{refused} refused (“{said}”), {harmless} in bytes that hold nothing, loaded with the right weights",
    )


def test_weights_that_would_unpack_to_more_than_there_is_memory_are_refused_unread(tmp_path, seen):
    path = tmp_path / "generator.pt"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("generator/data.pkl", "w") as record,
    ):
        for _ in range(400):
            record.write(bytes(1 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = _error_of(lambda: load_public_weights(TSCNet(4, 9, 1), path))
    assert isinstance(error, DamagedFileError)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    seen("a `generator.pt` of 400 kB that unpacks to 400 MB", error)


def test_weights_without_checksums_load_as_before(tmp_path, seen):
    path, network = tmp_path / "generator.pt", TSCNet(4, 201, 1)
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=False)
    loaded = generator_from_file(path).state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in network.state_dict().items())
    seen("weights in the old format of torch.save, which has no checksums", "loaded as before")


def _state():
    networks = nn.Linear(20, 20), nn.Linear(2, 2)
    optimisers = [torch.optim.AdamW(network.parameters()) for network in networks]
    schedules = [torch.optim.lr_scheduler.StepLR(optimiser, 1) for optimiser in optimisers]
    return TrainingState(*networks, *optimisers, *schedules, None)


@pytest.mark.parametrize("count", COUNTS)
def test_a_flipped_bit_in_a_checkpoint_costs_no_more_than_the_way_from_the_one_before(tmp_path, seen, count):
    saved = [_state(), _state()]
    for step, state in enumerate(saved):
        state.step = step
        save_state(state, tmp_path, {}, [random_state()])
    before = tried = 0
    for _ in _flipped(tmp_path / CURRENT, count):
        tried += 1
        restored = _state()
        used = load_state(restored, tmp_path, {})
        assert used.name == (CURRENT if restored.step else PREVIOUS)
        before += used.name == PREVIOUS
        assert torch.equal(restored.generator.weight, saved[restored.step].generator.weight)
    assert before > tried / 2
    seen(
        f"one bit of `state.pt` flipped, at {tried} places",
        f"{before} times resumed from `{PREVIOUS}`, else from itself with the right numbers",
    )


def test_a_flipped_byte_of_audio_is_named_when_training_reads_it(manifest, seen):
    path = manifest.parent / "noisy1.wav"
    content = path.read_bytes()
    path.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    with pytest.raises(AudioError, match=r"noisy1\.wav: is not what it was") as refusal:
        load_pairs(manifest, "train")
    path.write_bytes(content)
    assert len(load_pairs(manifest, "train")) == 4
    seen("one bit of a WAV file flipped after the manifest was written", str(refusal.value).rsplit("/", 1)[1])


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_an_mp3_that_is_named_otherwise_is_enhanced_into_a_real_file(tmp_path, seen, suffix):
    if "MP3" not in soundfile.available_formats():
        pytest.skip("this libsndfile knows no MP3")
    source, target = tmp_path / f"talk{suffix}", tmp_path / f"enhanced{suffix}"
    soundfile.write(source, tones(16_000, 1.0, (300.0,)), 16_000, format="MP3", subtype="MPEG_LAYER_III")
    assert soundfile.info(source).format == "MP3"
    result = enhance_file(Identity(), source, target)
    written = soundfile.info(target)
    assert (written.format, written.subtype) == (suffix[1:].upper(), "PCM_16")
    assert written.frames == round(result.seconds * 16_000)
    seen(f"an MP3 named `{source.name}`", f"enhanced into a {written.format} of {written.subtype}")


def test_an_audio_file_cut_or_filled_with_zeros_is_told(tmp_path, seen):
    path = tmp_path / "a.wav"
    write_audio(path, tones(16_000, 1.0, (300.0,)))
    path.write_bytes(path.read_bytes()[:-8_000])
    with pytest.raises(AudioError) as refusal:
        read_audio(path)
    seen("a WAV file that was cut", refusal.value)
    path.write_bytes(bytes(4_000))
    with pytest.raises(AudioError) as refusal:
        read_audio(path)
    seen("a WAV file that a crash left full of zeros", refusal.value)
