"""The U-Net, the transformer and the graph network of `sciddm.networks` once more, in PyTorch: the same functions of the same weights.

Names of modules and parameters are those of the nnx modules, so that `copy_parameters` can check both claims. Fields are
(B, H, W, C) contiguous, which as (B, C, H, W) is PyTorch's channels-last: convolutions get the layout that is fast on CPU.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Conv(nn.Conv2d):
    def __init__(self, channels_in, channels_out):
        super().__init__(channels_in, channels_out, 3, padding=1)

    def forward(self, x):
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class GroupNorm(nn.GroupNorm):
    def __init__(self, channels, group_size=16):
        groups = next(n for n in range(max(channels // group_size, 1), 0, -1) if channels % n == 0)
        super().__init__(groups, channels)

    def forward(self, x):
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class NoiseEmbedding(nn.Module):
    def __init__(self, features):
        super().__init__()
        half = features // 2
        self.dense_in, self.dense_out = nn.Linear(2 * half, features), nn.Linear(features, features)
        frequency = 2 * math.pi / 16 * torch.exp(torch.linspace(0.0, math.log(256.0), half))
        self.register_buffer("frequency", frequency, persistent=False)

    def forward(self, noise_level):
        angle = noise_level[:, None] * self.frequency
        return self.dense_out(F.silu(self.dense_in(torch.cat([angle.sin(), angle.cos()], -1))))


def attend(query, key, value, heads):
    split = lambda y: y.unflatten(-1, (heads, -1)).transpose(1, 2)  # noqa: E731
    return F.scaled_dot_product_attention(split(query), split(key), split(value)).transpose(1, 2).flatten(2)


def space_to_depth(x, factor):
    x = x.unflatten(2, (-1, factor)).unflatten(1, (-1, factor))
    return x.transpose(2, 3).flatten(3)


def depth_to_space(x, factor):
    x = x.unflatten(3, (factor, factor, -1)).transpose(2, 3)
    return x.flatten(3, 4).flatten(1, 2)


class ResidualBlock(nn.Module):
    def __init__(self, channels_in, channels_out, embedding):
        super().__init__()
        self.norm_in, self.norm_out = GroupNorm(channels_in), GroupNorm(channels_out)
        self.conv_in, self.conv_out = Conv(channels_in, channels_out), Conv(channels_out, channels_out)
        self.film = nn.Linear(embedding, 2 * channels_out)
        self.skip = None if channels_in == channels_out else nn.Linear(channels_in, channels_out)

    def forward(self, x, embedding):
        h = self.norm_out(self.conv_in(F.silu(self.norm_in(x))))
        scale, shift = self.film(F.silu(embedding))[:, None, None].chunk(2, -1)
        h = self.conv_out(F.silu(torch.addcmul(shift, h, 1 + scale)))
        return (x if self.skip is None else self.skip(x)) + h


class Attention(nn.Module):
    def __init__(self, channels, heads):
        super().__init__()
        self.heads, self.norm = heads, GroupNorm(channels)
        self.query, self.key_value = nn.Linear(channels, channels), nn.Linear(channels, 2 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x):
        rows = self.norm(x).flatten(1, 2)
        key, value = self.key_value(rows).chunk(2, -1)
        return x + self.out(attend(self.query(rows), key, value, self.heads)).view(x.shape)


class Stage(nn.Module):
    def __init__(self, channels_in, channels_out, features, heads, attend):
        super().__init__()
        self.block = ResidualBlock(channels_in, channels_out, features)
        self.attention = Attention(channels_out, heads) if attend else None

    def forward(self, x, embedding):
        x = self.block(x, embedding)
        return x if self.attention is None else self.attention(x)


class UNet(nn.Module):
    """`sciddm.networks.UNet` in two dimensions, without conditions."""

    def __init__(self, channels_in, *, channels, blocks, patch, attention_levels, heads=4, features=128):
        super().__init__()
        self.patch, self.noise = patch, NoiseEmbedding(features)
        self.stem = nn.Linear(patch**2 * channels_in, channels[0])
        self.down, self.up, self.shrink, self.grow = (nn.ModuleList() for _ in range(4))
        width, widths = channels[0], []
        for level, target in enumerate(channels):
            stage = nn.ModuleList()
            for _ in range(blocks):
                stage.append(Stage(width, target, features, heads, level in attention_levels))
                width = target
                widths.append(width)
            self.down.append(stage)
            self.shrink.append(nn.Linear(4 * width, width) if level < len(channels) - 1 else None)
        self.middle = nn.ModuleList(Stage(width, width, features, heads, False) for _ in range(2))
        for level, target in reversed(list(enumerate(channels))):
            stage = nn.ModuleList()
            for _ in range(blocks):
                stage.append(Stage(width + widths.pop(), target, features, heads, level in attention_levels))
                width = target
            self.up.append(stage)
            self.grow.append(nn.Linear(width, 4 * width) if level else None)
        self.norm, self.head = GroupNorm(width), nn.Linear(width, patch**2 * channels_in)

    def forward(self, x, noise_level):
        embedding, skips = self.noise(noise_level), []
        h = self.stem(space_to_depth(x, self.patch))
        for stage, shrink in zip(self.down, self.shrink, strict=True):
            for block in stage:
                h = block(h, embedding)
                skips.append(h)
            if shrink is not None:
                h = shrink(space_to_depth(h, 2))
        for block in self.middle:
            h = block(h, embedding)
        for stage, grow in zip(self.up, self.grow, strict=True):
            for block in stage:
                h = block(torch.cat([h, skips.pop()], -1), embedding)
            if grow is not None:
                h = depth_to_space(grow(h), 2)
        return depth_to_space(self.head(F.silu(self.norm(h))), self.patch)


class Block(nn.Module):
    def __init__(self, dim, heads, mlp_ratio, features):
        super().__init__()
        self.heads, self.dim, self.modulation = heads, dim, nn.Linear(features, 6 * dim)
        self.query_key_value, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp_in, self.mlp_out = nn.Linear(dim, mlp_ratio * dim), nn.Linear(mlp_ratio * dim, dim)

    def forward(self, h, embedding):
        scale, shift, gate, scale_mlp, shift_mlp, gate_mlp = self.modulation(embedding)[:, None].chunk(6, -1)
        normed = torch.addcmul(shift, F.layer_norm(h, (self.dim,), eps=1e-6), 1 + scale)
        query, key, value = self.query_key_value(normed).chunk(3, -1)
        h = torch.addcmul(h, gate, self.out(attend(query, key, value, self.heads)))
        normed = torch.addcmul(shift_mlp, F.layer_norm(h, (self.dim,), eps=1e-6), 1 + scale_mlp)
        return torch.addcmul(h, gate_mlp, self.mlp_out(F.gelu(self.mlp_in(normed), approximate="tanh")))


class DiT(nn.Module):
    """`sciddm.networks.DiT` in two dimensions, without conditions. positions: its table of them, (points, dim)."""

    def __init__(self, channels_in, positions, *, dim, depth, patch, heads=4, mlp_ratio=4, features=128):
        super().__init__()
        self.patch, self.dim, self.noise = patch, dim, NoiseEmbedding(features)
        self.stem = nn.Linear(patch**2 * channels_in, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, mlp_ratio, features) for _ in range(depth))
        self.modulation, self.head = nn.Linear(features, 2 * dim), nn.Linear(dim, patch**2 * channels_in)
        self.register_buffer("positions", torch.from_numpy(np.array(positions)), persistent=False)

    def forward(self, x, noise_level):
        patches = space_to_depth(x, self.patch)
        h, embedding = self.stem(patches).flatten(1, 2) + self.positions, F.silu(self.noise(noise_level))
        for block in self.blocks:
            h = block(h, embedding)
        scale, shift = self.modulation(embedding)[:, None].chunk(2, -1)
        h = self.head(torch.addcmul(shift, F.layer_norm(h, (self.dim,), eps=1e-6), 1 + scale))
        return depth_to_space(h.view(*patches.shape[:3], -1), self.patch)


class Layer(nn.Module):
    def __init__(self, hidden, neighbours):
        super().__init__()
        self.neighbours = neighbours
        self.pair, self.distances = nn.Linear(hidden, 2 * hidden), nn.Linear(2, hidden)
        self.message, self.gate = nn.Linear(hidden, hidden), nn.Linear(hidden, 1)
        self.move_in, self.move_out = nn.Linear(hidden, hidden), nn.Linear(hidden, 1)
        self.self_in, self.gathered_in = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.level, self.update_out = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)

    def forward(self, positions, h, squared_at_start, known, pairs, embedding):
        squared, of_points = squared_distances(positions), F.layer_norm(h, h.shape[-1:], eps=1e-6) + self.level(embedding)
        to, of = self.pair(of_points).chunk(2, -1)
        hidden = to[:, :, None] + of[:, None] + self.distances(torch.cat([squared, squared_at_start], -1)) + known
        message = F.silu(self.message(F.silu(hidden)))
        message = message * (torch.sigmoid(self.gate(message)) * pairs)
        weight = self.move_out(F.silu(self.move_in(message)))
        weight = (weight * pairs / (torch.sqrt(squared + 1e-8) + 1.0))[..., 0] / self.neighbours
        moved = positions + positions * weight.sum(2)[..., None] - weight @ positions
        gathered = message.sum(2) / self.neighbours
        return moved, h + self.update_out(F.silu(self.self_in(of_points) + self.gathered_in(gathered))), message


class EGNN(nn.Module):
    """`sciddm.networks.EGNN` without conditions and mask."""

    def __init__(self, features_in, *, hidden, layers, neighbours=8.0):
        super().__init__()
        self.noise, self.stem = NoiseEmbedding(hidden), nn.Linear(features_in, hidden)
        self.layers, self.head = (
            nn.ModuleList(Layer(hidden, neighbours) for _ in range(layers)),
            nn.Linear(hidden, features_in),
        )

    def forward(self, x, noise_level):
        positions, features = x["positions"], x["features"]
        h, embedding, known = self.stem(features), F.silu(self.noise(noise_level))[:, None], 0.0
        start = moved = positions - positions.mean(1, keepdim=True)
        points = positions.shape[1]
        pairs = (1 - torch.eye(points))[None, :, :, None]
        squared_at_start = squared_distances(start)
        for layer in self.layers:
            moved, h, message = layer(moved, h, squared_at_start, known, pairs, embedding)
            known = known + message
        moved, h = moved - start, F.layer_norm(h, h.shape[-1:], eps=1e-6)
        return {"positions": moved - moved.mean(1, keepdim=True), "features": self.head(h)}


def squared_distances(positions):
    return (positions[:, :, None] - positions[:, None]).square().sum(-1, keepdim=True)


def copy_parameters(params: dict, module: nn.Module) -> None:
    """Weights of an nnx network, a nested dict of arrays, into its mirror. Raises: ValueError unless they pair up one to one."""
    theirs, ours = dict(module.named_parameters()), {}

    def walk(tree, path):
        for name, value in tree.items():
            if isinstance(value, dict):
                walk(value, [*path, str(name)])
            else:
                word = {"kernel": "weight", "scale": "weight"}.get(name, name)
                value = np.asarray(value)
                ours[".".join([*path, word])] = np.moveaxis(value, (-1, -2), (0, 1)) if value.ndim > 1 else value

    walk(params, [])
    shapes = [{name: tuple(value.shape) for name, value in side.items()} for side in (ours, theirs)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"parameters differ: {sorted(set(shapes[0].items()) ^ set(shapes[1].items()))[:4]}")
    with torch.no_grad():
        for name, value in ours.items():
            theirs[name].copy_(torch.from_numpy(np.array(value)))
