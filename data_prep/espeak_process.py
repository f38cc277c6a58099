"""Speak phrases with eSpeak NG in a process of its own: JSON on standard input and output.

Run by path, with the standard library alone, so that it starts in milliseconds. eSpeak NG carries state from one
phrase to the next even across re-initialisation; only a fresh process gives the same samples for the same phrases.
"""

import ctypes
import json
import sys
from pathlib import Path

_SYNCHRONOUS_OUTPUT = 2
_DO_NOT_EXIT_ON_ERROR = 0x8000
_UTF8 = 1
_SEED = 1
_PARAMETERS = {1: "words_per_minute", 3: "pitch", 4: "pitch_range"}
_VOLUME = 2
# At the usual 100 several voices run into the limiter and distort.
_VOLUME_WITHOUT_CLIPPING = 60
_INSTALL = "install the locked espeakng-loader again"
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def speak_phrases(library_path: str, data_path: str, phrases: list[dict]) -> tuple[int, list[bytes]]:
    """Sample rate, and the 16-bit samples of each phrase. Raises RuntimeError where eSpeak NG cannot do it.

    A phrase has voice, text, words_per_minute, pitch and pitch_range (0–99, 50 is the voice's own).
    """
    library = ctypes.CDLL(library_path)
    library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
    library.espeak_ng_SetRandSeed.restype = None
    rate = library.espeak_Initialize(_SYNCHRONOUS_OUTPUT, 0, data_path.encode(), _DO_NOT_EXIT_ON_ERROR)
    if rate <= 0:
        raise RuntimeError(f"eSpeak NG does not start with the data in {data_path}; {_INSTALL}")
    library.espeak_ng_SetRandSeed(_SEED)
    chunks: list[bytes] = []

    @_CALLBACK
    def collect(samples: ctypes.Array, count: int, _events: int) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    library.espeak_SetSynthCallback(collect)
    spoken = []
    for phrase in phrases:
        language, _, variant = phrase["voice"].partition("+")
        # An unknown variant is silently ignored by eSpeak NG: two speakers would then sound the same.
        if variant and not (Path(data_path) / "voices" / "!v" / variant).is_file():
            raise RuntimeError(f"eSpeak NG has no voice variant {variant!r}; {_INSTALL}")
        if library.espeak_SetVoiceByName(phrase["voice"].encode()):
            raise RuntimeError(f"eSpeak NG has no voice {language!r}; {_INSTALL}")
        library.espeak_SetParameter(_VOLUME, _VOLUME_WITHOUT_CLIPPING, 0)
        for parameter, name in _PARAMETERS.items():
            library.espeak_SetParameter(parameter, phrase[name], 0)
        chunks.clear()
        text = phrase["text"].encode() + b"\0"
        if library.espeak_Synth(text, len(text), 0, 1, 0, _UTF8, None, None) or library.espeak_Synchronize():
            raise RuntimeError(f"eSpeak NG failed to speak {phrase['text']!r}")
        spoken.append(b"".join(chunks))
    return rate, spoken


if __name__ == "__main__":
    try:
        rate, spoken = speak_phrases(**json.load(sys.stdin))
    except (RuntimeError, OSError) as error:
        sys.exit(str(error))
    json.dump({"rate": rate, "samples": [samples.hex() for samples in spoken]}, sys.stdout)
