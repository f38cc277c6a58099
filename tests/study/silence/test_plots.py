"""Figures of the silence survey and of the published logs: redrawn from their CSV, axes labelled."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from cmgan.study.figure_files import draw
from cmgan.study.published import plots as plots_logs
from cmgan.study.published.logs import losses_with_results, read_results, read_training_logs
from cmgan.study.silence import plots as plots_silence
from cmgan.study.silence.survey import batch_failures, failure_shares

mpl.use("agg")


@pytest.fixture(scope="module")
def crops() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    active = rng.uniform(0, 500, 60)
    return pd.DataFrame(
        {
            "crop_seconds": np.repeat([0.5, 1.0], 30),
            "active_ms": active,
            "pesq": np.where(active < 50, np.nan, 2.0),
            "pesq_reason": np.where(active < 50, "no_utterances", ""),
        }
    )


@pytest.fixture(scope="module")
def doses() -> pd.DataFrame:
    rows = [
        {"side": side, "dose_ms": dose, "pesq": np.nan if dose < 100 else 1.5, "pesq_reason": "x"}
        for side in ("reference", "estimate", "both")
        for dose in (0, 50, 500)
    ]
    return pd.DataFrame(rows * 2)


@pytest.fixture(scope="module")
def drawn(crops, doses, tmp_path_factory):
    """Every figure, drawn to a folder and drawn again from its CSV: plot functions by name."""
    frames = {
        "failure_by_length": (plots_silence.failure_by_length, failure_shares(crops, ["crop_seconds"])),
        "failure_by_batch": (plots_silence.failure_by_batch, batch_failures(crops, [1, 4], 0)),
        "failure_by_dose": (plots_silence.failure_by_dose, failure_shares(doses, ["side", "dose_ms"])),
        "score_by_activity": (plots_silence.score_by_activity, crops),
        "losses_by_run": (
            plots_logs.losses_by_run,
            losses_with_results(read_training_logs(), read_results()),
        ),
        "results_by_version": (plots_logs.results_by_version, read_results()),
    }
    folder = tmp_path_factory.mktemp("figures")
    figures = {name: draw(plot, frame, folder, name) for name, (plot, frame) in frames.items()}
    yield figures, {name: plot for name, (plot, _) in frames.items()}, folder
    plt.close("all")


def shown(figure: Figure) -> str:
    """What the axes of a figure hold: dots, lines, bars and words."""
    return repr(
        [
            (
                axis.get_xlabel(),
                axis.get_legend_handles_labels()[1],
                [label.get_text() for label in (*axis.get_xticklabels(), *axis.get_yticklabels())],
                [line.get_xydata().tolist() for line in axis.lines],
                [dots.get_offsets().tolist() for dots in axis.collections],
                [bar.get_bbox().bounds for bar in axis.patches],
            )
            for axis in figure.axes
        ]
    )


def test_every_figure_is_redrawn_the_same_from_its_csv(drawn):
    figures, plots, folder = drawn
    assert len(plots) == 6
    for name, plot in plots.items():
        again = draw(plot, pd.read_csv(folder / f"{name}.csv"), folder / "again", name)
        assert shown(again) == shown(figures[name]), name


def test_axes_say_what_they_show(drawn):
    figures, _, _ = drawn
    for name, figure in figures.items():
        assert all(axis.get_xlabel() for axis in figure.axes), name
    assert "(ms)" in figures["failure_by_dose"].axes[0].get_xlabel()
    assert "n = 30" in figures["score_by_activity"].axes[0].get_legend_handles_labels()[1][0]


def test_loss_of_zero_is_marked_on_the_logarithmic_axis():
    frame = pd.DataFrame({"run": ["a", "a"], "disc_loss": [0.0, 0.01], "final_pesq": [np.nan] * 2})
    axis = plots_logs.losses_by_run(frame).axes[0]
    shown = sorted(float(x) for dots in axis.collections for x, _ in dots.get_offsets() if x > 0)
    assert len(shown) == 2
    assert shown[0] < 0.01
    plt.close("all")
