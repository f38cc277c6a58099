"""Multi-head attention with Shaw's relative positions, without a tensor of all pairs of positions and features.

logit(i, j) = q_i · (k_j + E[i − j]) / √d. The distances i − j of n positions take 2n − 1 values, so one product
q · Eᵀ with the 2n − 1 distinct rows holds every position logit: row i needs the entries from distance i (j = 0) down
to i − (n − 1). With the rows of E in the order of falling distance, n − 1, …, −(n − 1), entry j of row i stands at
column n − 1 − i + j: a view of the product with row stride one less than its row length.
"""

import torch
from torch import Tensor, nn

HEADS = 4
REACH = 512


class RelativeAttention(nn.Module):
    """Self-attention of C channels in 4 heads: (B, n, C) → (B, n, C), dropout on the result.

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
        batch, n, channels = x.shape
        q, k, v = (
            part.reshape(batch, n, HEADS, channels // HEADS).transpose(1, 2)
            for part in (self.to_q(x), *self.to_kv(x).chunk(2, dim=-1))
        )
        q = q * (channels // HEADS) ** -0.5
        distances = torch.arange(n - 1, -n, -1, device=x.device).clamp(-REACH, REACH) + REACH
        by_distance = q @ self.rel_pos_emb(distances).T
        position = _shift(by_distance)
        weights = torch.softmax(q @ k.transpose(-1, -2) + position, dim=-1)
        return self.dropout(self.to_out((weights @ v).transpose(1, 2).reshape(batch, n, channels)))


def _shift(by_distance: Tensor) -> Tensor:
    """(B, heads, n, 2n − 1) in falling distance → (B, heads, n, n): a view."""
    batch, heads, n, width = by_distance.shape
    by_distance = by_distance.contiguous()
    strides = (heads * n * width, n * width, width - 1, 1)
    return by_distance.as_strided((batch, heads, n, n), strides, by_distance.storage_offset() + n - 1)
