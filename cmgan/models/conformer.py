"""Conformer block on (B, T, F, C): feed-forward, relative attention, convolution, feed-forward along one axis.

Every step is written down in torch and has a compiled twin in `cmgan.kernels`, which runs where it takes the input.
"""

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional

from cmgan.kernels import attention, conformer, takes
from cmgan.kernels.dropout import Dropout, draw_seeds

HEADS = 4
REACH = 512
KERNEL = 31
EXPANSION = 4
LARGEST_LOGITS = 2**25  # numbers held at once where no gradient needs them: 128 MiB in float32


class ConformerBlock(nn.Module):
    """Feed-forward, attention, convolution and feed-forward steps, then layer norm: (B, T, F, C) → same.

    axis: 1 attends and convolves along T, 2 along F.
    Source: Gulati et al. 2020; sizes and names are public code facts.
    """

    def __init__(self, channels: int, dropout: float, axis: int) -> None:
        super().__init__()
        self.axis = axis
        self.ff1 = FeedForwardStep(channels, dropout)
        self.attn = AttentionStep(channels, dropout)
        self.conv = ConvolutionStep(channels)
        self.ff2 = FeedForwardStep(channels, dropout)
        self.post_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.ff1(x)
        x = self.attn(x, self.axis)
        x = self.conv(x, self.axis)
        x = self.ff2(x)
        return self.post_norm(x)


class FeedForwardStep(nn.Module):
    """x + ½ · dropout(W₂ · dropout(swish(W₁ · norm(x) + b₁)) + b₂), C → 4C → C: (…, C) → same."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        wide = EXPANSION * channels
        net = nn.Sequential(
            nn.Linear(channels, wide),
            nn.SiLU(),
            Dropout(dropout),
            nn.Linear(wide, channels),
            Dropout(dropout),
        )
        # As the public state dict nests them.
        self.fn = nn.ModuleDict({"fn": nn.ModuleDict({"net": net}), "norm": nn.LayerNorm(channels)})

    def forward(self, x: Tensor) -> Tensor:
        net, norm = self.fn["fn"]["net"], self.fn["norm"]
        wide, swish, dropout, narrow, last_dropout = net
        if takes(x, conformer.SOURCE):
            return conformer.feed_forward(x, norm, wide, narrow, dropout.rate)
        seeds = draw_seeds() if dropout.rate else None
        hidden = dropout(swish(wide(norm(x))), seeds)
        return torch.add(x, last_dropout(narrow(hidden), seeds, first=hidden.numel()), alpha=0.5)


class RelativeAttention(nn.Module):
    """Self-attention of C channels in 4 heads with Shaw's relative positions.

    logit(i, j) = q_i · (k_j + E[i − j]) / √d, without a tensor of all pairs and features: the distances i − j of n
    positions take 2n − 1 values. With E's rows in the order of falling distance, n − 1, …, −(n − 1), as columns of
    a table, logit (i, j) reads column n − 1 − i + j: row i needs n consecutive columns, and the next row the same
    stretch one column earlier. One product of all q with the table holds every position logit, and the stretches
    are a view of it whose row stride is one less than its row length.

    Distances beyond ±512 share the last embedding. Raises ValueError when C is no multiple of 4.
    Source: Shaw et al. 2018, equation 5 with the value term left out; sizes and names are public code facts.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels % HEADS:
            raise ValueError(
                f"{channels} channels cannot be shared by {HEADS} heads: use a multiple of {HEADS}"
            )
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_kv = nn.Linear(channels, 2 * channels, bias=False)
        self.to_out = nn.Linear(channels, channels)
        self.rel_pos_emb = nn.Embedding(2 * REACH + 1, channels // HEADS)

    def forward(self, x: Tensor) -> Tensor:
        """(sequences, n, C) → same; without gradients some sequences at a time, for long recordings."""
        together = max(1, LARGEST_LOGITS // (2 * HEADS * x.shape[1] ** 2))
        if torch.is_grad_enabled() or len(x) <= together:
            return self._attend(x)
        return torch.cat([self._attend(part) for part in x.split(together)])

    def _attend(self, x: Tensor) -> Tensor:
        sequences, n, channels = x.shape
        qkv = functional.linear(x, self.input_weight()).view(sequences, n, 3, HEADS, channels // HEADS)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        position = _by_distance(q @ self.table(n).to(q.dtype))
        attended = functional.scaled_dot_product_attention(q, k, v, position, scale=1.0)
        return self.to_out(attended.transpose(1, 2).reshape(sequences, n, channels))

    def table(self, n: int) -> Tensor:
        """Embeddings of the distances n − 1, …, −(n − 1) as columns, (d, 2n − 1)."""
        distances = torch.arange(n - 1, -n, -1, device=self.rel_pos_emb.weight.device)
        return self.rel_pos_emb(distances.clamp(-REACH, REACH) + REACH).T.contiguous()

    def input_weight(self) -> Tensor:
        """Weight (3C, C) of scaled queries, keys and values."""
        scale = self.rel_pos_emb.embedding_dim**-0.5
        return torch.cat([self.to_q.weight * scale, self.to_kv.weight])


def _by_distance(logits: Tensor) -> Tensor:
    """Row i of (…, n, 2n − 1) from column n − 1 − i on: logits of distances become those of pairs, (…, n, n)."""
    n = logits.shape[-2]
    # Rows one column shorter over the same memory: each begins one column before the last.
    return logits.flatten(-2)[..., n - 1 : -1].unflatten(-1, (n, 2 * n - 2))[..., :n] if n > 1 else logits


class AttentionStep(nn.Module):
    """x + dropout(attention(norm(x))) along axis 1 or 2 of (B, T, F, C)."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.fn = RelativeAttention(channels)
        self.norm = nn.LayerNorm(channels)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, axis: int) -> Tensor:
        channels = x.shape[-1]
        definitions = attention.definitions(channels, HEADS)
        if takes(x, conformer.SOURCE) and takes(x, attention.SOURCE, definitions):
            to_out, heads = self.fn.to_out, attention.padded_heads
            qkv = conformer.normed_linear(x, self.norm, heads(self.fn.input_weight(), 3 * HEADS, 0))
            table = heads(self.fn.table(x.shape[axis]), 1, 0)
            attended = attention.Attention.apply(qkv, table, axis)
            weight = heads(to_out.weight, HEADS, 1)
            return conformer.added_linear(x, attended, weight, to_out.bias, self.dropout.rate)
        sequences = x.transpose(1, 2) if axis == 1 else x
        attended = self.fn(self.norm(sequences.flatten(0, 1))).view(sequences.shape)
        return x + self.dropout(attended.transpose(1, 2) if axis == 1 else attended)


class DepthwiseConv(nn.Module):
    """Each channel with its own kernel of odd length, zero padded, along axis 1 or 2 of (B, T, F, C)."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, kernel, groups=channels)

    def forward(self, x: Tensor, axis: int) -> Tensor:
        # The sequence lies along the image's height, whose weight gradient is forty times faster than the width's.
        image = x if axis == 1 else x.flatten(0, 1).unsqueeze(2)
        weight, bias = self.conv.weight.unsqueeze(-1), self.conv.bias
        margin = weight.shape[2] // 2
        out = functional.conv2d(image.permute(0, 3, 1, 2), weight, bias, 1, (margin, 0), 1, len(weight))
        return out.permute(0, 2, 3, 1).reshape(x.shape)


class ConvolutionStep(nn.Module):
    """x + layer norm, 1×1 to 4C, gated linear unit, depthwise 31, batch norm, Swish, 1×1 to C, on (B, T, F, C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = 2 * channels
        self.net = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Identity(),
            nn.Conv1d(channels, 2 * inner, 1),
            nn.GLU(dim=-1),
            DepthwiseConv(inner, KERNEL),
            nn.BatchNorm1d(inner),
            nn.SiLU(),
            nn.Conv1d(inner, channels, 1),
        )

    def forward(self, x: Tensor, axis: int) -> Tensor:
        norm, _, widen, gate, depthwise, batch_norm, swish, narrow = self.net
        w_wide, w_narrow = widen.weight.squeeze(-1), narrow.weight.squeeze(-1)
        if type(batch_norm) is nn.BatchNorm1d and takes(x, conformer.SOURCE):
            gated = conformer.normed_linear(x, norm, w_wide, widen.bias, gated=True)
            conv = depthwise.conv
            mixed, mean, variance = conformer.depthwise_conv(gated, conv.weight, conv.bias, axis)
            if batch_norm.training:
                _note_statistics(batch_norm, mean, variance, mixed[..., 0].numel())
            else:
                mean, variance = batch_norm.running_mean, batch_norm.running_var
            return conformer.added_linear_of_batch_norm(
                x, mixed, w_narrow, narrow.bias, batch_norm, mean, variance
            )
        hidden = depthwise(gate(functional.linear(norm(x), w_wide, widen.bias)), axis)
        hidden = swish(batch_norm(hidden.view(-1, hidden.shape[-1])))
        return x + functional.linear(hidden, w_narrow, narrow.bias).view_as(x)


class GlobalBatchNorm(nn.BatchNorm1d):
    """Batch norm of (N, C) whose training statistics are those of all processes, each with equally many N.

    Several processes then train as one with the same global batch would. Collective in training: every process must
    call it equally often. torch's SyncBatchNorm does the same on GPUs only.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        processes = distributed.get_world_size()
        mean = all_reduce(x.mean(0)) / processes
        centred = x - mean
        variance = all_reduce(centred.square().mean(0)) / processes
        _note_statistics(self, mean, variance, processes * len(x))
        return centred * torch.rsqrt(variance + self.eps) * self.weight + self.bias


def share_batch_norms(network: nn.Module) -> nn.Module:
    """Put a GlobalBatchNorm with the same parameters in the place of every batch norm; returns the network."""
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm1d):
            shared = GlobalBatchNorm(child.num_features, child.eps, child.momentum)
            shared.load_state_dict(child.state_dict())
            setattr(network, name, shared)
        else:
            share_batch_norms(child)
    return network


@torch.no_grad()
def _note_statistics(norm: nn.BatchNorm1d, mean: Tensor, variance: Tensor, count: int) -> None:
    """Running statistics as batch norm updates them from the mean and biased variance of `count` tokens."""
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(variance * (count / (count - 1)), norm.momentum)
    norm.num_batches_tracked += 1
