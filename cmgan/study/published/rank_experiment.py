"""The data-parallel scenarios tried in real processes, and what they show."""

import multiprocessing
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

import pandas as pd

from cmgan.metrics.process_pool import ProcessPool
from cmgan.study.published.rank_skip import (
    RANKS,
    SCENARIOS,
    STEPS,
    RankRecord,
    Scenario,
    run_rank,
    short_reason,
)

LIMIT_SECONDS = 20.0
SCENARIO_TITLES = {
    "every_rank_steps": "Every process steps",
    "failed_sample_masked": "One masks its failed sample",
    "one_rank_skips": "One skips its step",
    "one_rank_skips_discriminator_only": "One skips, discriminator alone",
}
REDUCTION_COLUMNS = ("scenario", "rank", "number", "network", "step", "other_step")
Records = dict[str, list[RankRecord]]


def try_scenarios(scenarios: Sequence[Scenario] = SCENARIOS, limit_s: float = LIMIT_SECONDS) -> Records:
    """Records of both ranks of every scenario; a process that takes more than `limit_s` seconds is ended.

    Needs no network. All ranks are forked from one process that has loaded torch and nothing else, so that a
    scenario starts at once and leaves nothing behind for the next.
    """
    with ProcessPool(f"{__name__}:fork_ranks", workers=1) as pool:
        return {scenario.name: pool.submit(scenario, limit_s).result() for scenario in scenarios}


def fork_ranks(scenario: Scenario, limit_s: float) -> list[RankRecord]:
    """Run every rank of a scenario in a process of its own. For a process without threads (see above).

    A process that dies keeps the record that it had, with what it printed last as the detail.
    """
    # DistributedDataParallel loads this: seconds in every process, once when it is there before they are forked.
    import_module("torch._dynamo")
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        ends, processes = [], []
        for rank in range(RANKS):
            receiving, sending = context.Pipe(duplex=False)
            process = context.Process(target=_answer, args=(scenario, rank, Path(folder), limit_s, sending))
            process.start()
            sending.close()
            ends.append(receiving)
            processes.append(process)
        records = [_last_record(end) for end in ends]
        for rank, (record, process) in enumerate(zip(records, processes, strict=True)):
            if not record.ended:
                process.join()
                record.detail = _last_words(process.exitcode, Path(folder, f"stderr-{rank}"))
        # Those that came to their end still hold their connections, so that nobody saw one closed too early.
        for process in processes:
            process.kill()
            process.join()
    return records


def rank_table(records: Records) -> pd.DataFrame:
    """What became of each process, a row per scenario and rank.

    Columns scenario, rank, finished (all steps were made, without an error), parameters_equal (of both ranks when
    they ended or, where one died, after its last step), reductions (gradient reductions that came back), mispaired
    (those whose other half came from another step), steps, detail (the error, or empty).
    """
    rows = [
        {
            "scenario": scenario,
            "rank": rank,
            "finished": record.finished,
            "parameters_equal": len({other.parameters for other in ranks}) == 1 and record.parameters != "",
            "reductions": len(record.reductions),
            "mispaired": sum(reduction.other_step != reduction.step for reduction in record.reductions),
            "steps": record.steps,
            "detail": record.detail,
        }
        for scenario, ranks in records.items()
        for rank, record in enumerate(ranks)
    ]
    return pd.DataFrame(rows)


def reduction_table(records: Records) -> pd.DataFrame:
    """One row per reduction that came back: scenario, rank, number, network, step, other_step (steps from 1)."""
    rows = [
        {
            "scenario": scenario,
            "rank": rank,
            "number": number,
            "network": reduction.network,
            "step": reduction.step + 1,
            "other_step": reduction.other_step + 1,
        }
        for scenario, ranks in records.items()
        for rank, record in enumerate(ranks)
        for number, reduction in enumerate(record.reductions, 1)
    ]
    return pd.DataFrame(rows, columns=REDUCTION_COLUMNS)


def ranks_in_words(outcome: pd.DataFrame) -> str:
    """Which processes got through each scenario, and what stopped the others; frame of `rank_table` (Markdown)."""
    groups = {SCENARIO_TITLES.get(name, name): rows for name, rows in outcome.groupby("scenario", sort=False)}
    finished = [f"{name}: {rows['finished'].sum()} of {len(rows)}" for name, rows in groups.items()]
    told = [f"{name}: {', '.join(_trouble(rows))}." for name, rows in groups.items() if _trouble(rows)]
    differing = [name for name, rows in groups.items() if not rows["parameters_equal"].all()]
    parameters = (
        f"The parameters of the two differ at the end where {', '.join(differing).lower()}."
        if differing
        else "The parameters of the two are equal at the end of every scenario: weights alone would not show it."
    )
    return " ".join([f"**Processes that make all {STEPS} steps. {'; '.join(finished)}.**", *told, parameters])


def _trouble(rows: pd.DataFrame) -> list[str]:
    """What went wrong in one scenario, in parts of a sentence."""
    stopped = rows[rows["detail"].fillna("") != ""]
    parts = [f"process {row.rank} stopped (“{row.detail}”)" for row in stopped.itertuples()]
    if rows["mispaired"].any():
        share = f"{rows['mispaired'].sum()} of {rows['reductions'].sum()}"
        parts.append(f"{share} gradient reductions were averages with another step's gradients")
    return parts


def _answer(scenario: Scenario, rank: int, folder: Path, limit_s: float, sending: Connection) -> None:
    # The kernel's alarm ends the process whatever it waits for, and even when its parent is gone.
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What gloo prints when it gives up belongs to the experiment, not on the user's screen.
    with Path(folder, f"stderr-{rank}").open("w") as printed:
        os.dup2(printed.fileno(), sys.stderr.fileno())
    run_rank(scenario, rank, folder, sending.send)
    signal.pause()


def _last_record(end: Connection) -> RankRecord:
    record = RankRecord()
    try:
        while not record.ended:
            record = end.recv()
    except EOFError:
        pass
    return record


def _last_words(exit_code: int, printed: Path) -> str:
    if exit_code == -signal.SIGALRM:
        return "ended from outside: it hung"
    raised = [line.split("what():")[1] for line in printed.read_text().splitlines() if "what():" in line]
    reason = short_reason(raised[-1]) if raised else "no message"
    return f"died with exit code {exit_code}: {reason}"
