"""Download files through pooch: whole or not at all, and resumed where a connection broke."""

import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pooch
import requests

from data_prep.whole_files import write_text

REGISTRY = "registry.txt"
_CHUNK = 1 << 14  # what a broken connection had sent of a chunk is lost
_TRIES = 5
_PAUSE_SECONDS = 2.0  # before a broken connection is tried again, doubled each time
_TIMEOUT = 60.0
_SECONDS_BETWEEN_REPORTS = 10.0
_BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)

Report = Callable[[str], None]


class DownloadError(OSError):
    """A file did not arrive; the message names it, says why and how to go on."""


def fetch(names: Sequence[str], base_url: str, folder: Path, report: Report = print) -> None:
    """Download files that are not in the folder yet.

    A file's SHA-256 is noted in the folder's registry.txt at its first download, since none is published, and what is
    there is held against it: a file that changed since is downloaded again. What arrived before an interruption is
    kept. Raises DownloadError without a connection, with too little room, or for a file other than the one noted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # It would say that the hashes are unknown, which is what the registry is for.
    pooch.get_logger().setLevel("WARNING")
    noted = folder / REGISTRY
    lines = noted.read_text().splitlines() if noted.exists() else []
    registry = dict(line.split() for line in lines if line.strip())
    try:
        _check_room([name for name in names if not (folder / name).exists()], base_url, folder, report)
        for name in names:
            arriving = partial(_download, part=folder / f"{name}.part", report=report)
            try:
                pooch.retrieve(f"{base_url}/{name}", registry.get(name), name, folder, downloader=arriving)
            except ValueError as error:
                # pooch has removed what it was given.
                raise DownloadError(
                    f"{name}: not the file noted in {noted}; remove its line there to accept the server's"
                ) from error
            if name not in registry:
                registry[name] = f"sha256:{pooch.file_hash(str(folder / name))}"
                write_text("".join(f"{file} {known}\n" for file, known in sorted(registry.items())), noted)
    except requests.HTTPError as error:
        raise DownloadError(f"{error}; check the address") from error
    except _BROKEN as error:
        reason = type(error).__name__
        raise DownloadError(
            f"{base_url}: no connection ({reason}); call again to go on, or download the files by hand"
        ) from error


def _download(url: str, output_file: str, _: pooch.Pooch | None, *, part: Path, report: Report) -> None:
    """A downloader for pooch that keeps what arrived in `part` and asks the server for the rest."""
    tries, size = 0, _size_of(part)
    while True:
        try:
            _receive(url, part, report)
            break
        except _BROKEN:
            # A long download may break often, as long as it gets on.
            tries, size = (tries + 1 if _size_of(part) <= size else 1), _size_of(part)
            if tries == _TRIES:
                raise
            time.sleep(_PAUSE_SECONDS * 2**tries)
    _version_of(part).unlink(missing_ok=True)
    part.replace(output_file)


def _receive(url: str, part: Path, report: Report) -> None:
    """Append what one connection sends to `part`; begin again where the server's file is another one by now."""
    known = _version_of(part)
    done = _size_of(part) if known.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if done:
        headers |= {"Range": f"bytes={done}-", "If-Range": known.read_text()}
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()
            raise requests.ConnectionError("nothing left to send")
        response.raise_for_status()
        if response.status_code != requests.codes.partial_content:
            done = 0
        version = response.headers.get("ETag") or response.headers.get("Last-Modified")
        known.write_text(version) if version else known.unlink(missing_ok=True)
        announced = response.headers.get("Content-Length")
        total = done + int(announced) if announced else 0
        told = time.monotonic()
        with part.open("ab" if done else "wb") as file:
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                if time.monotonic() - told > _SECONDS_BETWEEN_REPORTS:
                    told = time.monotonic()
                    report(f"{part.stem}: {_in_words(done)} of {_in_words(total)}")
    if total and done != total:
        raise requests.ConnectionError("the server closed the connection early")


def _check_room(names: Sequence[str], base_url: str, folder: Path, report: Report) -> None:
    """Say how much will come, as the server has it, and refuse to start without room for it."""
    needed = 0
    for name in names:
        response = requests.head(f"{base_url}/{name}", allow_redirects=True, timeout=_TIMEOUT)
        response.raise_for_status()
        needed += int(response.headers.get("Content-Length", 0)) - _size_of(folder / f"{name}.part")
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DownloadError(
            f"{folder}: {_in_words(needed)} to download and {_in_words(free)} free; make room"
        )
    if names:
        report(f"downloading {len(names)} files, {_in_words(needed)}, to {folder}")


def _version_of(part: Path) -> Path:
    """The file that keeps the ETag of what `part` is the beginning of."""
    return part.with_name(f"{part.name}.version")


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _in_words(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
