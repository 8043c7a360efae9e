"""Regressor guidance: a second network, trained on noisy x_t, predicts a property of x_0 that is wanted to have some value.

    D' = D + w (sigma_t^2 / alpha_t) Sigma grad_{x_t} log N(value; f(x_t, t), std^2)      (classifier guidance, arXiv:2105.05233,
                                                                       with the property in the class's place, arXiv:2209.15408)
Exact at w = 1 where f = E[property | x_t] and std^2 = Var[property | x_t] of a Gaussian; std may depend on t.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from sciddm.arithmetic import root_mean_square
from sciddm.denoiser import Denoiser, Guide
from sciddm.guidance.classifier import Classifier
from sciddm.lookahead.observe.observation import Observation, need_density


def regressor(denoiser: Denoiser, function: Callable, value, std, scale=1.0) -> Denoiser:
    """`denoiser` drawn towards x_0 whose property is `value`.

    Args:
        function: (x_t, t) -> (B, ...), the property's expected value.
        value: like its output, one for all samples or one a sample.
        std: of the property around the prediction: a number, an array, or a function of t giving one.
    Raises: ValueError if std is negative, or where value or std does not fit the output (at use).
    """
    if not callable(std):
        need_density(Observation(function, value, std), "regressor")  # names a negative std at once
    return Regressor(denoiser, function, jax.tree.map(jnp.asarray, value), std, jnp.asarray(scale, jnp.float32))


class Regressor(Guide):
    """See `regressor`."""

    function: Callable
    value: Any
    std: Any
    scale: jax.Array

    def evaluate(self, x_t, t, cond=None):
        def observed(x, now):
            std = self.std(now) if callable(self.std) else self.std
            return Observation(lambda v: self.function(v, now), self.value, std)

        answer = Classifier(
            self.denoiser, lambda x, now: observed(x, now).log_likelihood(x), self.scale
        ).evaluate(x_t, t, cond)
        return answer.to(answer.x0_hat, {"residual": root_mean_square(observed(x_t, t).residual(x_t))})
