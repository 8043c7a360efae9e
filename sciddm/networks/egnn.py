"""An E(3)-equivariant graph network on point clouds (Satorras et al. 2021, arXiv:2102.09844; as in EDM, arXiv:2203.17003)."""

import jax
import jax.numpy as jnp
from flax import nnx

from sciddm.networks.conditioned import Conditioned
from sciddm.networks.layers import Linear, layer_norm, need_positive


class EGNN(Conditioned):
    """network(x, noise_level, cond) -> like x, for x = {"positions": (B, n, 3), "features": (B, n, f)[, "pairs": (B, n, n, k)]}.

    Positions of the answer are displacements with zero centre of mass: they turn and reflect with x, and do not see where its
    centre is; features and pairs of the answer are invariant. All follow a permutation of the points. Every point sees every other:

        m_ij = e_ij phi_e(h_i, h_j, d_ij, d0_ij, p_ij)                 e_ij = sigmoid(w . m_ij), d0 the distances in x
        x_i <- x_i + sum_j (x_i - x_j) / (d_ij + 1) phi_x(m_ij) / neighbours
        h_i <- h_i + phi_h(h_i, sum_j m_ij / neighbours)               (eqs. 3 to 6; gate and d + 1 as in EDM, eqs. 11, 12)
        p_ij <- p_ij + m_ij                                            where there are pairs, which are read from p_ij + p_ji at the end

    Args:
        features_in: f; pair_features: k, 0 for points alone; hidden: width of h, m and p; layers: how often points exchange messages.
        neighbours: what sums are divided by; radial: Gaussians that spread a distance out, from 0 to `reach`, beside its square.
        concat_channels, embedding_features: as for `UNet`, cond["concat"] (B, n, C) being invariant features of the points;
        pair_concat_channels: of cond["pairs"] (B, n, n, C), invariant features of pairs that are given, zeros where they are not.
        cond["mask"] (B, n), or (1, n) for all, is 1 at points that are there and 0 at padding, which changes nothing and is answered
        with zero.
    Raises: ValueError on a cond key that the network was not made for.
    """

    def __init__(
        self, features_in: int, *, pair_features: int = 0, hidden: int = 64, layers: int = 4, neighbours: float = 8.0, radial: int = 0,
        reach: float = 4.0, concat_channels: int = 0, embedding_features: int = 0, pair_concat_channels: int = 0, rngs: nnx.Rngs,
    ):  # fmt: skip
        need_positive(hidden=hidden, layers=layers)
        if not neighbours > 0 or radial < 0 or not reach > 0:
            raise ValueError(f"neighbours = {neighbours}, radial = {radial}, reach = {reach}: expected above 0, at least 0, above 0")
        kinds = {"concat_channels": concat_channels, "embedding_features": embedding_features}
        others = ("mask", "pairs") if pair_concat_channels else ("mask",)
        super().__init__(hidden, **kinds, others=others, rngs=rngs)
        self.radial, self.reach, self.pair_concat_channels = radial, reach, pair_concat_channels
        self.stem = Linear(features_in + concat_channels, hidden, rngs=rngs)
        of_pairs = pair_features + pair_concat_channels
        self.pair_stem = Linear(of_pairs, hidden, rngs=rngs) if of_pairs else None
        self.layers = nnx.List([Layer(hidden, 2 + 2 * radial, neighbours, rngs) for _ in range(layers)])
        self.head = Linear(hidden, features_in, scale=0.0, rngs=rngs)
        self.pair_head = Linear(hidden, pair_features, scale=0.0, rngs=rngs) if pair_features else None

    def __call__(self, x, noise_level, cond=None):
        positions, features = x["positions"], x["features"]
        mask = (cond or {}).get("mask")
        mask = jnp.ones(positions.shape[:2]) if mask is None else jnp.broadcast_to(mask, positions.shape[:2])
        mask = mask[..., None].astype(positions.dtype)
        embedding, h, _ = self.conditions(features, noise_level, cond)
        embedding = jax.nn.silu(embedding)[:, None].astype(h.dtype)
        h = mask * self.stem(h)
        start = moved = centred(positions, mask)
        real = (mask * mask.swapaxes(1, 2) * (1 - jnp.eye(mask.shape[1], dtype=mask.dtype)))[..., None]
        pairs = self._pairs(x, cond)
        spread_at_start = self._spread(squared_distances(start))
        for layer in self.layers:
            squared = squared_distances(moved)
            distances = jnp.concatenate([self._spread(squared), spread_at_start], -1)
            moved, h, message = layer(moved, h, squared, distances, pairs, real, mask, embedding)
            pairs = pairs + message
        out = {"positions": centred(moved - start, mask), "features": mask * self.head(layer_norm(h))}
        if self.pair_head is not None:
            out["pairs"] = real * self.pair_head(0.5 * (pairs + pairs.swapaxes(1, 2)))
        return out

    def _spread(self, squared):
        # (B, n, n, 1) -> (B, n, n, 1 + radial)
        if not self.radial:
            return squared
        width = self.reach / self.radial
        centres = jnp.linspace(0.0, self.reach, self.radial).astype(squared.dtype)
        return jnp.concatenate(
            [squared, jnp.exp(-0.5 * jnp.square((jnp.sqrt(squared + 1e-8) - centres) / width))], axis=-1
        )

    def _pairs(self, x, cond):
        # (B, n, n, hidden), what is known of pairs beside their distance; 0. where there is nothing of the kind
        if self.pair_stem is None:
            return 0.0
        parts = [x["pairs"]] if self.pair_head is not None else []
        if self.pair_concat_channels:
            positions, cond = x["positions"], cond or {}
            batch, n = positions.shape[:2]
            given = cond.get("pairs", jnp.zeros((1, n, n, self.pair_concat_channels)))
            given = jnp.broadcast_to(given, (batch, n, n, self.pair_concat_channels)).astype(positions.dtype)
            if "keep" in cond:
                given = given * cond["keep"].reshape(-1, 1, 1, 1).astype(given.dtype)
            parts.append(given)
        return self.pair_stem(jnp.concatenate(parts, -1))


class Layer(nnx.Module):
    """One exchange of messages. What would act on concatenated inputs is a sum of dense layers, so h never becomes (B, n, n, 2 hidden)."""

    def __init__(self, hidden: int, distances: int, neighbours: float, rngs):
        self.neighbours = neighbours
        self.pair, self.distances = Linear(hidden, 2 * hidden, rngs=rngs), Linear(distances, hidden, rngs=rngs)
        self.message, self.gate = Linear(hidden, hidden, rngs=rngs), Linear(hidden, 1, rngs=rngs)
        self.move_in, self.move_out = Linear(hidden, hidden, rngs=rngs), Linear(hidden, 1, scale=0.0, rngs=rngs)
        self.self_in, self.gathered_in = Linear(hidden, hidden, rngs=rngs), Linear(hidden, hidden, rngs=rngs)
        self.level = Linear(hidden, hidden, rngs=rngs)
        self.update_out = Linear(hidden, hidden, scale=0.1, rngs=rngs)

    def __call__(self, positions, h, squared, distances, known, real, mask, embedding):
        level = self.level(embedding)
        of_points = layer_norm(h) + level
        to, of = jnp.split(self.pair(of_points), 2, axis=-1)
        hidden = to[:, :, None] + of[:, None] + self.distances(distances) + known
        message = jax.nn.silu(self.message(jax.nn.silu(hidden)))
        message = message * (jax.nn.sigmoid(self.gate(message)) * real)
        # sum_j (x_i - x_j) w_ij is x_i sum_j w_ij - sum_j w_ij x_j: no array of differences.
        weight = self.move_out(jax.nn.silu(self.move_in(message)))
        weight = (weight * real / (jnp.sqrt(squared + 1e-8) + 1.0))[..., 0] / self.neighbours
        moved = positions + positions * weight.sum(2)[..., None] - weight @ positions
        gathered = message.sum(2) / self.neighbours
        update = self.update_out(jax.nn.silu(self.self_in(of_points) + self.gathered_in(gathered)))
        return moved, h + mask * update, message


def squared_distances(positions):
    """(B, n, 3) -> (B, n, n, 1)."""
    return jnp.square(positions[:, :, None] - positions[:, None]).sum(-1, keepdims=True)


def centred(positions, mask):
    """Positions (B, n, 3) less the mean over points that are there, zero elsewhere. mask: (B, n, 1)."""
    mean = (positions * mask).sum(1, keepdims=True) / jnp.maximum(mask.sum(1, keepdims=True), 1.0)
    return (positions - mean) * mask
