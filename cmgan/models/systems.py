"""The two systems the trainer can train: CMGAN's TSCNet and MP-SENet, each with its transform and its losses."""

from torch import Tensor

from cmgan.forward import Forward
from cmgan.losses import GeneratorLosses, generator_losses
from cmgan.models.mpsenet import MPSENetGenerator
from cmgan.models.mpsenet_losses import mpsenet_losses
from cmgan.models.tscnet import TSCNet
from cmgan.recipe import Budget, GeneratorName, Recipe, TimeTarget
from cmgan.signal import StftSettings

GENERATORS: dict[GeneratorName, type[TSCNet | MPSENetGenerator]] = {
    "tscnet": TSCNet,
    "mpsenet": MPSENetGenerator,
}


def stft_settings(name: GeneratorName, budget: Budget) -> StftSettings:
    """The system's window with the budget's frame length and hop."""
    return StftSettings(budget.n_fft, budget.hop, GENERATORS[name].stft_settings.window)


def build_generator(name: GeneratorName, budget: Budget) -> TSCNet | MPSENetGenerator:
    """A generator from (B, 2, T, F) to real and imaginary (B, 1, T, F), with its transform in `stft_settings`."""
    settings = stft_settings(name, budget)
    generator = GENERATORS[name](
        num_channel=budget.channels, num_features=settings.bins, num_blocks=budget.blocks
    )
    generator.stft_settings = settings
    return generator


def objective(
    result: Forward, metric_score: Tensor | None, recipe: Recipe, time_target: TimeTarget | None = None
) -> GeneratorLosses:
    """The recipe's generator losses; `time_target` replaces the recipe's, to see what the other one would say."""
    target = result.time_target(time_target or recipe.time_target)
    if recipe.generator == "tscnet":
        return generator_losses(
            result.estimate, result.clean_spectrum, result.waveform, target, metric_score, recipe.loss_weights
        )
    return mpsenet_losses(
        result.estimate, result.clean_spectrum, result.reanalysed(), result.waveform, target, metric_score
    )
