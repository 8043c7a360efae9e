"""What exponential integrators share: the probability flow or reverse equation solved exactly but for x0_hat along the step.

With lambda = log(alpha/sigma), h = lambda_s - lambda_t, and eta the share of noise (0: the flow, 1: the reverse equation),

    x_s = (sigma_s/sigma_t) e^{-eta h} x_t + alpha_s int_0^1 c e^{c (v - 1)} D(v) dv + sigma_s sqrt(1 - e^{-2 eta h}) z,   c = (1 + eta) h

where D(v) is x0_hat at lambda_t + v h                   (Lu et al. 2022, eq. 8 and 14, arXiv:2211.01095; eta as in its SDE form).
Every solver of this family differs only in how it guesses D(v); all are finite at alpha_t = 0 and sigma_s = 0, where h is infinite.
"""

import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine, expand
from sciddm.process import Level
from sciddm.solvers.base import DenoiserTerm

NO_SIGNAL = -12.0


def log_step(level_t: Level, level_s: Level):
    """h = lambda_s - lambda_t."""
    return 0.5 * (level_s.log_snr - level_t.log_snr)


def place(level: Level):
    """lambda for extrapolation. At alpha = 0 x0_hat is the mean of the data, as it still is at log-SNR -12: it stands there."""
    return jnp.where(jnp.isfinite(level.log_snr), 0.5 * level.log_snr, 0.5 * NO_SIGNAL)


def exponential_step(x_t, integral, level_t: Level, level_s: Level, eta: float = 0.0):
    """The step above without its noise. integral: int c e^{c (v - 1)} D(v) dv, like x_t."""
    decay = jnp.exp(-noise_time(log_step(level_t, level_s), eta))
    return combine(level_s.sigma / level_t.sigma * decay, x_t, level_s.alpha, integral)


def noise_std(level_t: Level, level_s: Level, eta: float):
    """sigma_s sqrt(1 - e^{-2 eta h})."""
    return level_s.sigma * jnp.sqrt(-jnp.expm1(-2.0 * noise_time(log_step(level_t, level_s), eta)))


def add_noise(term: DenoiserTerm, x_s, level_t: Level, level_s: Level, eta: float):
    """x_s + sigma_s sqrt(1 - e^{-2 eta h}) z; no draw where eta = 0."""
    return combine(1.0, x_s, noise_std(level_t, level_s, eta), term.noise(x_s)) if eta else x_s


def noise_time(h, eta: float):
    """eta h, and 0 at eta = 0 for an infinite h too."""
    return eta * h if eta else jnp.zeros_like(h)


def moments(c, count: int):
    """[m_0, ..., m_{count-1}], m_i = int_0^1 c e^{c (v - 1)} v^i dv, for c >= 0 up to infinity.

    m_0 = 1 - e^{-c} and m_i = 1 - (i/c) m_{i-1}; below c = 1, where that cancels, m_{i-1} = (c/i)(1 - m_i) from a high i down.
    """
    small, large = jnp.minimum(c, 1.0), jnp.maximum(c, 1.0)
    up = [-jnp.expm1(-large)]
    for i in range(1, count):
        up.append(1.0 - i / large * up[-1])
    high = count + 12
    value, down = small / (small + high + 1.0), {}
    for i in range(high, 0, -1):
        value = small / i * (1.0 - value)
        down[i - 1] = value
    return [jnp.where(c < 1.0, down[i], up[i]) for i in range(count)]


def interpolation_weights(nodes, c, order):
    """Weights w_j with sum_j w_j D(v_j) = int_0^1 c e^{c (v - 1)} p(v) dv, p the polynomial through the first `order` nodes.

    Newton's form: w_j = sum_{j <= m < order} I_m / prod_{k <= m, k != j} (v_j - v_k), I_m the moment of prod_{k < m} (v - v_k).

    Args: nodes: a list of scalars v_j, those that count being distinct and finite; order: how many count, an integer or a traced one.
    """
    count = len(nodes)
    # Nodes that don't count are moved to where they can't meet another: their weights are zero, not NaN.
    nodes = [jnp.where(j < order, v, 100.0 + j) for j, v in enumerate(nodes)]
    m = moments(c, count)
    weights, polynomial = [jnp.zeros_like(m[0])] * count, [1.0]  # coefficients of prod (v - v_k), lowest first
    for degree in range(count):
        moment = sum(a * m[i] for i, a in enumerate(polynomial))
        for j in range(degree + 1):
            others = [nodes[j] - nodes[k] for k in range(degree + 1) if k != j]
            share = moment
            for gap in others:
                share = share / gap
            weights[j] = weights[j] + jnp.where(degree < order, share, 0.0)
        polynomial = [
            (polynomial[i - 1] if i > 0 else 0.0) - (nodes[degree] * polynomial[i] if i <= degree else 0.0)
            for i in range(degree + 2)
        ]
    return weights


def weighted_sum(weights, trees):
    """sum_j w_j x_j, leaf by leaf, in the leaves' dtype."""
    weights = [jnp.asarray(w) for w in weights]
    return jax.tree.map(
        lambda *leaves: sum(expand(w, x).astype(x.dtype) * x for w, x in zip(weights, leaves, strict=True)), *trees
    )
