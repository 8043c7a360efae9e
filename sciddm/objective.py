"""Training losses: which noise levels are drawn, and how each weighs."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import batch_size
from sciddm.denoiser import NetworkDenoiser
from sciddm.keys import one_key, sample_keys
from sciddm.process import GaussianProcess

# Weight of |x0_hat - x_0|^2, as a function of the log signal-to-noise ratio and sigma_data (a scalar).
WEIGHTINGS: dict[str, Callable] = {
    "edm": lambda log_snr, sd: jnp.exp(log_snr) + sd**-2,  # (sigma^2 + sd^2) / (sigma sd)^2, arXiv:2206.00364 table 1
    "min-snr": lambda log_snr, sd: jnp.minimum(jnp.exp(log_snr), 5.0),  # gamma = 5, arXiv:2303.09556 eq. 3
    "uniform": lambda log_snr, sd: jnp.exp(log_snr),  # |eps - eps_hat|^2 with weight 1, arXiv:2006.11239 eq. 14
    "sigmoid": lambda log_snr, sd: jnp.exp(log_snr) * jax.nn.sigmoid(2.0 - log_snr),  # bias 2, arXiv:2303.00848
}


def _stratified(key, i, count):
    # One common shift of a regular grid: sample i's time needs the batch size, by definition of stratifying.
    return jnp.mod(jax.random.uniform(key) + i / count, 1.0)


def _uniform(key, i, count):
    return jax.random.uniform(jax.random.fold_in(key, i))


def _normal(key, i, count):
    # Stratified quantiles: the law is the normal one, with less variance from batch to batch.
    u = jnp.clip(_stratified(key, i, count), 1e-4, 1 - 1e-4)
    return jax.scipy.stats.norm.ppf(u)


# Times of one training batch: (key, sample index, batch size, process, sigma_data) -> t in (0, 1).
TIMES: dict[str, Callable] = {
    "uniform": lambda key, i, n, process, sd: _uniform(key, i, n),
    "stratified": lambda key, i, n, process, sd: _stratified(key, i, n),
    # ln(sigma / alpha) ~ N(-1.2, 1.2^2) at sigma_data = 0.5, shifted with sigma_data (EDM, arXiv:2206.00364 table 1)
    "log-normal": lambda key, i, n, process, sd: process.time(
        -2.0 * (-1.2 + 1.2 * _normal(key, i, n) + jnp.log(sd / 0.5))
    ),
    "logit-normal": lambda key, i, n, process, sd: jax.nn.sigmoid(_normal(key, i, n)),  # arXiv:2403.03206 eq. 19
}


class Objective(eqx.Module):
    """Denoising score matching: E_t E_eps w(t) |x0_hat(x_t, t) - x_0|^2, the mean over the entries of x.

    weighting: a key of `WEIGHTINGS`; times: a key of `TIMES`; levels: one noise level a "sample", or one a "frame", an entry of the
    last axis of an array x_0, for networks that take them (diffusion forcing, Chen et al. 2024, arXiv:2407.01392).
    """

    weighting: str = eqx.field(static=True, default="edm")
    times: str = eqx.field(static=True, default="log-normal")
    levels: str = eqx.field(static=True, default="sample")

    def __check_init__(self):
        for name, value, table in (("weighting", self.weighting, WEIGHTINGS), ("times", self.times, TIMES)):
            if value not in table:
                raise ValueError(f"objective {name} {value!r} is none of {sorted(table)}")
        if self.levels not in ("sample", "frame"):
            raise ValueError(f"objective levels {self.levels!r} is none of ['frame', 'sample']")

    def sample_times(self, key, count: int, process: GaussianProcess, sigma_data=1.0):
        """(count,) training times in [0, 1]."""
        sd = mean_sigma(sigma_data)
        t = jax.vmap(lambda i: TIMES[self.times](key, i, count, process, sd))(jnp.arange(count))
        return jnp.clip(t, 1e-5, 1.0 - 1e-5)  # a network learns nothing at the two ends, where log_snr is infinite

    def __call__(self, denoiser: NetworkDenoiser, key, x_0, cond=None, loss_weight=None):
        """Weighted loss of each sample.

        Args:
            x_0: pytree of (B, ...), normalised; key: sample i's noise is keyed by fold_in(key, i).
            loss_weight: like x_0, how much each entry counts, such as 0 where it is missing or padding; None: all the same.
        Returns: (B,) losses.
        """
        return self.at(denoiser, *self.draws(denoiser, key, x_0), x_0, cond, loss_weight)

    def draws(self, denoiser: NetworkDenoiser, key, x_0):
        """(keys, t) of a batch: (B,) keys of its noise, and its times, (B,), or (B, 1, .., frames) where levels are a frame's own."""
        count = batch_size(x_0)
        key_t, key_eps = jax.random.split(one_key(key))
        frames = x_0.shape[-1] if self.levels == "frame" else 1
        t = self.sample_times(key_t, count * frames, denoiser.process, denoiser.sigma_data)
        if self.levels == "frame":
            t = t.reshape(count, *(1,) * (x_0.ndim - 2), frames)
        return sample_keys(key_eps, count), t

    def at(self, denoiser: NetworkDenoiser, keys, t, x_0, cond=None, loss_weight=None):
        """(B,) losses with these `draws`; of a part of a batch, where they are its own. t: (B,) is one level for all frames, too."""
        count, denoiser = batch_size(x_0), denoiser.given(cond)
        if self.levels == "frame" and t.ndim == 1:
            t = jnp.broadcast_to(t.reshape(count, *(1,) * (x_0.ndim - 1)), (count, *(1,) * (x_0.ndim - 2), x_0.shape[-1]))
        x_t, _ = denoiser.process.perturb(keys, x_0, t)
        weight = WEIGHTINGS[self.weighting](denoiser.process.log_snr(t), mean_sigma(denoiser.sigma_data))
        x0_hat = denoiser(x_t, t, cond)
        if self.levels == "frame":
            x0_hat, x_0, loss_weight = jax.tree.map(_frames_apart, (x0_hat, x_0, loss_weight))
        errors = squared_error(x0_hat, x_0, loss_weight)
        return jnp.mean((weight.reshape(-1) * errors).reshape(count, -1), axis=1)


def _frames_apart(x):
    # (B, ..., F) -> (B F, ...)
    return jnp.moveaxis(x, -1, 1).reshape(-1, *x.shape[1:-1])


def squared_error(x0_hat, x_0, loss_weight=None):
    """(B,) mean over all entries of |x0_hat - x_0|^2, weighed by `loss_weight`, like x_0; 0 where nothing counts."""
    if loss_weight is None:
        loss_weight = jax.tree.map(jnp.ones_like, x_0)

    def total(leaf):
        return jnp.sum(leaf.astype(jnp.float32), axis=tuple(range(1, leaf.ndim)))

    def error(estimate, clean, count):
        return total(count * (estimate - clean).astype(jnp.float32) ** 2)

    errors = jax.tree.map(error, x0_hat, x_0, loss_weight)
    entries = sum(total(leaf) for leaf in jax.tree.leaves(loss_weight))
    return sum(jax.tree.leaves(errors)) / jnp.maximum(entries, 1e-6)


def measure_sigma_data(x_0) -> Any:
    """Standard deviation of normalised data about zero, a scalar a leaf: sqrt(E[x_0^2]). x_0: pytree of (B, ...)."""
    return jax.tree.map(lambda leaf: jnp.sqrt(jnp.mean(jnp.square(leaf))), x_0)


def mean_sigma(sigma_data):
    """One scalar for weightings and time samplers: the root mean square of sigma_data over its leaves."""
    leaves = [jnp.mean(jnp.square(leaf)) for leaf in jax.tree.leaves(sigma_data)]
    return jnp.sqrt(sum(leaves) / len(leaves))
