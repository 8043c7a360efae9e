"""SITCOM: the network's input is moved until its output agrees with the observation, then the output gets fresh noise.

    v = argmin_v |y - A x0_hat(v)|^2 / 2 from v = x_t, by Adam;   x0_hat' = x0_hat(v)       (Alkhouri et al. 2024, arXiv:2410.04479)

A sample's search ends when its residual is as small as the noise. What is consistent is a point, not a posterior.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from sciddm.arithmetic import expand, inner, root_mean_square
from sciddm.denoiser import Denoiser, Guide, SamplingDefaults
from sciddm.keys import whole
from sciddm.lookahead.observe.observation import Observation
from sciddm.lookahead.renoise import Renoise


def sitcom(
    denoiser: Denoiser, observation: Observation, *, inner_steps: int = 20, learning_rate: float = 0.01
) -> Denoiser:
    """`denoiser` asked about the nearby input whose answer agrees with the observation.

    Args: inner_steps: K, a network call and a gradient through it each; learning_rate: of Adam, in units of x_t's scale
        sqrt(alpha^2 + sigma^2).
    As published it is sampled by `Renoise()` in 20 steps uniform in t, unless `sd.sample` is given others.
    """
    whole(inner_steps, "inner_steps", 0)
    return SITCOM(denoiser, observation, inner_steps, learning_rate)


class SITCOM(Guide):
    """See `sitcom`."""

    observation: Observation
    inner_steps: int = eqx.field(static=True)
    learning_rate: float = eqx.field(static=True)

    def defaults(self):
        return SamplingDefaults(solver=Renoise(), steps=20, grid="t")

    def extra_calls(self):
        return self.denoiser.calls * self.inner_steps

    def evaluate(self, x_t, t, cond=None):
        scale = jnp.hypot(self.process.alpha(t), self.process.sigma(t))
        adam = optax.adam(self.learning_rate)

        def misfit(v):
            prediction = self.observation.operator(self.denoiser(v, t, cond))
            residual = self.observation.residual_from(prediction)
            allowed = jax.tree.map(
                lambda r, s: jnp.broadcast_to(s, r.shape), residual, self.observation.variance(prediction)
            )
            ones = jax.tree.map(jnp.ones_like, allowed)
            # the norms of the residual and of what noise alone would leave
            return 0.5 * inner(residual, residual), 0.5 * inner(allowed, ones)

        def step(carry, _):
            v, state = carry
            (loss, vjp, allowed) = jax.vjp(misfit, v, has_aux=True)
            gradient = vjp(jnp.ones_like(loss))[0]
            move, state = adam.update(gradient, state)
            going = jnp.where(loss > allowed, scale, 0.0)
            return (jax.tree.map(lambda leaf, m: leaf + expand(going, leaf) * m, v, move), state), None

        (v, _), _ = jax.lax.scan(step, (x_t, adam.init(x_t)), length=self.inner_steps)
        answer = self.denoiser.evaluate(v, t, cond)
        return answer.to(answer.x0_hat, {"residual": root_mean_square(self.observation.residual(answer.x0_hat))})
