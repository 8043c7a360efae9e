"""Cov[x_0 | x_t] from the denoiser's Jacobian, and steps as wide as it says: exact for Gaussian data, whatever the number of steps."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from end_law import end_law
from gaussian_posterior import gaussian_posterior, levels
from scipy.stats import multivariate_normal

import sciddm as sd
from sciddm.denoiser import linearize
from sciddm.particles.twists.adapted import given_observation
from sciddm.solvers.base import DenoiserTerm
from sciddm.spread import spread_of
from sciddm.transition import Transition, WideTransition

EXACT = sd.solvers.DDPM(covariance="exact")
TREE = {"a": (1,), "b": (3,)}
LAWS = {
    "white": (sd.White(), TREE),
    "centred": (sd.ZeroCentreOfMass(), (2, 2)),
    "masked": (sd.Masked(jnp.array([1, 0, 1, 1])), (4,)),
    "spectral": (sd.SpectralField.power_law((2, 2), 3.0, 1.0, nugget=0.05), (2, 2, 1)),
}
MEAN, ROOT = np.random.default_rng(0).normal(size=4), np.random.default_rng(1).normal(size=(4, 4))


def gaussian(law, covariance=None, process="cosine", mean=MEAN):
    """A Gaussian on the law's support, its denoiser, its mean and covariance."""
    noise, shape = LAWS[law]
    basis, inverse = sd.oracle.support_basis(noise, shape)
    on = basis @ inverse
    covariance = on @ (0.3 * ROOT @ ROOT.T if covariance is None else covariance) @ on.T
    prior = sd.oracle.GaussianMixture([1.0], [on @ mean], covariance)
    return prior.denoiser(flat_process(noise, process), shape), on @ mean, covariance


def flat_process(noise, process):
    return getattr(sd.GaussianProcess, process)(noise=noise)


def as_tree(denoiser, law):
    """The oracle's denoiser of white noise knows arrays alone."""
    if law != "white":
        return denoiser

    def expected(x_t, t, cond):
        whole = denoiser(jnp.concatenate([x_t["a"], x_t["b"]], -1), t)
        return {"a": whole[:, :1], "b": whole[:, 1:]}

    return sd.FunctionDenoiser(expected, denoiser.process)


@pytest.mark.parametrize("law", LAWS)
def test_the_exact_step_ends_with_the_law_of_any_gaussian_data_at_any_number_of_steps(law, x64):
    denoiser, mean, covariance = gaussian(law)
    times, _, _ = levels(denoiser.process, "logsnr", 4)
    for few in (times, times[[0, 2, 4]], times[[0, 4]]):  # 4, 2 and 1 steps; x_t at t = 1 is noise to one part in e^10
        found = end_law(as_tree(denoiser, law), EXACT, few, LAWS[law][1])
        np.testing.assert_allclose(found[0], mean, atol=3e-4)
        np.testing.assert_allclose(found[1], covariance, atol=3e-4)


def test_plug_in_steps_end_with_the_known_share_of_the_variance_and_a_diagonal_is_exact_where_the_data_are(x64):
    variances = np.array([0.04, 0.3, 0.15, 0.08])
    denoiser, mean, covariance = gaussian("masked", np.diag(variances))
    times, _, _ = levels(denoiser.process, "logsnr", 10)
    share = (1.0 - np.exp(-2.0)) / 2.0  # (1 - e^-D) / D, D = 20 / steps the step in log-SNR
    np.testing.assert_allclose(end_law(denoiser, sd.solvers.DDPM(), times, (4,))[1], share * covariance, atol=2e-3 * 0.3)
    for solver in (sd.solvers.DDPM(covariance="diagonal"), sd.solvers.DDPM(covariance="diagonal", probes=1)):
        np.testing.assert_allclose(end_law(denoiser, solver, times, (4,))[1], covariance, atol=2e-4)


def test_a_low_rank_is_exact_for_data_on_a_plane_and_for_those_that_are_as_the_noise(x64):
    solver, (noise, shape) = sd.solvers.DDPM(covariance="low_rank", probes=2), LAWS["spectral"]
    basis, _ = sd.oracle.support_basis(noise, shape)
    for covariance in (ROOT[:, :2] @ ROOT[:, :2].T, 0.3 * basis @ basis.T):
        denoiser, *_ = gaussian("spectral", covariance)
        times, _, _ = levels(denoiser.process, "logsnr", 4)
        np.testing.assert_allclose(end_law(denoiser, solver, times, shape)[1], covariance, atol=3e-4 * np.trace(covariance))


def step_of(kind, law, probes=None, share=0.7, std=0.3, count=3):
    """A `WideTransition` and its dense mean and covariance, (count, d) and (d, d)."""
    denoiser, _, covariance = gaussian(law, 0.3 * np.eye(4) if kind == "diagonal" else None)
    denoiser, process, shape, t = as_tree(denoiser, law), denoiser.process, LAWS[law][1], jnp.asarray(0.5)
    keys = jax.random.split(jax.random.key(0), count)
    x = process.noise.sample_batch(keys, jax.tree.map(lambda leaf: jnp.zeros((count, *leaf.shape)), sd.arithmetic.as_structs(shape)))
    x0_hat, spread = measured(denoiser, x, t, keys, kind, probes)
    alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
    basis, inverse = sd.oracle.support_basis(process.noise, shape)
    noise = sigma**2 * basis @ basis.T
    known = covariance - alpha**2 * covariance @ np.linalg.pinv(alpha**2 * covariance + noise) @ covariance
    return WideTransition(x, jnp.asarray(std), jnp.asarray(share), spread, process.noise), x0_hat, known, basis, inverse


@eqx.filter_jit
def measured(denoiser, x, t, keys, kind, probes):
    answer, vjp = linearize(denoiser, x, t, None)
    return answer.x0_hat, spread_of(kind, denoiser.process, vjp, x, t, keys, probes)


@eqx.filter_jit
def weighed(model, mean, keys, roots):
    other = model.to(mean)
    x, log_ratio = model.weighed(other, keys)
    densities = model.log_prob(x), model.log_prob(x) - other.log_prob(x), Transition.weighed(model, other, keys)[1]
    wide = model.widened(roots)
    return x, log_ratio, other.sample(keys), densities, wide, model.whitened(wide)


def flat(tree):
    return np.concatenate([np.reshape(leaf, (leaf.shape[0], -1)) for leaf in jax.tree.leaves(tree)], -1).astype(float)


@pytest.mark.parametrize("kind, law", [*(("exact", law) for law in LAWS), ("low_rank", "spectral"), ("diagonal", "masked")])
def test_a_wide_step_weighs_by_the_density_of_the_gaussian_that_it_draws(kind, law, x64):
    model, _, known, basis, inverse = step_of(kind, law, 3 if kind == "low_rank" else None)
    roots = unflat(jnp.zeros((3, 4)).at[: basis.shape[1]].set(basis.T[:3]), model.mean)  # noise along axes of the support
    half = jax.tree.map(lambda leaf: 0.5 * leaf, model.mean)
    x, log_ratio, drawn, (density, difference, slow), _, back = weighed(model, half, jax.random.split(jax.random.key(1), 3), roots)
    np.testing.assert_allclose(flat(x), flat(drawn), atol=1e-9)
    np.testing.assert_allclose(log_ratio, difference, atol=1e-9)
    np.testing.assert_allclose(log_ratio, slow, atol=1e-9)
    np.testing.assert_allclose(flat(back), flat(roots), atol=1e-9)
    if kind != "low_rank":  # of which the covariance is no more than near
        whole = inverse @ (0.3**2 * basis @ basis.T + 0.7**2 * known) @ inverse.T
        scale = 0.5 * np.linalg.slogdet(basis.T @ basis)[1]  # densities on the support are those of its orthonormal coordinates
        deviation = flat(jax.tree.map(jnp.subtract, x, model.mean)) @ inverse.T
        np.testing.assert_allclose(density, multivariate_normal(np.zeros(len(whole)), whole).logpdf(deviation) - scale, atol=2e-3)


def unflat(rows, like):
    if not isinstance(like, dict):
        return jnp.reshape(rows, like.shape)
    return {"a": jnp.asarray(rows)[:, :1], "b": jnp.asarray(rows)[:, 1:]}


@pytest.mark.parametrize("kind, law", [("exact", "spectral"), ("exact", "centred"), ("diagonal", "masked")])
def test_the_step_given_what_is_measured_is_drawn_and_weighed_as_linear_algebra_says(kind, law, x64):
    count = 4000
    model, x0_hat, known, basis, inverse = step_of(kind, law, count=count)
    A, y, noise_std = np.array([[1.0, 0.5, 0.0, -1.0], [0.0, 1.0, 2.0, 0.3]]), np.array([0.4, -1.0]), np.array([0.3, 0.2])
    mean = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[:1], leaf.shape), (model.mean, x0_hat))  # of all the same
    model, observed = model.to(mean[0]), sd.lookahead.Observation(lambda x: x.reshape(len(x), -1) @ A.T, y, noise_std)
    x, log_ratio = eqx.filter_jit(given_observation)(observed, mean[1], model, jax.random.split(jax.random.key(2), count))
    deviation = flat(x) - flat(mean[0])
    # (x_s - mean, x_0 - x0_hat): jointly Gaussian, x_0 being measured
    wide, both = 0.3**2 * basis @ basis.T + 0.7**2 * known, 0.7 * known
    joint = np.block([[wide, both], [both.T, known]])
    seen = np.hstack([np.zeros((2, 4)), A])
    centre, covariance = gaussian_posterior(np.zeros(8), joint, seen, y - A @ flat(mean[1])[0], noise_std)
    centre, covariance = inverse @ centre[:4], inverse @ covariance[:4, :4] @ inverse.T
    within = deviation @ inverse.T
    error = np.sqrt(np.diag(covariance) / count)
    assert np.all(np.abs(within.mean(0) - centre) < 4.0 * error)
    spread = np.sqrt((covariance**2 + np.outer(np.diag(covariance), np.diag(covariance))) / count)
    assert np.all(np.abs(np.cov(within.T) - covariance) < 4.0 * spread)
    p = multivariate_normal(np.zeros(len(centre)), inverse @ wide @ inverse.T).logpdf(within)
    q = multivariate_normal(centre, covariance).logpdf(within)
    np.testing.assert_allclose(log_ratio, p - q, atol=0.02)


@pytest.mark.parametrize(
    "options, word",
    [
        ({"covariance": "exct"}, "did you mean exact"),
        ({"covariance": "exact", "prior_variance": 1.0}, "one of the two"),
        ({"covariance": "exact", "probes": 3}, "probes = 3"),
        ({"covariance": "diagonal", "probes": 0}, "probes = 0"),
        ({"covariance": "low_rank", "probes": 2.5}, "probes = 2.5: expected an integer, at least 1"),
        ({"probes": 3}, "none is given"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, word):
    with pytest.raises(ValueError, match=word):
        sd.solvers.DDPM(**options)


def test_what_has_no_such_covariance_is_refused_in_words():
    denoiser, *_ = gaussian("centred", process="vp")
    with pytest.raises(ValueError, match="take 'exact' or 'low_rank'"):
        sd.sample(0, denoiser, (2, 2, 2), solver='ddpm(covariance="diagonal")', steps=2)
    observed = sd.lookahead.Observation(lambda x: x[:, 0, 0], 0.1, 0.1)
    with pytest.raises(ValueError, match="particles.smc"):
        sd.sample(0, sd.lookahead.mmps(denoiser, observed), (2, 2, 2), solver=EXACT, steps=2)
    with pytest.raises(ValueError, match="take 'ddpm'"):
        sd.particles.rollover_budget(0, denoiser, lambda x, t: x[:, 0, 0], (2, 2), budget=40, steps=2, solver=EXACT)
    term = DenoiserTerm(denoiser, None, jax.random.split(jax.random.key(0), 1))
    with pytest.raises(ValueError, match="does not measure it"):
        EXACT.transition(term, 0.6, 0.4, jnp.ones((1, 2, 2)), jnp.ones((1, 2, 2)))
