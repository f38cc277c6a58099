"""Conformer block: feed-forward, relative attention, convolution, feed-forward, on (B, n, C)."""

from torch import Tensor, nn
from torch.nn import functional

from cmgan.attention import RelativeAttention

KERNEL = 31
EXPANSION = 4


class PreNorm(nn.Module):
    """Layer norm, then `fn`: (B, n, C) → (B, n, C)."""

    def __init__(self, channels: int, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(self.norm(x))


class HalfStep(nn.Module):
    """½ · fn: (B, n, C) → (B, n, C)."""

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * self.fn(x)


class FeedForward(nn.Module):
    """Linear C → 4C, Swish, dropout, linear 4C → C, dropout."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        wide = EXPANSION * channels
        self.net = nn.Sequential(
            nn.Linear(channels, wide),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(wide, channels),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class DepthwiseConv(nn.Module):
    """Convolution of each channel with its own kernel of odd length, zero padded: (B, C, n) → (B, C, n)."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, kernel, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        margin = self.conv.kernel_size[0] // 2
        return self.conv(functional.pad(x, (margin, margin)))


class ConvModule(nn.Module):
    """Layer norm, 1×1 to 4C, gated linear unit, depthwise 31, batch norm, Swish, 1×1 to C, on (B, n, C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = 2 * channels
        self.net = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Identity(),
            nn.Conv1d(channels, 2 * inner, 1),
            nn.GLU(dim=1),
            DepthwiseConv(inner, KERNEL),
            nn.BatchNorm1d(inner),
            nn.SiLU(),
            nn.Conv1d(inner, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net[2:](self.net[0](x).transpose(1, 2)).transpose(1, 2)


class ConformerBlock(nn.Module):
    """x + ½·FF, + attention, + convolution, + ½·FF, layer norm: (B, n, C) → (B, n, C).

    Source: Gulati et al. 2020; sizes and names are public code facts.
    """

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.ff1 = HalfStep(PreNorm(channels, FeedForward(channels, dropout)))
        self.attn = PreNorm(channels, RelativeAttention(channels, dropout))
        self.conv = ConvModule(channels)
        self.ff2 = HalfStep(PreNorm(channels, FeedForward(channels, dropout)))
        self.post_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ff1(x)
        x = x + self.attn(x)
        x = x + self.conv(x)
        x = x + self.ff2(x)
        return self.post_norm(x)
