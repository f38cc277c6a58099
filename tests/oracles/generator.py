"""The generator written down equation by equation, as slow as that is: what the fast one must equal.

Nothing is shared with the package: relative positions are an (n, n, d) tensor, dense layers concatenate, every
operation is its own torch module. Names are the public state-dict names. Shapes: B batch, C channels, T frames,
F bins, n positions, d = C / 4.
"""

import torch
from torch import Tensor, nn

HEADS = 4
DILATIONS = (1, 2, 4, 8)


class Swish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * x.sigmoid()


class GatedLinearUnit(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        value, gate = x.chunk(2, dim=1)
        return value * gate.sigmoid()


class Transpose(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


class DepthwiseConv(nn.Module):
    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.padding = kernel // 2
        self.conv = nn.Conv1d(channels, channels, kernel, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(nn.functional.pad(x, (self.padding, self.padding)))


class PreNorm(nn.Module):
    def __init__(self, dim: int, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(self.norm(x))


class Scale(nn.Module):
    def __init__(self, factor: float, fn: nn.Module) -> None:
        super().__init__()
        self.factor = factor
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(x) * self.factor


class FeedForward(nn.Module):
    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(dim, 4 * dim),
            Swish(),
            nn.Dropout(dropout),
            nn.Linear(4 * dim, dim),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Attention(nn.Module):
    def __init__(self, dim: int, dropout: float, reach: int = 512) -> None:
        super().__init__()
        self.reach = reach
        self.scale = (dim // HEADS) ** -0.5
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_kv = nn.Linear(dim, 2 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim)
        self.rel_pos_emb = nn.Embedding(2 * reach + 1, dim // HEADS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        batch, n, dim = x.shape
        q, k, v = (
            part.reshape(batch, n, HEADS, dim // HEADS).transpose(1, 2)
            for part in (self.to_q(x), *self.to_kv(x).chunk(2, dim=-1))
        )
        content = torch.einsum("bhid,bhjd->bhij", q, k) * self.scale
        positions = torch.arange(n, device=x.device)
        distance = (positions[:, None] - positions[None, :]).clamp(-self.reach, self.reach) + self.reach
        position = torch.einsum("bhid,ijd->bhij", q, self.rel_pos_emb(distance)) * self.scale
        weights = (content + position).softmax(dim=-1)
        out = torch.einsum("bhij,bhjd->bhid", weights, v)
        return self.dropout(self.to_out(out.transpose(1, 2).reshape(batch, n, dim)))


class ConvModule(nn.Module):
    def __init__(self, dim: int, kernel: int = 31) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.LayerNorm(dim),
            Transpose(),
            nn.Conv1d(dim, 4 * dim, 1),
            GatedLinearUnit(),
            DepthwiseConv(2 * dim, kernel),
            nn.BatchNorm1d(2 * dim),
            Swish(),
            nn.Conv1d(2 * dim, dim, 1),
            Transpose(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class ConformerBlock(nn.Module):
    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.ff1 = Scale(0.5, PreNorm(dim, FeedForward(dim, dropout)))
        self.attn = PreNorm(dim, Attention(dim, dropout))
        self.conv = ConvModule(dim)
        self.ff2 = Scale(0.5, PreNorm(dim, FeedForward(dim, dropout)))
        self.post_norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.ff1(x) + x
        x = self.attn(x) + x
        x = self.conv(x) + x
        x = self.ff2(x) + x
        return self.post_norm(x)


class TwoStageBlock(nn.Module):
    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.time_conformer = ConformerBlock(dim, dropout)
        self.freq_conformer = ConformerBlock(dim, dropout)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, frames, bins = x.shape
        x = x.permute(0, 3, 2, 1).reshape(batch * bins, frames, channels)
        x = self.time_conformer(x) + x
        x = x.reshape(batch, bins, frames, channels).transpose(1, 2).reshape(batch * frames, bins, channels)
        x = self.freq_conformer(x) + x
        return x.reshape(batch, frames, bins, channels).permute(0, 3, 1, 2)


class DilatedDenseNet(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        for i, dilation in enumerate(DILATIONS, start=1):
            setattr(self, f"conv{i}", nn.Conv2d(channels * i, channels, (2, 3), dilation=(dilation, 1)))
            setattr(self, f"norm{i}", nn.InstanceNorm2d(channels, affine=True))
            setattr(self, f"prelu{i}", nn.PReLU(channels))

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for i, dilation in enumerate(DILATIONS, start=1):
            out = getattr(self, f"conv{i}")(nn.functional.pad(seen, (1, 1, dilation, 0)))
            out = getattr(self, f"prelu{i}")(getattr(self, f"norm{i}")(out))
            seen = torch.cat([out, seen], dim=1)
        return out


class DenseEncoder(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_1 = nn.Sequential(
            nn.Conv2d(3, channels, 1), nn.InstanceNorm2d(channels, affine=True), nn.PReLU(channels)
        )
        self.dilated_dense = DilatedDenseNet(channels)
        self.conv_2 = nn.Sequential(
            nn.Conv2d(channels, channels, (1, 3), (1, 2), padding=(0, 1)),
            nn.InstanceNorm2d(channels, affine=True),
            nn.PReLU(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_2(self.dilated_dense(self.conv_1(x)))


class SubPixelConv(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * channels, (1, 3))

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(nn.functional.pad(x, (1, 1)))
        even, odd = out.chunk(2, dim=1)
        return torch.stack([even, odd], dim=-1).flatten(-2)


class MaskDecoder(nn.Module):
    def __init__(self, channels: int, bins: int) -> None:
        super().__init__()
        self.dense_block = DilatedDenseNet(channels)
        self.sub_pixel = SubPixelConv(channels)
        self.conv_1 = nn.Conv2d(channels, 1, (1, 2))
        self.norm = nn.InstanceNorm2d(1, affine=True)
        self.prelu = nn.PReLU(1)
        self.final_conv = nn.Conv2d(1, 1, 1)
        self.prelu_out = nn.PReLU(bins, init=-0.25)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_1(self.sub_pixel(self.dense_block(x)))
        x = self.final_conv(self.prelu(self.norm(x)))
        x = x.permute(0, 3, 2, 1).squeeze(-1)
        return self.prelu_out(x).permute(0, 2, 1).unsqueeze(1)


class ComplexDecoder(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dense_block = DilatedDenseNet(channels)
        self.sub_pixel = SubPixelConv(channels)
        self.prelu = nn.PReLU(channels)
        self.norm = nn.InstanceNorm2d(channels, affine=True)
        self.conv = nn.Conv2d(channels, 2, (1, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.prelu(self.norm(self.sub_pixel(self.dense_block(x)))))


class LiteralTSCNet(nn.Module):
    """(B, 2, T, F) → real and imaginary (B, 1, T, F) each."""

    def __init__(
        self, num_channel: int = 64, num_features: int = 201, num_blocks: int = 4, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.num_blocks = num_blocks
        self.dense_encoder = DenseEncoder(num_channel)
        for i in range(1, num_blocks + 1):
            setattr(self, f"TSCB_{i}", TwoStageBlock(num_channel, dropout))
        self.mask_decoder = MaskDecoder(num_channel, num_features)
        self.complex_decoder = ComplexDecoder(num_channel)

    def forward(self, noisy_spectrum: Tensor) -> tuple[Tensor, Tensor]:
        real, imag = noisy_spectrum[:, :1], noisy_spectrum[:, 1:]
        magnitude = (real**2 + imag**2).sqrt()
        phase = torch.atan2(imag, real)
        x = self.dense_encoder(torch.cat([magnitude, real, imag], dim=1))
        for i in range(1, self.num_blocks + 1):
            x = getattr(self, f"TSCB_{i}")(x)
        masked = self.mask_decoder(x) * magnitude
        residual = self.complex_decoder(x)
        return masked * phase.cos() + residual[:, :1], masked * phase.sin() + residual[:, 1:]
