"""Statistics of x_0 as operators: style and texture matching is an `Observation` of one of them.

    steer(denoiser, Observation(PowerSpectrum(), target, 0.1)),  sampled with "ddpm"

Each maps a batch to a batch and is differentiable; none is linear. Early x0_hat is nearly constant and its statistics are nothing like
the data's, so a tight noise_std pushes hard there: a stochastic solver forgets the first pushes, a deterministic one carries them on.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


class PowerSpectrum(eqx.Module):
    """Isotropic power spectrum of each channel over the spatial axes: arrays (B, *spatial, C) -> (B, bins, C).

    P_b = mean over modes k with |k| in shell b of |F x|^2_k,  F the orthonormal Fourier transform: white noise of variance v has P = v.

    Shells are equally wide in frequency, up to and with 1/2 cycle a grid point; the mean of x (k = 0) is in none, nor are the corners.

    Args: bins: None takes half the shortest axis; log: log(P + floor) in its place, natural; floor: bounds the gradient of the
    logarithm, which is 2 / sqrt(P) otherwise, in units of P.
    Raises: ValueError if a shell holds no mode.
    """

    bins: int | None = eqx.field(static=True, default=None)
    log: bool = eqx.field(static=True, default=True)
    floor: float = 1e-3

    def __call__(self, x_0):
        return jax.tree.map(self._leaf, x_0)

    def _leaf(self, x):
        spatial = x.shape[1:-1]
        bins = min(spatial) // 2 if self.bins is None else self.bins
        shell = (
            np.ceil(2 * bins * self._frequency(spatial) - 1e-6).astype(int) - 1
        )  # -1 for the mean, >= bins for corners
        inside = np.flatnonzero((shell >= 0) & (shell < bins))
        count = np.bincount(shell[inside], minlength=bins)
        if not count.all():
            raise ValueError(
                f"{bins} bins over the spatial shape {spatial}: shell {int(np.argmin(count))} holds no mode"
            )
        modes = jnp.fft.fftn(x, axes=range(1, x.ndim - 1), norm="ortho")
        power = (modes.real**2 + modes.imag**2).reshape(x.shape[0], -1, x.shape[-1])
        sums = jax.ops.segment_sum(jnp.moveaxis(power, 1, 0)[inside], shell[inside], bins)
        mean = jnp.moveaxis(sums / count[:, None, None].astype(x.dtype), 0, 1)
        return jnp.log(mean + self.floor) if self.log else mean

    @staticmethod
    def _frequency(spatial):
        axes = np.meshgrid(*(np.fft.fftfreq(n) for n in spatial), indexing="ij")
        return np.sqrt(sum(axis**2 for axis in axes)).ravel()


class Quantiles(eqx.Module):
    """Marginal quantiles of each channel over the spatial axes, linearly interpolated: arrays (B, *spatial, C) -> (B, levels, C).

    levels: in [0, 1]. The gradient is that of the sorted entries.
    """

    levels: jax.Array = eqx.field(converter=lambda value: jnp.asarray(value, jnp.result_type(float)))

    def __call__(self, x_0):
        def leaf(x):
            rows = x.reshape(x.shape[0], -1, x.shape[-1])
            return jnp.moveaxis(jnp.quantile(rows, self.levels, axis=1), 0, 1)

        return jax.tree.map(leaf, x_0)


class Gram(eqx.Module):
    """Mean outer products of features over positions: G = (1/n) sum_i f_i f_i^T, (B, F, F)           (Gatys et al. 2016, eq. 3)

    features: x_0 -> (B, ..., F) or a pytree of these, e.g. layers of a network, x_0 itself (channels) or a filter bank.
    """

    features: Callable

    def __call__(self, x_0):
        def leaf(f):
            rows = f.reshape(f.shape[0], -1, f.shape[-1])
            return jnp.einsum("bnf,bng->bfg", rows, rows) / rows.shape[1]

        return jax.tree.map(leaf, self.features(x_0))
