"""In which arithmetic is the network trained? Its parameters, the loss and all algebra around it are float32 in any case."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.denoiser import NetworkDenoiser

PRECISIONS = ("float32", "bfloat16")


class InPrecision(eqx.Module):
    """A network whose inside is computed in another type: what goes in is cast to it, what comes out is cast back.

    The layers take their parameters in the type of their input, so that gradients reach the float32 parameters in float32 (mixed
    precision, Micikevicius et al. 2018, arXiv:1710.03740; bfloat16 has the range of float32 and needs no loss scaling).
    """

    network: Any
    dtype: Any = eqx.field(static=True)

    def __call__(self, x, noise_level, cond=None):
        """x, cond: float leaves of any type; noise_level stays as it is, bfloat16 would merge neighbouring levels."""
        out = self.network(_cast(x, self.dtype), noise_level, _cast(cond, self.dtype))
        return jax.tree.map(lambda leaf, like: leaf.astype(like.dtype), out, x)


def in_precision(denoiser: NetworkDenoiser, precision: str) -> NetworkDenoiser:
    """`denoiser` with its network in that precision; float32 leaves it as it is."""
    if precision == "float32":
        return denoiser
    network = InPrecision(denoiser.network, jnp.dtype(precision))
    return NetworkDenoiser(network, denoiser.process, denoiser.prediction, denoiser.sigma_data)


def _cast(tree, dtype):
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, tree)
