"""Started by tests as a process of its own: MANIFEST OUTPUT BATCH_SIZE PROCESSES ARM [KILLED_AT].

Trains a tiny run with dropout off, to compare runs that draw different masks. With KILLED_AT it ends by SIGKILL at
that event, counting rows logged and files renamed.
"""

import os
import signal
import sys
from pathlib import Path

from torch import nn

from cmgan.csv_log import CsvLog
from cmgan.study.arms import arm
from tests.tiny_training import quietly, tiny_run


def main(
    manifest: str, output: str, batch_size: str, processes: str, arm_name: str, killed_at: str = "0"
) -> None:
    """Train two epochs."""
    made = nn.Dropout.__init__
    nn.Dropout.__init__ = lambda self, p=0.0, inplace=False: made(self, 0 * p, inplace)
    if int(killed_at):
        _kill_at(int(killed_at))
    sizes = {"channels": 8, "batch_size": int(batch_size), "processes": int(processes)}
    quietly(tiny_run(Path(manifest), Path(output), arm(arm_name), 1, **sizes))


def _kill_at(event: int) -> None:
    left = [event]

    def counted(action):
        def act(*given):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return action(*given)

        return act

    CsvLog.append = counted(CsvLog.append)
    Path.replace = counted(Path.replace)


if __name__ == "__main__":
    main(*sys.argv[1:])
