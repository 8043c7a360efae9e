"""Synchronised windows: a large sample from a model of small ones, whose views of it agree at every step.

With views P_i of the whole z (`sd.lookahead.windows`, `patches`, `sphere`, `mesh`), D_i = D(P_i z) and A their weighted average,

    "x0"      D' = A(D_i)                                                  (SyncTweedies, Kim et al. 2024, arXiv:2403.14370)
    "xt"      velocity' = A(velocities)                                    (MultiDiffusion, Bar-Tal et al. 2023, arXiv:2302.08113)
              D' = A(D_i) + sigma' / (alpha' sigma - alpha sigma') (A(P z) - z)
    "loss"    D' = A(D_i) - scale (sigma^2 / alpha) grad_z loss(D_i)       (SyncDiffusion, Lee et al. 2023, arXiv:2306.05178)
    "bethe"   D' = sum_i P_i^T D_i - sum_o P_o^T D(P_o z), o the overlaps  (Bethe approximation of the score)
    "centre"  each point from the view in which it is most central         (SDA, Rozet & Louppe 2023, arXiv:2306.10574)

"xt" is "x0" exactly where views pick points, for then A P z = z. Views that interpolate don't resolve everything, and "xt" leaves
there the noise that it began with: prefer "x0". Averages lose variance on overlaps, and all of them lose correlations beyond
a window; "bethe" keeps most, and is exact for a Markov chain as sigma -> 0.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.answer import Answer, Kick
from sciddm.arithmetic import batch_size, combine
from sciddm.denoiser import Denoiser, Draws, Guide
from sciddm.keys import whole
from sciddm.lookahead.gradients import gain, guidance_norm
from sciddm.lookahead.views import Views
from sciddm.noise import White

STRATEGIES = ("x0", "xt", "loss", "bethe", "centre")


def synchronize(
    denoiser: Denoiser, views: Views, *, strategy: str = "x0", scale=1.0, loss: Callable | None = None, chunk: int | None = None,
    sharding=None,
) -> Denoiser:  # fmt: skip
    """A denoiser of the whole, (B, canonical, ...), from a `denoiser` of one view, (B views, view, ...).

    Its report has `disagreement`, (B,): the root mean square of D_i - P_i D' over all views. `cond` is repeated for the views
    where its leaves have B rows, and taken view by view (row b V + v) where they have B V. t: () or (B,).

    Args:
        loss: of "loss": (view_x0 (B, V, view, ...), anchor (B, view, ...), the middle view's, held fixed) -> (B,);
            None: sum_i w_i |D_i - P_i A(D)|^2 / 2, which changes nothing where views agree.
        scale: of "loss".
        chunk: views evaluated at a time, so that the network's memory does not grow with the whole; None: all at once.
        sharding: a NamedSharding of the rows b V + v over automatic mesh axes; views are padded to a multiple of its devices.
    Raises: ValueError on another strategy, a loss without "loss", "bethe" where the views are no windows or cond is one a view,
        a chunk below 1, a t of other shape, or a process whose noise is not white: a window of other noise has another law.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy = {strategy!r}: expected one of {STRATEGIES}")
    if loss is not None and strategy != "loss":
        raise ValueError(f"loss is given with strategy = {strategy!r}: expected strategy = 'loss'")
    if strategy == "bethe" and views.overlaps is None:
        raise ValueError(
            "strategy = 'bethe' needs the overlaps of windows or patches: use 'x0' or 'centre' with other views"
        )
    if chunk is not None:
        whole(chunk, "chunk")
    if not isinstance(denoiser.process.noise, White):
        raise ValueError(
            f"synchronize: the process has {type(denoiser.process.noise).__name__} noise, expected White, whose windows are white"
        )
    denoiser.sampling.refuse("are of one view", "synchronise the plain denoiser, and put the guide around")
    return Synchronized(denoiser, views, strategy, jnp.asarray(scale, jnp.float32), loss, chunk, sharding)


class Synchronized(Guide):
    """See `synchronize`."""

    views: Views
    strategy: str = eqx.field(static=True)
    scale: jax.Array
    loss: Any
    chunk: int | None = eqx.field(static=True)
    sharding: Any = eqx.field(static=True)

    def extra_calls(self):
        return self.denoiser.calls * len(self.views.overlaps) if self.strategy == "bethe" else 0

    def evaluate(self, x_t, t, cond=None):
        if jnp.ndim(t) > 1 or (jnp.ndim(t) == 1 and jnp.shape(t)[0] != batch_size(x_t)):
            raise ValueError(f"t of shape {jnp.shape(t)}: synchronize expects () or one a sample, ({batch_size(x_t)},)")
        views = self.views
        if self.strategy == "loss":

            def ask(z):
                answer = self._ask(views, z, t, cond)
                return answer.x0_hat, answer

            x0_hat, vjp, answer = jax.vjp(ask, x_t, has_aux=True)
            agreed, report = views.average(x0_hat), {}
            gradient = vjp(self._loss_gradient(x0_hat, agreed))[0]
            steered = combine(1.0, agreed, -self.scale * gain(self.process, t), gradient)
            report["guidance_norm"] = guidance_norm(self.process, x_t, t, agreed, steered)
            agreed = steered
        else:
            answer, report = self._ask(views, x_t, t, cond), {}
            x0_hat = answer.x0_hat
            if self.strategy == "bethe":
                agreed = self._bethe(x0_hat, x_t, t, cond)
            else:
                agreed = views.average(x0_hat, views.central if self.strategy == "centre" else None)
            if self.strategy == "xt" and views.coefficients is not None:
                smoothed = combine(1.0, views.average(views.project(x_t)), -1.0, x_t)
                agreed = combine(1.0, agreed, self._xt_share(t), smoothed)
        report["disagreement"] = views.root_mean_square(views.residual(x0_hat, agreed))
        return answer.to(agreed, report)

    def _loss_gradient(self, x0_hat, agreed):
        if self.loss is None:
            # The average minimises this loss over fields, so that its own change with z counts for nothing: no derivative of A.
            return self.views.weigh(self.views.residual(x0_hat, agreed))

        def split(x):
            return jax.tree.map(lambda leaf: leaf.reshape(-1, self.views.count, *leaf.shape[1:]), x)

        anchor = jax.tree.map(lambda leaf: leaf[:, self.views.count // 2], split(x0_hat))
        value, vjp = jax.vjp(lambda x: self.loss(split(x), anchor), x0_hat)
        return vjp(jnp.ones_like(value))[0]

    def _bethe(self, x0_hat, x_t, t, cond):
        total = self.views.unproject(x0_hat)
        for sign, overlap in self.views.overlaps:
            known = self._ask(overlap, x_t, t, cond).unmoved("strategy = 'bethe'").x0_hat
            total = combine(1.0, total, sign, overlap.unproject(known))
        return total

    def _xt_share(self, t):
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        alpha_rate, sigma_rate = self.process.rates(t)
        share = sigma_rate / (alpha_rate * sigma - alpha * sigma_rate)
        return jnp.where(jnp.isfinite(share), share, -1.0 / alpha)  # sigma' may be infinite where sigma = 0

    def _ask(self, views, z, t, cond):
        """x0_hat of every view, (B V, view, ...), with the denoiser's report and kick averaged over views: (B,), and like z."""
        batch, count = batch_size(z), views.count
        x, t = at_own_level(self.process, views, views.project(z), t, batch)
        cond = jax.tree.map(lambda leaf: _per_view(leaf, batch, count, views is self.views), cond)
        devices = 1 if self.sharding is None else len(self.sharding.device_set)
        size = min(self.chunk or count, count)
        size = -(-size // devices) * devices
        chunks = -(-count // size)
        rows, shared = eqx.partition((x, t, cond), lambda leaf: jnp.ndim(leaf) > 0)
        drawing, quiet = eqx.partition(self.denoiser, _is_draws, is_leaf=_is_draws)
        drawing = jax.tree.map(lambda draws: _view_draws(draws, batch, count), drawing, is_leaf=_is_draws)

        def split(leaf):  # (B V, ...) -> (chunks, B size, ...), the last view once more for those that lack
            leaf = leaf.reshape(batch, count, *leaf.shape[1:])
            rest = chunks * size - count
            if rest:
                leaf = jnp.concatenate([leaf, jnp.repeat(leaf[:, -1:], rest, 1)], 1)
            leaf = leaf.reshape(batch, chunks, size, *leaf.shape[2:])
            return jnp.moveaxis(leaf, 1, 0).reshape(chunks, batch * size, *leaf.shape[3:])

        def join(leaf):
            leaf = jnp.moveaxis(leaf.reshape(chunks, batch, size, *leaf.shape[2:]), 0, 1)
            return leaf.reshape(batch, chunks * size, *leaf.shape[3:])[:, :count].reshape(
                batch * count, *leaf.shape[3:]
            )

        def place(tree):
            if self.sharding is None:
                return tree
            return jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, self.sharding), tree)

        def network(part):
            own, drawing = part
            x, t, cond = eqx.combine(place(own), shared)
            return place(eqx.combine(drawing, quiet, is_leaf=_is_draws).evaluate(x, t, cond))

        parts = jax.tree.map(split, (rows, drawing))
        if chunks == 1:
            out = jax.tree.map(lambda leaf: leaf[None], network(jax.tree.map(lambda leaf: leaf[0], parts)))
        else:  # rematerialised, so that a gradient too holds one chunk's activations
            out = jax.lax.map(jax.checkpoint(network), parts)
        answer = jax.tree.map(join, out)
        report = jax.tree.map(lambda leaf: jnp.mean(leaf.reshape(batch, count), 1), answer.report)
        kick = answer.kick
        if kick is not None:  # a move of every view is one of the whole
            if views.noise_gain is not None:
                answer.unmoved("views that interpolate, whose x is another one,")
            kick = Kick(*(None if k is None else views.average(k) for k in (kick.of_x_s, kick.of_x_t, kick.of_x_0)))
        return Answer(answer.x0_hat, report, kick)


def at_own_level(process, views: Views, x, t, batch: int):
    """x and t of each view at the noise level that the denoiser should be asked about.

    Interpolation weakens white noise by `noise_gain` g: the view is alpha P x_0 + sigma g eps, which is a noisy view of the time t'
    with log_snr(t') = log_snr(t) - 2 log g, scaled by alpha(t') / alpha(t) = sigma(t') / (g sigma(t)).

    Args: x: (B V, view, ...); t: () or (B,). Returns: x; t': (B V,), or t itself where it is one for all.
    """
    if views.noise_gain is None:
        return x, (jnp.repeat(t, views.count) if jnp.ndim(t) else t)
    t = jnp.broadcast_to(jnp.asarray(t), (batch,))[:, None]
    before = process.level(t)
    after = process.level(own := jnp.clip(process.time(before.log_snr - 2 * jnp.log(views.noise_gain)), 0.0, 1.0))
    by_noise = after.sigma / (views.noise_gain * jnp.where(before.sigma > 0, before.sigma, 1.0))
    by_signal = after.alpha / jnp.where(before.alpha > 0, before.alpha, 1.0)
    scale = jnp.where(before.alpha > before.sigma, by_signal, by_noise).reshape(-1)
    return combine(scale, x, 0.0, x), own.reshape(-1)


def _per_view(leaf, batch, count, whole):
    if jnp.ndim(leaf) == 0:
        return leaf
    if jnp.shape(leaf)[0] == batch:
        return jnp.repeat(jnp.asarray(leaf), count, axis=0)
    if jnp.shape(leaf)[0] == batch * count and whole:
        return leaf
    raise ValueError(
        f"cond has a leaf of {jnp.shape(leaf)[0]} rows: expected {batch}, one a sample"
        + (
            f", or {batch * count}, one a view"
            if whole
            else "; 'bethe' also asks about overlaps, which have no cond of their own"
        )
    )


def _is_draws(node):
    return isinstance(node, Draws)


def _view_draws(draws, batch, count):
    # the step's keys of an inner guide, (B,), as (B V,): each view draws for itself, whatever the chunk
    if not _is_draws(draws):
        return draws
    each = jax.vmap(lambda key: jax.vmap(lambda v: jax.random.fold_in(key, v))(jnp.arange(count)))(draws(batch))
    return Draws(each.reshape(batch * count, *each.shape[2:]))
