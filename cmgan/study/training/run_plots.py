"""Figures of one run: what its steps and epochs logged, and what it did to each test utterance."""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cmgan.study.figure_files import TEXT_WIDTH

STEP_TERMS = {
    "loss_real_imaginary": "real and imaginary loss",
    "loss_magnitude": "magnitude loss",
    "loss_time": "time loss",
    "loss_metric": "metric loss",
    "loss_discriminator": "discriminator loss",
    "gradient_norm_generator": "gradient norm, generator",
}
EPOCH_TERMS = {
    "pesq": "PESQ",
    "gain": "gain of the estimate",
    "ssnr": "segmental SNR (dB)",
    "inconsistency": "inconsistency",
    "phase_error": "phase error (rad)",
    "loss_magnitude": "magnitude loss",
}
RUNNING_MEAN_STEPS = 20


def step_curves(steps: pd.DataFrame) -> Figure:
    """Loss terms and gradient norm against step, with their running mean; gaps where a step was skipped."""
    figure, axes = plt.subplots(2, 3, figsize=(TEXT_WIDTH, 3.4), sharex=True)
    for axis, (column, label) in zip(axes.flat, STEP_TERMS.items(), strict=True):
        values = steps[column]
        axis.plot(steps["step"], values, color="0.75", linewidth=0.6)
        axis.plot(steps["step"], values.rolling(RUNNING_MEAN_STEPS, min_periods=1).mean(), color="C0")
        axis.set_title(f"{label} (n = {values.notna().sum()} steps)")
        if values.notna().any() and (values.dropna() > 0).all():
            axis.set_yscale("log")
    for axis in axes[-1]:
        axis.set_xlabel("step")
    return figure


def epoch_curves(epochs: pd.DataFrame) -> Figure:
    """Validation means against epoch."""
    figure, axes = plt.subplots(2, 3, figsize=(TEXT_WIDTH, 3.4), sharex=True)
    for axis, (column, label) in zip(axes.flat, EPOCH_TERMS.items(), strict=True):
        axis.plot(epochs["epoch"], epochs[column], marker="o", markersize=3, color="C0")
        axis.set_title(label)
    axes.flat[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.flat[1].axhline(1, color="0.4", linestyle=":", linewidth=1)
    for axis in axes[-1]:
        axis.set_xlabel(f"epoch (means of {epochs['utterances'].iloc[0]} utterances)")
    return figure


def reading_of_epochs(epochs: pd.DataFrame) -> str:
    """Sentences on where PESQ peaked and what the losses did afterwards, from the numbers (Markdown)."""
    best, last = epochs.loc[epochs["pesq"].idxmax()], epochs.iloc[-1]
    if best["epoch"] == last["epoch"]:
        return f"PESQ is highest in the last epoch ({last.pesq:.2f}); it has not fallen within this budget."
    directions = ", ".join(
        f"the {name} {'fell' if last[column] < best[column] else 'rose'} "
        f"from {best[column]:.3f} to {last[column]:.3f}"
        for column, name in (("loss_total", "total loss"), ("loss_magnitude", "magnitude loss"))
    )
    return (
        f"PESQ peaked in epoch {best.epoch:.0f} at {best.pesq:.2f} and ended at {last.pesq:.2f}; "
        f"meanwhile {directions}. The gain of the estimate ended at {last.gain:.2f}."
    )


def improvements(noisy: pd.DataFrame, enhanced: pd.DataFrame) -> pd.DataFrame:
    """One row per utterance and metric: noisy and enhanced value of the same utterance."""
    metrics = ["pesq", "ssnr", "stoi", "si_sdr"]
    both = noisy.set_index("id")[metrics].join(enhanced.set_index("id")[metrics], lsuffix="_noisy")
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "id": both.index,
                    "metric": metric,
                    "noisy": both[f"{metric}_noisy"],
                    "enhanced": both[metric],
                }
            )
            for metric in metrics
        ],
        ignore_index=True,
    )


def improvement_by_utterance(frame: pd.DataFrame) -> Figure:
    """Enhanced against noisy value of each utterance; above the diagonal is better. Frame of `improvements`."""
    labels = {"pesq": "PESQ", "ssnr": "segmental SNR (dB)", "stoi": "STOI", "si_sdr": "SI-SDR (dB)"}
    figure, axes = plt.subplots(1, 4, figsize=(TEXT_WIDTH, 2.0))
    for axis, (metric, label) in zip(axes, labels.items(), strict=True):
        rows = frame[frame["metric"] == metric].dropna()
        sns.scatterplot(rows, x="noisy", y="enhanced", ax=axis, s=14, color="C0")
        if len(rows):
            ends = (rows[["noisy", "enhanced"]].min().min(), rows[["noisy", "enhanced"]].max().max())
            axis.plot(ends, ends, color="0.4", linestyle=":", linewidth=1)
        axis.set_title(f"{label}\n(n = {len(rows)} utterances)")
        axis.set_xlabel("noisy")
        axis.set_ylabel("enhanced" if metric == "pesq" else "")
    return figure
