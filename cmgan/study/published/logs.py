"""What published training logs say about skipped discriminator steps: read from the tables of public figures."""

from pathlib import Path

import pandas as pd
from scipy.stats import binom

from cmgan.statistics import CLAIMED_SKIP_SHARE, HEALTHY_BAND, NEARLY_ZERO, proportion_interval
from cmgan.study.wording import counted

LOG_COLUMNS = ("source", "run", "code_version", "kind", "epoch", "step", "loss", "disc_loss")
RESULT_COLUMNS = ("source", "run", "code_version", "pesq", "csig", "cbak", "covl", "ssnr", "stoi", "remark")
TABLES = Path(__file__).with_name("data")
ALL_RUNS = "all runs"
NEVER_SKIPS = "batch-mean fix"  # in a code_version: every batch gets a label, whatever failed
QUANTILES = {"minimum": 0.0, "quartile_1": 0.25, "median": 0.5, "quartile_3": 0.75, "maximum": 1.0}
# Label and marker of each family of code versions.
FAMILIES = {
    "before": ("code before the refactoring", "o"),
    "after": ("code after it", "s"),
    "fixed": ("after it, batch-mean fix", "^"),
    "other": ("unknown or other code", "D"),
}

# Where a run of the logs ended, as (run, beginning of code_version) in the table of results.
RESULT_OF_LOG = {
    "author-log": ("author-log, after epoch 0", "before-refactor"),
    "reproducer-A": ("reproducer-A", "after-refactor"),
    "reproducer-B": ("reproducer-B", "before-refactor"),
    "user-run-before-fix": ("user run", "after-refactor"),
    "user-run-before-fix-epoch16": ("user run", "after-refactor"),
    "user-run-after-seed-fix": ("user run after batch-mean fix, epoch 7+", "after-refactor + batch-mean fix"),
}


def read_training_logs(path: str = "") -> pd.DataFrame:
    """Logged training and validation lines; an empty path means the table that comes with the package.

    Columns of LOG_COLUMNS; epoch, step and loss may be missing, disc_loss may not. Raises FileNotFoundError or
    ValueError naming the file and what is wrong with it.
    """
    file = Path(path) if path else TABLES / "published_training_logs.csv"
    logs = _read(file, LOG_COLUMNS, ("epoch", "step", "loss", "disc_loss"))
    wrong = logs.index[~(logs["disc_loss"] >= 0)]
    if len(wrong):
        raise ValueError(
            f"{file}, line {wrong[0] + 2}: disc_loss is missing or negative: give the logged value"
        )
    unknown = sorted(set(logs["kind"]) - {"train_step", "validation"})
    if unknown:
        raise ValueError(f"{file}: unknown kind {', '.join(map(str, unknown))}: use train_step or validation")
    return logs


def read_results(path: str = "") -> pd.DataFrame:
    """Published end results; an empty path means the table that comes with the package. Errors as above.

    Columns of RESULT_COLUMNS and validation_loss, taken from the remark where it tells one.
    """
    file = Path(path) if path else TABLES / "published_results.csv"
    results = _read(file, RESULT_COLUMNS, ("pesq", "csig", "cbak", "covl", "ssnr", "stoi"))
    told = results["remark"].astype(str).str.extract(r"validation loss ([0-9.]+[0-9])", expand=False)
    return results.assign(validation_loss=told.astype(float))


def skip_table(logs: pd.DataFrame) -> pd.DataFrame:
    """How many logged discriminator losses of training steps are those of a skipped step, a run a row and overall.

    A skipped step logs exactly 0.0. One row per run and one for ALL_RUNS: run, code_version, lines, zeros, share,
    low, high (exact 95 % interval of the skip rate, lines taken as independent), nearly_zero (0 < loss <
    NEARLY_ZERO), chance_at_claim: how likely that few zeros are when CLAIMED_SKIP_SHARE of the steps are skipped.
    Overall count only lines that can show a skip (not those of code changed never to skip) and have a step
    number (lines without one may repeat lines quoted elsewhere).
    """
    steps = logs[logs["kind"] == "train_step"]
    counted = steps["step"].notna() & ~steps["code_version"].str.contains(NEVER_SKIPS, regex=False)
    groups = [(run, group, group["code_version"].iloc[0]) for run, group in steps.groupby("run", sort=False)]
    rows = []
    for run, lines, code_version in (*groups, (ALL_RUNS, steps[counted], "")):
        losses = lines["disc_loss"]
        zeros = int((losses == 0).sum())
        rows.append(
            {"run": run, "code_version": code_version, "lines": len(lines), "zeros": zeros}
            | proportion_interval(zeros, len(lines)).columns("share")
            | {
                "nearly_zero": int(((losses > 0) & (losses < NEARLY_ZERO)).sum()),
                "chance_at_claim": float(binom.cdf(zeros, len(lines), CLAIMED_SKIP_SHARE)),
            }
        )
    return pd.DataFrame(rows)


def discriminator_losses(logs: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """Quantiles of the logged discriminator loss by run and kind, with where the run ended.

    Columns run, code_version, kind, lines, those of QUANTILES, in_band (share of lines in HEALTHY_BAND), below_band,
    loss_minimum and loss_median of the generator's loss, final_pesq (NaN where it is not known).
    """
    rows = []
    for (run, kind), group in logs.groupby(["run", "kind"], sort=False):
        loss = group["disc_loss"]
        rows.append(
            {
                "run": run,
                "code_version": group["code_version"].iloc[0],
                "kind": kind,
                "lines": len(group),
                **{name: loss.quantile(quantile) for name, quantile in QUANTILES.items()},
                "in_band": loss.between(*HEALTHY_BAND).mean(),
                "below_band": (loss < HEALTHY_BAND[0]).mean(),
                "loss_minimum": group["loss"].min(),
                "loss_median": group["loss"].median(),
                "final_pesq": final_pesq(run, results),
            }
        )
    return pd.DataFrame(rows)


def losses_with_results(logs: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """Every logged training step with the final PESQ of its run: run, code_version, disc_loss, final_pesq."""
    steps = logs.loc[logs["kind"] == "train_step", ["run", "code_version", "disc_loss"]]
    return steps.assign(final_pesq=[final_pesq(run, results) for run in steps["run"]]).reset_index(drop=True)


def final_pesq(run: str, results: pd.DataFrame) -> float:
    """PESQ that a run of the logs ended with, NaN where nobody told."""
    if run not in RESULT_OF_LOG:
        return float("nan")
    name, version = RESULT_OF_LOG[run]
    chosen = (results["run"] == name) & results["code_version"].astype(str).str.startswith(version)
    return float(results.loc[chosen, "pesq"].iloc[0]) if chosen.any() else float("nan")


def skips_in_words(skips: pd.DataFrame) -> str:
    """What the skip table says about the claimed share (Markdown); frame of `skip_table`."""
    overall = skips[skips["run"] == ALL_RUNS].iloc[0]
    largest = skips[skips["run"] != ALL_RUNS].sort_values("lines").iloc[-1]
    able = (skips["run"] != ALL_RUNS) & ~skips["code_version"].str.contains(NEVER_SKIPS, regex=False)
    excluded = skips.loc[able & (skips["high"] < CLAIMED_SKIP_SHARE), "run"]
    return (
        f"Of {overall['lines']} lines that could show a skipped step, **{overall['zeros']}** log a loss of "
        f"exactly 0: by the 95 % interval at most {100 * overall['high']:.1f} % of the steps are skipped "
        f"({largest['run']} has {largest['lines']} of the lines). "
        f"{overall['nearly_zero']} lines are below {NEARLY_ZERO:g} without being 0, which a skipped step cannot "
        f"be. With a skip rate of {100 * CLAIMED_SKIP_SHARE:.0f} % so few zeros have a probability of "
        f"{overall['chance_at_claim']:.0e}. Taken alone, the lines of "
        f"{', '.join(excluded) if len(excluded) else 'no run'} exclude that rate."
    )


def losses_in_words(losses: pd.DataFrame) -> str:
    """Whether losses in the healthy band go with a good end (Markdown); frame of `discriminator_losses`."""
    known = losses[(losses["kind"] == "train_step") & losses["final_pesq"].notna()]
    if known.empty:
        return "For none of these runs is the final PESQ known."
    best = known.loc[known["final_pesq"].idxmax()]
    low, high = HEALTHY_BAND
    return (
        f"The run with the highest PESQ ({best['run']}, {best['final_pesq']:.2f}) logged "
        f"{100 * best['in_band']:.0f} % of its {best['lines']} losses between {low:g} and {high:g}, the band "
        f"called healthy, and {100 * best['below_band']:.0f} % below it; its median is {best['median']:.4f}."
    )


def validation_in_words(results: pd.DataFrame) -> str:
    """How PESQ and validation loss moved together where both were published (Markdown); frame of `read_results`."""
    both = results[results["validation_loss"].notna() & results["pesq"].notna()]
    if len(both) < 2:
        return "Nobody published PESQ and validation loss of the same epochs."
    loss, pesq = both["validation_loss"], both["pesq"]
    return (
        f"In the {len(both)} epochs with both, PESQ goes from {pesq.iloc[0]:.2f} to {pesq.iloc[-1]:.2f} while the "
        f"validation loss goes from {loss.iloc[0]:.4f} to {loss.iloc[-1]:.4f} and never leaves {loss.min():.4f} to "
        f"{loss.max():.4f}."
    )


def results_in_words(results: pd.DataFrame) -> str:
    """The best published PESQ by version of the code (Markdown); frame of `read_results`."""
    known = results[results["pesq"].notna()]
    best = {
        family: f"{label} at most {rows['pesq'].max():.2f} ({counted(len(rows), 'result')})"
        for family, (label, _) in FAMILIES.items()
        if len(rows := known[known["code_version"].map(code_family) == family])
    }
    return f"Published PESQ by version of the code: {'; '.join(best.values())}."


def code_family(version: str) -> str:
    """before, after, fixed or other, from a code_version of the tables."""
    if version.startswith("before-refactor"):
        return "before"
    if version.startswith("after-refactor"):
        return "fixed" if "fix" in version else "after"
    return "other"


def _read(file: Path, columns: tuple[str, ...], numeric: tuple[str, ...]) -> pd.DataFrame:
    if not file.is_file():
        raise FileNotFoundError(
            f"{file}: no such file; give a CSV or leave the path empty for the packaged one"
        )
    try:
        frame = pd.read_csv(file)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not a CSV table ({error}); give one with {', '.join(columns)}") from error
    missing = [column for column in columns if column not in frame]
    if missing:
        raise ValueError(f"{file}: lacks the column {', '.join(missing)}; a table has {', '.join(columns)}")
    if frame.empty:
        raise ValueError(f"{file}: holds no rows; give at least one")
    for column in numeric:
        numbers = pd.to_numeric(frame[column], errors="coerce")
        wrong = frame.index[numbers.isna() & frame[column].notna()]
        if len(wrong):
            given = frame.loc[wrong[0], column]
            raise ValueError(f"{file}, line {wrong[0] + 2}: {column} is {given!r}; give a number or nothing")
        frame[column] = numbers
    return frame
