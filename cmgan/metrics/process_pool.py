"""A pool of processes that outlives crashes and endless loops of the C code it calls."""

import ctypes
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from importlib import import_module
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # of prctl.h
_LOOK_EVERY_S = 1.0
_SOURCE_ROOT = Path(__file__).resolve().parents[2]


class WorkerStartError(ChildProcessError):
    """A worker process ended before its first call; what it printed says why."""


class WorkerError(RuntimeError):
    """A call ended its process; reason is "timeout" or "worker_crash"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# No library pool fits: a crash breaks ProcessPoolExecutor for good and makes multiprocessing.Pool wait for ever, both
# import the caller's main module, torch included, and no pool in the lock file limits the time of a call.
class ProcessPool(AbstractContextManager):
    """Calls a function in `workers` processes, started at once; POSIX only. A context manager.

    function: "module:name", imported by each process; its arguments and results are pickled. A call that takes
    more than `timeout_s` seconds, or ends its process, gets WorkerError, and the process is replaced; seconds in
    which the parent is stopped (Ctrl-Z, a sleeping machine) do not count. With 0 workers `submit` calls in this
    process, without a limit. Processes end with the pool, and when the parent ends, however it does.
    """

    def __init__(self, function: str, workers: int, timeout_s: float | None = None) -> None:
        self._function, self._timeout_s = function, timeout_s
        self._inline = None if workers else _imported(function)
        self._closed = False
        self._processes = [_Process(function) for _ in range(workers)]
        self._idle: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(workers):
            self._idle.put(slot)
        # A thread for each process waits for its answers.
        self._threads = ThreadPoolExecutor(max(workers, 1))

    def submit(self, *arguments: object) -> Future:
        """Queue one call; never waits for a process. Arguments are copied (pickled) before it returns."""
        if self._closed:
            raise RuntimeError("the process pool is closed: submit inside its with block")
        if self._inline is None:
            return self._threads.submit(self._call, ForkingPickler.dumps(arguments))
        done: Future = Future()
        done.set_result(self._inline(*arguments))
        return done

    def __exit__(self, *_: object) -> None:
        """End all processes now; calls not yet begun are cancelled."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self._processes:
            process.kill()  # the thread that waits for its answer sees the end of the socket
        self._threads.shutdown()
        for process in self._processes:
            process.end()

    def _call(self, arguments: memoryview) -> object:
        slot = self._idle.get()
        try:
            return self._processes[slot].call(arguments, self._timeout_s)
        except (WorkerError, WorkerStartError):
            if not self._closed:
                self._processes[slot] = _Process(self._function)
            raise
        finally:
            self._idle.put(slot)


class _Process:
    """One child and the socket to it."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._ready = False
        self._connection, child = Pipe()
        search_path = [str(_SOURCE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        code = f"from {__name__} import serve; serve({child.fileno()}, {function!r})"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[child.fileno()],
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(search_path)}
            | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )
        child.close()

    def call(self, arguments: memoryview, timeout_s: float | None) -> object:
        try:
            if not self._ready:
                self._connection.recv()
                self._ready = True
            self._connection.send_bytes(arguments)
            if timeout_s is None or self._answers_within(timeout_s):
                return self._connection.recv()
            self.kill()
            self.end()
            raise WorkerError("timeout")
        except (EOFError, ConnectionError):
            code = self.end()
        if not self._ready:
            raise WorkerStartError(
                f"a worker process for {self._function} ended with code {code} before its first call; "
                f"what it printed above says why"
            )
        raise WorkerError("worker_crash")

    def _answers_within(self, seconds: float) -> bool:
        # Counted in short waits: one that began before a stop ends with it.
        while seconds > 0:
            if self._connection.poll(min(seconds, _LOOK_EVERY_S)):
                return True
            seconds -= _LOOK_EVERY_S
        return False

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> int:
        """Exit code, negative for a signal. A closed socket ends an idle process."""
        self._connection.close()
        return self._process.wait()


def serve(descriptor: int, function: str) -> None:
    """The child's half: answer calls of `function` that come through an inherited socket until the parent is gone.

    An exception ends the process: the parent sees a crash.
    """
    # Ctrl-C reaches the whole process group; the parent decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        # A call in C code does not see its socket close when the parent is killed.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    call = _imported(function)
    try:
        with Connection(descriptor) as connection:
            connection.send("ready")
            while True:
                connection.send(call(*connection.recv()))
    except (EOFError, ConnectionError):
        return


def _imported(function: str) -> Callable:
    module, name = function.split(":")
    return getattr(import_module(module), name)
