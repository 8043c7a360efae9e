"""Laws made of others by powers, products and rewards, and the weights without which a sampler does not reach them.

    pi_t = prod_i q_i,t^{w_i} e^{b(t) r(x, t)},  the q_t being marginals of one process, and r a reward of x_t

is no marginal of that process, so its score alone takes samples elsewhere: the guides here are biased as they stand in `sd.sample`.
They report what is missing, the rate of log w along the path per unit of L = log-SNR, and `feynman_kac` weighs by it
(Skreta et al. 2025, arXiv:2503.02819, propositions 3.1 to 3.4 at dL = -dt (log-SNR)'). With s = grad log pi and s = -Sigma^+ eps / sigma,
g^2 |s|^2 dt is |eps|^2 dL, so that schedules drop out:

    powers    W = (c - 1) (sum_i w_i |eps_i|^2 / 2 - d log(alpha)' ) - sum_{i<j} w_i w_j |eps_i - eps_j|^2 / 2,   c = sum_i w_i
    rewards   W = (b r)' + <grad (b r), alpha'/alpha x - sigma eps / 2>,                                        ' = d / dL

with |eps|^2 = <eps, Sigma^+ eps> and d the dimension of the noise law. Rates hold for any share of noise eta in the reverse equation,
provided that a reward's gradient acts with eta / (1 + eta): half of it in the equation with all of its noise.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import batch_size, combine, divide, inner
from sciddm.denoiser import ConditionedOn, Denoiser, Guide, eps_from
from sciddm.lookahead.gradients import gain, guidance_norm
from sciddm.lookahead.observe.observation import need_density
from sciddm.process import GaussianProcess
from sciddm.solvers.exponential import weighted_sum

RATE = "log_weight_rate"


class Corrector(Guide):
    """A guide that reports "log_weight_rate", (B,), d log w / d log_snr at x_t towards the data. `feynman_kac` takes it."""

    @property
    def sharpness(self):
        """c: at t = 1 its law is N(0, sigma^2 Sigma / c)."""
        return getattr(self.denoiser, "sharpness", jnp.asarray(1.0))

    def log_potential(self, x_t, t):
        """(B,) of what the law at t has beyond powers of marginals; weighs the start and the last step."""
        return jnp.zeros(batch_size(x_t))

    def with_noise(self, eta) -> "Corrector":
        """Itself for a solver that puts in `eta` times the noise variance of the reverse equation; None: a share that varies."""
        return self


def anneal(denoiser: Denoiser, beta) -> Corrector:
    """q^beta: sharper than the model for beta > 1, flatter below. beta: a scalar > 0."""
    return Powers(denoiser, (), jnp.asarray([beta], float))


def product(*denoisers: Denoiser, weights=None) -> Corrector:
    """prod_i q_i^{w_i} of denoisers of one process. weights: one each, of any sign with a positive sum; None: 1.

    Raises: ValueError on no denoiser, or another number of weights.
    """
    weights = jnp.ones(len(denoisers)) if weights is None else jnp.asarray(weights, float)
    if not denoisers or weights.shape != (len(denoisers),):
        raise ValueError(
            f"product of {len(denoisers)} denoisers with weights of shape {weights.shape}: one weight each"
        )
    return Powers(denoisers[0], denoisers[1:], weights)


def guided(denoiser: Denoiser, scale, unconditional=None) -> Corrector:
    """q_u^{1 - scale} q_c^scale, what `classifier_free` only points at; 1 is plain conditional, 0 unconditional.

    unconditional: the condition of the unconditional branch (None: the network's null condition), or a Denoiser of its own.
    """
    if isinstance(unconditional, Denoiser):
        other = ConditionedOn(unconditional, None)
    else:
        other = ConditionedOn(denoiser, unconditional)
    return Powers(denoiser, (other,), jnp.stack([jnp.asarray(scale, float), 1.0 - jnp.asarray(scale, float)]))


def tilt(denoiser: Denoiser, potential, strength: Callable | None = None) -> Corrector:
    """q e^r: a law under a reward, let in along the path as b(t) r(x_t, t). Outermost: around `anneal`, `product`, `guided`, not in them.

    Args:
        potential: (x_t, t) -> (B,), nats, of noisy x_t, differentiable; t: (B,).
        strength: b(t), elementwise, 1 at t = 0; None: alpha^2 / (alpha^2 + sigma^2), the signal's share, see `Signal`.
    """
    need_density(potential, "tilt")
    return Tilt(denoiser, potential, strength or Signal(denoiser.process))


class Signal(eqx.Module):
    """b(t) = alpha^2 / (alpha^2 + sigma^2), 1 on the data: b r stays of order one where x_t is large, for r up to quadratic."""

    process: GaussianProcess

    def __call__(self, t):
        return jnp.where(t > 0, jax.nn.sigmoid(self.process.log_snr(t)), 1.0)


class Powers(Corrector):
    """See `anneal`, `product` and `guided`. weights: of `denoiser` and `others`, in turn."""

    others: tuple
    weights: jax.Array

    def __check_init__(self):
        _refuse_tilt("a product or a power", self.denoiser, *self.others)
        for expert in self.others:
            expert.sampling.refuse("a product has no place for", "take the plain denoiser")

    @property
    def sharpness(self):
        own = [getattr(expert, "sharpness", 1.0) for expert in (self.denoiser, *self.others)]
        return sum(w * c for w, c in zip(self.weights, own, strict=True))

    def extra_calls(self):
        return sum(other.calls for other in self.others)

    def evaluate(self, x_t, t, cond=None):
        process, weights = self.process, list(self.weights)
        answers = [expert.evaluate(x_t, t, cond).unmoved("a corrector") for expert in (self.denoiser, *self.others)]
        experts, reports = [a.x0_hat for a in answers], [a.report for a in answers]
        excess = sum(weights) - 1.0
        # sigma eps = sum_i w_i (x_t - alpha x0_i)
        x0_hat = weighted_sum([*weights, -divide(excess, process.alpha(t))], [*experts, x_t])
        eps = [eps_from(x_t, expert, process.level(t)) for expert in experts]
        norms = sum(w * _square(process, e) for w, e in zip(weights, eps, strict=True))
        growth, _ = log_snr_rates(process, t)
        rate = excess * (0.5 * norms - growth * process.noise.each("dimension", x_t))
        for j in range(len(eps)):
            for i in range(j):
                rate -= 0.5 * weights[i] * weights[j] * _square(process, combine(1.0, eps[i], -1.0, eps[j]))
        rate += sum(w * report.get(RATE, 0.0) for w, report in zip(weights, reports, strict=True))
        return answers[0].to(x0_hat, {RATE: rate})


class Tilt(Corrector):
    """See `tilt`. share: of the reward's gradient, eta / (1 + eta)."""

    potential: Callable
    strength: Callable
    share: float = 0.5

    def __check_init__(self):
        _refuse_tilt("a tilt", self.denoiser)

    def log_potential(self, x_t, t):
        t = jnp.broadcast_to(t, (batch_size(x_t),))
        return self.strength(t) * self.potential(x_t, t)

    def with_noise(self, eta):
        if eta is None:
            raise ValueError("a tilt needs a solver whose noise is a constant share of the reverse equation's")
        return eqx.tree_at(lambda tilt: tilt.share, self, eta / (1.0 + eta))

    def evaluate(self, x_t, t, cond=None):
        process = self.process
        answer = self.denoiser.evaluate(x_t, t, cond).unmoved("a corrector")
        x0_hat = answer.x0_hat
        # t one a sample, so that backward mode gives each its own derivative in t
        times = jnp.broadcast_to(t, (batch_size(x_t),))
        value, vjp = jax.vjp(self.log_potential, x_t, times)
        gradient, in_time = vjp(jnp.ones_like(value))
        growth, time_rate = log_snr_rates(process, times)
        eps = eps_from(x_t, x0_hat, process.level(t))
        flow = combine(growth, x_t, -0.5 * process.sigma(t), eps)
        rate = in_time * time_rate + inner(gradient, flow) + answer.report.get(RATE, 0.0)
        shift = self.share * gain(process, t)
        steered = combine(1.0, x0_hat, shift, process.noise.each("covariance", gradient))
        norm = guidance_norm(process, x_t, t, x0_hat, steered)
        return answer.to(steered, {"potential": value, "guidance_norm": norm, RATE: rate})


def log_snr_rates(process: GaussianProcess, t):
    """(d log alpha / dL, dt / dL), L = log-SNR; finite at both ends. Shapes of t."""
    alpha, sigma = process.alpha(t), process.sigma(t)
    alpha_rate, sigma_rate = process.rates(t)
    determinant = 2.0 * (alpha_rate * sigma - alpha * sigma_rate)
    return alpha_rate * sigma / determinant, alpha * sigma / determinant


def _square(process, eps):
    return inner(eps, process.noise.each("precision", eps))


def _refuse_tilt(what, *experts):
    # A tilt shifts x0_hat by a share of its gradient: it has no score of its own law to give.
    if any(isinstance(expert, Tilt) for expert in experts):
        raise ValueError(f"{what} can't hold a tilt: take the tilt around it, with the sum of the rewards")
