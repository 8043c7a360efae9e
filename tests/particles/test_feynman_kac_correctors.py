"""Powers, products, guided and rewarded laws: their weights solve the Fokker-Planck equation, and with them samples have these laws.

Without them they have others, which are known too, and stay so: no guide may "mend" them.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_posterior import gaussian_denoiser
from scipy.special import logsumexp

import sciddm as sd
from sciddm.noise import White, ZeroCentreOfMass
from sciddm.particles.correctors import anneal, guided, product, tilt
from sciddm.particles.feynman_kac import feynman_kac
from sciddm.solvers import DPMpp2M

COUNT, STEPS, SEEDS = 1500, 400, 4
PROCESSES = {"vp": sd.GaussianProcess.vp, "ve": sd.GaussianProcess.ve, "cosine": sd.GaussianProcess.cosine}


def log_power_integral(weights, means, variances):
    """log int prod_i N(x; m_i, v_i)^{w_i} dx."""
    w, m, v = (np.asarray(a, float) for a in (weights, means, variances))
    precision, pull = np.sum(w / v), np.sum(w * m / v)
    constant = -0.5 * np.sum(w * (np.log(2 * np.pi * v) + m**2 / v))
    return constant + 0.5 * (np.log(2 * np.pi / precision) + pull**2 / precision), pull / precision, 1.0 / precision


@eqx.filter_jit
def populations(corrector, centre, solver, steps):
    """Of a few populations: mean, mean square about centre and log evidence; and the network calls of one."""
    calls = []

    def one(key):
        result = feynman_kac(key, corrector, (1,), num_particles=COUNT, solver=solver, steps=steps)
        calls.append(result.info["network_calls"])
        return result.mean()[0], result.mean(lambda x: (x[:, 0] - centre) ** 2), result.log_evidence

    return jax.lax.map(one, jax.vmap(jax.random.key)(jnp.arange(SEEDS))), calls[0]


def assert_law(corrector, mean, variance, evidence=None, solver=None, steps=STEPS, rtol=0.05):
    """Over a few populations: mean within 3 standard errors, those of the populations or of independent draws, variance within rtol."""
    found, calls = populations(corrector, jnp.asarray(mean, float), solver, steps)
    means, second, evidences = (np.asarray(values, float) for values in found)
    error = max(np.sqrt(variance / COUNT), np.std(means, ddof=1)) / np.sqrt(SEEDS)
    assert abs(np.mean(means) - mean) <= 3.0 * error, (means, mean)
    np.testing.assert_allclose(np.mean(second), variance, rtol=rtol)
    if evidence is not None:
        # unbiased as a number, not as a logarithm
        np.testing.assert_allclose(np.log(np.mean(np.exp(evidences))), evidence, atol=0.1)
    return calls


@pytest.mark.parametrize("name", ["vp"])  # the one whose drift is not 0
def test_rates_solve_the_fokker_planck_equation(name, x64):
    # gamma_L, not normalised, moves along drift and noise with weights W:  W = d log gamma/dL + div D + <D, grad log gamma>
    #  - (eta sigma^2 / 2) (lap log gamma + |grad log gamma|^2),   D = x dlog alpha/dL - (1 + eta)/2 sigma eps_guide
    process = PROCESSES[name]()
    one = sd.oracle.GaussianMixture([0.3, 0.7], [[-1.0, 0.5], [2.0, 1.0]], np.array([0.4, 0.2]))
    two = sd.oracle.GaussianMixture([1.0], [[0.3, -0.4]], 0.7)
    first, second = one.denoiser(process), two.denoiser(process)

    def marginal(mixture):
        return lambda x, t: jax.nn.logsumexp(mixture._log_joint(x[None], process.alpha(t), process.sigma(t)), axis=-1)[
            0
        ]

    def reward(x, t):
        return jnp.sin(x[:, 0]) * x[:, 1] + t**2 * x[:, 1]

    def let_in(x, t):
        return (1.0 - t) * reward(x[None], t)[0]

    # log gamma is a sum of the marginals' logarithms and of what is let in of the reward, with these factors
    parts = (marginal(one), marginal(two), let_in)
    cases = [
        (anneal(first, 2.5), (2.5, 0.0, 0.0)),
        (product(first, second, weights=(0.7, 1.6)), (0.7, 1.6, 0.0)),
        (guided(first, 3.0, second), (3.0, -2.0, 0.0)),
        (anneal(product(first, second), 0.5), (0.5, 0.5, 0.0)),
        (tilt(first, reward, lambda t: 1.0 - t), (1.0, 0.0, 1.0)),
        (tilt(anneal(first, 2.0), reward, lambda t: 1.0 - t), (2.0, 0.0, 1.0)),
    ]
    factors = np.array([factor for _, factor in cases]).T
    points = np.asarray(jax.random.normal(jax.random.key(0), (5, 2), jnp.float64))

    def derivatives(part, x, t):
        return jax.grad(part)(x, t), jnp.trace(jax.hessian(part)(x, t)), jax.grad(part, 1)(x, t)

    def both(t, eta):
        slope = jax.grad(process.log_snr)(t)
        growth, sigma = jax.grad(lambda t: jnp.log(process.alpha(t)))(t) / slope, process.sigma(t)
        guides = [corrector.with_noise(eta) for corrector, _ in cases]

        def expected(x):
            def drifts(x):
                return jnp.stack([growth * x - 0.5 * (1 + eta) * sigma * guide.eps(x[None], t)[0] for guide in guides])

            here, along = drifts(x), jax.jacfwd(drifts)(x)
            gradient, laplacian, in_time = (
                jnp.tensordot(factors.T, jnp.stack(of_parts), axes=1)
                for of_parts in zip(*(derivatives(part, x, t) for part in parts), strict=True)
            )
            moved = jnp.trace(along, axis1=1, axis2=2) + jnp.sum(here * gradient, -1)
            spread = 0.5 * eta * sigma**2 * (laplacian + jnp.sum(gradient**2, -1))
            return in_time / slope + moved - spread

        rates = jnp.stack([guide.evaluate(points, t)[1]["log_weight_rate"] for guide in guides], -1)
        return rates, jax.vmap(expected)(points)

    rates, expected = jax.jit(lambda t, eta: jax.lax.map(lambda both_of: both(*both_of), (t, eta)))(
        np.array([0.2, 0.6, 0.6]), np.array([1.0, 0.5, 3.0])
    )
    assert rates.shape == (3, 5, 6)
    np.testing.assert_allclose(rates, expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(("name", "scale"), [("vp", 2.0), pytest.param("ve", 4.0, marks=pytest.mark.slow)])
def test_guided_samples_have_the_law_that_guidance_promises(name, scale):
    # p = N(0, 1), p_c = N(1, 1/4): variance .1429 and mean 1.143 at scale 2, variance .0769 at scale 4
    process = PROCESSES[name]()
    corrector = guided(gaussian_denoiser(process, 0.25, 1.0), scale, gaussian_denoiser(process, 1.0, 0.0))
    evidence, mean, variance = log_power_integral([1.0 - scale, scale], [0.0, 1.0], [1.0, 0.25])
    np.testing.assert_allclose(variance, {2.0: 0.1429, 4.0: 0.0769}[scale], rtol=1e-3)
    assert_law(corrector, mean, variance, evidence)


def test_without_weights_guidance_reaches_the_geometric_variance():
    # v_0^(1 - w) v_c^w; on a Gaussian the flow is linear in its start, so two starts give the variance
    process = sd.GaussianProcess.vp()
    for scale in (2.0, 4.0):
        corrector = guided(gaussian_denoiser(process, 0.25, 1.0), scale, gaussian_denoiser(process, 1.0, 0.0))
        x, _ = sd.sample(
            jax.random.key(0), corrector, (2, 1), solver="heun", steps=STEPS, grid="logsnr", start=jnp.array([[0.0], [1.0]])
        )  # fmt: skip
        low, high = np.asarray(x)[:, 0]
        np.testing.assert_allclose((high - low) ** 2, 0.25**scale, rtol=2e-3)


# on "ve" a guided law has its weights checked too
@pytest.mark.parametrize("name", ["vp", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ve", "cosine"))])
def test_annealed_samples_have_the_variance_over_beta(name):
    process, beta, variance = PROCESSES[name](), 2.0, 0.5
    corrector = anneal(gaussian_denoiser(process, variance, 0.7), beta)
    noisy = process.alpha(1.0) ** 2 * variance + process.sigma(1.0) ** 2
    evidence = 0.5 * (1.0 - beta) * np.log(variance / noisy)
    assert_law(corrector, 0.7, variance / beta, evidence)
    if name == "vp":
        x, _ = sd.sample(
            jax.random.key(0), corrector, (10_000, 1), solver=DPMpp2M(eta=1.0), steps=STEPS // 2, grid="logsnr"
        )
        np.testing.assert_allclose(np.var(x), variance / (2 * beta - 1), rtol=0.03)


def test_two_experts_multiply():
    process = sd.GaussianProcess.vp()
    clean, mean, variance = log_power_integral([1.0, 1.0], [0.7, 1.0], [0.5, 0.25])
    noisy, _, _ = log_power_integral([1.0, 1.0], [0.0, 0.0], [1.0, 1.0])
    assert_law(product(gaussian_denoiser(process, 0.5, 0.7), gaussian_denoiser(process, 0.25, 1.0)), mean, variance, clean - noisy)


@pytest.mark.parametrize(
    ("name", "solver"), [("vp", "ddpm"), pytest.param("ve", "sde-dpmpp2m", marks=pytest.mark.slow), ("ve", "seeds2"), ("cosine", None)]
)
def test_rewarded_samples_have_the_tilted_law_and_evidence(name, solver):
    process, mean, variance, k, target = PROCESSES[name](), 0.7, 0.5, 2.0, 1.2
    denoiser = gaussian_denoiser(process, variance, mean)
    steps = STEPS if solver == "ddpm" else STEPS // 4  # of order 1
    calls = COUNT * (2 * steps - 1 if solver == "seeds2" else steps)
    precision = 1 / variance + k
    centre = (mean / variance + k * target) / precision
    evidence = -0.5 * np.log(1 + k * variance) - 0.5 * k * (target - mean) ** 2 / (1 + k * variance)
    corrector = tilt(denoiser, jax.tree_util.Partial(quadratic, jnp.array([k, 0.0, target])))
    assert assert_law(corrector, centre, 1 / precision, evidence, solver, steps) == calls
    if name == "cosine":
        slope = 1.5
        corrector = tilt(denoiser, jax.tree_util.Partial(quadratic, jnp.array([0.0, slope, 0.0])))
        evidence = slope * mean + 0.5 * slope**2 * variance
        assert_law(corrector, mean + slope * variance, variance, evidence, solver, steps)


def quadratic(coefficients, x, t):
    k, slope, target = coefficients
    return -0.5 * k * (x[:, 0] - target) ** 2 + slope * x[:, 0]


def test_an_annealed_mixture_has_the_exact_modes(sliced):
    # variances of the two axes, the same for both components
    weights, means, variances = np.array([0.2, 0.8]), np.array([[-1.0, 0.0], [1.0, 0.5]]), np.array([0.15, 0.3])
    count, beta, side = 4000, 2.0, np.linspace(-5, 5, 401)
    cells = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    law = np.sum(weights * np.exp(-0.5 * np.sum((cells[:, None] - means) ** 2 / variances, -1)), 1) ** beta
    # as many of each cell as its share, but for one
    exact = cells[np.searchsorted(np.cumsum(law / law.sum()), (np.arange(count) + 0.5) / count)]
    corrector = anneal(sd.oracle.GaussianMixture(weights, means, variances).denoiser(sd.GaussianProcess.vp()), beta)

    @jax.jit
    def corrected(key):
        result = feynman_kac(key, corrector, (2,), num_particles=count, steps=STEPS)
        return result.resampled(jax.random.key(1))

    weighted = sliced(corrected(jax.random.key(0)), exact)
    plain, _ = sd.sample(jax.random.key(0), corrector, (count, 2), solver=DPMpp2M(eta=1.0), steps=STEPS, grid="logsnr")
    assert weighted < 0.03 and sliced(plain, exact) > 3.0 * weighted, (weighted, sliced(plain, exact))


def test_equal_experts_are_the_power_two_and_scale_one_is_plain():
    process = sd.GaussianProcess.vp()
    q, u = gaussian_denoiser(process, 0.5, 0.7), gaussian_denoiser(process, 1.0, 0.0)
    pairs = ((product(q, q), anneal(q, 2.0)), (product(q, weights=(1.0,)), q), (guided(q, 1.0, u), q))
    asked = jax.jit(lambda x, t: [[guide.evaluate(x, t) for guide in pair] for pair in pairs])
    for (ours, report, _), (theirs, other, _) in asked(
        jax.random.normal(jax.random.key(0), (9, 1)), np.linspace(0.05, 0.95, 9, dtype=np.float32)
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(report["log_weight_rate"], other.get("log_weight_rate", 0.0), rtol=1e-5, atol=1e-6)
    assert product(q, q).calls == 2 and guided(q, 3.0, u).calls == 2 and anneal(product(q, u), 2.0).calls == 2


def test_rates_count_the_dimension_of_the_support():
    # two points on a line without a centre of mass, (u, -u) / sqrt 2, are one white number u
    free = sd.GaussianProcess.vp(noise=ZeroCentreOfMass())
    centred = sd.FunctionDenoiser(lambda x, t, cond: 0.3 * x, free)
    line = sd.FunctionDenoiser(lambda x, t, cond: 0.3 * x, sd.GaussianProcess.vp())
    u = np.random.default_rng(0).normal(size=(7, 1)).astype(np.float32)
    pair = np.stack([u, -u], axis=1) / np.sqrt(np.float32(2.0))

    @jax.jit
    def rates(pair, u):
        asked = ((anneal(centred, 3.0), pair), (anneal(line, 3.0), u))
        return [guide.evaluate(x, 0.4)[1]["log_weight_rate"] for guide, x in asked]

    np.testing.assert_allclose(*rates(pair, u), rtol=1e-5)


def test_a_second_call_compiles_nothing():
    process, traces = sd.GaussianProcess.vp(), []

    def function(x_t, t, cond):
        traces.append(1)
        return 0.5 * x_t

    denoiser = sd.FunctionDenoiser(function, process)
    for seed, beta in ((0, 1.5), (1, 2.5)):
        feynman_kac(
            jax.random.key(seed), anneal(denoiser, beta), (2,), num_particles=8, steps=5, ess_threshold=beta / 3
        )
        if seed == 0:
            first = len(traces)
    assert len(traces) == first


def test_memories_of_solvers_go_along_with_their_particles():
    # Particles that change places after every step are, without noise, the same set: if each keeps its own last x0_hat.
    process = sd.GaussianProcess.vp()
    mixture = sd.oracle.GaussianMixture([0.3, 0.7], [[-1.0], [2.0]], 0.2)

    def reverse(key, log_weights):
        return jnp.arange(log_weights.shape[0])[::-1]

    ends = [
        feynman_kac(
            jax.random.key(0), anneal(mixture.denoiser(process), 1.0), (1,), num_particles=40, steps=12,
            solver=DPMpp2M(eta=1e-9), resample=reverse, ess_threshold=threshold,
        )
        for threshold in (0.0, 2.0)
    ]  # fmt: skip
    assert np.sum(ends[1].info["resampled"]) == 11  # not after the last step
    np.testing.assert_allclose(ends[0].particles, np.asarray(ends[1].particles)[::-1], atol=2e-3)


def test_resampling_keeps_the_evidence_and_stays_in_its_interval():
    process = sd.GaussianProcess.vp()
    corrector = anneal(gaussian_denoiser(process, 0.5, 0.0), 2.0)
    result = feynman_kac(
        jax.random.key(0), corrector, (1,), num_particles=4000, steps=60, ess_threshold=1.1, interval=(0.2, 0.5)
    )
    times, resampled = np.asarray(result.info["times"])[:-1], np.asarray(result.info["resampled"])
    np.testing.assert_array_equal(resampled, (times >= 0.2) & (times <= 0.5))
    ancestors, log_weights = np.asarray(result.info["ancestors"]), np.asarray(result.log_weights)
    assert ancestors.shape == (60, 4000) and result.info["ess"].shape == (60,)
    np.testing.assert_array_equal(ancestors[~resampled], np.arange(4000)[None].repeat(60 - resampled.sum(), 0))
    assert np.ptp(log_weights) > 0
    np.testing.assert_allclose(result.log_evidence, logsumexp(log_weights) - np.log(4000), rtol=1e-5, atol=1e-5)


def test_a_constant_reward_weighs_every_path_alike_to_the_last_step():
    # b = 1 - t is linear in the log-SNR of VE, so the trapezoids are exact, and an eighth of it is left to the step to the data
    process = sd.GaussianProcess.ve()
    corrector = tilt(gaussian_denoiser(process, 0.5, 0.0), lambda x, t: 3.0 + 0.0 * x[:, 0], lambda t: 1.0 - t)
    for threshold, times in ((0.0, 0), (2.0, 7)):
        result = feynman_kac(
            jax.random.key(0), corrector, (1,), num_particles=5, steps=8, solver="ddpm", ess_threshold=threshold
        )
        assert np.sum(result.info["resampled"]) == times
        np.testing.assert_allclose(result.log_weights, 3.0, rtol=1e-5)
        np.testing.assert_allclose(result.log_evidence, 3.0, rtol=1e-5)


def test_what_can_not_be_weighed_is_refused():
    process = sd.GaussianProcess.vp(noise=White())
    q = gaussian_denoiser(process, 1.0, 0.0)
    key, few = jax.random.key(0), {"num_particles": 4, "steps": 3}
    for solver in ("unipc2", "edm"):
        with pytest.raises(ValueError, match="does not solve: take 'ddpm'"):
            feynman_kac(key, anneal(q, 2.0), (1,), solver=solver, **few)
    with pytest.raises(ValueError, match="does not pass on what guides report"):
        feynman_kac(key, anneal(q, 2.0), (1,), solver="euler-maruyama", **few)
    rewarded = tilt(q, lambda x, t: x[:, 0])
    with pytest.raises(ValueError, match="constant share"):
        feynman_kac(key, rewarded, (1,), solver="flow-sde", **few)
    with pytest.raises(ValueError, match="reports no weights"):
        feynman_kac(key, q, (1,), **few)
    with pytest.raises(ValueError, match="the sum of all powers is -1"):
        feynman_kac(key, product(q, q, weights=(1.0, -2.0)), (1,), **few)
    with pytest.raises(ValueError, match="one weight each"):
        product(q, q, weights=(1.0,))
    for outer in (lambda c: anneal(c, 2.0), lambda c: product(q, c), lambda c: tilt(c, lambda x, t: x[:, 0])):
        with pytest.raises(ValueError, match="can't hold a tilt"):
            outer(rewarded)


def test_rates_are_integrated_by_the_trapezoid_rule_up_to_the_step_onto_the_data():
    from sciddm.particles.feynman_kac import _widths

    log_snr = np.array([-9.0, -4.0, -3.0, 2.0, 4.5, np.inf], np.float32)
    rate = 3.0 * log_snr[:-1] + 1.0  # linear, for which the rule is exact
    exact = 1.5 * (4.5**2 - 9.0**2) + 4.5 + 9.0
    np.testing.assert_allclose(np.sum(np.asarray(jax.jit(_widths)(log_snr, True)) * rate), exact, rtol=1e-6)
