"""What each figure of the comparison shows in this run: sentences from the frame that it is drawn from (Markdown)."""

from collections.abc import Callable
from functools import partial

import pandas as pd

from cmgan.statistics import HEALTHY_BAND, MARGIN_PESQ
from cmgan.study.comparison.evaluation import FAMILIES
from cmgan.study.comparison.words import differences_in_words
from cmgan.study.objective.words import clip_in_words
from cmgan.study.report.answer import picture_in_words
from cmgan.study.report.figures import FIGURES
from cmgan.study.run_results import NOISY
from cmgan.study.training.tables import CRITERIA, LABELS, LOSSES, PATIENCES
from cmgan.study.wording import bounds, code, in_words, number


def figure_in_words(name: str, frames: dict[str, pd.DataFrame]) -> list[str]:
    """Sentences on the figure `name`; one that says what it needs where the run has no frame of it."""
    if name not in frames:
        return [f"Not drawn: this run lacks {FIGURES[name].needs}."]
    return SENTENCES[name](frames[name])


def early_stopping_in_words(stopping: pd.DataFrame) -> list[str]:
    """What stopping by loss and by PESQ would have changed, means over all trainings; of `early_stopping`."""
    lines = []
    for criterion, rows in stopping[stopping["patience"] == PATIENCES[-1]].groupby("criterion", sort=False):
        stopped = rows[rows["stopped"]]
        name = LABELS[CRITERIA[criterion]]
        if stopped.empty:
            lines.append(f"With a patience of {PATIENCES[-1]} epochs, {name} would have stopped no training.")
            continue
        lines.append(
            f"With a patience of {PATIENCES[-1]} epochs, {name} would have stopped {len(stopped)} of {len(rows)} "
            f"trainings, where PESQ differs from the end's by {number(stopped['gain'].mean(), '+.2f')} on average."
        )
    return lines


def _forest(frame: pd.DataFrame) -> list[str]:
    apart = frame[(frame["low"] > MARGIN_PESQ) | (frame["high"] < -MARGIN_PESQ)]
    inside = (frame["low"] > -MARGIN_PESQ) & (frame["high"] < MARGIN_PESQ)
    listed = [
        f"{row.prediction} ({row.contrast}: {number(row.estimate, '+.2f')} {bounds(row.low, row.high, '+.2f')})"
        for row in apart.itertuples()
    ]
    neither = len(frame) - len(apart) - int(inside.sum())
    return [
        f"Of {len(frame)} effects on PESQ, {len(apart)} lie with their whole 95 % interval beyond ±{MARGIN_PESQ:g}"
        f"{f': {in_words(listed)}' if listed else ''}; {int(inside.sum())} lie within it, {neither} do neither."
    ]


def _mechanism(frame: pd.DataFrame) -> list[str]:
    last = frame[frame["epoch"] == frame.groupby(["arm", "seed"])["epoch"].transform("max")]
    means = last.groupby("arm", sort=False).mean(numeric_only=True)
    best, worst = means["pesq"].idxmax(), means["pesq"].idxmin()
    told = "; ".join(
        f"{code(arm)} PESQ {means.at[arm, 'pesq']:.2f}, gain {means.at[arm, 'gain']:.2f}, inconsistency "
        f"{means.at[arm, 'inconsistency']:.2f}"
        for arm in dict.fromkeys((best, worst))
    )
    lines = [f"In the last epoch the highest and the lowest PESQ have: {told}."]
    if best != worst:
        opposed = [LABELS[name] for name in LOSSES if means.at[best, name] >= means.at[worst, name]]
        lines.append(
            f"Not lower for {code(best)}: {in_words(opposed)}. To lower that is not to ask for its PESQ."
            if opposed
            else f"All losses that are drawn are lower for {code(best)} than for {code(worst)}."
        )
    return lines


def _final_metrics(frame: pd.DataFrame) -> list[str]:
    of_pesq = frame[frame["metric"] == "pesq"].set_index("arm")["mean"]
    noisy, arms = of_pesq.get(NOISY, float("nan")), of_pesq.drop(NOISY, errors="ignore")
    gain = frame[frame["metric"] == "gain"].set_index("arm")["mean"].reindex(arms.index)
    return [
        f"{int((arms > noisy).sum())} of {len(arms)} arms end with a mean PESQ above the noisy speech's {noisy:.2f}. "
        f"{code(arms.idxmax())} is highest with {arms.max():.2f} at a gain of {gain[arms.idxmax()]:.2f}, "
        f"{code(arms.idxmin())} lowest with {arms.min():.2f} at {gain[arms.idxmin()]:.2f}."
    ]


def _doses(frame: pd.DataFrame, dose: Callable[[float], str]) -> list[str]:
    lines = []
    for family, rows in frame.groupby("family", sort=False):
        ordered = rows.sort_values("dose").itertuples()
        listed = in_words(f"{row.mean:.2f} at {dose(row.dose)}" for row in ordered)
        lines.append(f"With the {FAMILIES[family]}, final PESQ is {listed}.")
    return lines


def _discriminator(frame: pd.DataFrame) -> list[str]:
    known = frame[frame["n"] > 0]
    low, high = HEALTHY_BAND
    return [
        f"The median loss lies between {low:g} and {high:g}, called healthy, in "
        f"{int(known['median'].between(low, high).sum())} of {len(known)} arms that have a discriminator; medians go "
        f"from {known['median'].min():.2g} to {known['median'].max():.2g}."
    ]


def _label_spread(frame: pd.DataFrame) -> list[str]:
    listed = in_words(f"{row.median:.3f} in {code(row.arm)}" for row in frame.itertuples())
    return [f"The median spread of the labels within a batch is {listed}."]


def _gradient_norms(frame: pd.DataFrame) -> list[str]:
    shares = [
        f"{_span(rows['share_above'])} of the {network}'s"
        for network, rows in frame.dropna(subset="share_above").groupby("network", sort=False)
    ]
    return [f"By arm, the norms of {in_words(shares)} steps exceed the limit of {frame['limit'].iloc[0]:g}."]


def _span(shares: pd.Series) -> str:
    low, high = (number(share, ".1%") for share in (shares.min(), shares.max()))
    return low if low == high else f"{low} to {high}"


SENTENCES: dict[str, Callable[[pd.DataFrame], list[str]]] = {
    "answer": picture_in_words,
    "claims_forest": _forest,
    "mechanism": _mechanism,
    "one_clip": clip_in_words,
    "final_metrics": _final_metrics,
    "differences": differences_in_words,
    "failure_doses": partial(_doses, dose=lambda share: f"{100 * share:g} % failing batches"),
    "batch_sizes": partial(_doses, dose=lambda size: f"{size:g} crop{'s' * (size != 1)} a batch"),
    "discriminator_losses": _discriminator,
    "label_spread": _label_spread,
    "gradient_norms": _gradient_norms,
}
