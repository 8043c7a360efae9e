"""Any diffrax solver of ordinary or stochastic equations in the place of ours.

In u = log(alpha/sigma), which rises from noise to data, the probability flow and the reverse-time equation are

    dx = F(x, u) du,                                      F = (d alpha/du) x0_hat + (d sigma/du) eps_hat
    dx = (F(x, u) - sigma eps_hat) du + sqrt(2) sigma dW, since g^2 dt = -2 sigma^2 du    (Anderson 1982; arXiv:2011.13456)

so neither needs to run backward. The first step from alpha = 0 and the last to sigma = 0 are infinite in u: those
are a DDIM step or a draw from the reverse kernel.
"""

from typing import Any, ClassVar

import diffrax
import jax
import jax.numpy as jnp

from sciddm.answer import Answer
from sciddm.arithmetic import cast, combine, widen
from sciddm.process import posterior_kernel
from sciddm.solvers.adaptive import evaluations
from sciddm.solvers.base import AbstractDenoiserSolver, DenoiserTerm
from sciddm.solvers.ddim import ddim_step


def slope(term: DenoiserTerm, u, x, stochastic: bool, asked):
    """F, or F - sigma eps_hat for the reverse-time equation; like x. The denoiser is asked in the dtypes of `asked`."""
    process = term.denoiser.process
    (alpha, sigma), (alpha_rate, sigma_rate) = jax.jvp(
        lambda v: (process.alpha(process.time(2.0 * v)), process.sigma(process.time(2.0 * v))),
        (u,),
        (jnp.ones_like(u),),
    )
    answer = term.evaluate(cast(x, asked), process.time(2.0 * u)).unmoved("a diffrax solver")
    x0_hat = cast(answer.x0_hat, x)
    eps_hat = combine(1.0 / sigma, x, -alpha / sigma, x0_hat)
    return combine(alpha_rate, x0_hat, sigma_rate - sigma if stochastic else sigma_rate, eps_hat)


class NoiseTerm(diffrax.AbstractTerm):
    """sqrt(2) sigma dW, with increments keyed by sample, step and interval."""

    term: DenoiserTerm
    like: Any
    levy_area: Any

    def vf(self, t, y, args):
        process = self.term.denoiser.process
        return jnp.sqrt(2.0) * process.sigma(process.time(2.0 * t))

    def contr(self, t0, t1, use_levy=False, **kwargs):
        bits = [jax.lax.bitcast_convert_type(jnp.asarray(t, jnp.float32), jnp.uint32) for t in (t0, t1)]
        noise, dt = self.term.denoiser.process.noise, t1 - t0

        def draw(index, variance):
            keys = self.term.keys
            for data in (*bits, index):
                keys = jax.vmap(jax.random.fold_in, (0, None))(keys, data)
            return jax.tree.map(lambda leaf: leaf * jnp.sqrt(variance), noise.sample_batch(keys, self.like))

        # Space-time and space-time-time Levy areas: independent Gaussians of variance dt/12 and dt/720.
        values = {"W": draw(0, dt)}
        if not use_levy:
            return values["W"]
        if self.levy_area is not diffrax.BrownianIncrement:
            values["H"] = draw(1, dt / 12.0)
        if self.levy_area is diffrax.SpaceTimeTimeLevyArea:
            values["K"] = draw(2, dt / 720.0)
        return self.levy_area(dt=jax.tree.map(lambda _: dt, self.like), **values)

    def prod(self, vf, control):
        return jax.tree.map(lambda c: vf * c, control)


class FromDiffrax(AbstractDenoiserSolver):
    """A diffrax solver on the probability flow, or on the reverse-time equation with `stochastic=True`."""

    solver: diffrax.AbstractSolver
    stochastic: bool = False

    term_structure: ClassVar = DenoiserTerm

    def draws_noise(self):
        return self.stochastic

    def order(self, terms):
        return self.solver.order(terms)

    def strong_order(self, terms):
        return self.solver.strong_order(terms)

    def network_calls(self, steps):
        if isinstance(self.solver, diffrax.AbstractERK):
            return evaluations(self.solver, steps)
        if isinstance(self.solver, diffrax.AbstractSRK):
            return steps * (len(self.solver.tableau.c) + 1)
        return steps * (2 if isinstance(self.solver, diffrax.EulerHeun) else 1)

    def _terms(self, term, x_t):
        drift = diffrax.ODETerm(lambda u, x, args: slope(term, u, x, self.stochastic, x_t))
        if not self.stochastic:
            return drift
        levy_area = getattr(self.solver, "minimal_levy_area", diffrax.BrownianIncrement)
        if levy_area is diffrax.AbstractSpaceTimeLevyArea:
            levy_area = diffrax.SpaceTimeLevyArea
        elif levy_area is diffrax.AbstractSpaceTimeTimeLevyArea:
            levy_area = diffrax.SpaceTimeTimeLevyArea
        elif levy_area is diffrax.AbstractBrownianIncrement:
            levy_area = diffrax.BrownianIncrement
        return diffrax.MultiTerm(drift, NoiseTerm(term, widen(x_t), levy_area))

    def init(self, terms, t0, t1, y0, args):
        # The inner solver starts at the first finite step, as made_jump says; its state is shaped by a harmless one.
        inner = self.solver.init(self._terms(terms, y0), jnp.float32(-0.1), jnp.float32(0.0), widen(y0), args)
        return inner, jnp.asarray(True)

    def advance(self, term, t, s, x_t, memory):
        inner, fresh = memory
        level_t, level_s = term.level(t), term.level(s)
        u, v = 0.5 * level_t.log_snr, 0.5 * level_s.log_snr

        def finite():
            x_s, _, _, state, _ = self.solver.step(self._terms(term, x_t), u, v, widen(x_t), None, inner, fresh)
            return cast(x_s, x_t), (state, jnp.asarray(False))

        def infinite():
            x0_hat = term.evaluate(x_t, t).x0_hat
            if self.stochastic:
                mean, std = posterior_kernel(x0_hat, x_t, level_t, level_s)
                return combine(1.0, mean, std, term.noise(x_t)), (inner, jnp.asarray(True))
            return ddim_step(x0_hat, x_t, level_t, level_s), (inner, jnp.asarray(True))

        x_s, memory = jax.lax.cond(jnp.isfinite(u) & jnp.isfinite(v), finite, infinite)
        return x_s, memory, Answer(x_s, {})  # it asks when it likes: guides' reports are not passed on
