"""Synchronised windows against closed forms: for Gaussian data every strategy is linear, so the sampled covariance is exact."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from sciddm.denoiser import velocity_from
from sciddm.lookahead.synchronize import at_own_level

N, RHO, PROCESS = 64, 0.9, sd.GaussianProcess.edm()
STRATEGIES = ("x0", "xt", "loss", "bethe", "centre")


def covariance(size):
    """Of a stationary AR(1) chain of variance 1."""
    return RHO ** np.abs(np.subtract.outer(np.arange(size), np.arange(size)))


AXES = {size: np.linalg.eigh(covariance(size)) for size in (*range(1, 17), 32, N)}


def chain(process=PROCESS):
    """The exact denoiser of AR(1) stretches of any length."""

    def expected(x_t, t, cond):
        values, vectors = AXES[x_t.shape[1]]
        alpha, sigma = process.alpha(t), process.sigma(t)
        gain = alpha[..., None] * values / (alpha[..., None] ** 2 * values + sigma[..., None] ** 2)
        return ((x_t @ jnp.asarray(vectors, x_t.dtype)) * gain) @ jnp.asarray(vectors.T, x_t.dtype)

    return sd.FunctionDenoiser(expected, process)


def synchronized(strategy, window, stride, **options):
    return sd.lookahead.synchronize(chain(), sd.lookahead.windows(N, window, stride), strategy=strategy, **options)


@eqx.filter_jit
def evaluate(denoiser, x_t, t, cond=None):
    """One compiled evaluation."""
    return denoiser.evaluate(x_t, jnp.asarray(t), cond)


@eqx.filter_jit
def ask_all(denoisers, x_t, t):
    """x0_hat of each, in one program."""
    return [denoiser(x_t, jnp.asarray(t)) for denoiser in denoisers]


def sampled(denoiser):
    """Covariance of 200 DDIM steps: samples are linear in where they start, so unit starts are the map itself."""
    start = 80.0 * np.eye(N)
    x, info = sd.sample(
        jax.random.key(0), denoiser, jax.ShapeDtypeStruct((N, N), jnp.float64), solver="ddim", steps=200, grid="logsnr", start=start
    )  # fmt: skip
    x = np.asarray(x)
    return x.T @ x, info


def written_out(strategy, window, stride):
    """The same covariance from dense matrices."""
    starts = range(0, N - window + 1, stride)
    scale = np.append(80.0 * (0.002 / 80.0) ** (np.arange(200) / 200), 0.0)
    whole, share = 80.0 * np.eye(N), np.minimum(np.arange(window), window - 1 - np.arange(window))
    for sigma, after in zip(scale, scale[1:], strict=False):
        wiener = {
            s: covariance(s) @ np.linalg.inv(covariance(s) + sigma**2 * np.eye(s))
            for s in (window, window - stride, N)
            if s
        }
        rows, total = np.zeros((N, N)), np.zeros(N)
        for i in starts:
            box = slice(i, i + window)
            depth = [max(share[p - j] for j in starts if j <= p < j + window) for p in range(i, i + window)]
            weight = (share == depth) * 1.0 if strategy == "centre" else np.ones(window)
            rows[box, box] += weight[:, None] * wiener[window]
            total[box] += weight
        if strategy == "bethe":
            for i in starts[1:]:
                box = slice(i, i + window - stride)
                rows[box, box] -= wiener[window - stride]
        else:
            rows /= total[:, None]
        rows = wiener[N] if strategy == "joint" else rows
        whole = (rows + after / sigma * (np.eye(N) - rows)) @ whole
    return whole @ whole.T


def figures(found):
    """Mean and least variance, relative error of the covariance, mean correlation 20 points on (truth .122)."""
    variance, truth = np.diag(found), covariance(N)
    correlation = (np.diag(found, 20) / np.sqrt(variance[20:] * variance[:-20])).mean()
    return variance.mean(), variance.min(), np.linalg.norm(found - truth) / np.linalg.norm(truth), correlation


# (window, stride): strategy -> variance, relative error; what 200 first-order steps of the exact joint denoiser reach is the floor
FLOOR = (0.972, 0.028)
TABLE = {
    (16, 8): {"x0": (0.884, 0.355), "bethe": (0.967, 0.133), "centre": (0.933, 0.267)},
    (32, 16): {"x0": (0.937, 0.181), "bethe": (0.972, 0.038), "centre": (0.967, 0.083)},
}


@pytest.mark.parametrize("window, stride", TABLE)
def test_averages_lose_variance_and_bethe_comes_nearest_to_the_joint_law(window, stride, x64):
    found = {}
    for strategy, (variance, error) in TABLE[window, stride].items():
        law, info = sampled(synchronized(strategy, window, stride))
        np.testing.assert_allclose(law, written_out(strategy, window, stride), atol=1e-3)
        found[strategy] = figures(law)
        assert found[strategy][0] == pytest.approx(variance, abs=1e-3)
        assert found[strategy][2] == pytest.approx(error, abs=1e-3)
        disagreement = np.asarray(info["disagreement"])
        assert disagreement[-1].max() < 1e-2 < disagreement.max()
        assert info["network_calls"] == (400 if strategy == "bethe" else 200)
    assert found["x0"][0] < found["centre"][0] < found["bethe"][0] <= FLOOR[0] + 1e-3
    assert found["x0"][2] > found["centre"][2] > found["bethe"][2]
    assert 0.122 > found["bethe"][3] > max(found["x0"][3], found["centre"][3])
    if window == 16:
        assert found["x0"][1] == pytest.approx(0.806, abs=1e-3)
        assert found["x0"][3] == pytest.approx(0.016, abs=1e-3) and found["bethe"][3] == pytest.approx(0.048, abs=1e-3)


def test_with_every_window_the_centre_is_the_composition_of_its_paper(x64):
    for window, variance, error in ((16, 0.943, 0.248), (32, 0.970, 0.066)):
        found = figures(sampled(synchronized("centre", window, 1))[0])
        assert found[0] == pytest.approx(variance, abs=1e-3) and found[2] == pytest.approx(error, abs=1e-3)


def test_one_window_is_the_joint_denoiser(x64):
    law = sampled(chain())[0]
    np.testing.assert_allclose(law, written_out("joint", N, N), atol=1e-3)
    assert figures(law)[0] == pytest.approx(FLOOR[0], abs=1e-3) and figures(law)[2] == pytest.approx(FLOOR[1], abs=1e-3)
    x_t = np.random.default_rng(0).normal(size=(3, N))
    expected, *found = ask_all([chain(), *(synchronized(strategy, N, N) for strategy in STRATEGIES)], x_t, 0.4)
    for one in found:
        np.testing.assert_allclose(one, expected, rtol=1e-9)


def test_windows_without_overlap_are_independent(x64):
    x_t = np.random.default_rng(0).normal(size=(3, N))
    expected = np.asarray(evaluate(chain(), x_t.reshape(12, 16), 0.4)[0]).reshape(3, N)
    guides = [synchronized(strategy, 16, 16) for strategy in STRATEGIES]
    for guide, found in zip(guides, ask_all(guides, x_t, 0.4), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9)
        assert guide.calls == 1


def test_one_view_of_permuted_points_changes_nothing(x64):
    # exchangeable data: variance 1, correlation 1/2, which no permutation changes
    mixture = sd.oracle.GaussianMixture([1.0], np.zeros((1, 8)), 0.5 * np.eye(8) + 0.5)
    denoiser, order = mixture.denoiser(sd.GaussianProcess.vp()), np.random.default_rng(0).permutation(8)
    views = sd.lookahead.Views(order[None, :, None], shape=(8,), view_shape=(8,), axes=(1,))
    x_t = np.random.default_rng(1).normal(size=(3, 8))
    found, expected = ask_all([sd.lookahead.synchronize(denoiser, views), denoiser], x_t, 0.4)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_a_pointwise_model_is_left_as_it_is():
    # what looks at one point at a time agrees with itself everywhere: no strategy has anything to do
    pointwise = sd.FunctionDenoiser(lambda x, t, cond: jnp.sin(x), sd.GaussianProcess.rectified())
    views = sd.lookahead.patches((7, 6), (4, 3), 2, axes=(1, 3), periodic=(False, True))
    x_t = np.random.default_rng(0).normal(size=(2, 7, 2, 6)).astype(np.float32)
    for found in ask_all([sd.lookahead.synchronize(pointwise, views, strategy=s) for s in STRATEGIES], x_t, 0.6):
        np.testing.assert_allclose(found, np.sin(x_t), atol=1e-5)


def test_bethe_has_the_score_of_a_markov_chain_as_noise_vanishes_and_averages_do_not(x64):
    x_0 = np.linalg.cholesky(covariance(N)) @ np.random.default_rng(0).normal(size=(N, 4))
    error = {}
    guides = [chain(), synchronized("x0", 8, 7), synchronized("bethe", 8, 7)]
    for sigma in (0.1, 0.01):
        x0_hat = ask_all(guides, x_0.T, PROCESS.time(-2 * jnp.log(sigma)))
        exact, *found = [(np.asarray(one) - x_0.T) / sigma**2 for one in x0_hat]
        for name, score in zip(("x0", "bethe"), found, strict=True):
            error[name, sigma] = np.linalg.norm(score - exact) / np.linalg.norm(exact)
    # of second order in sigma, with overlaps of a single point
    assert 50 < error["bethe", 0.1] / error["bethe", 0.01] < 200
    assert error["x0", 0.01] > 100 * error["bethe", 0.01]


def curved(process=None):
    """A model that is neither linear nor pointwise."""

    def expected(x, t, cond):
        return (
            jnp.tanh(x + 0.5 * jnp.roll(x, 1, 1)) + 0.3 * jnp.roll(x, 2, 1) * jnp.exp(-jnp.asarray(t))[..., None, None]
        )

    return sd.FunctionDenoiser(expected, process or sd.GaussianProcess.vp())


def sphere_state(batch=2):
    views = sd.lookahead.sphere((12, 24), chart=6)
    return views, np.random.default_rng(0).normal(size=(batch, 12, 24))


def test_states_are_averaged_by_their_velocities(x64):
    views, z = sphere_state()
    views = dataclasses.replace(views, iterations=60)  # linear to the last digit
    windows, x_t = sd.lookahead.windows(12, 5, 3), z[..., 0]
    picked = ask_all([sd.lookahead.synchronize(chain(), windows, strategy=s) for s in ("x0", "xt")], x_t, 0.5)
    np.testing.assert_array_equal(*picked)

    @eqx.filter_jit
    def both(guided, z, t):
        seen = views.project(z)
        own, level = at_own_level(guided.process, views, seen, t, 2)
        velocities = velocity_from(guided.process, seen, guided.denoiser(own, level), t)
        return guided.velocity(z, t), views.average(velocities), views.average(seen) - z

    guided = sd.lookahead.synchronize(curved(), views, strategy="xt")
    found, expected, lost = both(guided, z, jnp.asarray(0.5))
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert np.abs(expected).max() > 1.0 < 10 * np.abs(lost).max()  # not all of z is seen, so it matters


def test_the_default_loss_is_what_is_left_of_disagreement(x64):
    # with the average's own derivative, which adds nothing: the average is where this loss is least
    weights, process, t = np.arange(1.0, 8.0)[:, None], sd.GaussianProcess.vp(), 0.5
    views = sd.lookahead.windows(24, 7, 4).weighted(weights[:, 0])
    x_t = np.random.default_rng(0).normal(size=(2, 24, 2))

    def disagreement(z):
        x0_hat = curved()(views.project(z), jnp.asarray(t))
        return 0.5 * jnp.sum(weights * views.residual(x0_hat, views.average(x0_hat)) ** 2)

    gradient = np.asarray(jax.jit(jax.grad(disagreement))(x_t))
    factor = 0.3 * float(process.sigma(t)) ** 2 / float(process.alpha(t))
    guides = [sd.lookahead.synchronize(curved(), views, strategy=s, scale=0.3) for s in ("x0", "loss")]
    plain, guided = (np.asarray(one) for one in ask_all(guides, x_t, t))
    assert np.abs(gradient).max() > 1e-3
    np.testing.assert_allclose(guided - plain, -factor * gradient, atol=1e-5 * np.abs(factor * gradient).max())


def test_a_loss_of_ones_own_is_held_against_the_middle_view(x64):
    views, x_t = sd.lookahead.windows(12, 5, 3), np.random.default_rng(0).normal(size=(2, 12, 2))

    def loss(view_x0, anchor):
        assert view_x0.shape == (2, 4, 5, 2) and anchor.shape == (2, 5, 2)
        return jnp.sum((view_x0 - anchor[:, None]) ** 2, (1, 2, 3))

    def total(z, held):
        x0_hat = curved()(views.project(z), 0.5).reshape(2, 4, 5, 2)
        return loss(x0_hat, jax.lax.stop_gradient(held)).sum()

    @jax.jit
    def by_hand(z):
        held = curved()(views.project(z), jnp.asarray(0.5)).reshape(2, 4, 5, 2)[:, 2]
        return jax.grad(total)(z, held)

    process, gradient = sd.GaussianProcess.vp(), np.asarray(by_hand(x_t))
    guide = sd.lookahead.synchronize(curved(), views, strategy="loss", loss=loss, scale=0.2)
    plain, guided = (np.asarray(one) for one in ask_all([sd.lookahead.synchronize(curved(), views), guide], x_t, 0.5))
    factor = 0.2 * float(process.sigma(0.5)) ** 2 / float(process.alpha(0.5))
    np.testing.assert_allclose(guided - plain, -factor * gradient, rtol=1e-5, atol=1e-8)
    end = sd.lookahead.synchronize(curved(sd.GaussianProcess.cosine()), views, strategy="loss", loss=loss)
    np.testing.assert_array_equal(*ask_all([end, sd.lookahead.synchronize(end.denoiser, views)], x_t, 1.0))  # alpha = 0


@pytest.mark.parametrize("name", ["cosine", "edm"])
def test_interpolated_noise_is_asked_about_at_its_own_level(name):
    process, (views, _) = getattr(sd.GaussianProcess, name)(), sphere_state()
    t, x = np.array([0.0, 0.3, 0.7, 1.0], np.float32), np.ones((4 * views.count, 6, 6), np.float32)

    @eqx.filter_jit
    def levels(process, views, x, t):
        scaled, own = at_own_level(process, views, x, t, 4)
        own = own.reshape(4, -1)
        of_own, of_t = ((process.alpha(time), process.sigma(time)) for time in (own, t[:, None]))
        return scaled[:, 0, 0].reshape(4, -1), own, of_own, of_t

    scale, own, (own_alpha, own_sigma), (alpha, sigma) = jax.tree.map(np.asarray, levels(process, views, x, t))
    assert np.all(np.isfinite(scale)) and np.all((own >= 0) & (own <= t[:, None]))
    # alpha' = scale alpha and sigma' = scale gain sigma: the signal, and the noise that is left of white noise, at the time asked about
    np.testing.assert_allclose(own_alpha, scale * alpha, rtol=2e-3, atol=1e-6)
    expected = scale * np.asarray(views.noise_gain) * sigma
    np.testing.assert_allclose(own_sigma[1:], expected[1:], rtol=2e-3, atol=1e-6)


def test_samples_of_other_views_are_finite_and_agreed_upon():
    views, _ = sphere_state()
    smooth = sd.FunctionDenoiser(
        lambda x, t, cond: jnp.mean(x, (1, 2), keepdims=True) + 0 * x, sd.GaussianProcess.cosine()
    )
    guided = sd.lookahead.synchronize(smooth, views, strategy="loss", scale=0.1)
    x, info = sd.sample(jax.random.key(0), guided, (2, 12, 24), solver="dpmpp2m", steps=8)
    assert np.all(np.isfinite(x)) and info["disagreement"].shape == (8, 2)
    assert np.max(np.asarray(info["disagreement"])[-1]) < 0.1


@pytest.mark.parametrize(
    "options, message",
    [
        ({"strategy": "mean"}, "'mean'"),
        ({"loss": lambda x, a: 0.0}, "strategy = 'x0'"),
        ({"chunk": 0}, "chunk = 0"),
        ({"strategy": "bethe", "views": "mesh"}, "needs the overlaps"),
        ({"noise": "spherical"}, "ZeroCentreOfMass"),
    ],
)
def test_what_does_not_fit_is_named(options, message):
    options, views = dict(options), sd.lookahead.windows(8, 4, 2)
    if options.pop("views", None):
        views = sd.lookahead.mesh(np.eye(3), np.array([[0, 1, 2]]), chart=8, margin=2.0)
    process = sd.GaussianProcess.vp(noise=sd.ZeroCentreOfMass()) if options.pop("noise", None) else PROCESS
    with pytest.raises(ValueError, match=message):
        sd.lookahead.synchronize(curved(process), views, **options)


def test_a_time_of_each_point_is_refused():
    with pytest.raises(ValueError, match="one a sample"):
        ask_all([synchronized("x0", 16, 8)], np.zeros((2, N)), np.full((2, N), 0.5))
