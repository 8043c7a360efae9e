"""D-Flow: the noise at the start is optimised, through the whole flow.

    x_1 = argmin  -r(x_0(x_1)) + weight |x_1|^2_{Sigma^-1} / (2 sigma_1^2),   x_0(x_1): the flow, solved
                                                                                    (Ben-Hamu et al. 2024, eq. 6, arXiv:2402.14017)
With weight 1 and r in nats it is the most probable x_1; the paper leaves the weight out and stops early instead. By L-BFGS on each
sample alone, memory held at one step's activations.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from sciddm import grids
from sciddm.answer import Answer
from sciddm.arithmetic import combine, inner, root_mean_square
from sciddm.denoiser import Denoiser, SamplingDefaults
from sciddm.keys import whole
from sciddm.lookahead.observe.observation import Observation, need_density
from sciddm.lookahead.prescribed import Prescribed
from sciddm.solvers.base import AbstractDenoiserSolver, DenoiserTerm
from sciddm.solvers.unipc_signal import UniPCSignal

TRIALS = 6


def dflow(denoiser: Denoiser, potential, *, ode_steps: int = 10, iterations: int = 20, weight=1.0) -> Denoiser:
    """`denoiser` to be sampled by D-Flow, a solver of its own from noise to data in one step: `sd.sample` takes no other for it.

    Args:
        potential: (x_0, t) -> (B,) in nats, or an Observation; ode_steps: of "unipc2-signal" on the optimised grid, a network call each.
        iterations: of L-BFGS, each up to 6 trials of a step's length; weight: of the noise's own log density.
    """
    whole(ode_steps, "ode_steps")
    whole(iterations, "iterations")
    need_density(potential, "dflow")
    solver = DFlow(potential, jnp.asarray(weight, jnp.float32), ode_steps, iterations)
    return Prescribed(denoiser, SamplingDefaults(solver, 1, "t", sampler="dflow"))


class DFlow(AbstractDenoiserSolver):
    """See `dflow`."""

    potential: Any
    weight: jax.Array
    ode_steps: int = eqx.field(static=True)
    iterations: int = eqx.field(static=True)

    def order(self, terms):
        return 3

    def network_calls(self, steps):
        return None

    def advance(self, term, t, s, x_t, memory):
        process, solver = term.denoiser.process, UniPCSignal(2)
        times = s + (t - s) * grids.optimised(process, self.ode_steps)

        @jax.checkpoint
        def step(carry, now):
            index, begin, end = now
            here = DenoiserTerm(term.denoiser, term.cond, term.keys, self.ode_steps - 1.0 - index)
            x, memory, answer = solver.advance(here, begin, end, *carry)
            answer.unmoved("dflow")
            return (x, memory), None

        def flow(x):
            start = x, solver.memory(x)
            return jax.lax.scan(step, start, (jnp.arange(self.ode_steps), times[:-1], times[1:]))[0][0]

        def loss(x):
            whitened = process.noise.each("precision", x)
            return -self.potential(flow(x), s) + 0.5 * self.weight * inner(x, whitened) / process.sigma(t) ** 2

        x, passes = minimise(loss, x_t, self.iterations)
        end = flow(x)
        report = {"evaluations": jnp.full(jax.tree.leaves(x)[0].shape[:1], (passes + 1) * self.ode_steps)}
        if isinstance(self.potential, Observation):
            report["residual"] = root_mean_square(self.potential.residual(end))
        return end, memory, Answer(end, report)


def minimise(loss, x, iterations: int):
    """The x of least loss that L-BFGS finds, each sample with its own curvature and step length, and how often the loss was asked for.

    Args: loss: pytree of (B, ...) -> (B,).
    """
    lbfgs = optax.scale_by_lbfgs()

    def value_and_gradient(x):
        value, vjp = jax.vjp(loss, x)
        return value, vjp(jnp.ones_like(value))[0]

    def step(carry, _):
        x, value, gradient, state = carry
        direction, state = jax.vmap(lbfgs.update)(gradient, state, x)
        slope = inner(direction, gradient)

        def trial(carry, share):
            length, found = carry
            candidate = loss(combine(1.0, x, -share, direction))
            good = ~found & (candidate <= value - 1e-4 * share * slope)
            return (jnp.where(good, share, length), found | good), None

        start = jnp.zeros_like(value), jnp.zeros(value.shape, bool)
        (length, _), _ = jax.lax.scan(trial, start, 0.5 ** jnp.arange(TRIALS))
        x = combine(1.0, x, -length, direction)
        return (x, *value_and_gradient(x), state), None

    start = (x, *value_and_gradient(x), jax.vmap(lbfgs.init)(x))
    x, _, _, _ = jax.lax.scan(step, start, length=iterations)[0]
    return x, 1 + iterations * (TRIALS + 1)
