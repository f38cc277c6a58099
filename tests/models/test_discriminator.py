"""The discriminator scores each sample of a batch by itself, between zero and one."""

import torch

from cmgan.models.discriminator import MetricDiscriminator


def test_score_lies_between_zero_and_one_and_reaches_every_weight() -> None:
    discriminator = MetricDiscriminator(ndf=4)
    score = discriminator(torch.rand(2, 1, 64, 48), torch.rand(2, 1, 64, 48))
    assert score.shape == (2, 1)
    assert ((score > 0) & (score < 1)).all()
    score.sum().backward()
    assert all(parameter.grad is not None for parameter in discriminator.parameters())


def test_samples_of_a_batch_are_scored_independently() -> None:
    discriminator = MetricDiscriminator(ndf=4).eval()
    clean, estimate = torch.rand(3, 1, 64, 48), torch.rand(3, 1, 64, 48)
    with torch.no_grad():
        together = discriminator(clean, estimate)
        alone = torch.cat([discriminator(clean[i : i + 1], estimate[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone)
