import numpy as np
import pytest

from data_prep import download
from data_prep.download import REGISTRY, DownloadError, fetch
from tests.data_prep.archive_server import serving

CONTENT = np.random.default_rng(0).bytes(300_000)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0.0)


@pytest.fixture
def server():
    with serving({"a.zip": CONTENT, "b.zip": CONTENT[:1000]}) as started:
        yield started


def _fetch(server, folder, names=("a.zip",)):
    told = []
    fetch(names, server.url, folder, told.append)
    return told


def test_files_arrive_whole_and_nothing_else_is_left(server, tmp_path):
    told = _fetch(server, tmp_path, ("a.zip", "b.zip"))
    assert told == [f"downloading 2 files, 0.3 MB, to {tmp_path}"]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "b.zip", REGISTRY]


def test_a_file_that_is_there_is_not_downloaded_again(server, tmp_path):
    _fetch(server, tmp_path)
    assert _fetch(server, tmp_path) == []
    assert server.ranges == [("a.zip", 0)]


def test_a_broken_connection_is_taken_up_where_it_broke(server, tmp_path):
    # More breaks than tries: what counts is that each got on.
    server.cuts = [40_000] * 7
    _fetch(server, tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    beginnings = [first for _, first in server.ranges]
    assert len(beginnings) > 7
    assert all(np.diff(beginnings) > 0)


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(server, tmp_path):
    server.cuts = [100_000, 0, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match=r"no connection .*call again to go on"):
        _fetch(server, tmp_path)
    assert not (tmp_path / "a.zip").exists()
    server.cuts.clear()
    _fetch(server, tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert 90_000 < server.ranges[-1][1] <= 100_000


def test_a_file_that_changed_on_the_server_meanwhile_is_downloaded_from_its_beginning(server, tmp_path):
    server.cuts = [100_000, 0, 0, 0, 0, 0]
    with pytest.raises(DownloadError):
        _fetch(server, tmp_path)
    server.cuts.clear()
    server.files["a.zip"] = CONTENT[::-1]
    _fetch(server, tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT[::-1]


def test_a_file_damaged_on_disk_is_downloaded_again(server, tmp_path):
    _fetch(server, tmp_path)
    (tmp_path / "a.zip").write_bytes(b"damaged")
    _fetch(server, tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_another_file_than_the_one_noted_is_refused(server, tmp_path):
    _fetch(server, tmp_path)
    (tmp_path / "a.zip").unlink()
    server.files["a.zip"] = b"exchanged"
    with pytest.raises(DownloadError, match=r"a\.zip: not the file noted in"):
        _fetch(server, tmp_path)
    assert not (tmp_path / "a.zip").exists()


def test_a_wrong_address_is_named(server, tmp_path):
    with pytest.raises(DownloadError, match=r"404 .*/c\.zip; check the address"):
        _fetch(server, tmp_path, ("c.zip",))


def test_too_little_room_is_said_before_anything_arrives(server, tmp_path, monkeypatch):
    monkeypatch.setattr("data_prep.download.shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(DownloadError, match=r"0\.3 MB to download and 0\.0 MB free"):
        _fetch(server, tmp_path)
    assert server.ranges == []


def test_without_a_server_the_error_says_how_to_go_on(tmp_path):
    with pytest.raises(DownloadError, match="no connection"):
        fetch(("a.zip",), "http://127.0.0.1:9", tmp_path)
