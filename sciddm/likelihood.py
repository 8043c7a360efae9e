"""How probable is x_0? Log densities and codes by the probability flow, solved with adaptive steps.

All processes are one in y = x_t / sqrt(alpha^2 + sigma^2) and u = log(alpha / sigma): with a = sqrt(sigmoid(2u)),

    dy/du = a (x0_hat - a y),    d log p(y) / du = a^2 dim - a tr(d x0_hat / dy)

(Song et al. 2021, eqs. 13 and 39, arXiv:2011.13456), which has no division and is of order one from data to noise. What
lies beyond the two ends of u is added in closed form; see `_off_data` and `_base`.
"""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.arithmetic import batch_size, combine, widen
from sciddm.denoiser import Denoiser
from sciddm.keys import sample_keys, whole
from sciddm.match_snr import denoise_at
from sciddm.process import GaussianProcess
from sciddm.solvers.adaptive import evaluations, solve_each
from sciddm.traces import TRACES, draw_probes

# Solved for log_snr within these, or within the process's own range where that is narrower.
LOG_SNR_RANGE = (-10.0, 12.0)
SOLVER = diffrax.Tsit5()


def log_prob(
    key, denoiser: Denoiser, x_0, *, cond=None, trace="exact", probes=8, rtol=1e-5, atol=1e-5, return_info=False
):  # fmt: skip
    """log p(x_0) in nats under the probability flow of `denoiser`.

    log p(x_0) = log p(y at the noise end) + int div(dy/du) du, and the changes of variables; see the head of this file.

    Sample i depends on (key, i) and x_0[i] alone, up to rounding: each has its own adaptive steps.

    Args:
        key: one key, folded by sample index, or (B,) keys; unused by the exact trace.
        x_0: pytree of (B, ...), normalised, in the support of the process's noise law; cond: as for the denoiser.
        trace: "exact" (one backward pass a coordinate), "hutchinson" (one a probe) or "hutch++" (as many as probes, at least 3).
        rtol, atol: of y, and of the log density in nats a dimension, in each step.
    Returns:
        (B,) nats per unit volume of the support; with `return_info` also {"network_calls": (B,), "backward_passes": (B,)}.
    Raises: ValueError on an unknown trace or too few probes.
    """
    _refuse(denoiser)
    if trace not in TRACES:
        raise ValueError(f"trace {trace!r} is none of {sorted(TRACES)}")
    if trace != "exact" and whole(probes, "probes", 0) < (least := 3 if trace == "hutch++" else 1):
        raise ValueError(f"probes = {probes}: trace {trace!r} needs at least {least}")
    keys = sample_keys(key, batch_size(x_0))
    log_p, info = _log_prob(keys, denoiser, x_0, cond, trace, probes, float(rtol), float(atol))
    return (log_p, info) if return_info else log_p


def encode(denoiser: Denoiser, x_0, *, cond=None, rtol=1e-5, atol=1e-5):
    """The noise x_1 at t = 1 that the probability flow of `denoiser` takes to x_0: what `decode`, or `sd.sample(start=x_1)`
    with a deterministic solver and enough steps, turns into x_0 again (Song et al. 2021, section 4.3, arXiv:2011.13456).

    Args and tolerances as in `log_prob`. Returns: x_1 like x_0, of standard deviation sigma(1).
    """
    _refuse(denoiser)
    return _encode(denoiser.given(cond), x_0, cond, float(rtol), float(atol))


def decode(denoiser: Denoiser, x_1, *, cond=None, rtol=1e-5, atol=1e-5):
    """The sample x_0 at the other end of the probability flow from the noise x_1 at t = 1: the inverse of `encode`."""
    _refuse(denoiser)
    return _decode(denoiser.given(cond), x_1, cond, float(rtol), float(atol))


def _refuse(denoiser):
    # a kick is refused where it is met, in `_x0_hat`
    denoiser.sampling.refuse("the probability flow does not take", "ask the denoiser within")


def _x0_hat(denoiser, y, log_snr, cond):
    return denoise_at(denoiser, y, log_snr, cond).unmoved("the probability flow").x0_hat


@eqx.filter_jit
def _log_prob(keys, denoiser, x_0, cond, trace, probes, rtol, atol):
    denoiser, trace = denoiser.given(cond), TRACES[trace]
    noise = denoiser.process.noise
    x_0 = widen(x_0)
    low, high = _ends(denoiser.process)
    dim = noise.each("dimension", x_0)

    def project(v):
        return noise.each("project", v)

    draws = draw_probes(keys, trace.draws(probes), project, x_0)

    def denoise(u, y):
        """x0_hat, and the trace of d x0_hat / dy - a I, a dimension: near the data it is small, and so is the probes' spread."""
        x0_hat, vjp = jax.vjp(lambda y: widen(_x0_hat(denoiser, y, 2.0 * u, cond)), y)
        return x0_hat, trace.estimate(lambda v: combine(1.0, vjp(v)[0], -_signal(u), v), project, dim, y, draws) / dim

    def field(u, state):
        a, (x0_hat, per_dim) = _signal(u), denoise(u, state[0])
        return project(combine(a, x0_hat, -(a**2), state[0])), -a * per_dim

    a = _signal(high)
    x0_hat, per_dim = denoise(high, combine(a, x_0, 0.0, x_0))
    y = _off_data(x_0, x0_hat, a)
    (y, gained), steps = solve_each(field, SOLVER, high, low, (y, jnp.zeros_like(dim)), rtol, atol)
    log_p = _base(denoiser, y, low, cond, dim) + dim * (0.5 * (1.0 - a**2 - a * per_dim) + jnp.log(a) - gained)
    # The flow's own evaluations and one at the data end have a trace; the two of the base have none.
    traced = evaluations(SOLVER, steps) + 1
    size = sum(int(np.prod(leaf.shape[1:])) for leaf in jax.tree.leaves(x_0))
    passes = traced * trace.passes(size, probes)
    return log_p, {"network_calls": (traced + 2) * denoiser.calls, "backward_passes": passes}


@eqx.filter_jit
def _encode(denoiser, x_0, cond, rtol, atol):
    process, (low, high) = denoiser.process, _ends(denoiser.process)
    x_0, a = widen(x_0), _signal(high)
    x0_hat = _x0_hat(denoiser, combine(a, x_0, 0.0, x_0), 2.0 * high, cond)
    y, _ = solve_each(_flow(denoiser, cond), SOLVER, high, low, _off_data(x_0, x0_hat, a), rtol, atol)
    # A DDIM step takes it from `low` to t = 1: nowhere for a process that ends there, exact to (alpha/sigma)^2 for the others.
    x0_hat, a, s = _x0_hat(denoiser, y, 2.0 * low, cond), _signal(low), _signal(-low)
    alpha, sigma = process.alpha(1.0), process.sigma(1.0)
    return combine(sigma / s, y, alpha - sigma * a / s, x0_hat)


@eqx.filter_jit
def _decode(denoiser, x_1, cond, rtol, atol):
    process, (low, high) = denoiser.process, _ends(denoiser.process)
    x_1, a, s = widen(x_1), _signal(low), _signal(-low)
    alpha, sigma = process.alpha(1.0), process.sigma(1.0)
    y = at_noise = combine(s / sigma, x_1, 0.0, x_1)
    for _ in range(2):  # the inverse of encode's DDIM step, by fixed points: each gains a factor (alpha/sigma)^2
        y = combine(1.0, at_noise, a - s * alpha / sigma, _x0_hat(denoiser, y, 2.0 * low, cond))
    y, _ = solve_each(_flow(denoiser, cond), SOLVER, low, high, y, rtol, atol)
    x0_hat = _x0_hat(denoiser, y, 2.0 * high, cond)
    return combine(0.5 / _signal(high), y, 0.5, x0_hat)


def _ends(process: GaussianProcess):
    """u at the noise end and at the data end."""
    low, high = (0.5 * jnp.clip(process.log_snr(t), *LOG_SNR_RANGE) for t in (1.0, 0.0))
    return low, high


def _signal(u):
    """a = alpha / sqrt(alpha^2 + sigma^2) at u; sigma's share is `_signal(-u)`."""
    return jnp.sqrt(jax.nn.sigmoid(2.0 * u))


def _off_data(x_0, x0_hat, a):
    """y at the data end of u. In z = y / a the flow is dz/dr = eps_hat with r = sigma/alpha, and eps_hat grows as r from the
    data on: z = x_0 + (r/2) eps_hat(r) = x_0 + (x_0 - x0_hat(x_0, r)) / 2 to order r^4, and log |dz/dx_0| is its divergence."""
    return combine(1.5 * a, x_0, -0.5 * a, x0_hat)


def _base(denoiser, y, u, cond, dim):
    """log density at the noise end: N(a m, s^2 Sigma) with m = E[x_0], right to first order in a / s for any data.

    m is the mean of the denoiser at y and at -y: at the origin, where a network has never been, it might say anything.
    """
    a, s = _signal(u), _signal(-u)
    there, opposite = (_x0_hat(denoiser, combine(sign, y, 0.0, y), 2.0 * u, cond) for sign in (1.0, -1.0))
    eps = combine(1.0 / s, y, -0.5 * a / s, combine(1.0, there, 1.0, opposite))
    noise = denoiser.process.noise
    return noise.each("log_prob", noise.each("project", eps)) - dim * jnp.log(s)


def _flow(denoiser, cond):
    def field(u, y):
        a = _signal(u)
        velocity = combine(a, _x0_hat(denoiser, y, 2.0 * u, cond), -(a**2), y)
        return denoiser.process.noise.each("project", velocity)

    return field
