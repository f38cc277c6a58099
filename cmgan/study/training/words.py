"""What one training shows, step by step and on the test, in sentences put together from its tables (Markdown)."""

import pandas as pd

from cmgan.statistics import MARGIN_PESQ, mean_interval
from cmgan.study.training.plots import RUNNING_MEAN_STEPS
from cmgan.study.training.tables import BOOTSTRAP_SEED, LABELS
from cmgan.study.wording import bounds, counted, in_words, number

TOLD_LOSSES = ("loss_magnitude", "loss_time", "loss_discriminator")


def steps_in_words(steps: pd.DataFrame) -> str:
    """How losses moved from the first steps to the last, and how many discriminator steps were skipped; steps.csv."""
    span = min(RUNNING_MEAN_STEPS, len(steps) // 2 or 1)
    moves = [
        f"the {LABELS[name]} went from {start:.3g} to {end:.3g}"
        for name in TOLD_LOSSES
        if pd.notna(start := steps[name].head(span).mean()) and pd.notna(end := steps[name].tail(span).mean())
    ]
    skipped, failed = (int(steps[name].sum()) for name in ("discriminator_skipped", "pesq_failures"))
    return (
        f"In {len(steps)} steps, {in_words(moves)} (means of the first and the last {span}). PESQ failed for "
        f"{counted(failed, 'crop')}, and the discriminator's step was skipped {counted(skipped, 'time')} "
        f"({number(skipped / len(steps), '.1%')})."
    )


def scores_in_words(noisy: pd.DataFrame, enhanced: pd.DataFrame) -> str:
    """What one network makes of the test utterances; the tables of 05_evaluation, columns id and pesq."""
    both = noisy[["id", "pesq"]].merge(enhanced[["id", "pesq"]], on="id", suffixes=("_noisy", ""))
    failed, scored = int(enhanced["pesq"].isna().sum()), both.dropna()
    missing = f" PESQ failed for {failed} of {len(enhanced)} utterances."
    if scored.empty:
        return f"No utterance has a PESQ before and after.{missing}"
    change = mean_interval(scored["pesq"] - scored["pesq_noisy"], BOOTSTRAP_SEED)
    worst = scored.loc[scored["pesq"].idxmin()]
    return (
        f"Mean PESQ goes from {scored['pesq_noisy'].mean():.2f} (noisy) to {scored['pesq'].mean():.2f}, a change of "
        f"{number(change.estimate, '+.2f')} {bounds(change.low, change.high, '+.2f')} over {change.n} utterances, of "
        f"which {int((scored['pesq'] > scored['pesq_noisy']).sum())} became better. The lowest PESQ is "
        f"{worst['pesq']:.2f} ({worst['id']}).{missing if failed else ''}"
    )


def courses_in_words(frame: pd.DataFrame) -> str:
    """In which logged runs PESQ fell from its peak; frame of `cmgan.diagnosis.reading.courses`."""
    scores = frame[frame["quantity"] == "pesq"]
    if scores.empty:
        return "None of these logs has PESQ by epoch, so that no fall can be seen in them."
    falls = {
        run: rows["value"].max() - rows.sort_values("epoch")["value"].iloc[-1]
        for run, rows in scores.groupby("run", sort=False)
    }
    fallen = [f"{run} ({number(fall)})" for run, fall in falls.items() if fall > MARGIN_PESQ]
    return (
        f"PESQ by epoch is logged for {counted(len(falls), 'run')}; its last epoch lies more than "
        f"{MARGIN_PESQ:g} below its highest in {in_words(fallen) if fallen else 'none of them'}."
    )
