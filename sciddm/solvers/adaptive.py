"""diffrax's adaptive Runge-Kutta methods on the probability flow, between the times of the grid.

In y = x_t / sqrt(alpha^2 + sigma^2) and u = log(alpha/sigma) all processes are one, of order one from data to noise:

    dy/du = a (x0_hat - a y),   a = alpha / sqrt(alpha^2 + sigma^2)              (Song et al. 2021, eq. 13, arXiv:2011.13456)

Every sample takes steps of its own, so that none depends on its neighbours, while the network is asked about all of them at
once. For answers that have to be exact (codes, likelihoods, references); the other files need far fewer calls.
"""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import batch_size, cast, combine, widen
from sciddm.keys import whole
from sciddm.match_snr import denoise_at
from sciddm.solvers.base import AbstractDenoiserSolver
from sciddm.solvers.ddim import ddim_step


class Adaptive(AbstractDenoiserSolver):
    """Adaptive steps; the report's `evaluations` count the network calls of each sample. rtol, atol: of a step's local error in y."""

    solver: diffrax.AbstractERK
    rtol: float = eqx.field(static=True, default=1e-5)
    atol: float = eqx.field(static=True, default=1e-5)
    max_steps: int = eqx.field(static=True, default=4096)

    def __check_init__(self):
        whole(self.max_steps, "max_steps")

    def order(self, terms):
        return self.solver.order(terms)

    def network_calls(self, steps):
        return None

    def advance(self, term, t, s, x_t, memory):
        level_t, level_s = term.level(t), term.level(s)
        u, v = 0.5 * level_t.log_snr, 0.5 * level_s.log_snr
        # one call more than the method needs, for what guides report
        answer = term.evaluate(x_t, t).unmoved("a solver with steps of its own")

        def flow(u, y):
            a = jnp.sqrt(jax.nn.sigmoid(2.0 * u))
            return combine(a, denoise_at(term.denoiser, y, 2.0 * u, term.cond).x0_hat, -(a**2), y)

        def finite():
            y = combine(1.0 / jnp.hypot(level_t.alpha, level_t.sigma), x_t, 0.0, x_t)
            y, steps = solve_each(flow, self.solver, u, v, y, self.rtol, self.atol, self.max_steps)
            return combine(jnp.hypot(level_s.alpha, level_s.sigma), y, 0.0, y), (
                evaluations(self.solver, steps) + 1
            ).astype(int)

        def infinite():
            return ddim_step(answer.x0_hat, x_t, level_t, level_s), jnp.ones(batch_size(x_t), int)

        x_s, counts = jax.lax.cond(jnp.isfinite(u) & jnp.isfinite(v), finite, infinite)
        return x_s, memory, answer.to(answer.x0_hat, {"evaluations": counts})


def solve_each(field, solver, start, end, state, rtol: float, atol: float, max_steps: int = 4096):
    """The state at `end`, and the (B,) steps that each sample took. field(u, state): u (B,), state a pytree of (B, ...).

    Half-precision states are carried in float32.
    """
    asked = state

    def one(state):
        # Steps are each sample's own, yet the denoiser sees the whole batch, so that what is given one a sample (cond,
        # observations, masks) finds its sample. Rejected and finished steps of others cost time but change nothing.
        def own(u, state, args):
            u, everyone = jax.lax.all_gather((jnp.asarray(u), state), "sample")
            slope, place = field(u, cast(everyone, asked)), jax.lax.axis_index("sample")
            return cast(jax.tree.map(lambda leaf: leaf[place], slope), state)

        def norm(error):
            # The largest of the root mean squares: a log density is not drowned among the many entries of an image.
            return jnp.max(jnp.stack([jnp.sqrt(jnp.mean(leaf**2)) for leaf in jax.tree.leaves(error)]))

        controller = diffrax.PIDController(rtol=rtol, atol=atol, norm=norm)
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(own), solver, start, end, jnp.sign(end - start) * 0.1, state,
            stepsize_controller=controller, adjoint=diffrax.DirectAdjoint(), max_steps=max_steps,
        )  # fmt: skip
        return jax.tree.map(lambda leaf: leaf[0], solution.ys), solution.stats["num_steps"]

    solved, steps = jax.vmap(one, axis_name="sample")(widen(state))
    return cast(solved, state), steps


def evaluations(solver: diffrax.AbstractERK, steps):
    """Calls of the field that `steps` steps cost, the first of each kept where the method's last stage is the next one's first."""
    stages, first_same_as_last = solver.tableau.num_stages, solver.tableau.fsal
    return steps * (stages - 1) + 1 if first_same_as_last else steps * stages
