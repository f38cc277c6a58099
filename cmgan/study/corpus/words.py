"""What a prepared corpus is like, in sentences put together from its tables (Markdown)."""

import numpy as np
import pandas as pd

from cmgan.study.wording import in_words, number

# More different ratios than this are told by their ends.
LISTED_RATIOS = 8
LOUDER_DB = 6.0
COMPRESSION = 0.3


def corpus_in_words(utterances: pd.DataFrame) -> str:
    """How long and how noisy the splits are, and which ratios they share; columns split, seconds, snr_db."""
    splits = utterances.groupby("split", sort=False)
    lengths = [
        f"{split}: {len(rows)} of {rows['seconds'].min():.1f} to {rows['seconds'].max():.1f} s"
        for split, rows in splits
    ]
    ratios = {split: set(rows["snr_db"].dropna()) for split, rows in splits}
    text = f"Utterances by split: {'; '.join(lengths)}. "
    if not any(ratios.values()):
        return f"{text}The corpus does not state its signal-to-noise ratios."
    listed = [f"{split} {_ratios(values)}" for split, values in ratios.items() if values]
    shared = ratios.get("train", set()) & ratios.get("test", set())
    alike = f"share {_ratios(shared)}" if shared else "share none"
    return f"{text}Signal-to-noise ratios: {'; '.join(listed)}. Training and test {alike}."


def noisy_in_words(scores: pd.DataFrame) -> str:
    """How good the unprocessed test utterances are; columns pesq, ssnr."""
    pesq = scores["pesq"].dropna()
    if pesq.empty:
        return "PESQ failed for every noisy test utterance."
    return (
        f"Unprocessed, {len(pesq)} test utterances have a mean PESQ of {pesq.mean():.2f} ({pesq.min():.2f} to "
        f"{pesq.max():.2f}) and a segmental SNR of {number(scores['ssnr'].mean(), '.1f')} dB: an arm that ends below "
        "these made speech worse."
    )


def example_in_words(frame: pd.DataFrame) -> str:
    """Where noise changes a spectrogram; frame of `corpus.plots.spectrogram_frame`."""
    clean, noisy = (np.maximum(frame[name], 1e-3) for name in ("clean", "noisy"))
    raised = 20 / COMPRESSION * np.log10(noisy / clean) > LOUDER_DB
    quiet = clean <= clean.median()
    everywhere, in_quiet, elsewhere = (
        number(bins.mean(), ".0%") for bins in (raised, raised[quiet], raised[~quiet])
    )
    return (
        f"Noise raises {everywhere} of all bins by more than {LOUDER_DB:g} dB: of those quieter than the median in "
        f"the clean speech {in_quiet}, of the others {elsewhere}."
    )


def _ratios(values: set[float]) -> str:
    ordered = sorted(values)
    if len(ordered) > LISTED_RATIOS:
        return f"{number(ordered[0], 'g')} to {number(ordered[-1], 'g')} dB"
    return f"{in_words(number(value, 'g') for value in ordered)} dB"
