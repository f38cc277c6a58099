"""All metrics of one utterance; what cannot be computed is missing and says why."""

from dataclasses import dataclass, field, fields

import numpy as np

from cmgan.metrics.composite import WssScale, composite, spectral_distances
from cmgan.metrics.intelligibility import stoi
from cmgan.metrics.pesq import pesq_score
from cmgan.metrics.snr import segmental_snr, si_sdr
from data_prep.audio import SAMPLE_RATE

# Label of every score, its unit in brackets, in the order of the study's tables and figures. Higher is better, but
# for the gain, where 1 is right.
METRICS = {
    "pesq": "PESQ",
    "ssnr": "segmental SNR (dB)",
    "si_sdr": "SI-SDR (dB)",
    "stoi": "STOI",
    "csig": "CSIG",
    "cbak": "CBAK",
    "covl": "COVL",
    "gain": "gain of the estimate",
}


@dataclass(frozen=True)
class SpeechMeasures:
    """pesq MOS-LQO; csig, cbak, covl 1…5; ssnr and si_sdr in dB; stoi 0…1. NaN has its reason under its name."""

    pesq: float
    csig: float
    cbak: float
    covl: float
    ssnr: float
    stoi: float
    si_sdr: float
    reasons: dict[str, str] = field(default_factory=dict)

    def values(self) -> dict[str, float]:
        """The seven metrics by name."""
        return {name: getattr(self, name) for name in METRIC_NAMES}

    @classmethod
    def missing(cls, reason: str) -> "SpeechMeasures":
        """No metric could be computed."""
        return cls(*[float("nan")] * len(METRIC_NAMES), reasons=dict.fromkeys(METRIC_NAMES, reason))


METRIC_NAMES = tuple(entry.name for entry in fields(SpeechMeasures) if entry.name != "reasons")


def speech_metrics(
    clean: np.ndarray, enhanced: np.ndarray, sample_rate: int = SAMPLE_RATE, wss_scale: WssScale = "int16"
) -> dict[str, float]:
    """The values of `measure_speech` under pesq, csig, cbak, covl, ssnr, stoi, si_sdr; NaN where missing.

    Takes and raises what `measure_speech` does.
    """
    return measure_speech(clean, enhanced, sample_rate, wss_scale).values()


def measure_speech(
    clean: np.ndarray, enhanced: np.ndarray, sample_rate: int = SAMPLE_RATE, wss_scale: WssScale = "int16"
) -> SpeechMeasures:
    """Metrics of an enhanced utterance against the clean one, with reasons for missing ones.

    clean and enhanced (N,), floats of scale ±1 or int16. wss_scale: see `spectral_distances`; the default equals the
    MATLAB original. Reasons are those of `pesq_score`, and too_short, silent_reference, silent_estimate.
    Raises ValueError for a sample rate other than 16 kHz, and for input that is not finite, empty, of
    different lengths or not a vector.
    """
    if sample_rate != SAMPLE_RATE:
        raise ValueError(
            f"sample rate {sample_rate} Hz: the metrics are defined at {SAMPLE_RATE} Hz, "
            f"resample both signals first (soxr.resample)"
        )
    clean, enhanced = _waveform("clean", clean), _waveform("enhanced", enhanced)
    if len(clean) != len(enhanced):
        raise ValueError(
            f"clean has {len(clean)} samples, enhanced {len(enhanced)}: cut both to the shorter one"
        )
    score = pesq_score(clean, enhanced)
    ssnr = segmental_snr(clean, enhanced)
    ratings = composite(score.value, spectral_distances(clean, enhanced, wss_scale), ssnr)
    values = {"pesq": score.value, **vars(ratings), "ssnr": ssnr}
    values |= {"stoi": stoi(clean, enhanced), "si_sdr": si_sdr(clean, enhanced)}
    if not clean.any():
        reason = "silent_reference"
    elif not enhanced.any():
        reason = "silent_estimate"
    else:
        reason = "too_short"
    missing = dict.fromkeys((name for name, value in values.items() if np.isnan(value)), reason)
    if score.reason:
        missing |= dict.fromkeys(("pesq", *vars(ratings)), score.reason)
    return SpeechMeasures(**values, reasons=missing)


def measure_estimate(clean: np.ndarray, estimate: np.ndarray) -> SpeechMeasures:
    """`measure_speech` for what a network put out: one that is not finite has no metrics instead of an error."""
    if not np.isfinite(estimate).all():
        return SpeechMeasures.missing("not_finite")
    return measure_speech(clean, estimate)


def _waveform(name: str, signal: np.ndarray) -> np.ndarray:
    signal = np.asarray(signal)
    if signal.ndim != 1 or signal.size == 0:
        raise ValueError(f"{name} has shape {signal.shape}: pass one utterance (N,) with at least one sample")
    if signal.dtype == np.int16:
        return signal / 32_768
    if signal.dtype.kind != "f":
        raise ValueError(f"{name} has dtype {signal.dtype}: pass floats of scale ±1, or int16")
    bad = int((~np.isfinite(signal)).sum())
    if bad:
        raise ValueError(f"{name} has {bad} samples that are NaN or infinite: repair or drop the recording")
    return signal.astype(np.float64)
