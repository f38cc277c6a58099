"""The forest plot: every effect on PESQ that a claim predicts, with the margin that matters."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cmgan.study.claims.judging import JudgedRun
from cmgan.study.claims.verdicts import Effect, Verdict
from cmgan.study.claims.words import contrast
from cmgan.study.figure_files import COLUMN_WIDTH
from cmgan.study.margins import MARGIN_PESQ

# Shape and filling tell the verdicts apart without colour.
LOOKS = {
    Verdict.SUPPORTED: {"marker": "o", "color": "#0b4f9c", "markerfacecolor": "#0b4f9c"},
    Verdict.REFUTED: {"marker": "X", "color": "#b2182b", "markerfacecolor": "#b2182b"},
    Verdict.INCONCLUSIVE: {"marker": "D", "color": "0.35", "markerfacecolor": "white"},
}
ROW_HEIGHT = 0.27  # inches


def pesq_effects(run: JudgedRun) -> pd.DataFrame:
    """Every effect of training on PESQ that was found, claims first, controls last.

    Columns: prediction, contrast, verdict, decides, relation, margin, estimate, low95, high95, low, high (deciding
    interval), n, unit, seeds, smallest, largest (of the seeds' own estimates).
    """
    judged = [one for claim in run.claims for one in claim.predictions]
    judged += [control.judged for control in run.controls]
    rows = [
        {
            "prediction": one.prediction.id,
            "contrast": contrast(one.prediction, one.found.detail),
            "verdict": str(one.verdict),
            "decides": one.prediction.decides,
            "relation": one.prediction.rule.relation,
            "margin": one.prediction.rule.margin,
            "estimate": one.found.estimate,
            "low95": one.found.low95,
            "high95": one.found.high95,
            "low": one.found.low,
            "high": one.found.high,
            "n": one.found.n,
            "unit": one.found.unit,
            "seeds": len(one.found.by_seed),
            "smallest": min(one.found.by_seed, default=np.nan),
            "largest": max(one.found.by_seed, default=np.nan),
        }
        for one in judged
        if isinstance(one.found, Effect) and contrast(one.prediction)
    ]
    return pd.DataFrame(rows)


def claims_forest(frame: pd.DataFrame) -> Figure:
    """Effects on PESQ with 95 % intervals, the deciding interval thin behind it, ticks for the seeds' extremes.

    Frame of `pesq_effects`. Each row's text stands above its interval, so that the figure fits one column.
    """
    figure, axis = plt.subplots(figsize=(COLUMN_WIDTH, 1.05 + ROW_HEIGHT * len(frame)))
    reach = _reach(frame)
    axis.axvspan(-MARGIN_PESQ, MARGIN_PESQ, color="0.9", zorder=0, linewidth=0)
    axis.axvline(0, color="0.6", linewidth=0.8, zorder=1)
    for position, row in enumerate(frame.itertuples()):
        look = LOOKS[Verdict(row.verdict)]
        axis.hlines(position, row.low, row.high, color=look["color"], linewidth=0.7)
        axis.hlines(position, row.low95, row.high95, color=look["color"], linewidth=2.2)
        axis.plot([row.smallest, row.largest], [position] * 2, "|", color=look["color"], markersize=6)
        axis.plot(row.estimate, position, markersize=5.5, linestyle="none", **look)
        text = f"{row.prediction}  {row.contrast}"
        axis.text(
            -reach, position - 0.3, text, va="bottom", fontsize=7, color="black" if row.decides else "0.35"
        )
    axis.set(xlim=(-reach, reach), ylim=(len(frame) - 0.55, -0.95), yticks=[], xlabel="difference of PESQ")
    axis.grid(visible=False, axis="y")
    shown = [verdict for verdict in LOOKS if verdict in set(frame["verdict"])]
    marks = {"linestyle": "none", "markersize": 5.5}
    handles = [Line2D([], [], label=str(verdict), **marks, **LOOKS[verdict]) for verdict in shown]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handletextpad=0.2)
    return figure


def _reach(frame: pd.DataFrame) -> float:
    """Half the width of the axis: all 95 % intervals and seeds, deciding intervals up to twice as far."""
    inner = np.nanmax(
        frame[["low95", "high95", "estimate", "smallest", "largest"]].abs().to_numpy(), initial=0.2
    )
    outer = np.nanmax(frame[["low", "high"]].abs().to_numpy(), initial=0.2)
    return 1.08 * min(outer, 1.5 * inner)
