"""Makes the fixtures beside it: python -m tests.parity.make_fixture, from the repository's root.

It needs the public code's own fixtures (`../shared/parity`): it takes the weights from them, asserts that this code
equals their numbers, and only then computes the same numbers for synthetic input, in float64.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from cmgan.labels import Labels
from cmgan.losses import discriminator_loss
from cmgan.signal import SAMPLE_RATE, compressed_spectrum, rms_gain, waveform_of
from tests.models.polar_waveforms import analyse, synthesise
from tests.parity import test_parity as parity

HERE = Path(__file__).parent
PUBLIC = HERE.parents[2] / "shared" / "parity"
SAMPLES = 3200  # 33 frames: the discriminator needs 32


def main() -> None:
    """Check this code on the public fixtures, then write the synthetic ones."""
    if not PUBLIC.is_dir():
        raise SystemExit(f"{PUBLIC} is absent: the fixtures are made where the public numbers are at hand")
    if pytest.main(["-q", str(HERE / "test_parity.py"), "-k", "public or full_width"]) != 0:
        raise SystemExit("this code does not equal the public numbers: no fixture was written")
    for name, numbers in (("cmgan_c8.npz", cmgan_numbers), ("mpsenet_c8.npz", mpsenet_numbers)):
        fixture = {
            key: value if key.startswith(("G/", "D/")) else value.float()
            for key, value in numbers(parity.load_fixture(PUBLIC / name)).items()
        }
        np.savez_compressed(HERE / name, **{key: value.numpy() for key, value in fixture.items()})


def waveforms() -> tuple[Tensor, Tensor]:
    """Clean (2, N): three harmonics at two levels, in noise that leaves no bin near zero; noisy: in more noise."""
    noise = torch.randn(2, 2, SAMPLES, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    time = torch.arange(SAMPLES, dtype=torch.float64) / SAMPLE_RATE
    pitch = torch.tensor([[120.0], [210.0]], dtype=torch.float64)
    tones = sum(torch.sin(2 * torch.pi * k * pitch * time + k) / k for k in (1, 3, 8))
    clean = torch.tensor([[0.05], [0.02]]) * tones + 0.003 * noise[0]
    return stored(clean), stored(clean + 0.01 * noise[1])


def stored(value: Tensor) -> Tensor:
    """In float64, but what a float32 holds: the numbers are those of the inputs as the file has them."""
    return value.float().double()


def weights_of(public: parity.Fixture) -> parity.Fixture:
    return {name: value for name, value in public.items() if name.startswith(("G/", "D/"))}


def exact(weights: parity.Fixture) -> parity.Fixture:
    return {name: value.double() if value.is_floating_point() else value for name, value in weights.items()}


def cmgan_numbers(public: parity.Fixture) -> parity.Fixture:
    """CMGAN's spectra, output, scores, losses and gradient norms."""
    clean, noisy = waveforms()
    gain = stored(rms_gain(noisy))
    numbers = exact(weights_of(public)) | {
        "in/clean": clean,
        "in/noisy": noisy,
        "in/rms_gain": gain.squeeze(1),
    }
    numbers["mid/noisy_spec"] = stored(compressed_spectrum(gain * noisy).transpose(2, 3))
    generator, discriminator = parity.networks_of(numbers)
    with torch.no_grad():
        estimate, clean_spectrum = parity.estimate_of(generator, numbers), compressed_spectrum(gain * clean)
        scores = [parity.score_of(discriminator, clean_spectrum, one) for one in (estimate, clean_spectrum)]
    real, imaginary = estimate.transpose(2, 3).split(1, dim=1)
    numbers |= {"out/est_real": real, "out/est_imag": imaginary, "out/est_audio": waveform_of(estimate)}
    numbers |= dict(zip(("out/disc_est", "out/disc_clean"), scores, strict=True))
    for target in parity.TARGETS:
        losses = parity.losses_of(numbers, target, estimate, numbers["out/est_audio"], scores[0])
        numbers |= {f"loss/loss_time_{target}": losses.time, f"loss/total_{target}": losses.total}
        norms = parity.gradient_norms(numbers, target)[1]
        numbers |= {f"grad_norm_{target}/{name}": torch.tensor(norm) for name, norm in norms.items()}
    numbers |= {
        "loss/loss_ri": losses.real_imaginary,
        "loss/loss_mag": losses.magnitude,
        "loss/loss_gan": losses.metric,
    }
    labels = Labels(np.array([0.2, 0.8]), np.array([True, True]), skip=False)
    numbers["loss/disc_with_scores_0.2_to_0.8"] = discriminator_loss(scores[1], scores[0], labels)
    return numbers | weights_of(public)


def mpsenet_numbers(public: parity.Fixture) -> parity.Fixture:
    """MP-SENet's spectra, output and losses; its input has the gain applied."""
    clean, noisy = waveforms()
    gain = rms_gain(noisy)
    numbers = exact(weights_of(public)) | {"in/clean": stored(gain * clean), "in/noisy": stored(gain * noisy)}
    spectrum = analyse(numbers["in/noisy"])
    numbers |= {"mid/noisy_mag": stored(spectrum.magnitude), "mid/noisy_phase": stored(spectrum.phase)}
    with torch.no_grad():
        network = parity.mpsenet_of(numbers)
        magnitude, phase, _ = network(numbers["mid/noisy_mag"], numbers["mid/noisy_phase"])
    numbers |= {"out/mag": magnitude, "out/phase": phase}
    numbers["out/audio"] = synthesise(parity.PolarSpectrum(magnitude, phase))
    numbers["out/mag_reanalysed"] = analyse(numbers["out/audio"]).magnitude
    losses = parity.mpsenet_losses_of(numbers)
    names = {"mag": "magnitude", "phase": "phase", "complex": "real_imaginary"} | {
        name: name for name in ("consistency", "time")
    }
    numbers |= {f"loss/{name}": getattr(losses, term) for name, term in names.items()}
    return numbers | weights_of(public)


if __name__ == "__main__":
    main()
