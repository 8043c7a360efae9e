import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from example_guides import Jitter, Push
from solvers.common import NAMES, process_of

import sciddm as sd
from sciddm.denoiser import PREDICTIONS, Draws, SamplingDefaults, target, x0_coefficients


@eqx.filter_jit
def answer_to_the_target(process, prediction, x_0, t):
    """What a denoiser makes of the target as its network's output, and sigma / alpha."""
    x_t, eps = process.perturb(jax.random.key(1), x_0, t)
    out = target(process, prediction, x_0, eps, t, 0.7)
    denoiser = sd.NetworkDenoiser(lambda x, noise_level, cond: out, process, prediction, 0.7)
    return denoiser(x_t, t), process.sigma(t) / process.alpha(t)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_the_target_as_output_gives_back_x_0(name, prediction):
    x_0 = np.random.default_rng(1).normal(size=(7, 5)).astype(np.float32)
    t = np.linspace(0.05, 0.9, 7, dtype=np.float32)
    answer, ratio = answer_to_the_target(process_of(name), prediction, x_0, t)
    np.testing.assert_allclose(answer, x_0, atol=2e-4 * (np.max(ratio) + 1))


@pytest.mark.parametrize("name", NAMES)
def test_edm_preconditioning_has_unit_variance_and_finite_ends(name):
    ask = eqx.filter_jit(lambda process, t: (x0_coefficients(process, "edm", t, 0.5), process.level(t)))
    asked = ask(process_of(name), np.linspace(0.0, 1.0, 33, dtype=np.float32))
    (c_skip, c_out), (alpha, sigma, _) = jax.tree.map(np.asarray, asked)
    assert np.all(np.isfinite(c_skip) & np.isfinite(c_out))
    # the error of the skip path is what the network must supply: var(x_0 - c_skip x_t) = c_out^2 (Karras et al., eq. 129)
    np.testing.assert_allclose((1 - c_skip * alpha) ** 2 * 0.25 + c_skip**2 * sigma**2, c_out**2, rtol=1e-4, atol=1e-7)


def test_score_eps_and_velocity_are_those_of_the_exact_density(mixture):
    process = sd.GaussianProcess.vp()
    denoiser, t = mixture.denoiser(process), 0.3

    @jax.jit
    def ask(x_t):
        alpha, sigma, _ = process.level(t)
        means, variances = alpha * mixture.means, alpha**2 * mixture.variances + sigma**2
        score = sd.oracle.GaussianMixture(mixture.weights, means, variances).score(x_t)
        ours = denoiser.score(x_t, t), denoiser.eps(x_t, t), denoiser.velocity(x_t, t)
        return ours, (score, -sigma * score, process.drift(t) * x_t - 0.5 * process.diffusion2(t) * score)

    for ours, exact in zip(*ask(np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)), strict=True):
        np.testing.assert_allclose(ours, exact, rtol=1e-4, atol=1e-5)


def test_denoise_with_vjp_is_the_symmetric_posterior_covariance(mixture):
    process, t = sd.GaussianProcess.vp(), 0.4
    x_t = np.random.default_rng(2).normal(size=(4, 3)).astype(np.float32)

    @jax.jit
    def ask(x_t):
        x0_hat, vjp = sd.denoise_with_vjp(mixture.denoiser(process), x_t, t)
        rows = jnp.stack([vjp(jnp.broadcast_to(axis, (4, 3))) for axis in jnp.eye(3)], 1)
        return x0_hat, mixture.denoiser(process)(x_t, t), rows

    x0_hat, answer, rows = jax.tree.map(np.asarray, ask(x_t))
    alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
    np.testing.assert_allclose(rows, rows.transpose(0, 2, 1), atol=1e-5)
    for one, row in zip(x_t, rows, strict=True):
        posterior = mixture.posterior(alpha * np.eye(3), one, sigma)
        np.testing.assert_allclose(row * sigma**2 / alpha, posterior.covariance, atol=2e-4)
    np.testing.assert_array_equal(x0_hat, answer)


def test_time_may_be_scalar_per_sample_or_per_element(mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.cosine())
    x_t, half = np.random.default_rng(3).normal(size=(6, 3)).astype(np.float32), np.float32(0.5)
    ask = eqx.filter_jit(lambda denoiser, x_t, t: denoiser(x_t, t))
    np.testing.assert_allclose(ask(denoiser, x_t, half), ask(denoiser, x_t, np.full(6, half)), rtol=1e-6)
    pointwise = sd.NetworkDenoiser(lambda x, c, cond: x, sd.GaussianProcess.vp(), "v")
    np.testing.assert_allclose(ask(pointwise, x_t, np.full((6, 3), half)), ask(pointwise, x_t, half), rtol=1e-6)


def test_an_unknown_prediction_is_named():
    with pytest.raises(ValueError, match="noise.*none of"):
        sd.NetworkDenoiser(lambda x, c, cond: x, sd.GaussianProcess.vp(), "noise")


def test_a_guide_s_wish_is_a_default_and_no_more(mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    guided = sd.guidance.classifier_free(Push(denoiser), 1.0)  # a wish is heard through the guides around

    def times(denoiser, **options):  # that there are so many asks for no compiled program
        return jax.eval_shape(lambda: sd.sample(jax.random.key(0), denoiser, (2, 3), **options)[1])["times"].shape[0]

    assert times(guided) == 5 and times(guided, steps=7) == 8 and times(denoiser) == 21
    inner, outer = SamplingDefaults("ddim", 5, None, (1,)), SamplingDefaults(None, 7, "t", (2,))
    assert inner.then(outer) == SamplingDefaults("ddim", 7, "t", (1, 2))


def test_draws_are_new_each_step_each_guide_and_each_sample_and_know_no_batch(mixture):
    denoiser = Jitter(Jitter(mixture.denoiser(sd.GaussianProcess.vp())))
    keys, other = jax.random.split(jax.random.key(0), 5), jax.random.split(jax.random.key(1), 3)
    many, info = sd.sample(keys, denoiser, (5, 3), solver="ddim", steps=6)
    few, _ = sd.sample(jnp.concatenate([other, keys[:2]]), denoiser, (5, 3), solver="ddim", steps=6)
    np.testing.assert_allclose(many[:2], few[3:], atol=1e-5)  # in another place, with other neighbours
    assert len(np.unique(np.asarray(info["draw"]))) == 30
    x_t = jnp.zeros((2, 3))
    np.testing.assert_array_equal(denoiser(x_t, 0.5), denoiser(x_t, 0.5))  # outside of a sampler always the same
    fresh = Draws.refresh(denoiser, jax.random.split(jax.random.key(1), 2))
    inner, outer = fresh.denoiser.draws(2), fresh.draws(2)
    assert not np.array_equal(jax.random.key_data(inner), jax.random.key_data(outer))
