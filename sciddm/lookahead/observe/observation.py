"""What was measured: y = A(x_0) + noise."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import batch_size
from sciddm.keys import fold, sample_keys
from sciddm.lookahead.observe.measurement import Gaussian, MeasurementNoise
from sciddm.lookahead.observe.operators import Matrix


class Observation(eqx.Module):
    """y = A(x_0) + noise, of normalised x_0. Itself a potential: observation(x_0, t) is its log-likelihood at any t.

    Args:
        operator: a function of a batch x_0 (B, ...) -> pytree of (B, ...), a (m, d) matrix on the flattened x_0, or an object of
            `sd.lookahead.operators` or `sd.lookahead.statistics`. A function that is not linear is linearised at x0_hat.
        value: like the operator's output, one for all samples (no batch axis) or one a sample.
        noise_std: standard deviation of Gaussian noise: a number, or an array that broadcasts to value (one a channel, a point, a
            sample); or another law: `sd.lookahead.Laplace`, `Poisson`, `Quantised`, `Clipped`; or a pytree of these like value.
    Raises: ValueError if noise_std is negative, or where value or noise_std does not fit the operator's output (at use).
    """

    operator: Any
    value: Any
    noise: Any  # a MeasurementNoise, or a pytree of them like value

    def __init__(self, operator, value, noise_std):
        is_matrix = not callable(operator) and jnp.ndim(operator) == 2
        if not callable(operator) and not is_matrix:
            raise ValueError(
                f"operator: expected a function or a (m, d) matrix, got {type(operator).__name__} of {jnp.ndim(operator)} axes"
            )
        self.operator = Matrix(jnp.asarray(operator, jnp.result_type(float))) if is_matrix else operator
        self.value = jax.tree.map(jnp.asarray, value)
        if jax.tree.structure(value) == jax.tree.structure(0) and isinstance(noise_std, (list, tuple)):
            noise_std = jnp.asarray(noise_std)
        self.noise = jax.tree.map(lambda law: law if _is_law(law) else Gaussian(law), noise_std, is_leaf=_is_law)

    def __call__(self, x_0, t=None):
        """`log_likelihood`."""
        return self.log_likelihood(x_0)

    def residual(self, x_0):
        """y - A(x_0), like the operator's output."""
        return self.residual_from(self.operator(x_0))

    def residual_from(self, prediction):
        """y - prediction, for a prediction A(x_0) already made; in the prediction's units, 0 where the instrument is saturated."""
        return self._each(lambda law, p, y: law.residual(_fit(y, p, "value"), p), prediction, self.value)

    def variance(self, prediction):
        """Variance of the residual, broadcastable to the operator's output; of other laws that of a Gaussian in their place."""
        return self._each(lambda law, p: law.variance(p), prediction)

    def linearize(self, x_0):
        """A(x_0) and its adjoint at x_0, u -> (dA/dx_0)^T u: the transpose itself where A is linear."""
        prediction, vjp = jax.vjp(self.operator, x_0)
        return prediction, lambda u: vjp(u)[0]

    def forward(self, x_0):
        """u -> (dA/dx_0) u, by transposing the adjoint: no forward mode, which networks with a custom vjp lack."""
        prediction, adjoint = self.linearize(x_0)
        transpose = jax.linear_transpose(adjoint, prediction)
        return lambda u: transpose(u)[0]

    def log_likelihood(self, x_0):
        """log p(y | A(x_0)), normalised, in nats. Returns (B,)."""

        def leaf(law, p, y):
            return jnp.sum(law.log_density(_fit(y, p, "value"), p), axis=tuple(range(1, p.ndim)))

        return sum(jax.tree.leaves(self._each(leaf, self.operator(x_0), self.value)))

    def simulate(self, key, x_0):
        """Draw y = A(x_0) + noise, like the operator's output. key: one key, folded by sample index, or (B,) keys."""
        prediction = self.operator(x_0)
        keys = sample_keys(key, batch_size(x_0))
        structure = jax.tree.structure(prediction)
        places = structure.unflatten(range(structure.num_leaves))
        return self._each(lambda law, p, place: law.sample(fold(keys, place), p), prediction, places)

    def _each(self, function, prediction, *trees):
        # function(law, prediction, ...) leaf by leaf, the law's parameters checked against this leaf
        structure = jax.tree.structure(prediction)
        laws = jax.tree.map(lambda _: self.noise, prediction) if _is_law(self.noise) else self.noise
        if jax.tree.structure(laws, is_leaf=_is_law) != structure:
            raise ValueError(
                f"observation noise_std has the structure {jax.tree.structure(laws, is_leaf=_is_law)}, the operator's output {structure}"
            )

        def leaf(law, p, *others):
            return function(jax.tree.map(lambda parameter: _fit(parameter, p, "noise_std"), law), p, *others)

        return jax.tree.map(leaf, laws, prediction, *trees, is_leaf=_is_law)


def _is_law(node):
    return isinstance(node, MeasurementNoise)


def _fit(value, prediction, name):
    # One for all samples has no batch axis: its trailing axes are those of one prediction. A value that broadcasts further than a
    # number or one a sample is a mistake, a noise level one a channel or a point is none.
    value = jnp.asarray(value)
    one, batch = prediction.shape[1:], batch_size(prediction)
    if value.ndim == 0 or value.shape in (one, prediction.shape, (1, *one), (batch,) + (1,) * len(one)):
        return value
    whole = (1,) * (prediction.ndim - value.ndim) + value.shape
    if name == "noise_std" and value.ndim <= prediction.ndim:
        if all(n in (1, full) for n, full in zip(whole, prediction.shape, strict=True)):
            return value
    raise ValueError(
        f"observation {name} of shape {value.shape} does not fit the operator's output: expected {one} or {prediction.shape}"
    )
