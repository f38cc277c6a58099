"""Multi-head attention with Shaw's relative positions, without a tensor of all pairs of positions and features.

logit(i, j) = q_i · (k_j + E[i − j]) / √d. The distances i − j of n positions take only 2n − 1 values. With the rows
of E in the order of falling distance, n − 1, …, −(n − 1), as columns of one table, logit (i, j) reads column
n − 1 − i + j: row i needs n consecutive columns, and the next row the same stretch one column earlier.

In torch: one product of all q with the table holds every position logit, and the stretches are a view of it whose
row stride is one less than its row length (`_stretches`). In the compiled kernel (`relative_attention.c`): a few
rows at a time, in cache, with nothing of size n × n in memory; the backward pass computes the weights again.
"""

import torch
from torch import Tensor, nn

from cmgan.kernels.library import kernel_for
from cmgan.kernels.linear_layers import SOURCE as LINEAR
from cmgan.kernels.linear_layers import AddedLinear, Attention, NormedLinear
from cmgan.kernels.relative_attention import attention_kernel

HEADS = 4
REACH = 512
LARGEST_LOGITS = 2**25  # numbers held at once where no gradient needs them: 128 MiB in float32


class RelativeAttention(nn.Module):
    """Self-attention of C channels in 4 heads along one axis of tokens, dropout on the result.

    Distances beyond ±512 share the last embedding. Raises ValueError when C is no multiple of 4.
    Source: Shaw et al. 2018, equation 5 with the value term left out; sizes and names are public code facts.
    """

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        if channels % HEADS:
            raise ValueError(
                f"{channels} channels cannot be shared by {HEADS} heads: use a multiple of {HEADS}"
            )
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_kv = nn.Linear(channels, 2 * channels, bias=False)
        self.to_out = nn.Linear(channels, channels)
        self.rel_pos_emb = nn.Embedding(2 * REACH + 1, channels // HEADS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(sequences, n, C) → same; without gradients some sequences at a time, for long recordings."""
        together = max(1, LARGEST_LOGITS // (2 * HEADS * x.shape[1] ** 2))
        if torch.is_grad_enabled() or len(x) <= together:
            return self._attend(x)
        return torch.cat([self._attend(part) for part in x.split(together)])

    def _attend(self, x: Tensor) -> Tensor:
        sequences, n, channels = x.shape
        qkv = nn.functional.linear(x, self._input_weight()).view(sequences, n, 3, HEADS, channels // HEADS)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        position = _stretches(q @ self.table(n).to(q.dtype))
        attended = nn.functional.scaled_dot_product_attention(q, k, v, position, scale=1.0)
        return self.dropout(self.to_out(attended.transpose(1, 2).reshape(sequences, n, channels)))

    def blockwise_step(self, x: Tensor, norm: nn.LayerNorm, axis: int) -> Tensor | None:
        """x + attention(norm(x)) along axis 1 or 2 of (B, T, F, C) by compiled kernels; None without them."""
        channels, n = x.shape[-1], x.shape[axis]
        kernel = attention_kernel(channels // HEADS) if kernel_for(LINEAR, channels) else None
        if kernel is None:
            return None
        flat, weight = x.view(-1, channels), self._input_weight()
        qkv = NormedLinear.apply(flat, weight * norm.weight, weight @ norm.bias, False)
        attended = Attention.apply(qkv.view(*x.shape[:-1], 3 * channels), self.table(n), kernel, axis)
        rate = self.dropout.p if self.training else 0.0
        w_out, b_out = self.to_out.weight / (1 - rate), self.to_out.bias / (1 - rate)
        return AddedLinear.apply(flat, attended.view(-1, channels), w_out, b_out, rate).view_as(x)

    def table(self, n: int) -> Tensor:
        """Embeddings of the distances n − 1, …, −(n − 1) as columns, (d, 2n − 1)."""
        distances = torch.arange(n - 1, -n, -1, device=self.rel_pos_emb.weight.device)
        return self.rel_pos_emb(distances.clamp(-REACH, REACH) + REACH).T.contiguous()

    def _input_weight(self) -> Tensor:
        scale = self.rel_pos_emb.embedding_dim**-0.5
        return torch.cat([self.to_q.weight * scale, self.to_kv.weight])


def _stretches(by_column: Tensor) -> Tensor:
    """(sequences, heads, n, 2n − 1) → (sequences, heads, n, n): columns n − 1 − i … of row i, as a view."""
    sequences, heads, n, width = by_column.shape
    by_column = by_column.contiguous()
    strides = (heads * n * width, n * width, width - 1, 1)
    return by_column.as_strided((sequences, heads, n, n), strides, by_column.storage_offset() + n - 1)
