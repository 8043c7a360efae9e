"""DDPM: ancestral sampling, the exact reverse kernel at x_0 = x0_hat.

    x_s ~ q(x_s | x_t, x_0 = x0_hat)                (Ho et al. 2020, eq. 6-7, arXiv:2006.11239)

What x_0 may be besides x0_hat widens the step: v sigma_t^2 / (v alpha_t^2 + sigma_t^2) Sigma is its covariance if data are N(0, v Sigma),
and with it the kernel is exact for them. v = 1 is the larger of the two variances of Ho et al. (section 3.2), v = 0 the smaller.
Weak order 1; where v = 0 the step onto the data has no noise, else it draws what x_0 may be.

What x_0 may be is also in the denoiser's Jacobian, at the cost of backward passes:

    x_s ~ N(keep x_t + share x0_hat, std^2 Sigma + share^2 Cov[x_0 | x_t])      (Bao et al. 2022, arXiv:2206.07309, there diagonal)

has the first two moments of x_s given x_t, and the right law of any Gaussian data at any number of steps; of other laws it is the nearest
Gaussian to each step, and few steps are biased still.
"""

import equinox as eqx
import jax.numpy as jnp

from sciddm.denoiser import linearize
from sciddm.errors import Refusal
from sciddm.grids import LOG_SNR_RANGE
from sciddm.keys import whole
from sciddm.named import near
from sciddm.process import posterior_kernel
from sciddm.solvers.base import AncestralSolver
from sciddm.spread import KINDS, spread_of
from sciddm.transition import WideTransition


class DDPM(AncestralSolver):
    """Stochastic, one call a step. prior_variance: v, of the data around E[x_0 | x_t].

    covariance: None, or how Cov[x_0 | x_t] is taken from the Jacobian: "exact", a backward pass an entry of x; "diagonal", as many, or
    `probes` of them; "low_rank", 2 `probes` + 2 of them, 18 unless given.
    """

    prior_variance: float = eqx.field(static=True, default=0.0)
    covariance: str | None = eqx.field(static=True, default=None)
    probes: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if not self.prior_variance >= 0:
            raise ValueError(f"prior_variance = {self.prior_variance}: expected 0 or more")
        if self.covariance is None:
            if self.probes is not None:
                raise ValueError(f"probes = {self.probes} are those of covariance 'diagonal' or 'low_rank', and none is given")
            return
        if self.covariance not in KINDS:
            raise ValueError(f"covariance = {self.covariance!r}: expected None or one of {sorted(KINDS)}{near(self.covariance, KINDS)}")
        if self.prior_variance:
            raise ValueError(f"prior_variance = {self.prior_variance} beside covariance = {self.covariance!r}: expected one of the two")
        if self.probes is not None and self.covariance == "exact":
            raise ValueError(f"probes = {self.probes} are those of covariance 'diagonal' or 'low_rank', not of 'exact'")
        if self.probes is not None:
            whole(self.probes, "probes")

    def asks_at(self, process, t):
        # At alpha = 0 the Jacobian is 0, while Cov[x_0 | x_t] is that of the data: it is asked for just below, where x_t is noise as well.
        return t if self.covariance is None else jnp.where(process.alpha(t) > 0, t, process.time(LOG_SNR_RANGE[0]))

    def spread(self, term, t, x_t):
        if self.covariance is None:
            return ()
        _, vjp = linearize(term.denoiser, x_t, t, term.cond)
        return (spread_of(self.covariance, term.denoiser.process, vjp, x_t, t, term.keys, self.probes),)

    def transition(self, term, t, s, x_t, x0_hat, spread=None):
        if (spread is None) != (self.covariance is None):
            raise Refusal(f"covariance = {self.covariance!r}: this method does not measure it; take 'ddpm', or its prior_variance")
        level_t, level_s = term.level(t), term.level(s)
        mean, std = posterior_kernel(x0_hat, x_t, level_t, level_s)
        if spread is None and not self.prior_variance:
            return term.gaussian(mean, std)
        share = -level_s.alpha * jnp.expm1(level_t.log_snr - level_s.log_snr)
        if spread is not None:
            return WideTransition(mean, std, share, spread, term.denoiser.process.noise)
        v = self.prior_variance
        unknown = v * level_t.sigma**2 / (v * level_t.alpha**2 + level_t.sigma**2)
        return term.gaussian(mean, jnp.sqrt(std**2 + share**2 * unknown))
