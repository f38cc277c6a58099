"""The child's half of `cmgan.metrics.process_pool`: calls one function until its parent is gone. Imports no torch."""

import signal
import sys
from importlib import import_module
from multiprocessing.connection import Connection


def serve(descriptor: int, function: str, timeout_s: float) -> None:
    """Answer calls of `function` ("module:name") that come through an inherited socket.

    A call may take `timeout_s` seconds (0: any time). An exception ends the process: the parent sees a crash.
    """
    # Ctrl-C reaches the whole process group; the parent decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The kernel's alarm ends the process even inside C code, and even when the parent is gone.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    module, name = function.split(":")
    call = getattr(import_module(module), name)
    try:
        with Connection(descriptor) as connection:
            connection.send("ready")
            while True:
                arguments = connection.recv()
                signal.setitimer(signal.ITIMER_REAL, timeout_s)
                result = call(*arguments)
                signal.setitimer(signal.ITIMER_REAL, 0)
                connection.send(result)
    except (EOFError, ConnectionError):
        return


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
