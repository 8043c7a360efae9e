"""Langevin corrections: between two steps, moves that leave the law at that noise level as it is, and wear off the solver's error.

    dx = score dtau + sqrt(2) dw at a fixed time, in steps of  tau = strength sigma_s^2     (Song et al. 2021, algorithm 4,
                                                  arXiv:2011.13456; the fixed relative step of arXiv:2306.10574, algorithm 4)
With x0_hat held over a move this is an Ornstein-Uhlenbeck process of eps alone, and is solved exactly:

    x <- alpha_s x0_hat + sigma_s (e^{-strength} eps_hat + sqrt(1 - e^{-2 strength}) z)

so no strength is unstable. Its own bias is first order in the strength.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import batch_size, combine
from sciddm.denoiser import eps_from
from sciddm.keys import fold, whole
from sciddm.reverse import Correction


class Langevin(Correction):
    """`corrections=(sd.lookahead.Langevin(),)` in `sd.sample`: a predictor-corrector sampler of any solver and any guide.

    moves: between two steps, a network call each, none at the data; strength: of one move, small against 1.
    """

    moves: int = eqx.field(static=True, default=1)
    strength: float = 0.25

    def __check_init__(self):
        whole(self.moves, "moves", 0)

    def network_calls(self, steps):
        return self.moves * (steps - 1)

    def __call__(self, term, s, x_s):
        level = term.level(s)
        kept, fresh = jnp.exp(-self.strength), jnp.sqrt(-jnp.expm1(-2.0 * self.strength))
        noise = term.denoiser.process.noise

        def move(x, index):
            x0_hat = term.evaluate(x, s).unmoved("a Langevin move").x0_hat
            z = noise.sample_batch(fold(term.keys, index), x)
            eps = combine(kept, eps_from(x, x0_hat, level), fresh, z)
            return combine(level.alpha, x0_hat, level.sigma, eps), None

        def moved():
            return jax.lax.scan(move, x_s, jnp.arange(self.moves))[0]

        x = jax.lax.cond(level.sigma > 0, moved, lambda: x_s)
        change = jax.tree.map(lambda a, b: jnp.sum((a - b) ** 2, axis=tuple(range(1, a.ndim))), x, x_s)
        entries = sum(leaf.size for leaf in jax.tree.leaves(x)) / batch_size(x)
        return x, {"langevin_move": jnp.sqrt(sum(jax.tree.leaves(change)) / entries)}
