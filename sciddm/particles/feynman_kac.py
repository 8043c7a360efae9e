"""Feynman-Kac correctors: annealed, multiplied, guided and rewarded laws, sampled as they are defined.

    d log w = W dL along a path of any stochastic solver,  W the rate that a corrector reports, L the log-SNR
                                                                                (Skreta et al. 2025, arXiv:2503.02819)
by the trapezoid rule on the solver's own evaluations, so weights cost no network call. Where they have become uneven, particles are
resampled, and their log weights become their log-mean-exp, which so is always log (int pi_t / int pi_1), the running evidence.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.errors import Refusal
from sciddm.grids import LOG_SNR_RANGE
from sciddm.keys import fold, one_key, sample_keys
from sciddm.particles.budget import particles_for
from sciddm.particles.correctors import RATE, Corrector
from sciddm.particles.engine import RESAMPLING, goes_on, population
from sciddm.particles.resample import effective_sample_size, log_mean_exp, resolve
from sciddm.particles.result import Result
from sciddm.reverse import by, reverse_step
from sciddm.sample import fill_defaults, grid_times
from sciddm.solvers import DDIM, DDPM, EDM, DPMpp2M, DPMpp2S
from sciddm.solvers.base import DenoiserTerm
from sciddm.time_travel import TimeTravel


def feynman_kac(
    key, corrector: Corrector, shape, *, num_particles: int | None = None, budget: int | None = None, cond=None, solver=None,
    steps: int = 200, grid="logsnr", resample="systematic", ess_threshold=0.5, interval=(0.0, 1.0),
) -> Result:  # fmt: skip
    """Weighted particles of the law that `corrector` names: `anneal`, `product`, `guided` or `tilt`.

    Args:
        shape: of one particle, no batch axis, or a pytree of them.
        num_particles: K; or budget: network calls in all, as many particles as it pays for.
        cond: handed to the denoisers, one for all particles or one each.
        solver: stochastic, of those that report at x_t: "ddpm", "ddim-eta", "sde-dpmpp2m", "seeds2", "flow-sde"; for a tilt not the last.
            None: DPMpp2M(eta=4), of second order, weakly. More noise than the reverse equation has is worth it: for q^beta weights have
            a finite variance only from eta > 2 - 2/beta on, which ESS does not show ("ddim-eta" and "flow-sde" have little of it), and for
            guided laws 1 is too little already at a scale of 4.
        resample: a name of `RESAMPLERS` or a function like them; where ESS / K < ess_threshold (0: never, 1: wherever weights differ)
            and t lies in interval, (low, high). After the last step weights are left as they are.
    Returns: `Result`; log_evidence is log int prod q_0^w e^r less that of prod q_1^w: of a tilt log E[e^r], of `guided` that of its law.
        info: `ess`, `resampled`, (steps,), and `ancestors` (steps, K), of x after each step; `times`; what guides report, (steps, K).
    Raises: ValueError on a solver without noise or without a report, on anything but a corrector, on one whose law at t = 1 can't be
        normalised, or on guides that move x besides.
    """
    key = one_key(key)
    if not isinstance(corrector, Corrector):
        raise ValueError(
            f"{type(corrector).__name__} reports no weights: take `anneal`, `product`, `guided` or `tilt` of it"
        )
    corrector.sampling.refuse("no weight accounts for", "take it away")
    if isinstance(grid, TimeTravel):
        raise ValueError("feynman_kac takes a grid that does not go back")
    sharpness = corrector.sharpness
    if not isinstance(sharpness, jax.core.Tracer) and not sharpness > 0:
        raise ValueError(f"the sum of all powers is {sharpness}: no law at t = 1 unless it is positive")
    solver, steps, grid = fill_defaults(corrector, DPMpp2M(eta=4.0) if solver is None else solver, steps, grid)
    if not solver.draws_noise() or isinstance(solver, EDM):
        raise ValueError(
            f"weights are those of the reverse equation, which {type(solver).__name__} does not solve: take 'ddpm', 'ddim-eta', "
            "'sde-dpmpp2m', 'seeds2' or 'flow-sde'"
        )
    if getattr(solver, "covariance", None) is not None:
        raise ValueError("weights are those of the reverse equation, whose steps are as narrow as it says: take 'ddpm' without covariance")
    calls = solver.network_calls(steps) * corrector.calls
    count = particles_for(num_particles, budget, calls)
    corrector = corrector.with_noise(_noise_share(solver))
    particles, log_weights, info = _run(
        key, corrector, cond, solver, steps, grid, population(shape, count), resolve(resample),
        jnp.asarray(ess_threshold, float), jnp.asarray(interval, float),
    )  # fmt: skip
    return Result(particles, log_weights, log_mean_exp(log_weights), {"network_calls": count * calls, **info})


def _noise_share(solver):
    # eta: the variance put in, over that of the reverse equation; None if it varies
    if isinstance(solver, DDIM):
        return solver.eta**2
    return 1.0 if isinstance(solver, DDPM) else solver.eta if isinstance(solver, (DPMpp2M, DPMpp2S)) else None


def _widths(log_snr, to_data):
    # What each rate counts for: half of the intervals on its sides. The last step has no rate at its end: on the way to the data its
    # length in L is without bound and its weight is the potential's alone, else the rate at its start is held.
    steps = jnp.diff(log_snr)
    last = jnp.where(to_data, 0.0, steps[-1])
    before = jnp.concatenate([jnp.zeros(1), steps[:-1]])
    return 0.5 * before + jnp.append(0.5 * steps[:-1], last)


@eqx.filter_jit
def _run(key, corrector, cond, solver, steps, grid, like, resample, threshold, interval):
    corrector = corrector.given(cond)
    process, count = corrector.process, jax.tree.leaves(like)[0].shape[0]
    keys, times = sample_keys(key, count), grid_times(grid, process, steps)
    # From alpha = 0 a step would forget how sharp the start is: it begins where x_t is noise to any solver.
    log_snr = process.log_snr(times)
    noisiest = jnp.where(log_snr[1] > LOG_SNR_RANGE[0], LOG_SNR_RANGE[0], log_snr[1] - 0.1)
    begins = jnp.isfinite(log_snr[0])
    times = times.at[0].set(jnp.where(begins, times[0], process.time(noisiest)))
    log_snr = log_snr.at[0].set(jnp.where(begins, log_snr[0], noisiest))
    steps, to_data = len(times) - 1, times[-1] <= 0

    spread = process.sigma(times[0]) / jnp.sqrt(corrector.sharpness)
    eps = process.noise.sample_batch(fold(keys, 0), like)
    start = jax.tree.map(lambda leaf: spread.astype(leaf.dtype) * leaf, eps)

    def step(carry, now):
        x_t, log_weights, memory, cond = carry
        index, t, s, width = now
        x_s, memory, report = reverse_step(
            corrector, by(solver, t, s, x_t, memory), fold(keys, index + 1), t, s, x_t, cond=cond,
            remaining=jnp.where(to_data, steps - 1.0 - index, jnp.inf),
        )  # fmt: skip
        if RATE not in report:
            raise Refusal(f"solver {type(solver).__name__} does not pass on what guides report: take 'ddpm'")

        def arrive():
            return corrector.log_potential(x_s, s) - corrector.log_potential(x_t, t)

        log_weights = log_weights + width * report[RATE]
        log_weights = log_weights + jax.lax.cond(s <= 0, arrive, lambda: jnp.zeros_like(log_weights))
        ess = effective_sample_size(log_weights)
        due = (ess < threshold * count) & (t >= interval[0]) & (t <= interval[1]) & (index < steps - 1)

        def choose():
            ancestors = resample(jax.random.fold_in(key, RESAMPLING + index.astype(jnp.uint32)), log_weights)
            moved = goes_on((x_s, memory, cond), ancestors)
            return *moved, jnp.full_like(log_weights, log_mean_exp(log_weights)), ancestors.astype(jnp.int32)

        def stay():
            return x_s, memory, cond, log_weights, jnp.arange(count, dtype=jnp.int32)

        x_s, memory, cond, log_weights, ancestors = jax.lax.cond(due, choose, stay)
        return (x_s, log_weights, memory, cond), {"ess": ess, "resampled": due, "ancestors": ancestors, **report}

    memory = solver.init(DenoiserTerm(corrector, cond, keys), times[0], times[1], start, None)
    opening = jax.eval_shape(lambda: corrector.evaluate(start, times[0], cond).report[RATE])
    log_weights = corrector.log_potential(start, times[0]).astype(opening.dtype)
    now = jnp.arange(steps), times[:-1], times[1:], _widths(log_snr, to_data).astype(opening.dtype)
    (particles, log_weights, _, _), info = jax.lax.scan(step, (start, log_weights, memory, cond), now)
    return particles, log_weights, {"times": times, **info}
