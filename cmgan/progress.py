"""One line now and then: where a training run stands and how long it still takes."""

import time
from collections.abc import Callable

REPORT_EVERY_SECONDS = 10.0


class Progress:
    """Reports step, loss and time left at most every ten seconds, and PESQ after each epoch."""

    def __init__(self, name: str, total_steps: int, steps_done: int, report: Callable[[str], None]) -> None:
        self._name, self._total, self._report = name, total_steps, report
        self._done = self._done_before = steps_done
        self._started = self._reported = time.monotonic()
        self._pesq = float("nan")

    def step(self, epoch: int, loss: float) -> None:
        """Count one step; report when the last report is old enough."""
        self._done += 1
        now = time.monotonic()
        if now - self._reported >= REPORT_EVERY_SECONDS or self._done == self._total:
            self._reported = now
            pesq = "" if self._pesq != self._pesq else f", PESQ {self._pesq:.2f}"
            self._report(
                f"{self._name}: epoch {epoch}, step {self._done}/{self._total}, loss {loss:.3f}{pesq}, "
                f"{duration(self._seconds_left(now))} left"
            )

    def validated(self, pesq: float) -> None:
        """Note an epoch's validation PESQ; shown with the next step."""
        self._pesq = pesq

    def _seconds_left(self, now: float) -> float:
        seconds_per_step = (now - self._started) / max(self._done - self._done_before, 1)
        return seconds_per_step * (self._total - self._done)


def duration(seconds: float) -> str:
    """Seconds as a person reads them: 45 s, 3 min 20 s, 2 h 05 min."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
