"""Weights, evidence and law of the particle loop, against Gaussian chains whose every moment is known and against exact mixtures."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from chain import PROCESS, VARIANCE, end_variance, gaussian, log_normal, populated
from gaussian_posterior import mixture_draws, mixture_posterior

import sciddm as sd
from sciddm import particles
from sciddm.particles.engine import lineage

Y, TAU = 1.3, 0.4  # what is measured of the one coordinate, and its variance
OBSERVATION = sd.lookahead.Observation(np.array([[1.0]]), np.array([Y]), np.sqrt(TAU))
STEPS = 12


def exact_evidence(steps=STEPS):
    return log_normal(Y, end_variance(steps) + TAU)


@pytest.mark.parametrize(
    "method, options",
    [
        (particles.smc, {"twist": "none"}),
        (particles.smc, {"twist": "pigdm", "resample": "residual"}),
        (particles.smc, {"twist": "mmps", "resample": "stratified"}),
        (particles.fk_steering, {"kind": "difference", "every": 3}),
        (particles.fk_steering, {"kind": "max", "every": 3}),
        (particles.fk_steering, {"kind": "sum", "every": 5, "tau": 10.0}),  # twelve times the reward on the way
        (particles.tds, {"resample": "multinomial", "tau": 1.0}),
        (particles.das, {}),
    ],
)
def test_the_evidence_is_unbiased_and_the_law_the_posterior_of_the_chain(method, options):
    # sharp enough that weights matter, smooth enough that the naive twists don't diverge
    options = dict(options)
    tau = options.pop("tau", TAU)
    observation = sd.lookahead.Observation(np.array([[1.0]]), np.array([Y]), np.sqrt(tau))

    @eqx.filter_jit
    def many(key):
        def one(key):
            result = method(key, gaussian(), observation, (1,), num_particles=256, steps=STEPS, **options)
            z = jnp.exp(result.log_evidence)
            return z, z * result.mean()[0], z * result.mean(jnp.square)[0]

        return particles.for_each(key, one, count=64)

    z, first, second = (np.asarray(v) for v in many(jax.random.key(0)))
    prior = end_variance(STEPS)
    variance = 1.0 / (1.0 / prior + 1.0 / tau)
    mean = variance * Y / tau
    # each is unbiased times the evidence, so all three hold within standard errors
    for values, expected in ((z, 1.0), (first, mean), (second, variance + mean**2)):
        values = values / np.exp(log_normal(Y, prior + tau))
        assert abs(values.mean() - expected) < 3.3 * values.std(ddof=1) / 8, (values.mean(), expected)
    assert z.std() / z.mean() < 0.5


EXACT = sd.solvers.DDPM(prior_variance=VARIANCE)  # for these data the kernel is exact at any number of steps


def test_the_moment_matched_twist_of_a_gaussian_prior_is_exact_up_to_the_time_step():
    shares = []
    for steps in (12, 100):
        result, _ = populated(
            jax.random.key(0), particles.smc, gaussian(), OBSERVATION, (1,), num_particles=2000, steps=steps, solver=EXACT
        )
        shares.append(1.0 - np.min(result.info["ess"]) / 2000)
        np.testing.assert_allclose(result.log_evidence, log_normal(Y, VARIANCE + TAU), atol=0.02)
    assert shares[0] < 0.12 and shares[1] < 0.25 * shares[0]


@pytest.mark.parametrize("twist", ["mmps", "plain"])
def test_a_linear_reward_of_a_gaussian_prior_has_equal_weights(twist):
    # "mmps" knows the constant that "plain" lacks; x_s | x_t of the tilted law is the shifted kernel exactly
    b = np.array([1.5, -0.5])

    @eqx.filter_jit
    def tilted(key):
        result = particles.smc(
            key, gaussian(), lambda x, t: x @ b, (2,), num_particles=400, steps=STEPS, twist=twist, solver=EXACT
        )
        return result, result.mean(), result.ess

    result, mean, ess = tilted(jax.random.key(1))
    assert np.min(result.info["ess"]) > 400 * (1 - 1e-3) and ess > 400 * (1 - 1e-3)
    np.testing.assert_allclose(mean, VARIANCE * b, atol=0.15)
    np.testing.assert_allclose(result.log_evidence, 0.5 * VARIANCE * b @ b, rtol=2e-3)


sample = eqx.filter_jit(sd.oracle.GaussianMixture.sample)


def twenty_five(dimension, seen, seed):
    """The inverse problem of arXiv:2308.07983: 25 components sixteen apart, singular values of A and the noise uniform."""
    rng = np.random.default_rng(seed)
    means = np.array([np.tile([-8.0 * i, -8.0 * j], dimension // 2) for i in range(-2, 3) for j in range(-2, 3)])
    weights = rng.normal(size=25) ** 2
    prior = sd.oracle.GaussianMixture(weights, means, 1.0)
    left, _, right = np.linalg.svd(rng.normal(size=(seen, dimension)), full_matrices=False)
    values = np.sort(rng.uniform(size=seen))[::-1]
    A, noise_std = (left * values) @ right, rng.uniform() * values.max()
    x = np.asarray(sample(prior, jax.random.key(seed), 1))[0]
    y = A @ x + noise_std * rng.normal(size=seen)
    return prior, A, y, noise_std, mixture_posterior(weights, means, np.eye(dimension), A, y, noise_std)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_particles_are_the_posterior_of_a_mixture_where_no_plug_in_guide_is_and_descend_from_fewer_and_fewer(seed, sliced):
    prior, A, y, noise_std, (weights, means, covariance, evidence) = twenty_five(8, 2, seed)
    resampled, found, info, forebears = posterior_particles(
        jax.random.key(seed), prior.denoiser(PROCESS), sd.lookahead.Observation(A, y, noise_std)
    )
    truth, other = (mixture_draws(weights, means, covariance, 1000, i) for i in (7, 8))
    assert sliced(resampled, truth) < sliced(other, truth) + 0.3
    assert abs(found - evidence) < 0.3
    assert np.mean(info["ess"]) > 0.6 * 1000
    roots = [len(np.unique(row)) for row in np.asarray(forebears)]
    assert roots == sorted(roots) and (roots[0] < 1000) == np.any(info["resampled"])
    assert seed == 0 or np.any(info["resampled"])
    assert info["ess"].shape == info["resampled"].shape == (100,)


@eqx.filter_jit
def posterior_particles(key, denoiser, observation):
    """A thousand particles of equal weight, the log evidence, what is reported and the lineage, by a program that all problems share."""
    result = particles.smc(key, denoiser, observation, (8,), num_particles=1000)
    return result.resampled(jax.random.key(9)), result.log_evidence, result.info, lineage(result.info["ancestors"])


def exact_twist(prior, A, y, noise_std, process):
    """log p(y | x_t): a mixture again, of the components' own x_0 | x_t."""
    left, values, _ = np.linalg.svd(A, full_matrices=False)

    def log_h(x_t, t):
        alpha, sigma = process.alpha(t), process.sigma(t)
        responsibility = jax.nn.log_softmax(prior._log_joint(x_t, alpha, sigma), -1)
        shrink = alpha / (alpha**2 + sigma**2)
        expected = prior.means + shrink * (x_t[:, None] - alpha * prior.means)
        variance = noise_std**2 + sigma**2 / (alpha**2 + sigma**2) * values**2  # along the left singular vectors of A
        residual = (y - expected @ A.T) @ left
        density = jnp.sum(residual**2 / variance + jnp.log(2 * jnp.pi * variance), -1)
        return jax.nn.logsumexp(responsibility - 0.5 * density, -1)

    return log_h


@pytest.mark.parametrize("dimension, least, steps", [(8, 0.85, (40, 100)), (80, 0.65, (100,))])
def test_the_exact_twist_keeps_its_weights_nearly_equal_and_more_so_with_more_steps(dimension, least, steps):
    prior, A, y, noise_std, (*_, evidence) = twenty_five(dimension, 2, 1)
    process = sd.GaussianProcess.vp(beta_max=30.0)
    log_h, shares = exact_twist(prior, A, y, noise_std, process), []
    for number in steps:
        result, _ = populated(
            jax.random.key(0), particles.smc, prior.denoiser(process), sd.lookahead.Observation(A, y, noise_std), (dimension,),
            num_particles=400, steps=number, twist=log_h, ess_threshold=1.0,
        )  # fmt: skip
        shares.append(np.mean(result.info["ess"]) / 400)
    assert shares[-1] > least and (len(steps) == 1 or shares[0] < shares[1] - 0.03)
    assert abs(result.log_evidence - evidence) < 0.15


def test_without_a_potential_particles_are_the_samples_of_the_solver(mixture):
    nothing = lambda x, t: jnp.zeros(x.shape[0])  # noqa: E731
    denoiser = mixture.denoiser(PROCESS)
    result, _ = populated(jax.random.key(3), particles.smc, denoiser, nothing, (3,), num_particles=6, steps=30)
    samples, _ = sd.sample(jax.random.key(3), denoiser, (6, 3), solver="ddpm", steps=30, grid="logsnr")
    # but for the spread of the last step
    np.testing.assert_allclose(result.particles, samples, atol=0.05)
    assert not np.array_equal(result.particles, samples)
    np.testing.assert_allclose(result.log_weights, 0.0, atol=1e-4)


COUNT = 3000
likelihood = jax.jit(lambda x: OBSERVATION(x))


def test_weights_that_were_not_resampled_are_carried_to_the_end():
    # the model's own steps, never resampled: whatever the twist, all that is left is the likelihood of x_0
    for twist in ("none", "plain", "mmps"):
        result = own_steps(jax.random.key(0), twist)
        assert not np.any(result.info["resampled"])
        np.testing.assert_allclose(result.log_weights, likelihood(result.particles), rtol=1e-4, atol=1e-3)


@eqx.filter_jit
def own_steps(key, twist):
    denoiser = gaussian()
    return particles.smc(
        key, denoiser, OBSERVATION, (1,), num_particles=COUNT, steps=STEPS, twist=twist, proposal=denoiser, ess_threshold=0.0
    )  # fmt: skip


def test_any_guide_proposes_at_calls_of_its_own_and_kicks_are_weighed():
    denoiser, values = gaussian(), []
    guides = {
        "pigdm": sd.lookahead.pigdm(denoiser, OBSERVATION, prior_variance=VARIANCE),
        "dps": sd.lookahead.dps(denoiser, OBSERVATION, scale=0.004),  # moves x_s after the step
        "lgd": sd.lookahead.lgd(denoiser, OBSERVATION, scale=0.2),  # random
    }
    own = np.asarray(own_steps(jax.random.key(0), "none").particles)
    for guide in guides.values():
        result, _ = populated(
            jax.random.key(0), particles.smc, denoiser, OBSERVATION, (1,), num_particles=COUNT, steps=STEPS, proposal=guide
        )
        assert result.info["network_calls"] == COUNT * STEPS * 2
        values.append(float(result.log_evidence))
        assert np.abs(result.particles - own).max() > 1e-2  # it really proposed
    np.testing.assert_allclose(values, exact_evidence(), atol=0.08)


def test_another_measurement_law_is_weighed_as_it_is_whatever_the_twist_takes_it_for():
    # the twist takes a Gaussian of the same variance; the last weight is the law's own
    observation = sd.lookahead.Observation(np.array([[1.0]]), np.array([Y]), sd.lookahead.Laplace(0.4))
    result, _ = populated(
        jax.random.key(0), particles.smc, gaussian(), observation, (1,), num_particles=4000, steps=STEPS
    )
    x = np.linspace(-8, 8, 16001)
    prior = np.exp(log_normal(x, end_variance(STEPS)))
    exact = np.trapezoid(prior * scipy.stats.laplace(x, 0.4).pdf(Y), x)
    np.testing.assert_allclose(result.log_evidence, np.log(exact), atol=0.06)
    clipped = sd.lookahead.Observation(np.array([[1.0]]), np.array([Y]), sd.lookahead.Clipped(0.4, low=0.0))
    result, _ = populated(jax.random.key(0), particles.smc, gaussian(), clipped, (1,), num_particles=100, steps=STEPS)
    assert np.isfinite(result.log_evidence)  # a bound of 0 is no exact value


@pytest.mark.parametrize(
    "law, shape, projector",
    [
        (sd.ZeroCentreOfMass(), (2, 2), np.kron(np.eye(2) - 0.5, np.eye(2))),
        (sd.Masked(jnp.array([1, 0, 1, 1])), (4,), np.diag([1, 0, 1, 1])),
        (sd.SpectralField.power_law((2, 2), 3.0, 1.0, nugget=0.05), (2, 2, 1), np.eye(4)),
    ],
    ids=["zero centre of mass", "masked", "spectral"],
)
def test_every_noise_law_weighs_on_its_own_support(law, shape, projector):
    weights, means = np.array([0.4, 0.6]), np.array([[-1.0, 0.0, 1.0, 0.5], [2.0, 1.0, -1.0, -1.0]]) @ projector
    prior = sd.oracle.GaussianMixture(weights, means, 0.3 * projector)
    A, y = np.array([[1.0, 0.5, 0.0, -1.0]]), np.array([1.2])
    result, mean = populated(
        jax.random.key(0), particles.smc, prior.denoiser(sd.GaussianProcess.vp(noise=law), shape), sd.lookahead.Observation(A, y, 0.3),
        shape, num_particles=2000,
    )  # fmt: skip
    share, centres, _, evidence = mixture_posterior(weights, means, 0.3 * projector, A, y, 0.3)
    flat = np.asarray(result.particles).reshape(2000, 4)
    np.testing.assert_allclose(np.reshape(mean, 4), share @ centres, atol=0.1)
    np.testing.assert_allclose(result.log_evidence, evidence, atol=0.1)
    np.testing.assert_allclose(flat @ projector, flat, atol=1e-4)


def test_a_pytree_is_weighed_as_the_one_vector_that_it_is():
    A, y = np.array([[1.0, 0.5, -1.0]]), np.array([1.2])
    weights, means = np.array([0.4, 0.6]), np.array([[-1.0, 0.0, 1.0], [2.0, 1.0, -1.0]])
    flat = sd.oracle.GaussianMixture(weights, means, 0.3).denoiser(PROCESS)

    def join(x):
        return jnp.concatenate([x["a"], x["b"]], -1)

    def expected(x_t, t, cond):
        x0_hat = flat(join(x_t), t)
        return {"a": x0_hat[:, :1], "b": x0_hat[:, 1:]}

    observation = sd.lookahead.Observation(lambda x: join(x) @ jnp.asarray(A.T, jnp.float32), y, 0.3)
    denoiser, shape = sd.FunctionDenoiser(expected, PROCESS), {"a": (1,), "b": (2,)}
    result, mean = populated(jax.random.key(0), particles.smc, denoiser, observation, shape, num_particles=2000)
    share, centres, _, evidence = mixture_posterior(weights, means, 0.3 * np.eye(3), A, y, 0.3)
    np.testing.assert_allclose(result.log_evidence, evidence, atol=0.1)
    np.testing.assert_allclose(np.concatenate([mean["a"], mean["b"]]), share @ centres, atol=0.1)


def test_the_lineage_names_each_final_particle_s_forebears():
    ancestors = np.array([[0, 0, 2], [1, 1, 0], [2, 1, 0]])
    np.testing.assert_array_equal(jax.jit(lineage)(ancestors), [[0, 0, 0], [0, 1, 1], [2, 1, 0]])


def test_a_result_draws_by_its_weights():
    result = particles.Result(jnp.arange(4.0)[:, None], jnp.log(jnp.array([0.1, 0.2, 0.3, 0.4])), jnp.zeros(()), {})

    @jax.jit
    def asked(key):
        draws = jax.lax.map(result.draw, jax.random.split(key, 4000))[:, 0]
        return draws, result.mean(), result.best()[0], result.resampled(key, 9), result.ess

    draws, mean, best, nine, ess = asked(jax.random.key(0))
    shares = np.bincount(np.asarray(draws, int), minlength=4) / 4000
    np.testing.assert_allclose(shares, [0.1, 0.2, 0.3, 0.4], atol=0.025)
    np.testing.assert_allclose(mean, 2.0, rtol=1e-6)
    assert best == 3.0 and nine.shape == (9, 1)
    np.testing.assert_allclose(ess, 1 / 0.3, rtol=1e-5)


def test_a_second_call_compiles_nothing_and_chunks_change_nothing():
    traces = []

    def expected(x_t, t, cond):
        traces.append(1)
        return 0.5 * x_t

    denoiser = sd.FunctionDenoiser(expected, PROCESS)
    options = {"num_particles": 8, "steps": 5, "twist": "plain"}
    for y in (0.1, 0.7):
        observation = sd.lookahead.Observation(np.array([[1.0]]), np.array([y]), 0.5 + y)
        whole = particles.smc(jax.random.key(0), denoiser, observation, (1,), **options)
        traced = len(traces)
    assert len(traces) == traced
    parts = particles.smc(jax.random.key(0), denoiser, observation, (1,), chunk=2, **options)
    np.testing.assert_allclose(parts.particles, whole.particles, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(parts.log_weights, whole.log_weights, rtol=1e-4, atol=1e-5)


def test_a_problem_s_answer_is_that_of_its_own_key():
    def draw(key, y):
        return y + jax.random.normal(key)

    values = np.array([0.2, 1.0, -2.0], np.float32)
    together = jax.jit(lambda key: particles.for_each(key, draw, values, chunk=2))(jax.random.key(0))
    alone = jax.jit(lambda key: draw(jax.random.fold_in(key, 1), values[1]))(jax.random.key(0))
    np.testing.assert_allclose(together[1], alone, rtol=1e-6)


def test_problems_are_solved_one_by_one_or_together_with_the_same_answers():
    values = np.array([[0.2], [1.0], [-2.0]], np.float32)

    def solve(key, y):
        observation = sd.lookahead.Observation(np.array([[1.0]]), y, 0.5)
        return particles.smc(key, gaussian(), observation, (1,), num_particles=2000, steps=STEPS)

    @eqx.filter_jit
    def solved(key, chunk):
        result = particles.for_each(key, solve, values, chunk=chunk)
        return result.particles, result.log_evidence

    together, evidence = solved(jax.random.key(0), 2)  # two at once, and the one that is left
    one_by_one, _ = solved(jax.random.key(0), 1)
    np.testing.assert_allclose(together, one_by_one, rtol=1e-5, atol=1e-5)
    exact = [log_normal(float(y), end_variance(STEPS) + 0.25) for y in values[:, 0]]
    np.testing.assert_allclose(evidence, exact, atol=0.08)


@pytest.mark.parametrize(
    "options, word",
    [
        ({"twist": "nms"}, "twist 'nms'"),
        ({"twist": "pigdm", "potential": lambda x, t: x[:, 0]}, "needs an Observation"),
        ({"solver": "ddim"}, "no transition density"),
        ({"solver": "dpmpp2m"}, "no transition density"),
        ({"resample": "sytematic"}, "systematic"),
        ({"num_particles": None}, "num_particles or budget"),
        ({"budget": 100}, "num_particles or budget"),
        ({"num_particles": None, "budget": 11}, "12 network calls"),
        ({"num_particles": 0}, "at least 1"),
        ({"chunk": 3}, "divisor"),
        ({"grid": [1.0, 0.5, 0.1]}, "end at the data"),
        ({"potential": sd.lookahead.Observation(np.array([[1.0]]), np.array([Y]), 0.0)}, "noise_std"),
    ],
)
def test_what_can_t_be_weighed_is_refused_with_the_way_out(options, word):
    options = {"num_particles": 4, "steps": STEPS, "potential": OBSERVATION} | options
    with pytest.raises(ValueError, match=word):
        particles.smc(jax.random.key(0), gaussian(), options.pop("potential"), (1,), **options)


def test_a_grid_of_given_times_is_paid_for_by_its_own_number_of_steps():
    times = [1.0, 0.8, 0.6, 0.3, 0.1, 0.0]
    for method, budget, steps in (
        (particles.smc, 20, 5),
        (particles.fk_steering, 20, 5),
        (particles.svdd, 20, 5),
        (particles.mcgdiff, 24, 6),  # and one more, where the noise is that of the value
    ):
        made = eqx.filter_eval_shape(
            method, jax.random.key(0), gaussian(), OBSERVATION, (1,), budget=budget, steps=3, grid=times
        )
        assert made.info["network_calls"] == budget and made.particles.shape == (4, 1)
        assert made.info["times"].shape == (steps + 1,)


def test_a_denoiser_with_moves_of_its_own_is_refused():
    kicked = sd.lookahead.dps(gaussian(), OBSERVATION)
    with pytest.raises(ValueError, match="proposal"):
        particles.smc(jax.random.key(0), kicked, OBSERVATION, (1,), num_particles=4, steps=4)
    with pytest.raises(ValueError, match="plain guide"):
        particles.smc(
            jax.random.key(0), sd.lookahead.repaint(gaussian(), OBSERVATION), OBSERVATION, (1,), num_particles=4
        )
