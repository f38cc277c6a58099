"""The forest plot: every effect on PESQ that a claim predicts, with the margin that matters."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cmgan.statistics import MARGIN_PESQ
from cmgan.study.arms import arm_label
from cmgan.study.claims.rules import Prediction, Verdict
from cmgan.study.claims.verdicts import JudgedRun, judged_row
from cmgan.study.effects import Effect
from cmgan.study.figure_files import COLUMN_WIDTH

# Shape and filling tell the verdicts apart without colour.
LOOKS = {
    Verdict.SUPPORTED: {"marker": "o", "color": "#0b4f9c", "markerfacecolor": "#0b4f9c"},
    Verdict.REFUTED: {"marker": "X", "color": "#b2182b", "markerfacecolor": "#b2182b"},
    Verdict.INCONCLUSIVE: {"marker": "D", "color": "0.35", "markerfacecolor": "white"},
}
ROW_HEIGHT = 0.27  # inches
COLUMNS = (
    *("prediction", "contrast", "verdict", "primary", "relation", "margin"),
    *("estimate", "low", "high", "n", "unit", "seeds", "smallest", "largest"),
)
CONTRASTS = {
    "branch_difference": "from {trunk}: {first} − {second}",
    "branch_fall": "from {trunk}: fall under {arm}",
    "final_difference": "{first} − {second}",
    "best_difference": "best arm ({detail}) − {baseline}",
    "fall_from_peak": "fall of {arm} from its peak",
    "early_stopping_gain": "{arm}: stopped by {criterion} ({patience} epochs) − not stopped",
}


def pesq_effects(run: JudgedRun) -> pd.DataFrame:
    """Every effect of training on PESQ that was found, claims first, controls last.

    Columns: prediction, contrast, verdict, primary, relation, margin, estimate, low, high (95 %), n, unit, seeds,
    smallest, largest (of the seeds' own estimates).
    """
    primaries = {claim.claim.primary.id for claim in run.claims}
    rows = [
        judged_row(one, one.prediction.id in primaries)
        | {
            "contrast": _contrast(one.prediction, one.found.detail),
            "smallest": min(one.found.by_seed, default=np.nan),
            "largest": max(one.found.by_seed, default=np.nan),
        }
        for one in run.predictions
        if isinstance(one.found, Effect) and one.prediction.function in CONTRASTS
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def claims_forest(frame: pd.DataFrame) -> Figure:
    """Effects on PESQ with 95 % intervals over seeds, ticks for the seeds' extremes; names of primary ones in black.

    Frame of `pesq_effects`. Each row's text stands above its interval, so that the figure fits one column.
    """
    figure, axis = plt.subplots(figsize=(COLUMN_WIDTH, 1.05 + ROW_HEIGHT * len(frame)))
    # All seeds are shown whole; the interval of two or three may reach much further and is cut.
    inner, outer = (
        np.nanmax(frame[names].abs().to_numpy(), initial=0.2)
        for names in (["estimate", "smallest", "largest"], ["low", "high"])
    )
    reach = 1.08 * min(outer, 2.5 * inner)
    axis.axvspan(-MARGIN_PESQ, MARGIN_PESQ, color="0.9", zorder=0, linewidth=0)
    axis.axvline(0, color="0.6", linewidth=0.8, zorder=1)
    for position, row in enumerate(frame.itertuples()):
        look = LOOKS[Verdict(row.verdict)]
        axis.hlines(position, row.low, row.high, color=look["color"], linewidth=1.6)
        axis.plot([row.smallest, row.largest], [position] * 2, "|", color=look["color"], markersize=6)
        axis.plot(row.estimate, position, markersize=5.5, linestyle="none", **look)
        text = f"{row.prediction}  {row.contrast}"
        axis.text(
            -reach, position - 0.3, text, va="bottom", fontsize=7, color="black" if row.primary else "0.35"
        )
    axis.set(xlim=(-reach, reach), ylim=(len(frame) - 0.55, -0.95), yticks=[], xlabel="difference of PESQ")
    axis.grid(visible=False, axis="y")
    shown = [verdict for verdict in LOOKS if verdict in set(frame["verdict"])]
    marks = {"linestyle": "none", "markersize": 5.5}
    handles = [Line2D([], [], label=str(verdict), **marks, **LOOKS[verdict]) for verdict in shown]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handletextpad=0.2)
    return figure


def _contrast(prediction: Prediction, detail: str) -> str:
    """What a prediction about the PESQ of trained networks compares, short enough for a figure."""
    given = {name: arm_label(str(value)) for name, value in prediction.arguments.items()}
    if given.get("criterion") == "pesq":
        given["criterion"] = "PESQ"
    return CONTRASTS[prediction.function].format(**given, detail=arm_label(detail))
