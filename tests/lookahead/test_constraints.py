import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from gaussian_posterior import gaussian_posterior

import sciddm as sd
from sciddm.lookahead.constraints import CentreOfMass, Fixed, Linear, Mean, PositiveMass

BOUNDARY = np.zeros((4, 4, 1), bool)
BOUNDARY[0], BOUNDARY[:, -1] = True, True
MATRIX = np.random.default_rng(0).normal(size=(3, 32)) / np.sqrt(32) * np.array([[1.0], [0.3], [0.5]])
PROJECTIONS = {
    "mean": (Mean(jnp.array([1.0, -2.0])), lambda x: x.mean((1, 2)) - np.array([1.0, -2.0])),
    "fixed": (Fixed(BOUNDARY, 0.7), lambda x: np.where(BOUNDARY, x - np.float32(0.7), 0.0)),
    "mass": (PositiveMass(4.0), lambda x: np.stack([x.sum((1, 2)) / 4.0 - 1.0, np.minimum(x, 0.0).min((1, 2))])),
    "linear": (Linear(MATRIX, np.array([1.0, 0.0, -1.0])), lambda x: x.reshape(len(x), -1) @ MATRIX.T - np.array([1.0, 0.0, -1.0])),
    "points": (CentreOfMass(), lambda x: x.reshape(len(x), -1, 2).mean(1)),
}  # fmt: skip


def project(x):
    """All constraints at once, each on a leaf of its own."""
    reshaped = x | {"points": x["points"].reshape(-1, 16, 2)}
    projected = {name: PROJECTIONS[name][0](leaf) for name, leaf in reshaped.items()}
    return projected | {"points": projected["points"].reshape(x["points"].shape)}


def violation(x):
    return {name: np.abs(PROJECTIONS[name][1](np.asarray(leaf))).max() for name, leaf in x.items()}


def fields(key=0):
    rng = np.random.default_rng(key)
    return {name: rng.normal(size=(3, 4, 4, 2)).astype(np.float32) for name in PROJECTIONS}


projected = jax.jit(project)
SHAPE = {name: (3, 4, 4, 2) for name in PROJECTIONS}


def test_projections_satisfy_their_constraint_and_leave_what_satisfies_it():
    x = projected(fields())
    assert max(violation(x).values()) < 1e-6
    again = projected(x)
    for name in x:
        np.testing.assert_allclose(again[name], x[name], atol=1e-6)


def test_projections_go_to_the_nearest_point():
    # z in C is nearest to x exactly if (x - z) . (w - z) <= 0 for every w in C; = 0 where C is affine
    x = fields()
    nearest, others = (jax.tree.map(np.asarray, projected(each)) for each in (x, fields(1)))
    for name in x:
        angle = np.sum((x[name] - nearest[name]) * (others[name] - nearest[name]), axis=(1, 2, 3))
        assert np.all(angle < 1e-4) and (name == "mass" or np.all(np.abs(angle) < 1e-4)), name
        assert np.abs(x[name] - nearest[name]).max() > 0.05


def test_the_simplex_projection_is_the_minimiser():
    x = np.random.default_rng(1).normal(size=6)
    found = eqx.filter_jit(PositiveMass(2.0))(np.float32(x).reshape(1, 6, 1)).ravel()
    total = {"type": "eq", "fun": lambda z: z.sum() - 2.0}
    answer = scipy.optimize.minimize(
        lambda z: np.sum((z - x) ** 2),
        np.full(6, 1 / 3),
        bounds=[(0, None)] * 6,
        constraints=total,
        options={"ftol": 1e-12},
    )
    np.testing.assert_allclose(found, answer.x, atol=1e-4)
    assert np.any(np.asarray(found) == 0.0)


def test_masked_points_do_not_move_and_do_not_count():
    x, mask = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32), np.array([[1, 1, 0, 1], [1, 0, 0, 0]])
    centred = np.asarray(eqx.filter_jit(CentreOfMass(mask))(x))
    np.testing.assert_allclose((centred * mask[..., None]).sum(1), 0.0, atol=1e-6)
    np.testing.assert_array_equal(np.where(mask[..., None], 0.0, centred), np.where(mask[..., None], 0.0, x))


PROCESS = sd.GaussianProcess.vp()
NORMAL = sd.FunctionDenoiser(lambda x, t, cond: jax.tree.map(lambda leaf: PROCESS.alpha(t) * leaf, x), PROCESS)  # of N(0, I)


@pytest.mark.parametrize("solver", ["ddim", "unipc2", "ddpm", "heun"])
def test_constraints_hold_at_the_end_of_every_solver(solver):
    guided, correction = sd.lookahead.constrain(NORMAL, project), sd.lookahead.Project(project)
    samples, info = sd.sample(jax.random.key(0), guided, SHAPE, solver=solver, steps=8, corrections=(correction,))
    assert max(violation(samples).values()) < 1e-6
    assert info["constraint"].shape == info["projected"].shape == (8, 3)
    assert np.max(info["projected"]) < 1e-5  # a constrained path leaves nothing to do at its end


def test_project_makes_any_samples_satisfy_the_constraint_and_leaves_noise_alone():
    plain, _ = sd.sample(jax.random.key(0), NORMAL, SHAPE, solver="ddim", steps=8)
    correction = sd.lookahead.Project(project)
    samples, info = sd.sample(jax.random.key(0), NORMAL, SHAPE, solver="ddim", steps=8, corrections=(correction,))
    assert max(violation(samples).values()) < 1e-6
    for name, leaf in projected(plain).items():
        np.testing.assert_allclose(samples[name], leaf, atol=1e-5)
    moved = np.asarray(info["projected"])
    assert moved[:-1].max() == 0.0 and moved[-1].min() > 0.1


def test_constrain_is_the_exact_conditional_law_of_an_isotropic_gaussian_alone():
    matrix, value = np.array([[1.0, 0.5, -1.0]]), np.array([2.0])
    prior = sd.oracle.GaussianMixture([1.0], [[0.5, -0.5, 1.0]], 2.0)
    mean, covariance = gaussian_posterior([0.5, -0.5, 1.0], 2.0 * np.eye(3), matrix, value, 0.0)
    x_t = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    guided = sd.lookahead.constrain(prior.denoiser(PROCESS), Linear(matrix, value))
    for t in (0.1, 0.5, 0.9):
        found = ask(guided, x_t, jnp.asarray(t))
        np.testing.assert_allclose(found, expected_x_0(mean, covariance, x_t, t), rtol=1e-3, atol=1e-4)
    # and of no other: where entries correlate, what is not seen must move too
    covariance, first = np.array([[1.0, 0.9], [0.9, 1.0]]), np.eye(2)[:1]
    correlated = sd.oracle.GaussianMixture([1.0], [[0.0, 0.0]], covariance).denoiser(PROCESS)
    x_t = np.float32([[2.0, 0.0]]) * float(PROCESS.alpha(0.3))  # what q(x_t | x_0 = (2, 0)) is centred on
    elsewhere = ask(sd.lookahead.constrain(correlated, Linear(first, value)), x_t, jnp.asarray(0.3))
    exact = expected_x_0(*gaussian_posterior(np.zeros(2), covariance, first, value, 0.0), x_t, 0.3)
    assert float(elsewhere[0, 1]) < 0.5 * exact[0, 1]
    noiseless = sd.lookahead.Observation(first, value, 0.0)
    np.testing.assert_allclose(ask(sd.lookahead.mmps(correlated, noiseless), x_t, jnp.asarray(0.3)), exact, rtol=1e-3)


@eqx.filter_jit
def ask(denoiser, x_t, t):
    """x0_hat of any denoiser, by one program."""
    return denoiser(x_t, t)


def expected_x_0(mean, covariance, x_t, t):
    """E[x_0 | x_t] of a Gaussian."""
    alpha, sigma = float(PROCESS.alpha(t)), float(PROCESS.sigma(t))
    gain = alpha * covariance @ np.linalg.inv(alpha**2 * covariance + sigma**2 * np.eye(len(mean)))
    return mean + (x_t - alpha * mean) @ gain.T


def test_a_linear_constraint_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match="expected"):
        Linear(np.ones((2, 3)), np.ones(3))
