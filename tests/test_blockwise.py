"""Building blocks of the fast path."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cmgan.blockwise import draw_keep_mask, linear, row_blocks, weight_gradient


@given(rows=st.integers(0, 5000), row_floats=st.integers(1, 1 << 19))
def test_blocks_cover_all_rows_once_in_order(rows: int, row_floats: int) -> None:
    covered = [row for block in row_blocks(rows, row_floats) for row in range(block.start, block.stop)]
    assert covered == list(range(rows))


@pytest.mark.parametrize("rows", [1, 16, 17, 96, 606])
@pytest.mark.parametrize("shape", [(3, 5), (128, 64)])
def test_products_equal_those_of_torch(rows: int, shape: tuple[int, int]) -> None:
    outputs, inputs = shape
    x, weight, bias = torch.randn(rows, inputs), torch.randn(outputs, inputs), torch.randn(outputs)
    grad = torch.randn(rows, outputs)
    torch.testing.assert_close(linear(x, weight, bias), x @ weight.T + bias, rtol=1e-5, atol=1e-4)
    grad_weight, grad_bias = weight_gradient(grad, x)
    torch.testing.assert_close(grad_weight, grad.T @ x, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(grad_bias, grad.sum(0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5])
def test_masks_keep_the_asked_share_and_are_independent(rate: float) -> None:
    keep = torch.empty(2, 500_001, dtype=torch.bool)
    draw_keep_mask(keep[0], rate)
    draw_keep_mask(keep[1], rate)
    shares = keep.float().mean(1)
    assert shares.tolist() == pytest.approx([1 - rate] * 2, abs=0.004)
    both = (keep[0] & keep[1]).float().mean().item()
    neighbours = (keep[0, 1:] & keep[0, :-1]).float().mean().item()
    assert both == pytest.approx((1 - rate) ** 2, abs=0.004)
    assert neighbours == pytest.approx((1 - rate) ** 2, abs=0.004)


def test_masks_follow_the_seed_of_torch() -> None:
    masks = torch.empty(2, 100, dtype=torch.bool)
    for mask in masks:
        torch.manual_seed(7)
        draw_keep_mask(mask, 0.5)
    assert torch.equal(*masks)
