"""Metrics of enhanced speech."""

from cmgan.metrics.speech import METRIC_NAMES, SpeechMeasures, measure_speech, speech_metrics

__all__ = ["METRIC_NAMES", "SpeechMeasures", "measure_speech", "speech_metrics"]
