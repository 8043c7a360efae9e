"""An E(3)-equivariant graph network on point clouds (Satorras et al. 2021, arXiv:2102.09844; as in EDM, arXiv:2203.17003)."""

import jax
import jax.numpy as jnp
from flax import nnx

from sciddm.networks.conditioned import Conditioned
from sciddm.networks.layers import Linear


class EGNN(Conditioned):
    """network(x, noise_level, cond) -> like x, for x = {"positions": (B, n, 3), "features": (B, n, f)}.

    Positions of the answer are displacements with zero centre of mass: they turn and reflect with x, and do not see where its
    centre is; features of the answer are invariant. Both follow a permutation of the points. Every point sees every other:

        m_ij = e_ij phi_e(h_i, h_j, d_ij^2, d0_ij^2)                   e_ij = sigmoid(w . m_ij), d0 the distances in x
        x_i <- x_i + sum_j (x_i - x_j) / (d_ij + 1) phi_x(m_ij) / neighbours
        h_i <- h_i + phi_h(h_i, sum_j m_ij / neighbours)               (eqs. 3 to 6; gate and d + 1 as in EDM, eqs. 11, 12)

    Args:
        features_in: f; hidden: width of h and m; layers: how often points exchange messages; neighbours: what sums are divided by.
        concat_channels, embedding_features: as for `UNet`, cond["concat"] (B, n, C) being invariant features of the points.
        cond["mask"] (B, n) is 1 at points that are there and 0 at padding, which changes nothing and is answered with zero.
    Raises: ValueError on a cond key that the network was not made for.
    """

    def __init__(
        self, features_in: int, *, hidden: int = 64, layers: int = 4, neighbours: float = 8.0, concat_channels: int = 0,
        embedding_features: int = 0, rngs: nnx.Rngs,
    ):  # fmt: skip
        kinds = {"concat_channels": concat_channels, "embedding_features": embedding_features}
        super().__init__(hidden, **kinds, others=("mask",), rngs=rngs)
        self.stem = Linear(features_in + concat_channels, hidden, rngs=rngs)
        self.layers = nnx.List([Layer(hidden, neighbours, rngs) for _ in range(layers)])
        self.head = Linear(hidden, features_in, scale=0.0, rngs=rngs)

    def __call__(self, x, noise_level, cond=None):
        positions, features = x["positions"], x["features"]
        mask = (cond or {}).get("mask")
        mask = (jnp.ones(positions.shape[:2]) if mask is None else mask)[..., None].astype(positions.dtype)
        embedding, h, _ = self.conditions(features, noise_level, cond)
        h = mask * (self.stem(h) + embedding[:, None].astype(h.dtype))
        start = moved = centred(positions, mask)
        pairs = (mask * mask.swapaxes(1, 2) * (1 - jnp.eye(mask.shape[1], dtype=mask.dtype)))[..., None]
        squared_at_start = squared_distances(start)
        for layer in self.layers:
            moved, h = layer(moved, h, squared_at_start, pairs, mask)
        return {"positions": centred(moved - start, mask), "features": mask * self.head(h)}


class Layer(nnx.Module):
    """One exchange of messages. What would act on concatenated inputs is a sum of dense layers, so h never becomes (B, n, n, 2 hidden)."""

    def __init__(self, hidden: int, neighbours: float, rngs):
        self.neighbours = neighbours
        self.pair, self.distances = Linear(hidden, 2 * hidden, rngs=rngs), Linear(2, hidden, rngs=rngs)
        self.message, self.gate = Linear(hidden, hidden, rngs=rngs), Linear(hidden, 1, rngs=rngs)
        self.move_in, self.move_out = Linear(hidden, hidden, rngs=rngs), Linear(hidden, 1, scale=0.0, rngs=rngs)
        self.self_in, self.gathered_in = Linear(hidden, hidden, rngs=rngs), Linear(hidden, hidden, rngs=rngs)
        self.update_out = Linear(hidden, hidden, scale=0.1, rngs=rngs)

    def __call__(self, positions, h, squared_at_start, pairs, mask):
        squared = squared_distances(positions)
        to, of = jnp.split(self.pair(h), 2, axis=-1)
        hidden = to[:, :, None] + of[:, None] + self.distances(jnp.concatenate([squared, squared_at_start], -1))
        message = jax.nn.silu(self.message(jax.nn.silu(hidden)))
        message = message * (jax.nn.sigmoid(self.gate(message)) * pairs)
        # sum_j (x_i - x_j) w_ij is x_i sum_j w_ij - sum_j w_ij x_j: no array of differences.
        weight = self.move_out(jax.nn.silu(self.move_in(message)))
        weight = (weight * pairs / (jnp.sqrt(squared + 1e-8) + 1.0))[..., 0] / self.neighbours
        moved = positions + positions * weight.sum(2)[..., None] - weight @ positions
        gathered = message.sum(2) / self.neighbours
        return moved, h + mask * self.update_out(jax.nn.silu(self.self_in(h) + self.gathered_in(gathered)))


def squared_distances(positions):
    """(B, n, 3) -> (B, n, n, 1)."""
    return jnp.square(positions[:, :, None] - positions[:, None]).sum(-1, keepdims=True)


def centred(positions, mask):
    """Positions (B, n, 3) less the mean over points that are there, zero elsewhere. mask: (B, n, 1)."""
    mean = (positions * mask).sum(1, keepdims=True) / jnp.maximum(mask.sum(1, keepdims=True), 1.0)
    return (positions - mean) * mask
