import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

import sciddm as sd
from sciddm.answer import Answer


class Conditional(sd.Denoiser):
    process: sd.GaussianProcess
    null: sd.Denoiser
    wanted: sd.Denoiser
    other: sd.Denoiser

    def evaluate(self, x_t, t, cond=None):
        return Answer(getattr(self, cond or "null")(x_t, t), {})


@eqx.filter_jit
def ask(denoiser, x_t, t, cond=None):
    return denoiser(x_t, t, cond)


def gaussian_pair(process, v0=1.0, v1=0.25, mean=1.0):
    """Unconditional N(0, v0), conditional N(mean, v1): cond=None is the null condition."""
    null = sd.oracle.GaussianMixture([1.0], [[0.0]], v0).denoiser(process)
    wanted = sd.oracle.GaussianMixture([1.0], [[mean]], v1).denoiser(process)
    other = sd.oracle.GaussianMixture([1.0], [[-mean]], v1).denoiser(process)
    return Conditional(process, null, wanted, other), null, wanted, other


def sampled_moments(denoiser, cond, steps=1500):
    """Mean and variance of the probability flow's end: for Gaussians it is affine in the noise, so two points tell."""
    start = 1e4 * jnp.array([[1.0], [-1.0]])
    ends, _ = sd.sample(
        jax.random.key(0), denoiser, (2, 1), cond=cond, solver="heun", steps=steps, grid="logsnr", start=start
    )
    return float(ends.mean()), float(((ends[0] - ends[1]) / 2)[0] ** 2)


@pytest.mark.parametrize("scale", [2.0, 4.0])
def test_classifier_free_gives_the_geometric_variance_not_the_tilted_one(scale, x64):
    # variance v0^(1-w) v1^w of the probability flow; the target p^(1-w) p_c^w would have 1 / ((1-w)/v0 + w/v1)
    denoiser, *_ = gaussian_pair(sd.GaussianProcess.edm(sigma_max=1e4))
    guided = sd.guidance.classifier_free(denoiser, scale)
    mean, variance = sampled_moments(guided, "wanted")
    assert variance == pytest.approx(0.25**scale, rel=1e-3)
    # m' = m phi'/phi - w mu sigma / (v1 + sigma^2) in sigma, phi^2 being the variance; at w = 2 the tilted mean would be 1.143

    def phi(sigma):
        return (1.0 + sigma**2) ** ((1 - scale) / 2) * (0.25 + sigma**2) ** (scale / 2)

    forcing = scipy.integrate.quad(lambda sigma: scale * sigma / (0.25 + sigma**2) / phi(sigma), 0, np.inf)[0]
    assert mean == pytest.approx(phi(0.0) * forcing, rel=1e-3)


def test_scale_one_is_plain_conditional_to_the_bit():
    denoiser, null, wanted, _ = gaussian_pair(sd.GaussianProcess.vp())
    x_t = np.random.default_rng(0).normal(size=(7, 1)).astype(np.float32)
    for guided in (
        sd.guidance.classifier_free(denoiser, 1.0, rescale=0.7),
        sd.guidance.negative(denoiser, {"other": "other"}, 1.0),
        sd.guidance.classifier_free(denoiser, 3.0, interval=(10.0, 20.0)),
    ):
        np.testing.assert_array_equal(ask(guided, x_t, 0.5, "wanted"), ask(wanted, x_t, 0.5))
    np.testing.assert_allclose(
        ask(sd.guidance.classifier_free(denoiser, 0.0), x_t, 0.5, "wanted"), ask(null, x_t, 0.5), rtol=1e-5, atol=1e-6
    )


def test_interval_is_in_sigma_over_alpha():
    denoiser, null, wanted, _ = gaussian_pair(sd.GaussianProcess.edm())
    guided = sd.guidance.classifier_free(denoiser, 2.0, interval=(0.19, 1.61))
    x_t = np.ones((1, 1), np.float32)
    for sigma, acts in ((0.1, False), (0.5, True), (1.5, True), (2.0, False)):
        t = denoiser.process.time(-2 * np.log(sigma))
        conditional, unconditional = (np.asarray(ask(answer, x_t, t)) for answer in (wanted, null))
        expected = 2 * conditional - unconditional if acts else conditional
        np.testing.assert_allclose(ask(guided, x_t, t, "wanted"), expected, rtol=1e-5)


def test_one_negative_condition_takes_the_unconditional_place():
    denoiser, null, wanted, other = gaussian_pair(sd.GaussianProcess.vp())
    x_t = np.random.default_rng(0).normal(size=(5, 1)).astype(np.float32)
    a = sd.guidance.negative(denoiser, {"other": "other"}, 2.5)
    b = sd.guidance.classifier_free(denoiser, 2.5, unconditional="other")
    c = sd.guidance.classifier_free(denoiser, 2.5, unconditional=other)
    answer_a, answer_b, answer_c = (ask(guided, x_t, 0.4, "wanted") for guided in (a, b, c))
    np.testing.assert_allclose(answer_a, answer_b, rtol=1e-6)
    np.testing.assert_allclose(answer_c, answer_b, rtol=1e-6)
    assert a.calls == b.calls == c.calls == 2


def test_rescale_brings_back_the_conditional_standard_deviation():
    denoiser = sd.FunctionDenoiser(lambda x, t, cond: x * (1.0 if cond is None else 3.0), sd.GaussianProcess.vp())
    x_t = np.random.default_rng(0).normal(size=(4, 50)).astype(np.float32)
    guided = np.asarray(ask(sd.guidance.classifier_free(denoiser, 4.0, rescale=1.0), x_t, 0.5, "c"))
    np.testing.assert_allclose(guided.std(1), (3 * x_t).std(1), rtol=1e-5)


def test_a_gradient_through_the_guide_is_finite_where_a_sample_is_one_number():
    denoiser = sd.FunctionDenoiser(lambda x, t, cond: 0.5 * x, sd.GaussianProcess.vp())
    weak = sd.FunctionDenoiser(lambda x, t, cond: 0.3 * x, sd.GaussianProcess.vp())
    guided = sd.guidance.classifier_free(denoiser, 2.0, unconditional=weak)
    gradient = jax.jit(jax.grad(lambda x: guided(x, 0.5).sum()))(jnp.ones((3, 1)))
    np.testing.assert_allclose(gradient, 0.5 + 0.2, rtol=1e-5)
