"""RAFT in PyTorch, as published, for comparison only; needs the `[torch]` extra.

Written from the paper's description and the names and shapes in the official weight files, which
it loads with `load_state_dict(strict=True)`. It works as the published code does: the correlations
of all pairs pooled level by level, bilinear lookup by `grid_sample`, three separate convolutions
in each recurrent unit, and an upsampled flow in every iteration (`upsample_every=False`: only in
the last, which changes nothing but the time).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

LEVELS = 4


def normalization(kind: str, channels: int) -> nn.Module:
    """A norm as the official names have it; only a batch norm has parameters."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return nn.InstanceNorm2d(channels) if kind == "instance" else nn.Sequential()


class Block(nn.Module):
    """A residual block of two convolutions, or a bottleneck of three."""

    def __init__(self, before: int, width: int, stride: int, norm: str, bottleneck: bool):
        """Names its parts as the weight files do."""
        super().__init__()
        narrow = width // 4
        plan = [(before, width, 3, stride), (width, width, 3, 1)]
        if bottleneck:
            plan = [(before, narrow, 1, 1), (narrow, narrow, 3, stride), (narrow, width, 1, 1)]
        self.count = len(plan)
        for number, (inputs, outputs, kernel, step) in enumerate(plan, start=1):
            layer = nn.Conv2d(inputs, outputs, kernel, step, kernel // 2)
            setattr(self, f"conv{number}", layer)
            setattr(self, f"norm{number}", normalization(norm, outputs))
        self.downsample = None
        if stride > 1:
            last = normalization(norm, width)
            setattr(self, f"norm{self.count + 1}", last)
            self.downsample = nn.Sequential(nn.Conv2d(before, width, 1, stride), last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[B, C, H, W]`."""
        y = x
        for number in range(1, self.count + 1):
            y = getattr(self, f"norm{number}")(getattr(self, f"conv{number}")(y)).relu()
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class Encoder(nn.Module):
    """A frame to features at an eighth of its size."""

    def __init__(self, widths: tuple[int, ...], features: int, norm: str, bottleneck: bool):
        """Names its parts as the weight files do."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 7, 2, 3)
        self.norm1 = normalization(norm, widths[0])
        before = widths[0]
        for pair, width in enumerate(widths, start=1):
            first = Block(before, width, 2 if pair > 1 else 1, norm, bottleneck)
            second = Block(width, width, 1, norm, bottleneck)
            setattr(self, f"layer{pair}", nn.Sequential(first, second))
            before = width
        self.conv2 = nn.Conv2d(before, features, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[B, 3, H, W]` to `[B, C, H / 8, W / 8]`."""
        x = self.norm1(self.conv1(x)).relu()
        for pair in (1, 2, 3):
            x = getattr(self, f"layer{pair}")(x)
        return self.conv2(x)


class Correlation:
    """The correlations of all pairs, pooled, and their lookup."""

    def __init__(self, features0: torch.Tensor, features1: torch.Tensor, radius: int):
        """Correlates `[B, C, H, W]` and pools."""
        batch, channels, height, width = features0.shape
        products = features0.flatten(2).transpose(1, 2) @ features1.flatten(2)
        level = (products / channels**0.5).reshape(batch * height * width, 1, height, width)
        self.levels, self.radius = [level], radius
        for _ in range(LEVELS - 1):
            self.levels.append(F.avg_pool2d(self.levels[-1], 2))

    def __call__(self, match: torch.Tensor) -> torch.Tensor:
        """`[B, 2, H, W]`, (x, y), to `[B, levels · (2 radius + 1)², H, W]`, x outermost."""
        batch, _, height, width = match.shape
        reach = torch.arange(-self.radius, self.radius + 1, dtype=match.dtype)
        window = torch.stack(torch.meshgrid(reach, reach, indexing="ij"), dim=-1)
        place = match.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2)
        found = []
        for number, level in enumerate(self.levels):
            size = torch.tensor([level.shape[3] - 1, level.shape[2] - 1], dtype=match.dtype)
            grid = 2 * (place / 2**number + window) / size - 1
            looked_up = F.grid_sample(level, grid, align_corners=True)
            found.append(looked_up.reshape(batch, height, width, -1))
        return torch.cat(found, dim=-1).permute(0, 3, 1, 2).contiguous()


class MotionEncoder(nn.Module):
    """Correlations and flow to motion features."""

    def __init__(self, windows: int, correlation: Sequence[int], flow: Sequence[int], out: int):
        """Names its parts as the weight files do."""
        super().__init__()
        self.convc1 = nn.Conv2d(windows, correlation[0], 1)
        if len(correlation) > 1:
            self.convc2 = nn.Conv2d(correlation[0], correlation[1], 3, padding=1)
        self.convf1 = nn.Conv2d(2, flow[0], 7, padding=3)
        self.convf2 = nn.Conv2d(flow[0], flow[1], 3, padding=1)
        self.conv = nn.Conv2d(correlation[-1] + flow[1], out, 3, padding=1)

    def forward(self, correlations: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        """Features, then the flow itself."""
        x = self.convc1(correlations).relu()
        if hasattr(self, "convc2"):
            x = self.convc2(x).relu()
        y = self.convf2(self.convf1(flow).relu()).relu()
        return torch.cat([self.conv(torch.cat([x, y], dim=1)).relu(), flow], dim=1)


class GRU(nn.Module):
    """Convolutional gated recurrent units, one a kernel, one after the other."""

    def __init__(self, hidden: int, inputs: int, kernels: tuple[tuple[int, int], ...]):
        """Names its parts as the weight files do."""
        super().__init__()
        self.endings = ["1", "2"] if len(kernels) > 1 else [""]
        for ending, kernel in zip(self.endings, kernels, strict=True):
            for letter in "zrq":
                padding = (kernel[0] // 2, kernel[1] // 2)
                layer = nn.Conv2d(hidden + inputs, hidden, kernel, padding=padding)
                setattr(self, f"conv{letter}{ending}", layer)

    def forward(self, h: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """The next state."""
        for ending in self.endings:
            both = torch.cat([h, x], dim=1)
            z = getattr(self, f"convz{ending}")(both).sigmoid()
            r = getattr(self, f"convr{ending}")(both).sigmoid()
            q = getattr(self, f"convq{ending}")(torch.cat([r * h, x], dim=1)).tanh()
            h = (1 - z) * h + z * q
        return h


class FlowHead(nn.Module):
    """State to the step of the flow."""

    def __init__(self, hidden: int, inside: int):
        """Names its parts as the weight files do."""
        super().__init__()
        self.conv1 = nn.Conv2d(hidden, inside, 3, padding=1)
        self.conv2 = nn.Conv2d(inside, 2, 3, padding=1)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """`[B, 2, H, W]`."""
        return self.conv2(self.conv1(h).relu())


class UpdateBlock(nn.Module):
    """The parts of an iteration, and of the upsampling."""

    def __init__(self, encoder: MotionEncoder, gru: GRU, flow_head: FlowHead, convex: bool):
        """Names its parts as the weight files do."""
        super().__init__()
        self.encoder, self.gru, self.flow_head = encoder, gru, flow_head
        if convex:
            layers = nn.Conv2d(128, 256, 3, padding=1), nn.ReLU(), nn.Conv2d(256, 576, 1)
            self.mask = nn.Sequential(*layers)


class RAFT(nn.Module):
    """The large network, or the small one."""

    def __init__(self, small: bool, upsample_every: bool = True):
        """Names its parts as the weight files do."""
        super().__init__()
        self.upsample_every = upsample_every
        self.hidden, self.radius = (96, 3) if small else (128, 4)
        widths, features = ((32, 64, 96), 128) if small else ((64, 96, 128), 256)
        context = 64 if small else 128
        windows = LEVELS * (2 * self.radius + 1) ** 2
        self.fnet = Encoder(widths, features, "instance", small)
        self.cnet = Encoder(widths, self.hidden + context, "none" if small else "batch", small)
        motion = ((96,), (64, 32), 80) if small else ((256, 192), (128, 64), 126)
        kernels = ((3, 3),) if small else ((1, 5), (5, 1))
        gru = GRU(self.hidden, context + motion[2] + 2, kernels)
        head = FlowHead(self.hidden, 128 if small else 256)
        self.update_block = UpdateBlock(MotionEncoder(windows, *motion), gru, head, not small)

    @torch.no_grad()
    def forward(self, image0: torch.Tensor, image1: torch.Tensor, iterations: int) -> torch.Tensor:
        """Flow `[B, 2, H, W]` between frames in 0..255 whose sides are multiples of 8."""
        image0, image1 = 2 * image0 / 255 - 1, 2 * image1 / 255 - 1
        features0, features1 = self.fnet(torch.cat([image0, image1])).chunk(2)
        look_up = Correlation(features0, features1, self.radius)
        h, context = self.cnet(image0).tensor_split([self.hidden], dim=1)
        h, context = h.tanh(), context.relu()
        _, _, height, width = h.shape
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        grid = torch.stack([x, y]).to(image0)[None]
        flow, fine = torch.zeros_like(h[:, :2]), None
        for iteration in range(iterations):
            motion = self.update_block.encoder(look_up(grid + flow), flow)
            h = self.update_block.gru(h, torch.cat([context, motion], dim=1))
            flow = flow + self.update_block.flow_head(h)
            if self.upsample_every or iteration == iterations - 1:
                fine = self.upsample(flow, h)
        assert fine is not None
        return fine

    def upsample(self, flow: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        """To eight times the size: convex with the mask, bilinear without one."""
        batch, _, height, width = flow.shape
        size = (8 * height, 8 * width)
        if not hasattr(self.update_block, "mask"):
            return 8 * F.interpolate(flow, size, mode="bilinear", align_corners=True)
        mask = 0.25 * self.update_block.mask(h)
        mask = mask.reshape(batch, 1, 9, 8, 8, height, width).softmax(dim=2)
        around = F.unfold(8 * flow, 3, padding=1).reshape(batch, 2, 9, 1, 1, height, width)
        fine = (mask * around).sum(dim=2)
        return fine.permute(0, 1, 4, 2, 5, 3).reshape(batch, 2, *size)
