"""Parts of a conformer block on the CPU as autograd functions that work block by block of tokens.

Each adds its result to its input and keeps little more than that input: see `cmgan.blockwise`. x is (N, C), float32.
"""

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from cmgan.blockwise import draw_keep_mask, linear, row_blocks, weight_gradient
from cmgan.native_attention import AttentionKernel

NORM_EPSILON = 1e-5


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised rows with the mean and inverse deviation that the backward pass needs."""
    return torch.native_layer_norm(x, [x.shape[-1]], weight, bias, NORM_EPSILON)


def layer_norm_backward(
    grad: Tensor, x: Tensor, mean: Tensor, deviation: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight and bias."""
    return torch.ops.aten.native_layer_norm_backward(
        grad, x, [x.shape[-1]], mean, deviation, weight, bias, [True, True, True]
    )


class AttentionStep(Function):
    """x + dropout(W_out · attention(norm(x)) + b_out), x (B, T, F, C), attention along T (axis 1) or F (axis 2).

    w_in (3C, C): query rows, already scaled, then key and value rows; table: see `AttentionKernel.forward`.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        w_in: Tensor,
        table: Tensor,
        w_out: Tensor,
        b_out: Tensor,
        kernel: AttentionKernel,
        axis: int,
        rate: float,
    ) -> Tensor:
        channels = x.shape[-1]
        flat = x.view(-1, channels)
        qkv = flat.new_empty(len(flat), 3 * channels)
        for rows in row_blocks(len(flat), 4 * channels):
            qkv[rows] = linear(layer_norm(flat[rows], gamma, beta)[0], w_in)
        attended, peaks = kernel.forward(qkv.view(*x.shape[:-1], 3 * channels), table, axis)
        out = torch.empty_like(flat)
        mask = torch.empty(len(flat) if rate else 0, channels, dtype=torch.bool)
        w_scaled, b_scaled = w_out / (1 - rate), b_out / (1 - rate)
        for rows in row_blocks(len(flat), 4 * channels):
            step = linear(attended.view_as(flat)[rows], w_scaled, b_scaled)
            if rate:
                draw_keep_mask(mask[rows], rate)
                step.mul_(mask[rows])
            torch.add(flat[rows], step, out=out[rows])
        ctx.save_for_backward(x, gamma, beta, w_in, table, w_out, qkv, attended, peaks, mask)
        ctx.kernel, ctx.axis, ctx.rate = kernel, axis, rate
        return out.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        x, gamma, beta, w_in, table, w_out, qkv, attended, peaks, mask = ctx.saved_tensors
        channels = x.shape[-1]
        flat, grad_flat = x.view(-1, channels), grad_out.reshape(-1, channels)
        grad_attended = torch.empty_like(attended)
        grad_w_out, grad_b_out = torch.zeros_like(w_out), w_out.new_zeros(channels)
        w_out_back = (w_out.T / (1 - ctx.rate)).contiguous()
        for rows in row_blocks(len(flat), 4 * channels):
            grad = grad_flat[rows] * mask[rows] if ctx.rate else grad_flat[rows]
            part_w, part_b = weight_gradient(grad, attended.view_as(flat)[rows])
            grad_w_out += part_w
            grad_b_out += part_b
            grad_attended.view_as(flat)[rows] = linear(grad, w_out_back)
        qkv = qkv.view(*x.shape[:-1], 3 * channels)
        grad_qkv, grad_table = ctx.kernel.backward(qkv, table, attended, peaks, grad_attended, ctx.axis)
        grad_qkv = grad_qkv.view(-1, 3 * channels)
        grad_x = torch.empty_like(flat)
        sums = [torch.zeros_like(p) for p in (gamma, beta, w_in)]
        w_in_back = w_in.T.contiguous()
        for rows in row_blocks(len(flat), 4 * channels):
            normed, mean, deviation = layer_norm(flat[rows], gamma, beta)
            grad_w_in, _ = weight_gradient(grad_qkv[rows], normed)
            grad = linear(grad_qkv[rows], w_in_back)
            grad, *grad_norm = layer_norm_backward(grad, flat[rows], mean, deviation, gamma, beta)
            torch.add(grad, grad_flat[rows], out=grad_x[rows])
            for total, part in zip(sums, (*grad_norm, grad_w_in), strict=True):
                total += part
        grads = (grad_x.view_as(x), *sums, grad_table)
        return *grads, grad_w_out / (1 - ctx.rate), grad_b_out / (1 - ctx.rate), None, None, None


class GatedExpansion(Function):
    """Gated linear unit of W · norm(x) + b: (N, C) → (N, 2C), W (4C, C): 2C rows for the values, 2C for the gates."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, gamma: Tensor, beta: Tensor, w: Tensor, b: Tensor) -> Tensor:
        half = len(w) // 2
        out = x.new_empty(len(x), half)
        for rows in row_blocks(len(x), len(w)):
            normed = layer_norm(x[rows], gamma, beta)[0]
            gate = linear(normed, w[half:], b[half:]).sigmoid_()
            torch.mul(linear(normed, w[:half], b[:half]), gate, out=out[rows])
        ctx.save_for_backward(x, gamma, beta, w, b)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor, ...]:
        x, gamma, beta, w, b = ctx.saved_tensors
        half = len(w) // 2
        grad_out = grad_out.contiguous()
        grad_x = torch.empty_like(x)
        sums = [torch.zeros_like(p) for p in (gamma, beta, w[:half], w[half:], b[:half], b[half:])]
        value_back, gate_back = w[:half].T.contiguous(), w[half:].T.contiguous()
        for rows in row_blocks(len(x), len(w)):
            normed, mean, deviation = layer_norm(x[rows], gamma, beta)
            gate = linear(normed, w[half:], b[half:]).sigmoid_()
            grad_gate = linear(normed, w[:half], b[:half]).mul_(grad_out[rows])
            grad_gate = torch.ops.aten.sigmoid_backward(grad_gate, gate)
            grad_value = gate.mul_(grad_out[rows])
            grad_w_value, grad_b_value = weight_gradient(grad_value, normed)
            grad_w_gate, grad_b_gate = weight_gradient(grad_gate, normed)
            grad = linear(grad_value, value_back).add_(linear(grad_gate, gate_back))
            grad_x[rows], *grad_norm = layer_norm_backward(grad, x[rows], mean, deviation, gamma, beta)
            parts = (*grad_norm, grad_w_value, grad_w_gate, grad_b_value, grad_b_gate)
            for total, part in zip(sums, parts, strict=True):
                total += part
        return grad_x, *sums[:2], torch.cat(sums[2:4]), torch.cat(sums[4:])


class ConvolutionEnd(Function):
    """x + W · swish(batch norm(c)) + b: x (N, C), c (N, 2C), W (C, 2C).

    mean and deviation (inverse, 2C) are those of c itself (`of_batch`), through which the gradient flows, or fixed.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        c: Tensor,
        gamma: Tensor,
        beta: Tensor,
        w: Tensor,
        b: Tensor,
        mean: Tensor,
        deviation: Tensor,
        of_batch: bool,
    ) -> Tensor:
        out = torch.empty_like(x)
        scale = gamma * deviation
        shift = beta - mean * scale
        for rows in row_blocks(len(x), c.shape[1]):
            hidden = functional.silu(torch.addcmul(shift, c[rows], scale), inplace=True)
            torch.add(x[rows], linear(hidden, w, b), out=out[rows])
        ctx.save_for_backward(c, gamma, beta, w, mean, deviation)
        ctx.of_batch = of_batch
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        c, gamma, beta, w, mean, deviation = ctx.saved_tensors
        grad_out = grad_out.contiguous()
        grad_c = torch.empty_like(c)
        grad_w, grad_b = torch.zeros_like(w), w.new_zeros(len(w))
        grad_gamma, grad_beta = torch.zeros_like(gamma), torch.zeros_like(beta)
        w_back = w.T.contiguous()
        scale = gamma * deviation
        shift = beta - mean * scale
        for rows in row_blocks(len(c), c.shape[1]):
            before = torch.addcmul(shift, c[rows], scale)
            part_w, part_b = weight_gradient(grad_out[rows], functional.silu(before))
            grad_w += part_w
            grad_b += part_b
            grad = torch.ops.aten.silu_backward(linear(grad_out[rows], w_back), before)
            grad_c[rows] = grad
            grad_beta += grad.sum(0)
            grad_gamma += grad.mul_(c[rows] - mean).sum(0)
        grad_gamma *= deviation
        if ctx.of_batch:
            slope = -scale * deviation * grad_gamma / len(c)
            offset = -scale * grad_beta / len(c) - mean * slope
        else:
            slope, offset = torch.zeros_like(mean), torch.zeros_like(mean)
        for rows in row_blocks(len(c), c.shape[1]):
            grad_c[rows].mul_(scale).addcmul_(c[rows], slope).add_(offset)
        return grad_out, grad_c, grad_gamma, grad_beta, grad_w, grad_b, None, None, None
