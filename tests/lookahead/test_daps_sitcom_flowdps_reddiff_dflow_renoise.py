"""Methods with an inner solve, and samplers of their own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from sciddm.lookahead.dflow import minimise

A, Y = jnp.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]]), jnp.array([0.7, -0.4])
V, TAU, SEEN = 0.5, 0.2, 1.0


def scalar(name="edm"):
    """Prior N(0, V), y = x + N(0, TAU), SEEN: the posterior is N(V SEEN / (V + TAU), V TAU / (V + TAU))."""
    process = getattr(sd.GaussianProcess, name)()
    denoiser = sd.oracle.GaussianMixture([1.0], [[0.0]], V).denoiser(process)
    return process, denoiser, sd.lookahead.Observation(lambda x: x, jnp.array([SEEN]), np.sqrt(TAU))


def annealed(process, steps, prior_variance, point=True):
    """Mean and variance of DAPS's chain with exact inner draws; `point`: where the flow ends, or the mean and spread of p(x_0 | x_t)."""
    times = np.asarray(sd.grids.resolve("logsnr", process, steps))
    sigma = np.asarray(process.sigma(times), float)
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
    samples, info = sd.sample(jax.random.key(0), guided, (20000, 1), steps=25)
    m, c = annealed(process, 25, prior_variance)
    assert float(samples.mean()) == pytest.approx(m, abs=0.02)
    assert float(samples.var()) == pytest.approx(c, rel=0.04)
    assert abs(c / (V * TAU / (V + TAU)) - 1) > 0.05  # its known bias
    assert info["network_calls"] == 25 * 60


def test_daps_with_one_call_and_the_spread_of_a_gaussian_prior_is_exact():
    # the mean of p(x_0 | x_t) and its true spread: split Gibbs, whose law at each level is the posterior's
    process, denoiser, obs = scalar()
    guided = sd.lookahead.daps(denoiser, obs, ode_steps=1, prior_variance=V)
    samples, _ = sd.sample(jax.random.key(0), guided, (20000, 1), steps=100)
    assert float(samples.mean()) == pytest.approx(V * SEEN / (V + TAU), abs=0.02)
    assert float(samples.var()) == pytest.approx(V * TAU / (V + TAU), rel=0.05)
    assert annealed(process, 100, V, point=False)[1] == pytest.approx(V * TAU / (V + TAU), rel=0.02)


def test_counts_are_as_uncertain_as_their_prediction_says():
    # 400 counts are seen and 400 expected: a standard deviation of 20, nearly all there is where x_t is noisier by far
    denoiser = sd.FunctionDenoiser(lambda x, t, cond: 0.0 * x + 400.0, sd.GaussianProcess.edm())
    obs = sd.lookahead.Observation(lambda x: x, jnp.array([400.0]), sd.lookahead.Poisson())
    drawn = sd.lookahead.daps(denoiser, obs, ode_steps=1)(jnp.zeros((4000, 1)), 1.0)
    assert float(drawn.std()) == pytest.approx(20.0, rel=0.15)
    # off by less than 20, so the search does not begin
    off = sd.lookahead.Observation(lambda x: x, jnp.array([415.0]), sd.lookahead.Poisson())
    moving = sd.FunctionDenoiser(lambda x, t, cond: x + 400.0, sd.GaussianProcess.edm())
    np.testing.assert_array_equal(sd.lookahead.sitcom(moving, off)(jnp.zeros((1, 1)), 1.0), 400.0)


def test_langevin_steps_of_daps_draw_what_is_drawn_exactly():
    process, denoiser, obs = scalar("vp")
    x_t = 0.3 * jnp.ones((20000, 1))
    exact = sd.lookahead.daps(denoiser, obs)(x_t, 0.6)
    moved = sd.lookahead.daps(denoiser, obs, langevin_steps=100, stiffness=50.0)(x_t, 0.6)
    guess = float((process.sigma(0.6) / process.alpha(0.6)) ** 2)
    curvature = 1 / guess + 1 / TAU
    bias = 1 / (1 - 0.5 * curvature / (1 / guess + 50.0))  # of steps of this length, on a Gaussian
    assert float(moved.mean()) == pytest.approx(float(exact.mean()), abs=0.02)
    assert float(exact.var()) == pytest.approx(1 / curvature, rel=0.03)
    assert float(moved.var()) == pytest.approx(bias / curvature, rel=0.03)
    with pytest.raises(ValueError, match="langevin_steps"):
        sd.lookahead.daps(denoiser, lambda x, t: x[:, 0])


def test_renoise_keeps_its_share_of_the_noise_that_was_there(mixture):
    denoiser, x_t = mixture.denoiser(sd.GaussianProcess.rectified()), jax.random.normal(jax.random.key(0), (3, 3))
    options = {"grid": [0.6, 0.5], "start": x_t}
    ddim, _ = sd.sample(jax.random.key(1), denoiser, (3, 3), solver="ddim", **options)
    none, _ = sd.sample(jax.random.key(1), denoiser, (3, 3), solver=sd.lookahead.Renoise(0.0), **options)
    np.testing.assert_allclose(none, ddim, rtol=1e-5, atol=1e-6)
    flow, half = (
        sd.sample(jax.random.key(1), denoiser, (3, 3), solver=sd.lookahead.Renoise(share), **options)[0]
        for share in ("flow", 0.5)
    )
    np.testing.assert_allclose(flow, half, rtol=1e-5)  # alpha = sigma at 0.5
    many, _ = sd.sample(
        jax.random.key(1),
        denoiser,
        (20000, 3),
        solver=sd.lookahead.Renoise(1.0),
        grid=[0.6, 0.5],
        start=jnp.ones((20000, 3)),
    )
    np.testing.assert_allclose(many.std(0), 0.5, rtol=0.03)
    np.testing.assert_allclose(many.mean(0), 0.5 * denoiser(jnp.ones((1, 3)), 0.6)[0], atol=0.02)


def test_sitcom_moves_the_input_until_the_output_agrees_and_no_further(mixture):
    denoiser, x_t = mixture.denoiser(sd.GaussianProcess.vp()), jax.random.normal(jax.random.key(0), (6, 3))
    obs = sd.lookahead.Observation(A, Y, 0.1)
    residual = [
        jnp.linalg.norm(
            obs.residual(sd.lookahead.sitcom(denoiser, obs, inner_steps=k, learning_rate=0.05)(x_t, 0.4)), axis=-1
        )
        for k in (0, 20, 1000)
    ]
    np.testing.assert_allclose(residual[0], jnp.linalg.norm(obs.residual(denoiser(x_t, 0.4)), axis=-1), rtol=1e-5)
    assert bool(jnp.all(residual[1] < residual[0])) and bool(jnp.all(residual[2] < 1.05 * 0.1 * np.sqrt(2)))
    agreeing = sd.lookahead.Observation(A, A @ denoiser(x_t[:1], 0.4)[0] + 0.05, 0.1)  # by less than the noise
    np.testing.assert_array_equal(sd.lookahead.sitcom(denoiser, agreeing)(x_t[:1], 0.4), denoiser(x_t[:1], 0.4))


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
    assert float(samples.mean()) == pytest.approx(m, abs=0.01)
    assert float(samples.var()) == pytest.approx(c, rel=0.03)


def test_flowdps_keeps_the_share_of_the_flow_that_a_level_stands_for():
    process, denoiser, obs = scalar("vp")
    x_t, t = jnp.array([[0.3]]), 0.3
    x0_hat, report = sd.lookahead.flowdps(denoiser, obs, rate=0.4).evaluate(x_t, t)
    kept = process.sigma(t) / (process.alpha(t) + process.sigma(t))
    np.testing.assert_allclose(report["kick"].of_x_0, kept * (1 - 0.6**3) * (SEEN - x0_hat), rtol=1e-4)


def test_dflow_finds_the_most_probable_start_and_no_spread():
    _, denoiser, obs = scalar("vp")
    guided = sd.lookahead.dflow(denoiser, obs)
    samples, info = sd.sample(jax.random.key(0), guided, (5, 1))
    np.testing.assert_allclose(samples, V * SEEN / (V + TAU), rtol=1e-2)
    assert float(samples.std()) < 1e-3
    assert info["residual"].shape == (1, 5)
    without, _ = sd.sample(jax.random.key(0), sd.lookahead.dflow(denoiser, obs, weight=0.0), (5, 1))
    np.testing.assert_allclose(without, SEEN, rtol=1e-2)  # the paper's loss alone fits the data


def test_minimise_finds_each_sample_s_own_minimum_whatever_the_others_do():
    centres = jnp.array([[1.0, 2.0], [-3.0, 0.5], [100.0, -40.0]])
    stiffness = jnp.array([[1.0, 1e3], [1.0, 1.0], [30.0, 0.1]])

    def valley(x, c, k):
        return 0.5 * jnp.sum(k * (x - c) ** 2, -1) + 0.01 * jnp.sum((x - c) ** 4, -1)

    found, _ = minimise(lambda x: valley(x, centres, stiffness), jnp.zeros((3, 2)), 60)
    np.testing.assert_allclose(found, centres, rtol=2e-2, atol=2e-2)
    alone, _ = minimise(lambda x: valley(x, centres[:1], stiffness[:1]), jnp.zeros((1, 2)), 60)
    np.testing.assert_allclose(found[:1], alone, atol=1e-4)


def test_reddiff_fits_the_data_with_less_spread_than_the_posterior():
    prior = sd.oracle.GaussianMixture([1.0], [[0.0, 0.0, 0.0]], 1.0)
    obs = sd.lookahead.Observation(A, Y, 0.5)
    guided = sd.lookahead.reddiff(prior.denoiser(sd.GaussianProcess.vp()), obs)
    samples, info = sd.sample(jax.random.key(0), guided, (200, 3))
    posterior = prior.posterior(A, Y, 0.5)
    assert float(info["residual"][-1].max()) < 0.25
    assert float(samples.var(0).sum()) < 0.3 * float(jnp.trace(posterior.covariance))
    assert info["network_calls"] == 1000
    # at its start it is the shortest x that agrees with the data
    assert float(info["residual"][0].max()) < 1e-4


def test_a_sample_of_any_method_does_not_depend_on_the_batch(mixture):
    denoiser, obs = mixture.denoiser(sd.GaussianProcess.vp()), sd.lookahead.Observation(A, Y, 0.5)
    few_steps = {"sitcom": {"inner_steps": 3}, "daps": {"ode_steps": 2}}
    for method in ("lgd", "tfg", "daps", "sitcom", "repaint"):
        guided = getattr(sd.lookahead, method)(denoiser, obs, **few_steps.get(method, {}))
        many, _ = sd.sample(jax.random.key(3), guided, (5, 3), steps=3, grid="t")
        few, _ = sd.sample(jax.random.key(3), guided, (2, 3), steps=3, grid="t")
        np.testing.assert_allclose(many[:2], few, rtol=1e-3, atol=1e-4, err_msg=method)
        assert bool(jnp.all(jnp.isfinite(many))), method
