"""Files, folders and streams: what is kept, what is refused, and in which words."""

import numpy as np
import pytest
import soundfile
from torch import Tensor, nn

from cmgan.enhancement.files import enhance_file, enhance_files
from data_prep.audio import AudioError
from tests.enhancement.inputs import Identity, noise, tones


@pytest.mark.parametrize(("suffix", "subtype"), [(".wav", "PCM_16"), (".wav", "FLOAT"), (".flac", "PCM_24")])
def test_a_file_keeps_rate_channels_length_and_sample_format(rng, tmp_path, suffix, subtype):
    source, target = tmp_path / f"noisy{suffix}", tmp_path / "out" / f"enhanced{suffix}"
    noisy = noise(rng, 8000, 2)
    soundfile.write(source, noisy, 16_000, subtype=subtype)
    result = enhance_file(Identity(), source, target)
    written, rate = soundfile.read(target, dtype="float32")
    assert (rate, soundfile.info(target).subtype) == (16_000, subtype)
    np.testing.assert_allclose(written, noisy, atol=1e-4)
    assert (result.channels, result.seconds, result.error) == (2, 0.5, "")
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_samples_beyond_full_scale_are_clipped_and_counted(tmp_path):
    source = tmp_path / "noisy.wav"
    soundfile.write(source, 9 * tones(16_000, 8, (200.0,)), 16_000, subtype="PCM_16")

    class Louder(nn.Module):
        def forward(self, spectrum: Tensor) -> tuple[Tensor, Tensor]:
            return 1.2 * spectrum[:, :1], 1.2 * spectrum[:, 1:]

    result = enhance_file(Louder(), source, tmp_path / "enhanced.wav")
    written, _ = soundfile.read(tmp_path / "enhanced.wav")
    assert result.clipped > 1000
    assert written.max() > 0.999


def test_file_errors_are_one_line_and_name_the_file(rng, tmp_path):
    noisy = tmp_path / "noisy.wav"
    soundfile.write(noisy, noise(rng, 100), 16_000)
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no audio")
    poisoned = tmp_path / "nan.wav"
    soundfile.write(poisoned, np.full(100, np.nan), 16_000, subtype="FLOAT")
    for source, target, named in (
        (tmp_path / "absent.wav", "out.wav", r"absent.wav: cannot be read \(No such file"),
        (broken, "out.wav", "broken.wav: damaged, truncated or not audio"),
        (poisoned, "out.wav", "nan.wav: noisy holds 100 NaN"),
        (noisy, "out.mp4", "out.mp4: cannot write .mp4"),
        (noisy, "noisy.wav", "noisy.wav: is the source itself"),
    ):
        with pytest.raises(AudioError, match=named) as refusal:
            enhance_file(Identity(), source, tmp_path / target)
        assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_truncated_file_is_not_taken_for_a_shorter_one(rng, tmp_path, suffix):
    source = tmp_path / f"cut{suffix}"
    soundfile.write(source, noise(rng, 50_000), 16_000)
    source.write_bytes(source.read_bytes()[:40_000])
    with pytest.raises(AudioError, match=rf"cut{suffix}: .*truncated"):
        enhance_file(Identity(), source, tmp_path / f"out{suffix}")


def test_a_streamed_wav_of_unknown_length_is_read_to_its_end(rng, tmp_path):
    source = tmp_path / "streamed.wav"
    soundfile.write(source, noise(rng, 5000), 16_000)
    content = bytearray(source.read_bytes())
    content[40:44] = b"\xff" * 4
    source.write_bytes(content)
    assert enhance_file(Identity(), source, tmp_path / "out.wav").seconds == 5000 / 16_000


def test_a_folder_goes_on_past_a_damaged_file(rng, tmp_path):
    source, target = tmp_path / "noisy", tmp_path / "noisy" / "enhanced"
    (source / "deeper").mkdir(parents=True)
    soundfile.write(source / "a.wav", noise(rng, 500), 16_000)
    (source / "b.wav").write_bytes(b"damaged")
    soundfile.write(source / "deeper" / "c.flac", noise(rng, 500), 16_000)
    for _ in range(2):  # the second time the target, inside the source, is not enhanced again
        results = list(enhance_files(Identity(), [source], target))
        assert [result.source.name for result in results] == ["a.wav", "b.wav", "c.flac"]
        assert [bool(result.error) for result in results] == [False, True, False]
        assert str(source / "b.wav") in results[1].error
    assert (target / "deeper" / "c.flac").is_file()
    assert not (target / "b.wav").exists()


def test_a_folder_without_audio_is_an_error(tmp_path):
    with pytest.raises(AudioError, match="no WAV or FLAC files in it"):
        next(enhance_files(Identity(), [tmp_path], tmp_path / "out"))
    with pytest.raises(AudioError, match="source folder itself"):
        next(enhance_files(Identity(), [tmp_path], tmp_path))
