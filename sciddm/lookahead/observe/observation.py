"""What was measured: y = A(x_0) + noise."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.arithmetic import batch_size
from sciddm.errors import Refusal
from sciddm.keys import fold, sample_keys
from sciddm.lookahead.observe.measurement import Gaussian, MeasurementNoise
from sciddm.lookahead.observe.operators import Compose, Mask, Matrix, Points, as_arrays


class Observation(eqx.Module):
    """y = A(x_0) + noise, of normalised x_0. Itself a potential: observation(x_0, t) is its log-likelihood at any t.

    Args:
        operator: a function of a batch x_0 (B, ...) -> pytree of (B, ...), a (m, d) matrix on the flattened x_0, or an object of
            `sd.lookahead.operators` or `sd.lookahead.statistics`. A function that is not linear is linearised at x0_hat.
        value: like the operator's output, one for all samples (no batch axis) or one a sample.
        noise_std: standard deviation of Gaussian noise: a number, or an array that broadcasts to value (one a channel, a point, a
            sample); or another law: `sd.lookahead.Laplace`, `Poisson`, `Quantised`, `Clipped`; or a pytree of these like value.
            0 is exact: for methods that need no density.
    A NaN in value means "not observed" where the operator is a mask or points: the entry counts for nothing.
    Raises: ValueError if noise_std is negative or NaN, if value or operator is not finite elsewhere, or where value or noise_std does not
        fit the operator's output (at use).
    """

    operator: Any
    value: Any
    noise: Any  # a MeasurementNoise, or a pytree of them like value

    def __init__(self, operator, value, noise_std):
        operator = operator if callable(operator) else as_arrays(operator)
        is_matrix = not callable(operator) and jnp.ndim(operator) == 2
        if not callable(operator) and not is_matrix:
            raise ValueError(
                f"operator: expected a function or a (m, d) matrix, got {type(operator).__name__} of {jnp.ndim(operator)} axes"
            )
        operator = Matrix(jnp.asarray(operator, jnp.result_type(float))) if is_matrix else operator
        _require_numbers(operator, "the operator holds NaN", np.isnan)
        self.operator, self.value = _without_missing(operator, as_arrays(value))
        laws = as_arrays(noise_std) if not is_law(noise_std) else noise_std
        self.noise = jax.tree.map(lambda law: law if is_law(law) else Gaussian(law), laws, is_leaf=is_law)

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

        def leaf(law, p, y, there=True):
            density = law.log_density(_fit(y, p, "value"), p)
            return jnp.sum(jnp.where(there, density, 0.0), axis=tuple(range(1, p.ndim)))

        return sum(jax.tree.leaves(self._each(leaf, self.operator(x_0), self.value, *self._there())))

    def simulate(self, key, x_0):
        """Draw y = A(x_0) + noise, like the operator's output, NaN where nothing is observed. key: one key or seed, folded by sample
        index, or (B,) keys."""
        prediction = self.operator(x_0)
        keys = sample_keys(key, batch_size(x_0))
        structure = jax.tree.structure(prediction)
        places = structure.unflatten(range(structure.num_leaves))

        def leaf(law, p, place, there=True):
            return jnp.where(there, law.sample(fold(keys, place), p), jnp.nan)

        return self._each(leaf, prediction, places, *self._there())

    def tempered(self, strength) -> "Observation":
        """Of the likelihood to the power `strength`, 1 being the measurement as it is: noise_std / sqrt(strength).

        Raises: ValueError unless strength is above 0 and the noise Gaussian.
        """
        if not strength > 0:
            raise ValueError(f"strength = {strength}: expected a number above 0, 1 for the measurement as it is")
        if strength == 1:
            return self
        laws = jax.tree.leaves(self.noise, is_leaf=is_law)
        if other := [law for law in laws if not isinstance(law, Gaussian)]:
            raise ValueError(f"strength = {strength}: {type(other[0]).__name__} noise has none; leave it at 1")
        weaker = jax.tree.map(lambda law: Gaussian(law.std / strength**0.5), self.noise, is_leaf=is_law)
        return Observation(self.operator, self.value, weaker)

    def _there(self):
        # what is observed, like value, where not everything is
        there = getattr(self.operator, "there", None)
        return () if there is None else (there,)

    def _each(self, function, prediction, *trees):
        # function(law, prediction, ...) leaf by leaf, the law's parameters checked against this leaf
        structure = jax.tree.structure(prediction)
        laws = jax.tree.map(lambda _: self.noise, prediction) if is_law(self.noise) else self.noise
        if jax.tree.structure(laws, is_leaf=is_law) != structure:
            raise ValueError(
                f"observation noise_std has the structure {jax.tree.structure(laws, is_leaf=is_law)}, the operator's output {structure}"
            )

        def leaf(law, p, *others):
            return function(jax.tree.map(lambda parameter: _fit(parameter, p, "noise_std"), law), p, *others)

        return jax.tree.map(leaf, laws, prediction, *trees, is_leaf=is_law)


class Seen(eqx.Module):
    """An operator of whose output some is not observed, and is 0. there: like the value, True where it is."""

    operator: Any
    there: Any

    def __call__(self, x_0):
        return jax.tree.map(lambda y, there: jnp.where(there, y, 0), self.operator(x_0), self.there)


def need_density(potential, who: str) -> None:
    """For methods that divide by noise_std. Raises: Refusal where a potential holds an `Observation` of which some value is exact."""
    for node in jax.tree.leaves(potential, is_leaf=lambda node: isinstance(node, Observation)):
        # of Gaussian noise alone: zeros of other laws, a bound or a step, are no exactness
        laws = jax.tree.leaves(node.noise, is_leaf=is_law) if isinstance(node, Observation) else ()
        stds = [law.std for law in laws if isinstance(law, Gaussian) and not isinstance(law.std, jax.core.Tracer)]
        if any(bool(np.any(np.asarray(std) == 0)) for std in stds):
            raise Refusal(
                f"{who}: noise_std is 0, by which it divides: give the value a small noise, or take a method that meets exact values "
                "(mmps, pigdm, ddnm, ddrm, diffpir, repaint, constrain)"
            )


def _without_missing(operator, value):
    """The operator and the value without NaN."""
    _require_numbers(value, "value is infinite", np.isinf)
    may_miss = isinstance(_last(operator), (Mask, Points))
    if not may_miss:
        _require_numbers(value, "value is NaN", np.isnan)
        return operator, value
    leaves = jax.tree.leaves(value)
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
    if not traced and not any(np.any(np.isnan(leaf)) for leaf in leaves):
        return operator, value
    there = jax.tree.map(lambda leaf: ~jnp.isnan(leaf), value)
    return Seen(operator, there), jax.tree.map(lambda leaf, seen: jnp.where(seen, leaf, 0), value, there)


def _last(operator):
    return _last(operator.operators[-1]) if isinstance(operator, Compose) and operator.operators else operator


def _require_numbers(tree, what: str, wrong) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if isinstance(leaf, (jax.Array, np.ndarray)) and not isinstance(leaf, jax.core.Tracer):
            if jnp.issubdtype(leaf.dtype, jnp.floating) and np.any(places := wrong(np.asarray(leaf, np.float64))):
                index = tuple(int(i) for i in np.argwhere(places)[0])
                raise ValueError(
                    f"observation: {what} at index {index}{' of ' + jax.tree_util.keystr(path) if path else ''}: expected finite numbers; "
                    "NaN means 'not observed' in the value of a mask or of points alone"
                )


def is_law(node):
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
