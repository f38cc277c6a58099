"""Names that shells, tables, pages and file systems trip over; links in a circle; archives that lead elsewhere."""

import json
import os
import stat
import zipfile

import pytest
import soundfile
import torch

from cmgan.cli import app
from cmgan.models.tscnet import TSCNet
from data_prep.__main__ import main as prepare
from data_prep.folder import CorpusError
from data_prep.manifest import read_manifest, read_pair
from data_prep.voicebank import unpack_recordings
from tests.commands.called import called

NAMES = (
    *(
        "a'b",
        'a"b',
        "a;touch PWNED;b",
        "$(touch PWNED)",
        "`touch PWNED`",
        "two\nlines",
        "tab\tbed",
        "<script>",
    ),
    *(
        "line\u2028separator",
        "-rf",
        "--help",
        "%s%n",
        "*",
        "a\\b",
        " spaced ",
        "a,b",
        "=1+1",
        "\u202egnp",
        "x" * 251,
    ),
)


def _everything(folder):
    return {os.fsencode(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def recordings(tmp_path, rng):
    for side in ("clean", "noisy"):
        (tmp_path / "given" / side).mkdir(parents=True)
        for name in NAMES:
            samples = 0.1 * rng.standard_normal(9_600)
            soundfile.write(tmp_path / "given" / side / f"{name}.wav", samples, 48_000)
    return tmp_path / "given"


def _prepared(recordings, output):
    return called(prepare, "--corpus", "folder", "--path", recordings, "--output", output, "--resample")


def test_data_preparation_keeps_every_name_and_writes_nothing_elsewhere(
    recordings, tmp_path, monkeypatch, seen
):
    monkeypatch.chdir(tmp_path)
    before = _everything(tmp_path)
    result = _prepared(recordings, tmp_path / "data")
    assert result.exit_code == 0, result.output
    utterances = read_manifest(tmp_path / "data" / "manifest.csv")
    assert {item.id for item in utterances} == set(NAMES)
    assert all(len(clean) == 3_200 for clean, _ in map(read_pair, utterances))
    written = _everything(tmp_path) - before
    assert all(name == b"data" or name.startswith(b"data/") for name in written)
    assert len(written) == 2 * len(NAMES) + 4
    seen(
        "file names with quotes, semicolons, line breaks, `$(…)`, backticks, `<script>`, 255 bytes, …",
        "prepared, resampled and read again under the same names; nothing executed, nothing outside the folder",
    )


def test_enhancing_and_evaluating_take_every_name(recordings, tmp_path, monkeypatch, seen):
    monkeypatch.chdir(tmp_path)
    torch.save(TSCNet(num_channel=4, num_blocks=1).state_dict(), tmp_path / "generator.pt")
    undecodable = os.fsdecode(b"\xff\xfe")
    (recordings / "noisy" / "a'b.wav").rename(recordings / "noisy" / f"{undecodable}.wav")
    names = {undecodable, *NAMES} - {"a'b"}
    before = _everything(tmp_path)
    result = called(app, "enhance", "generator.pt", recordings / "noisy", tmp_path / "enhanced")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == len(names)
    assert {path.stem for path in (tmp_path / "enhanced").iterdir()} == names
    assert _everything(tmp_path) - before == {b"enhanced"} | {
        b"enhanced/" + os.fsencode(f"{name}.wav") for name in names
    }
    assert json.loads(called(app, "enhance", "generator.pt", recordings, tmp_path / "again", "--json").stdout)
    seen(
        "the same names, and one that is not UTF-8, given to `cmgan enhance`", "each enhanced under its name"
    )


def test_a_name_that_no_table_can_hold_is_refused_in_one_line(recordings, tmp_path, seen):
    for odd in (b"\xff\xfe.wav", b"carriage\r.wav"):
        for side in ("clean", "noisy"):
            (recordings / side / "a'b.wav").rename(recordings / side / os.fsdecode(odd))
        result = _prepared(recordings, tmp_path / "data")
        assert result.exit_code == 1
        assert result.stderr.count("\n") == 1
        assert "not UTF-8, or holds a carriage return; rename it" in result.stderr
        seen(f"a file named {odd!r}", result.stderr)
        for side in ("clean", "noisy"):
            (recordings / side / os.fsdecode(odd)).rename(recordings / side / "a'b.wav")


def test_links_in_a_circle_are_not_followed(recordings, tmp_path, seen):
    for side in ("clean", "noisy"):
        (recordings / side / "round").symlink_to(recordings)
        (recordings / side / "self.wav").symlink_to("self.wav")
    result = _prepared(recordings, tmp_path / "data")
    assert result.exit_code == 0, result.output
    assert len(read_manifest(tmp_path / "data" / "manifest.csv")) == len(NAMES)
    seen("links that lead in a circle", "not followed; the recordings beside them prepared")


def _link():
    member = zipfile.ZipInfo("a.wav")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


@pytest.mark.parametrize(
    ("what", "members", "reason"),
    [
        ("a path out of it", [("../a.wav", b"x")], "leads out of it"),
        ("a path out of it, further down", [("a/../../b.wav", b"x")], "leads out of it"),
        ("an absolute path", [("/etc/a.wav", b"x")], "leads out of it"),
        ("a path out of it, as Windows writes it", [("..\\a.wav", b"x")], "leads out of it"),
        ("a drive", [("C:/a.wav", b"x")], "leads out of it"),
        ("a link", [(_link(), b"/etc/passwd")], "is a link"),
        ("two recordings of one name", [("one/a.wav", b"x"), ("two/a.wav", b"y")], r"named a\.wav"),
        ("more than it can hold", [("a.wav", bytes(200_000_000))], "would unpack to 200000000 bytes"),
    ],
)
def test_a_hostile_archive_is_refused_before_anything_is_written(tmp_path, seen, what, members, reason):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members:
            archive.writestr(member, content)
    with pytest.raises(CorpusError, match=rf"a\.zip: not unpacked, .*{reason}") as refusal:
        unpack_recordings(tmp_path / "a.zip", tmp_path / "out" / "folder")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.zip"]
    seen(f"an archive with {what}", refusal.value)
