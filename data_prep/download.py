"""Files from a server through pooch: whole or not at all, never twice, and on from where a connection broke."""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pooch
import requests

REGISTRY = "registry.txt"
_CHUNK = 1 << 14  # what a broken connection had sent of a chunk is lost
_TRIES = 5
_TIMEOUT = 60.0
_SECONDS_BETWEEN_REPORTS = 10.0
_BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


class DownloadError(OSError):
    """A file did not arrive; the message names it, says why and how to go on."""


def fetch(
    names: Sequence[str],
    base_url: str,
    folder: Path,
    report: Callable[[str], None] = print,
    pause: float = 2.0,
) -> None:
    """Download files that are not in the folder yet.

    A file's SHA-256 is noted in the folder's registry.txt at its first download, since none is published, and what is
    there is held against it: a file that changed since is downloaded again. What arrived before an interruption is
    kept. pause: seconds before a broken connection is tried again, doubled each time.
    Raises DownloadError without a connection, with too little room, or for a file other than the one noted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # It would say that the hashes are unknown, which is what the registry is for.
    pooch.get_logger().setLevel("WARNING")
    registry = _read_registry(folder / REGISTRY)
    missing = [name for name in names if not (folder / name).exists()]
    _check_room(missing, base_url, folder, report)
    for name in names:
        arriving = ResumingDownloader(folder / f"{name}.part", report, pause)
        try:
            pooch.retrieve(f"{base_url}/{name}", registry.get(name), name, folder, downloader=arriving)
        except ValueError as error:
            # pooch has removed what it was given.
            raise DownloadError(
                f"{name}: the server's file is not the one noted in {folder / REGISTRY}; "
                "remove its line there to accept it"
            ) from error
        if name not in registry:
            registry[name] = f"sha256:{pooch.file_hash(str(folder / name))}"
            _write_registry(registry, folder / REGISTRY)


class ResumingDownloader:
    """A downloader for pooch that keeps what arrived in a file of its own and asks the server for the rest."""

    def __init__(self, partial: Path, report: Callable[[str], None], pause: float) -> None:
        self._partial, self._report, self._pause = partial, report, pause
        self._version = partial.with_name(f"{partial.name}.version")

    def __call__(self, url: str, output_file: str, _: pooch.Pooch | None) -> None:
        """Download to the path that pooch asks for."""
        tries, size = 0, self._size()
        while True:
            try:
                self._receive(url)
                break
            except _BROKEN as error:
                # A long download may break often, as long as it gets on.
                tries, size = (tries + 1 if self._size() <= size else 1), self._size()
                if tries == _TRIES:
                    raise _unreachable(url, error) from error
                time.sleep(self._pause * 2**tries)
        self._version.unlink(missing_ok=True)
        self._partial.replace(output_file)

    def _size(self) -> int:
        return self._partial.stat().st_size if self._partial.exists() else 0

    def _receive(self, url: str) -> None:
        done = self._size() if self._version.exists() else 0
        # The rest is of use only when the server's file is still the same.
        asked = {"Range": f"bytes={done}-", "If-Range": self._version.read_text()} if done else {}
        headers = {"Accept-Encoding": "identity"} | asked
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self._partial.unlink()
                raise requests.ConnectionError("nothing left to send")
            _check_answer(response, url)
            if response.status_code != requests.codes.partial_content:
                done = 0
            version = response.headers.get("ETag") or response.headers.get("Last-Modified")
            self._version.write_text(version) if version else self._version.unlink(missing_ok=True)
            announced = response.headers.get("Content-Length")
            total = done + int(announced) if announced else 0
            self._write(response, done, total)
        if total and self._size() != total:
            raise requests.ConnectionError("the server closed the connection early")

    def _write(self, response: requests.Response, done: int, total: int) -> None:
        told = time.monotonic()
        with self._partial.open("ab" if done else "wb") as file:
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                if time.monotonic() - told > _SECONDS_BETWEEN_REPORTS:
                    told = time.monotonic()
                    self._report(f"{self._partial.stem}: {_size(done)} of {_size(total)}")


def _unreachable(url: str, error: Exception) -> DownloadError:
    reason = type(error).__name__
    return DownloadError(f"{url}: no connection ({reason}); call again to go on, or download it by hand")


def _check_answer(response: requests.Response, url: str) -> None:
    if not response.ok:
        raise DownloadError(
            f"{url}: the server answers {response.status_code} {response.reason}; check the address"
        )


def _check_room(names: Sequence[str], base_url: str, folder: Path, report: Callable[[str], None]) -> None:
    """Say how much will come, as the server has it, and refuse to start without room for it."""
    sizes = []
    for name in names:
        try:
            response = requests.head(f"{base_url}/{name}", allow_redirects=True, timeout=_TIMEOUT)
        except _BROKEN as error:
            raise _unreachable(f"{base_url}/{name}", error) from error
        _check_answer(response, f"{base_url}/{name}")
        sizes.append(int(response.headers.get("Content-Length", 0)))
    there = sum(path.stat().st_size for name in names if (path := folder / f"{name}.part").exists())
    needed, free = sum(sizes) - there, shutil.disk_usage(folder).free
    if needed > free:
        raise DownloadError(f"{folder}: {_size(needed)} to download and {_size(free)} free; make room")
    if names:
        report(f"downloading {len(names)} files, {_size(needed)}, to {folder}")


def _read_registry(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines() if path.exists() else []
    return dict(line.split() for line in lines if line.strip())


def _write_registry(registry: dict[str, str], path: Path) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text("".join(f"{name} {known}\n" for name, known in sorted(registry.items())))
    partial.replace(path)


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
