"""A transformer on point clouds with pairs: nodes as in DiT (arXiv:2212.09748), attention biased by pairs (arXiv:2106.05234)."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from sciddm.networks.conditioned import Conditioned
from sciddm.networks.egnn import centred, squared_distances
from sciddm.networks.layers import Linear, layer_norm, need_positive


class PairTransformer(Conditioned):
    """network(x, noise_level, cond) -> like x, for x = {"positions": (B, n, 3), "features": (B, n, f), "pairs": (B, n, n, k)}.

    It follows a permutation of the points and does not see where their centre is, but it is NOT equivariant: nodes see centred
    coordinates as they are, so train it on randomly turned points. Pairs see radial functions of their distance, and bias attention:

        h_i <- h_i + gate attention(h, bias of head = w . p_ij),   h_i <- h_i + gate mlp(h_i)               (adaLN-zero)
        p_ij <- p_ij + gate W silu(V p_ij + u(h_i) + u(h_j))

    Positions of the answer have zero centre of mass; "pairs", in x where pair_features > 0, are symmetric and zero where i = j.

    Args:
        features_in: f; pair_features: k, 0 where x has no "pairs"; dim, pair_dim: widths of h and p; depth: blocks; heads: divide dim.
        mlp_ratio: hidden width of the dense layers over `dim`; radial: number of radial functions.
        concat_channels, embedding_features: as for `UNet`, cond["concat"] (B, n, C) being features of the points.
        pair_concat_channels: of cond["pairs"] (B, n, n, C), what is known of pairs, such as bonds, with a channel that says whether it
            is; zeros where it is not given, and where cond["keep"] is 0.
        cond["mask"] (B, n) is 1 at points that are there and 0 at padding, which changes nothing and is answered with zero. A batch
            of 1 in an entry of cond is shared by all samples.
    Raises: ValueError on a cond key that the network was not made for, on "pairs" too many or too few, and on heads that don't divide.
    """

    def __init__(
        self, features_in: int, *, pair_features: int = 0, dim: int = 128, pair_dim: int = 32, depth: int = 6, heads: int = 4,
        mlp_ratio: int = 4, radial: int = 16, concat_channels: int = 0, embedding_features: int = 0, pair_concat_channels: int = 0,
        rngs: nnx.Rngs,
    ):  # fmt: skip
        need_positive(dim=dim, pair_dim=pair_dim, depth=depth, heads=heads, mlp_ratio=mlp_ratio, radial=radial)
        if dim % heads:
            raise ValueError(f"dim = {dim}, heads = {heads}: expected heads that divide dim")
        kinds = {"concat_channels": concat_channels, "embedding_features": embedding_features}
        super().__init__(dim, **kinds, others=("mask", "pairs") if pair_concat_channels else ("mask",), rngs=rngs)
        self.pair_features, self.pair_concat_channels, self.radial = pair_features, pair_concat_channels, radial
        self.stem = Linear(3 + features_in + concat_channels, dim, rngs=rngs)
        self.pair_stem = Linear(radial + pair_features + pair_concat_channels, pair_dim, rngs=rngs)
        self.blocks = nnx.List([Block(dim, pair_dim, heads, mlp_ratio, rngs) for _ in range(depth)])
        self.modulation = Linear(dim, 2 * dim, scale=0.0, rngs=rngs)
        self.head = Linear(dim, 3 + features_in, scale=0.0, rngs=rngs)
        self.pair_head = Linear(pair_dim, pair_features, scale=0.0, rngs=rngs) if pair_features else None

    def __call__(self, x, noise_level, cond=None):
        if ("pairs" in x) != bool(self.pair_features):
            raise ValueError(
                f"x has {sorted(x)}: this network has pair_features = {self.pair_features}, which 'pairs' go with"
            )
        cond = cond or {}
        embedding, features, _ = self.conditions(x["features"], noise_level, cond)
        points, dtype = x["positions"].shape[:2], features.dtype
        mask = jnp.asarray(cond.get("mask", jnp.ones((1, points[1]))))[..., None].astype(dtype)
        positions = centred(x["positions"], mask)
        h = self.stem(jnp.concatenate([positions.astype(dtype), features], -1))
        pairs = self.pair_stem(self._pairs(x, positions, cond).astype(dtype))
        embedding = jax.nn.silu(embedding)
        for block in self.blocks:
            h, pairs = block(h, pairs, embedding, mask)
        scale, shift = _parts(self.modulation(embedding), 2, h)
        moved, features = jnp.split(self.head(layer_norm(h) * (1 + scale) + shift), [3], axis=-1)
        out = {"positions": centred(moved, mask), "features": mask * features}
        if self.pair_head is not None:
            answer = self.pair_head(layer_norm(pairs))
            there = (mask * mask.swapaxes(1, 2) * (1 - jnp.eye(points[1], dtype=dtype)))[..., None]
            out["pairs"] = there * (answer + answer.swapaxes(1, 2)) / 2
        return out

    def _pairs(self, x, positions, cond):
        # (B, n, n, radial + pair_features + pair_concat_channels)
        seen = [radial_functions(squared_distances(positions), self.radial)]
        if self.pair_features:
            seen.append(x["pairs"])
        if self.pair_concat_channels:
            shape = (*seen[0].shape[:-1], self.pair_concat_channels)
            given = jnp.broadcast_to(cond.get("pairs", jnp.zeros(())), shape)
            keep = jnp.broadcast_to(cond.get("keep", jnp.ones(())), shape[:1])
            seen.append(jnp.where(keep[:, None, None, None] > 0, given, 0))
        return jnp.concatenate(seen, -1)


class Block(nnx.Module):
    """Attention with a bias from pairs, dense layers of nodes, dense layers of pairs; all gates start at zero."""

    def __init__(self, dim, pair_dim, heads, mlp_ratio, rngs):
        self.heads = heads
        self.modulation = Linear(dim, 6 * dim, scale=0.0, rngs=rngs)
        self.pair_modulation = Linear(dim, 3 * pair_dim, scale=0.0, rngs=rngs)
        self.query_key_value, self.out = Linear(dim, 3 * dim, rngs=rngs), Linear(dim, dim, rngs=rngs)
        self.bias = Linear(pair_dim, heads, rngs=rngs)
        self.mlp_in, self.mlp_out = Linear(dim, mlp_ratio * dim, rngs=rngs), Linear(mlp_ratio * dim, dim, rngs=rngs)
        self.pair_in, self.pair_of_nodes = Linear(pair_dim, pair_dim, rngs=rngs), Linear(dim, pair_dim, rngs=rngs)
        self.pair_out = Linear(pair_dim, pair_dim, rngs=rngs)

    def __call__(self, h, pairs, embedding, mask):
        scale, shift, gate, scale_mlp, shift_mlp, gate_mlp = _parts(self.modulation(embedding), 6, h)
        normed = layer_norm(pairs)
        query, key, value = jnp.split(self.query_key_value(layer_norm(h) * (1 + scale) + shift), 3, axis=-1)
        h = h + gate * self.out(self.attend(query, key, value, self.bias(normed), mask))
        hidden = jax.nn.gelu(self.mlp_in(layer_norm(h) * (1 + scale_mlp) + shift_mlp))
        h = h + gate_mlp * self.mlp_out(hidden)
        scale, shift, gate = (part[:, None] for part in _parts(self.pair_modulation(embedding), 3, h))
        of_nodes = self.pair_of_nodes(layer_norm(h))
        hidden = self.pair_in(normed * (1 + scale) + shift) + of_nodes[:, :, None] + of_nodes[:, None]
        return h, pairs + gate * self.pair_out(jax.nn.silu(hidden))

    def attend(self, query, key, value, bias, mask):
        """softmax(q k^T / sqrt(dim / heads) + bias) v over keys that are there. bias: (B, n, n, heads); mask: (B or 1, n, 1)."""
        heads = [each.reshape(*each.shape[:2], self.heads, -1) for each in (query, key, value)]
        there = jnp.broadcast_to(mask[:, None, None, :, 0] > 0, (len(query), 1, 1, mask.shape[1]))
        return jax.nn.dot_product_attention(*heads, bias=bias.transpose(0, 3, 1, 2), mask=there).reshape(query.shape)


def radial_functions(squared, count: int):
    """exp(-(log d - c)^2 / 2 w^2), centres c evenly spaced in log d from .1 to 10, w their spacing; smooth where d = 0.

    Resolution in proportion to distance: x comes to a network with unit variance, where a bond is about as long as that.
    squared: (..., 1) -> (..., count).
    """
    centres = np.linspace(math.log(0.1), math.log(10.0), count, dtype=np.float32)
    width = math.log(100.0) / max(count - 1, 1)
    # The square root's slope is infinite at zero, and the logarithm's too: both are kept away from it.
    log_distance = 0.5 * jnp.log(squared.astype(jnp.float32) + 1e-3)
    return jnp.exp(-0.5 * jnp.square((log_distance - centres) / width))


def _parts(modulation, count: int, h):
    # (B, count * width) -> count of (B, 1, width), in h's dtype.
    return jnp.split(modulation.astype(h.dtype)[:, None], count, axis=-1)
