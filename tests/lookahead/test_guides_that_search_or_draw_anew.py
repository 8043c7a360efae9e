"""Methods with an inner solve, and samplers of their own."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_posterior import gaussian_denoiser, gaussian_posterior, levels

import sciddm as sd
from sciddm.denoiser import Draws
from sciddm.lookahead.dflow import minimise

A, Y = np.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]], np.float32), np.array([0.7, -0.4], np.float32)
V, TAU, SEEN = 0.5, 0.2, 1.0


@eqx.filter_jit
def ask(denoiser, x_t, t):
    """x0_hat of any denoiser, by one program."""
    return denoiser(x_t, t)


def identity(x):
    return x


def scalar(name="edm"):
    """Prior N(0, V), y = x + N(0, TAU), SEEN: the posterior is N(V SEEN / (V + TAU), V TAU / (V + TAU))."""
    process = getattr(sd.GaussianProcess, name)()
    return process, gaussian_denoiser(process, V), sd.lookahead.Observation(identity, np.array([SEEN]), np.sqrt(TAU))


def annealed(process, steps, prior_variance, point=True):
    """Mean and variance of DAPS's chain with exact inner draws; `point`: where the flow ends, or the mean and spread of p(x_0 | x_t)."""
    _, _, sigma = levels(process, "logsnr", steps)
    sigma[-1] = 0.0
    m, c = 0.0, sigma[0] ** 2
    for i in range(steps):
        guess = 1 / (1 / sigma[i] ** 2 + 1 / prior_variance)
        end = np.sqrt(V / (V + sigma[i] ** 2)) if point else V / (V + sigma[i] ** 2)
        k = guess / (guess + TAU)
        m = (1 - k) * end * m + k * SEEN
        c = ((1 - k) * end) ** 2 * c + guess * TAU / (guess + TAU) + sigma[i + 1] ** 2
    return m, c


@pytest.mark.parametrize("prior_variance", [np.inf, V])
def test_daps_is_its_chain_on_a_gaussian_and_not_the_posterior(prior_variance):
    process, denoiser, obs = scalar()
    guided = sd.lookahead.daps(denoiser, obs, ode_steps=60, prior_variance=prior_variance)
    samples, info = sd.sample(jax.random.key(0), guided, (20000, 1), steps=12)
    m, c = annealed(process, 12, prior_variance)
    assert np.mean(samples) == pytest.approx(m, abs=0.02)
    assert np.var(samples) == pytest.approx(c, rel=0.04)
    assert abs(c / (V * TAU / (V + TAU)) - 1) > 0.05  # its known bias
    assert info["network_calls"] == 12 * 60


def test_daps_with_one_call_and_the_spread_of_a_gaussian_prior_is_exact():
    # the mean of p(x_0 | x_t) and its true spread: split Gibbs, whose law at each level is the posterior's
    process, denoiser, obs = scalar()
    guided = sd.lookahead.daps(denoiser, obs, ode_steps=1, prior_variance=V)
    samples, _ = sd.sample(jax.random.key(0), guided, (20000, 1), steps=40)
    assert np.mean(samples) == pytest.approx(V * SEEN / (V + TAU), abs=0.02)
    assert np.var(samples) == pytest.approx(V * TAU / (V + TAU), rel=0.05)
    assert annealed(process, 40, V, point=False)[1] == pytest.approx(V * TAU / (V + TAU), rel=0.02)


def test_counts_are_as_uncertain_as_their_prediction_says():
    # 400 counts are seen and 400 expected: a standard deviation of 20, nearly all there is where x_t is noisier by far
    denoiser = sd.FunctionDenoiser(lambda x, t, cond: 0.0 * x + 400.0, sd.GaussianProcess.edm())
    obs = sd.lookahead.Observation(identity, np.array([400.0]), sd.lookahead.Poisson())
    drawn = ask(sd.lookahead.daps(denoiser, obs, ode_steps=1), np.zeros((4000, 1), np.float32), 1.0)
    assert np.std(drawn) == pytest.approx(20.0, rel=0.15)
    # off by less than 20, so the search does not begin
    off = sd.lookahead.Observation(identity, np.array([415.0]), sd.lookahead.Poisson())
    moving = sd.FunctionDenoiser(lambda x, t, cond: x + 400.0, sd.GaussianProcess.edm())
    found = ask(sd.lookahead.sitcom(moving, off), np.zeros((1, 1), np.float32), 1.0)
    np.testing.assert_array_equal(found, 400.0)


def test_langevin_steps_of_daps_draw_what_is_drawn_exactly():
    process, denoiser, obs = scalar("vp")
    x_t = np.full((20000, 1), 0.3, np.float32)
    exact = np.asarray(ask(sd.lookahead.daps(denoiser, obs), x_t, 0.6))
    moved = np.asarray(ask(sd.lookahead.daps(denoiser, obs, langevin_steps=100, stiffness=50.0), x_t, 0.6))
    guess = float((process.sigma(0.6) / process.alpha(0.6)) ** 2)
    curvature = 1 / guess + 1 / TAU
    bias = 1 / (1 - 0.5 * curvature / (1 / guess + 50.0))  # of steps of this length, on a Gaussian
    assert moved.mean() == pytest.approx(exact.mean(), abs=0.02)
    assert exact.var() == pytest.approx(1 / curvature, rel=0.03)
    assert moved.var() == pytest.approx(bias / curvature, rel=0.03)
    with pytest.raises(ValueError, match="langevin_steps"):
        sd.lookahead.daps(denoiser, lambda x, t: x[:, 0])


def test_renoise_keeps_its_share_of_the_noise_that_was_there(mixture):
    denoiser, count = mixture.denoiser(sd.GaussianProcess.rectified()), 20000
    x_t = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)

    def stepped(solver, start=x_t):
        return np.asarray(
            sd.sample(jax.random.key(1), denoiser, (count, 3), solver=solver, grid=[0.6, 0.5], start=start)[0]
        )

    def renoise(share):
        return sd.lookahead.Renoise(jnp.asarray(share))  # an array, for one program of all shares

    np.testing.assert_allclose(stepped(renoise(0.0)), stepped("ddim"), rtol=1e-5, atol=1e-5)
    flow, half = stepped(sd.lookahead.Renoise("flow")), stepped(renoise(0.5))
    np.testing.assert_allclose(flow, half, rtol=1e-5, atol=1e-6)  # alpha = sigma at 0.5
    many = stepped(renoise(1.0), np.ones((count, 3), np.float32))
    np.testing.assert_allclose(many.std(0), 0.5, rtol=0.03)
    expected = 0.5 * np.asarray(ask(denoiser, np.ones((1, 3), np.float32), 0.6))[0]
    np.testing.assert_allclose(many.mean(0), expected, atol=0.02)


def test_sitcom_moves_the_input_until_the_output_agrees_and_no_further(mixture):
    denoiser, x_t = mixture.denoiser(sd.GaussianProcess.vp()), jax.random.normal(jax.random.key(0), (6, 3))
    obs = sd.lookahead.Observation(A, Y, 0.1)
    plain, *moved = (
        np.asarray(ask(guided, x_t, 0.4))
        for guided in (
            denoiser,
            *(sd.lookahead.sitcom(denoiser, obs, inner_steps=k, learning_rate=0.05) for k in (0, 20, 1000)),
        )
    )
    given, *residual = (np.linalg.norm(Y - x0_hat @ A.T, axis=-1) for x0_hat in (plain, *moved))
    np.testing.assert_allclose(residual[0], given, rtol=1e-5)
    assert np.all(residual[1] < residual[0]) and np.all(residual[2] < 1.05 * 0.1 * np.sqrt(2))
    agreeing = sd.lookahead.Observation(A, np.tile(A @ plain[0] + 0.05, (6, 1)), 0.1)  # the first one by less than the noise
    found = ask(sd.lookahead.sitcom(denoiser, agreeing, inner_steps=20, learning_rate=0.05), x_t, 0.4)
    np.testing.assert_array_equal(found[0], plain[0])


def test_flowdps_is_its_recursion_on_a_gaussian():
    process, denoiser, obs = scalar("rectified")
    steps, rate = 14, 0.4
    guided = sd.lookahead.flowdps(denoiser, obs, rate=rate)
    samples, _ = sd.sample(jax.random.key(0), guided, (40000, 1), steps=steps)
    times = np.linspace(1.0, 0.0, steps + 1)
    m, c = 0.0, 1.0
    for now, then in zip(times[:-1], times[1:], strict=True):
        slope = (1 - now) * V / ((1 - now) ** 2 * V + now**2)
        left = 1 - now * (1 - (1 - rate) ** 3)  # of x0_hat after a descent that keeps (1 - rate)^3, a share `now` of it
        eps = (1 - (1 - now) * slope) / now
        gain = (1 - then) * left * slope + then * np.sqrt(then) * eps
        m = gain * m + (1 - then) * (1 - left) * SEEN
        c = gain**2 * c + then**2 * (1 - then)
    assert np.mean(samples) == pytest.approx(m, abs=0.01)
    assert np.var(samples) == pytest.approx(c, rel=0.03)


def test_flowdps_keeps_the_share_of_the_flow_that_a_level_stands_for():
    process, denoiser, obs = scalar("vp")
    t = 0.3
    x0_hat, _, kick = eqx.filter_jit(sd.lookahead.flowdps(denoiser, obs, rate=0.4).evaluate)(np.array([[0.3]], np.float32), t)
    alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
    expected = sigma / (alpha + sigma) * (1 - 0.6**3) * (SEEN - np.asarray(x0_hat))
    np.testing.assert_allclose(kick.of_x_0, expected, rtol=1e-4)


def test_dflow_finds_the_most_probable_start_and_no_spread():
    _, denoiser, obs = scalar("vp")
    guided = sd.lookahead.dflow(denoiser, obs)
    samples, info = sd.sample(jax.random.key(0), guided, (5, 1))
    np.testing.assert_allclose(samples, V * SEEN / (V + TAU), rtol=1e-2)
    assert np.std(samples) < 1e-3
    assert info["residual"].shape == (1, 5)
    without, _ = sd.sample(jax.random.key(0), sd.lookahead.dflow(denoiser, obs, weight=0.0), (5, 1))
    np.testing.assert_allclose(without, SEEN, rtol=1e-2)  # the paper's loss alone fits the data


def test_minimise_finds_each_sample_s_own_minimum_whatever_the_others_do():
    centres = np.array([[1.0, 2.0], [-3.0, 0.5], [100.0, -40.0]])
    stiffness = np.array([[1.0, 1e3], [1.0, 1.0], [30.0, 0.1]])

    def valley(x, c, k):
        return 0.5 * jnp.sum(k * (x - c) ** 2, -1) + 0.01 * jnp.sum((x - c) ** 4, -1)

    @jax.jit
    def found(c, k):
        return minimise(lambda x: valley(x, c, k), jnp.zeros(c.shape), 60)[0]

    together = found(centres, stiffness)
    np.testing.assert_allclose(together, centres, rtol=2e-2, atol=2e-2)
    np.testing.assert_allclose(together[:1], found(centres[:1], stiffness[:1]), atol=1e-4)


def test_reddiff_fits_the_data_with_less_spread_than_the_posterior():
    obs = sd.lookahead.Observation(A, Y, 0.5)
    guided = sd.lookahead.reddiff(gaussian_denoiser(sd.GaussianProcess.vp(), 1.0), obs)
    samples, info = sd.sample(jax.random.key(0), guided, (200, 3))
    _, covariance = gaussian_posterior(np.zeros(3), np.eye(3), A, Y, 0.5)
    residual = np.asarray(info["residual"])
    assert residual[-1].max() < 0.25
    assert np.var(samples, 0).sum() < 0.3 * np.trace(covariance)
    assert info["network_calls"] == 1000
    # at its start it is the shortest x that agrees with the data
    assert residual[0].max() < 1e-4


def test_a_sample_of_any_method_does_not_depend_on_the_batch():
    denoiser = sd.FunctionDenoiser(lambda x, t, cond: jnp.tanh(x), sd.GaussianProcess.vp())
    obs, x_t = sd.lookahead.Observation(A, Y, 0.5), np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    shifts = {
        "lgd": sd.lookahead.lgd(denoiser, obs), "daps": sd.lookahead.daps(denoiser, obs, ode_steps=2),
        "sitcom": sd.lookahead.sitcom(denoiser, obs, inner_steps=3),
    }  # fmt: skip

    @jax.jit
    def asked(x_t):
        keys = jax.random.split(jax.random.key(3), 5)[: len(x_t)]  # one a sample, as the sampler hands them out
        return {name: Draws.refresh(guided, keys)(x_t, 0.6) for name, guided in shifts.items()}

    def sampled(count):
        guides = {name: getattr(sd.lookahead, name)(denoiser, obs) for name in ("tfg", "repaint")}
        options = {"solver": "ddim", "steps": 3, "grid": "t"}
        return {name: sd.sample(jax.random.key(3), guided, (count, 3), **options)[0] for name, guided in guides.items()}

    many, few = asked(x_t) | sampled(5), asked(x_t[:2]) | sampled(2)
    for method in many:
        np.testing.assert_allclose(np.asarray(many[method])[:2], few[method], rtol=1e-3, atol=1e-4, err_msg=method)
        assert np.all(np.isfinite(many[method])), method
