"""The published networks and training step in PyTorch, from their description, for comparison.

The parameter counts the thesis's networks are known by leave one structure: 3×3×3 convolutions
with bias, strided convolutions that keep their channels, transposed ones that halve them, and
nothing between the last 32 features and the mask embeddings of LT-MS. Needs the `[torch]` extra;
nothing of it is in the library. Arrays at the interface are laid out as ours: flow
`[B, T, H, W, 2]`, logits `[B, T, H, W, K]`.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch_lbfgs import lbfgs_fit

EM_WIDTHS = (64, 128, 256, 512, 1024, 2048, 4096)


class BlockNorm(nn.Module):
    """Instance norm without parameters, its statistics over each block of `frames` frames."""

    def __init__(self, frames: int):
        super().__init__()
        self.frames = frames

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalizes `[B, C, T, H, W]`; T is a multiple of the block."""
        b, c, t, h, w = x.shape
        if t == self.frames:
            return functional.instance_norm(x)
        blocks = x.reshape(b, c, t // self.frames, self.frames, h, w).transpose(1, 2)
        blocks = functional.instance_norm(blocks.reshape(-1, c, self.frames, h, w))
        return blocks.reshape(b, -1, c, self.frames, h, w).transpose(1, 2).reshape(x.shape)


class UNet(nn.Module):
    """The skeleton over left, right, down and up; `widths[l]` channels at `1 / 2**l` the size."""

    def __init__(
        self,
        widths: tuple[int, ...],
        convs: Callable[[int, int], nn.Module],
        down: Callable[[int], nn.Module],
        up: Callable[[int, int], nn.Module],
    ):
        super().__init__()
        pairs = list(pairwise(widths))
        self.left = nn.ModuleList(convs(i, o) for i, o in [(2, widths[0]), *pairs])
        self.down = nn.ModuleList(down(fine) for fine, _ in pairs)
        self.up = nn.ModuleList(up(coarse, fine) for fine, coarse in pairs)
        self.right = nn.ModuleList(convs(2 * fine, fine) for fine, _ in pairs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Per-pixel features and the bottleneck."""
        height, width = x.shape[-2:]
        reduction = 2 ** len(self.down)
        x = _pad(x, -height % reduction, -width % reduction)
        x = self.left[0](x)
        skips = []
        for down, left in zip(self.down, self.left[1:], strict=True):
            skips.append(x)
            x = left(down(x))
        bottleneck = x
        for level in reversed(range(len(skips))):
            x = self.right[level](torch.cat([skips[level], self.up[level](x)], dim=1))
        return x[..., :height, :width], bottleneck


def _pad(x: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Repeats the last row and column."""
    if rows == columns == 0:
        return x
    row = torch.arange(x.shape[-2] + rows).clamp(max=x.shape[-2] - 1)
    column = torch.arange(x.shape[-1] + columns).clamp(max=x.shape[-1] - 1)
    return x[..., row[:, None], column]


def space_time_unet(frames: int, widths: tuple[int, ...] = (32, 64, 128)) -> UNet:
    """The U-net of ST-MS (statistics over 3 frames) and LT-MS (over 9)."""

    def convs(inputs: int, features: int) -> nn.Module:
        layers = []
        for channels in (inputs, features):
            layers += [nn.Conv3d(channels, features, 3, padding=1), BlockNorm(frames), nn.ReLU()]
        return nn.Sequential(*layers)

    return UNet(
        widths,
        convs,
        down=lambda c: nn.Conv3d(c, c, (1, 2, 2), (1, 2, 2)),
        up=lambda i, o: nn.ConvTranspose3d(i, o, (1, 2, 2), (1, 2, 2)),
    )


class EM(nn.Module):
    """The 2D network of chapter 2, on clips of one frame."""

    def __init__(self, num_masks: int, widths: tuple[int, ...] = EM_WIDTHS):
        super().__init__()

        def convs(inputs: int, features: int) -> nn.Module:
            layers = []
            for channels in (inputs, features):
                conv = nn.Conv2d(channels, features, 3, padding=1, padding_mode="reflect")
                layers += [conv, nn.InstanceNorm2d(features), nn.ReLU()]
            return nn.Sequential(*layers)

        self.unet = UNet(
            widths,
            convs,
            down=lambda _: nn.MaxPool2d(2),
            up=lambda i, o: nn.ConvTranspose2d(i, o, 2, 2),
        )
        self.head = nn.Conv2d(widths[0], num_masks, 1)

    def forward(self, flow: torch.Tensor) -> torch.Tensor:
        """Flow to logits."""
        x, _ = self.unet(flow[:, 0].permute(0, 3, 1, 2))
        return self.head(x).permute(0, 2, 3, 1)[:, None]


class STMS(nn.Module):
    """The 3D network of chapter 3, on triplets."""

    def __init__(self, num_masks: int):
        super().__init__()
        self.unet = space_time_unet(frames=3)
        self.head = nn.Conv3d(32, num_masks, 1)

    def forward(self, flow: torch.Tensor) -> torch.Tensor:
        """Flow to logits."""
        x, _ = self.unet(flow.permute(0, 4, 1, 2, 3))
        return self.head(x).permute(0, 2, 3, 4, 1)


class LTMS(nn.Module):
    """The network of chapter 4, on clips of a multiple of 9 frames."""

    def __init__(self, num_masks: int):
        super().__init__()
        self.unet = space_time_unet(frames=9)
        self.coordinates = nn.Linear(3, 128)
        self.queries = nn.Embedding(num_masks, 128)
        layer = nn.TransformerDecoderLayer(128, nhead=2, dim_feedforward=2048, batch_first=True)
        self.decoder = nn.TransformerDecoder(layer, num_layers=5)
        for parameter in self.decoder.parameters():  # the stack is copies of one layer
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        self.mask_embedding = nn.Linear(128, 32)

    def forward(self, flow: torch.Tensor) -> torch.Tensor:
        """Flow to logits."""
        pixels, bottleneck = self.unet(flow.permute(0, 4, 1, 2, 3))
        axes = [torch.linspace(0, 1, n) for n in bottleneck.shape[2:]]
        grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
        tokens = bottleneck.permute(0, 2, 3, 4, 1) + self.coordinates(grid)
        queries = self.queries.weight.expand(len(flow), -1, -1)
        queries = self.decoder(queries, tokens.flatten(1, 3))
        return torch.einsum("bkc,bcthw->bthwk", self.mask_embedding(queries), pixels)


def training_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    flow: np.ndarray,
    design: np.ndarray,
    clip_norm: float = 5.0,
) -> float:
    """One step as published: masks, L-BFGS fit of their motion models, L_r + L_c, update.

    Args:
        network: flow to logits.
        optimizer: of its parameters.
        flow: `[B, T, H, W, 2]`.
        design: `[T, H, W, 2, P]`.
        clip_norm: the global norm the gradient is clipped to.

    Returns:
        The loss before the update.
    """
    target = torch.from_numpy(flow)
    masks = torch.softmax(network(target), dim=-1)
    theta = torch.from_numpy(lbfgs_fit(flow, masks.detach().numpy(), design))
    matrix = torch.from_numpy(design)
    motion = (matrix.reshape(-1, matrix.shape[-1]) @ theta.flatten(0, 1).T).T
    motion = motion.reshape(*theta.shape[:2], *flow.shape[1:])
    residual = (target[:, None] - motion).abs().sum(-1).movedim(1, -1)
    norm = target.abs().sum((2, 3, 4)).clamp(min=1e-6)
    loss = ((masks * residual).sum((2, 3, 4)) / norm).mean()
    if flow.shape[1] > 1:
        jump = (target[:, 1:] - target[:, :-1]).abs().sum(-1)
        # `torch.quantile` refuses more than 16 M values; the k-th smallest is the same.
        rank = int(np.ceil(0.99 * jump[0].numel()))
        limit = jump.flatten(1).kthvalue(rank).values[:, None, None, None]
        change = (masks[:, 1:] - masks[:, :-1]).abs().mean(-1) / 2
        loss = loss + (change * (jump <= limit)).mean()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
    optimizer.step()
    return loss.item()


def to_params(network: EM | STMS | LTMS) -> dict:
    """The weights of a network here as the parameters of our network of the same architecture."""
    params: dict = {"unet": _unet_params(network.unet)}
    if not isinstance(network, LTMS):
        head = network.head
        params["head"] = {"kernel": _numpy(head.weight).reshape(len(head.bias), -1).T}
        params["head"]["bias"] = _numpy(head.bias)
        return params
    decoder = {"places": _linear(network.coordinates), "queries": _numpy(network.queries.weight)}
    for index, layer in enumerate(network.decoder.layers):
        decoder[f"layer_{index}"] = {
            "self": _attention(layer.self_attn),
            "cross": _attention(layer.multihead_attn),
            "feed_in": _linear(layer.linear1),
            "feed_out": _linear(layer.linear2),
            "norm_self": _scale(layer.norm1),
            "norm_cross": _scale(layer.norm2),
            "norm_feed": _scale(layer.norm3),
        }
    params["decoder"] = decoder
    params["head_of_queries"] = _linear(network.mask_embedding)
    return params


def _unet_params(unet: UNet) -> dict:
    params = {}
    for side, blocks in (("left", unet.left), ("right", unet.right)):
        for level, block in enumerate(blocks):
            convs = [layer for layer in block if isinstance(layer, nn.Conv2d | nn.Conv3d)]
            params[f"{side}_{level}"] = {
                f"Conv_{index}": {"Conv_0": _conv(conv)} for index, conv in enumerate(convs)
            }
    for level, down in enumerate(unet.down, start=1):
        if isinstance(down, nn.Conv3d):
            conv = _conv(down)
            params[f"down_{level}"] = {"Conv_0": {**conv, "kernel": conv["kernel"][0]}}
    for level, up in enumerate(unet.up):
        weight = _numpy(up.weight)
        kernel = weight.reshape(*weight.shape[:2], 2, 2).transpose(0, 2, 3, 1)
        params[f"up_{level}"] = {"kernel": kernel, "bias": _numpy(up.bias)}
    return params


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def _conv(conv: nn.Module) -> dict:
    """`[out, in, ...]` to `[..., in, out]`."""
    return {"kernel": np.moveaxis(_numpy(conv.weight), (1, 0), (-2, -1)), "bias": _numpy(conv.bias)}


def _linear(linear: nn.Linear) -> dict:
    return {"kernel": _numpy(linear.weight).T, "bias": _numpy(linear.bias)}


def _scale(norm: nn.LayerNorm) -> dict:
    return {"scale": _numpy(norm.weight), "bias": _numpy(norm.bias)}


def _attention(attention: nn.MultiheadAttention) -> dict:
    """The packed projections of all heads, apart."""
    heads, width = attention.num_heads, attention.embed_dim
    weights = _numpy(attention.in_proj_weight).reshape(3, heads, -1, width)
    biases = _numpy(attention.in_proj_bias).reshape(3, heads, -1)
    params = {
        name: {"kernel": weight.transpose(2, 0, 1), "bias": bias}
        for name, weight, bias in zip(("query", "key", "value"), weights, biases, strict=True)
    }
    out = _numpy(attention.out_proj.weight).T.reshape(heads, -1, width)
    return {**params, "out": {"kernel": out, "bias": _numpy(attention.out_proj.bias)}}
