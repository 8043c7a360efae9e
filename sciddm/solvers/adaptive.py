"""diffrax's adaptive Runge-Kutta methods on the probability flow in u = log(alpha/sigma), between the times of the grid.

Every sample takes steps of its own, so that none depends on its neighbours, while the network is still asked about all of them
at once. For answers that have to be exact (encoding, likelihoods, references); few-call samplers are the other files.
"""

from functools import partial

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.process import batch_size
from sciddm.solvers.base import AbstractDenoiserSolver, DenoiserTerm
from sciddm.solvers.ddim import ddim_step
from sciddm.solvers.from_diffrax import slope


def field_of_one(field):
    """A function (constants, u, x) of one sample for `jax.vmap`, whose batched form is field(constants, u (B,), x (B, ...)).

    A network, a guide or an observation then sees the whole batch it was made for, though each sample steps alone.
    """

    @jax.custom_batching.custom_vmap
    def one(constants, u, x):
        batch = field(constants, u[None], jax.tree.map(lambda leaf: leaf[None], x))
        return jax.tree.map(lambda leaf: leaf[0], batch)

    @one.def_vmap
    def many(size, batched, constants, u, x):
        if any(jax.tree.leaves(batched[0])):
            raise ValueError("constants of the field are shared by all samples")
        u = u if batched[1] else jnp.broadcast_to(u, (size,))
        given = jax.tree.map(
            lambda leaf, there: leaf if there else jnp.broadcast_to(leaf, (size, *leaf.shape)), x, batched[2]
        )
        out = field(constants, u, given)
        return out, jax.tree.map(lambda _: True, out)

    return one


class Adaptive(AbstractDenoiserSolver):
    """Adaptive steps; the report's `evaluations` count the network calls of each sample. rtol, atol: of one step's local error."""

    solver: diffrax.AbstractSolver
    rtol: float = eqx.field(static=True, default=1e-5)
    atol: float = eqx.field(static=True, default=1e-5)
    max_steps: int = eqx.field(static=True, default=4096)

    def order(self, terms):
        return self.solver.order(terms)

    def network_calls(self, steps):
        return None

    def advance(self, term, t, s, x_t, memory):
        level_t, level_s = term.level(t), term.level(s)
        u, v = 0.5 * level_t.log_snr, 0.5 * level_s.log_snr
        size = batch_size(x_t)

        def finite():
            x_s, steps = self.solve(term, u, v, x_t)
            return x_s, steps

        def infinite():
            x0_hat, _ = term.evaluate(x_t, t)
            return ddim_step(x0_hat, x_t, level_t, level_s), jnp.ones((size,), jnp.int32)

        x_s, evaluations = jax.lax.cond(jnp.isfinite(u) & jnp.isfinite(v), finite, infinite)
        return x_s, memory, {"evaluations": evaluations}

    def solve(self, term: DenoiserTerm, u, v, x):
        """x at v from x at u, and the (B,) numbers of evaluations."""
        arrays, static = eqx.partition((term.denoiser, term.cond), eqx.is_array)

        def field(arrays, u, x):
            denoiser, cond = eqx.combine(arrays, static)
            return slope(DenoiserTerm(denoiser, cond, None), u, x, False)

        one = field_of_one(field)
        equation = diffrax.ODETerm(lambda u, x, arrays: one(arrays, u, x))
        control = diffrax.PIDController(self.rtol, self.atol)
        solve = partial(
            diffrax.diffeqsolve, equation, self.solver, dt0=None, stepsize_controller=control, max_steps=self.max_steps
        )

        def sample(x):
            solution = solve(t0=u, t1=v, y0=x, args=arrays)
            return jax.tree.map(lambda leaf: leaf[-1], solution.ys), solution.stats["num_steps"]

        x_v, steps = jax.vmap(sample)(x)
        stages, fsal = self.solver.tableau.num_stages, self.solver.tableau.fsal
        return x_v, (steps * (stages - 1) + 1 if fsal else steps * stages).astype(jnp.int32)
