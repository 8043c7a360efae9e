import equinox as eqx
import jax
import numpy as np
from scipy.spatial.transform import Rotation

import sciddm as sd

superpose = jax.jit(sd.lookahead.superpose)
POINTS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
TURN = Rotation.from_rotvec([0.3, -1.2, 0.5]).as_matrix().astype(np.float32)


def test_superpose_finds_the_rotation_and_the_shift():
    moved = POINTS @ TURN.T + np.array([1.0, 2.0, -3.0], np.float32)
    np.testing.assert_allclose(superpose(POINTS, moved[None])[0], moved, atol=1e-5)


def test_superpose_never_mirrors_and_is_the_best_of_all_rotations():
    mirrored = POINTS * np.array([-1.0, 1.0, 1.0], np.float32)
    weights = np.array([1.0, 2.0, 0.5, 1.0, 3.0])
    laid = np.asarray(superpose(POINTS, mirrored[None], weights))[0]
    inside, expected = laid - np.average(laid, 0, weights), POINTS - np.average(POINTS, 0, weights)
    np.testing.assert_allclose(
        np.linalg.det(inside[:3]), np.linalg.det(expected[:3]), rtol=1e-3
    )  # a rotation: det is kept
    by_scipy = Rotation.align_vectors(mirrored - np.average(mirrored, 0, weights), expected, weights)[0]
    np.testing.assert_allclose(inside, by_scipy.apply(expected), atol=1e-4)


def constraint(count=7):
    indices = np.array([0, 2, 3])
    fixed = {"features": np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), "pairs": np.eye(3)[..., None]}
    return sd.lookahead.Rigid(POINTS[:3], indices, fixed, np.array([1.0] * (count - 1) + [0.0]))


def cloud(count=7):
    rng = np.random.default_rng(0)
    x = {"positions": (2, count, 3), "features": (2, count, 2), "pairs": (2, count, count, 1)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in x.items()}


def test_a_rigid_part_keeps_its_shape_and_values_and_the_centre_of_mass_stays():
    x, part = cloud(), constraint()
    project = eqx.filter_jit(part)
    out = jax.tree.map(np.asarray, project(x))
    at = np.asarray(part.indices)
    inside = lambda p: np.linalg.norm(p[..., :, None, :] - p[..., None, :, :], axis=-1)  # noqa: E731
    kept = out["positions"][:, at]
    np.testing.assert_allclose(inside(kept), np.broadcast_to(inside(POINTS[:3]), (2, 3, 3)), atol=1e-5)
    np.testing.assert_allclose(out["positions"][:, :6].mean(1), 0.0, atol=1e-6)
    np.testing.assert_array_equal(out["features"][:, at], np.broadcast_to(part.fixed["features"], (2, 3, 2)))
    np.testing.assert_array_equal(
        out["pairs"][:, at[:, None], at[None]], np.broadcast_to(part.fixed["pairs"], (2, 3, 3, 1))
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
    part = sd.lookahead.Rigid(POINTS[:3], np.array([0, 2, 3]), {}, np.ones(7))
    samples, _ = sd.sample(
        jax.random.key(0), sd.lookahead.constrain(plain, part), {name: leaf.shape for name, leaf in cloud().items()}, steps=5
    )
    found = np.asarray(samples["positions"])[:, [0, 2, 3]]
    np.testing.assert_allclose(superpose(POINTS[:3], found), found, atol=1e-5)
