import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

import sciddm as sd

POINTS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
TURN = Rotation.from_rotvec([0.3, -1.2, 0.5]).as_matrix().astype(np.float32)


def test_superpose_finds_the_rotation_and_the_shift():
    moved = POINTS @ TURN.T + np.array([1.0, 2.0, -3.0], np.float32)
    np.testing.assert_allclose(sd.lookahead.superpose(POINTS, moved[None])[0], moved, atol=1e-5)


def test_superpose_never_mirrors_and_is_the_best_of_all_rotations():
    mirrored = POINTS * np.array([-1.0, 1.0, 1.0], np.float32)
    weights = np.array([1.0, 2.0, 0.5, 1.0, 3.0])
    laid = np.asarray(sd.lookahead.superpose(POINTS, mirrored[None], weights))[0]
    inside, expected = laid - np.average(laid, 0, weights), POINTS - np.average(POINTS, 0, weights)
    np.testing.assert_allclose(
        np.linalg.det(inside[:3]), np.linalg.det(expected[:3]), rtol=1e-3
    )  # a rotation: det is kept
    by_scipy = Rotation.align_vectors(mirrored - np.average(mirrored, 0, weights), expected, weights)[0]
    np.testing.assert_allclose(inside, by_scipy.apply(expected), atol=1e-4)


def constraint(count=7):
    indices = jnp.array([0, 2, 3])
    fixed = {"features": jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), "pairs": jnp.eye(3)[..., None]}
    return sd.lookahead.Rigid(jnp.asarray(POINTS[:3]), indices, fixed, jnp.array([1.0] * (count - 1) + [0.0]))


def cloud(count=7):
    keys = jax.random.split(jax.random.key(0), 3)
    x = {"positions": (2, count, 3), "features": (2, count, 2), "pairs": (2, count, count, 1)}
    return {name: jax.random.normal(key, shape) for key, (name, shape) in zip(keys, x.items(), strict=True)}


def test_a_rigid_part_keeps_its_shape_and_values_and_the_centre_of_mass_stays():
    x, project = cloud(), constraint()
    out = project(x)
    at = np.asarray(project.indices)
    inside = lambda p: np.linalg.norm(p[..., :, None, :] - p[..., None, :, :], axis=-1)  # noqa: E731
    kept = np.asarray(out["positions"][:, at])
    np.testing.assert_allclose(inside(kept), np.broadcast_to(inside(POINTS[:3]), (2, 3, 3)), atol=1e-5)
    np.testing.assert_allclose(np.asarray(out["positions"])[:, :6].mean(1), 0.0, atol=1e-6)
    np.testing.assert_array_equal(out["features"][:, at], np.broadcast_to(project.fixed["features"], (2, 3, 2)))
    np.testing.assert_array_equal(
        out["pairs"][:, at[:, None], at[None]], np.broadcast_to(project.fixed["pairs"], (2, 3, 3, 1))
    )
    others = np.setdiff1d(np.arange(7), at)
    np.testing.assert_array_equal(out["features"][:, others], x["features"][:, others])
    again = project(out)
    for name in out:
        np.testing.assert_allclose(again[name], out[name], atol=1e-5)


def test_samples_hold_the_part_to_rounding_whatever_the_prior():
    # a Gaussian prior that knows nothing of the part
    law = sd.PerLeaf({"positions": sd.ZeroCentreOfMass(), "features": sd.noise.White(), "pairs": sd.Symmetric()})
    process = sd.GaussianProcess.edm(noise=law)
    plain = sd.FunctionDenoiser(lambda x, t, cond: jax.tree.map(lambda v: v / (1 + process.sigma(t) ** 2), x), process)
    part = sd.lookahead.Rigid(jnp.asarray(POINTS[:3]), jnp.array([0, 2, 3]), {}, jnp.ones(7))
    samples, _ = sd.sample(
        jax.random.key(0), sd.lookahead.constrain(plain, part), jax.tree.map(jnp.shape, cloud()), steps=5
    )
    laid = sd.lookahead.superpose(POINTS[:3], samples["positions"][:, jnp.array([0, 2, 3])])
    np.testing.assert_allclose(laid, samples["positions"][:, jnp.array([0, 2, 3])], atol=1e-5)
