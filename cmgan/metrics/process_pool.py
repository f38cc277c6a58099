"""A pool of processes that outlives crashes and endless loops of the C code it calls.

The standard pools do not fit: a crash breaks `ProcessPoolExecutor` for good, `multiprocessing.Pool` waits for ever
for the lost result, neither has a limit per call, and both import the caller's main module, torch included.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from multiprocessing.connection import Pipe
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import TracebackType
from typing import Self

from cmgan.metrics import process_worker

_SOURCE_ROOT = Path(__file__).resolve().parents[2]


class WorkerStartError(RuntimeError):
    """A worker process ended before its first call; what it printed says why."""


class WorkerError(RuntimeError):
    """A call ended its process; reason is "timeout" or "worker_crash"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ProcessPool:
    """Calls a function in `workers` processes, started at once; POSIX only. A context manager.

    function: "module:name", imported by each process; its arguments and results are pickled. A call that takes
    more than `timeout_s` seconds, or ends its process, gets WorkerError, and the process is replaced.
    Processes end with the pool, and when the parent ends, however it does. Raises ValueError for bad settings.
    """

    def __init__(self, function: str, workers: int, timeout_s: float | None = None) -> None:
        if workers < 1:
            raise ValueError(f"workers is {workers}: use at least 1")
        if timeout_s is not None and timeout_s <= 0:
            raise ValueError(f"timeout_s is {timeout_s}: use a positive number of seconds, or None")
        self._settings = (function, timeout_s or 0.0)
        self._calls: queue.SimpleQueue[tuple[Future, memoryview] | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._processes = [_Process(*self._settings) for _ in range(workers)]
        self._threads = [
            threading.Thread(target=self._serve, args=(slot,), daemon=True) for slot in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, *arguments: object) -> Future:
        """Queue one call; never waits. Arguments are copied (pickled) before it returns."""
        if self._closed.is_set():
            raise RuntimeError("the process pool is closed: submit inside its with block")
        future: Future = Future()
        self._calls.put((future, ForkingPickler.dumps(arguments)))
        return future

    def close(self) -> None:
        """End all processes now; calls not yet answered are cancelled."""
        self._closed.set()
        for _ in self._threads:
            self._calls.put(None)
        for process in self._processes:
            process.kill()  # a thread that waits for its answer sees the end of the socket
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self, slot: int) -> None:
        while (call := self._calls.get()) is not None:
            future, arguments = call
            if self._closed.is_set():
                future.cancel()
                continue
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self._processes[slot].call(arguments))
            except (WorkerError, WorkerStartError) as failure:
                if not self._closed.is_set():
                    self._processes[slot] = _Process(*self._settings)
                future.set_exception(failure)
        self._processes[slot].end()


class _Process:
    """One child and the socket to it."""

    def __init__(self, function: str, timeout_s: float) -> None:
        self._function = function
        self._ready = False
        self._connection, child = Pipe()
        search_path = [str(_SOURCE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                process_worker.__name__,
                str(child.fileno()),
                function,
                str(timeout_s),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[child.fileno()],
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(search_path)}
            | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )
        child.close()

    def call(self, arguments: memoryview) -> object:
        try:
            if not self._ready:
                self._connection.recv()
                self._ready = True
            self._connection.send_bytes(arguments)
            return self._connection.recv()
        except (EOFError, ConnectionError):
            code = self.end()
        if not self._ready:
            raise WorkerStartError(
                f"a worker process for {self._function} ended with code {code} before its first call; "
                f"what it printed above says why"
            )
        raise WorkerError("timeout" if code == -signal.SIGALRM else "worker_crash")

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> int:
        """Exit code, negative for a signal. A closed socket ends an idle process."""
        self._connection.close()
        return self._process.wait()
