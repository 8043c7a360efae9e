"""A stationary AR(1) chain of unit variance as a domain, in windows of four frames, whose denoisers are known."""

import grain
import jax
import jax.numpy as jnp
import numpy as np
from toy_domain import Points

import sciddm as sd
from sciddm.config import base_config
from sciddm.model import Model

RHO, WINDOW = 0.8, 4
PROCESS = sd.GaussianProcess.vp()


def covariance(length):
    return RHO ** np.abs(np.subtract.outer(np.arange(length), np.arange(length)))


class Chain(Points):
    """x: (4, 1), frames first; physical units are twice the normalised ones plus 1."""

    name, example, noise, frame_axis, space_axes = "chain", jax.ShapeDtypeStruct((WINDOW, 1), np.float32), sd.White(), -2, (0,)
    normalizer = sd.Normalizer(np.float32(1.0), np.float32(2.0), "m")

    def __init__(self, past=1, count=41):
        self.past = past
        rows = np.random.default_rng(0).multivariate_normal(np.zeros(WINDOW), covariance(WINDOW), count)
        self.rows = (1 + 2 * rows[..., None]).astype(np.float32)

    def condition_on(self, frames, observed):
        xp = np if isinstance(frames, np.ndarray) else jnp
        known = xp.where(observed, self.normalizer.normalize(frames), 0.0)
        return {"past": known, "observed": xp.asarray(observed, np.float32)}

    def dataset(self, split):
        return grain.MapDataset.source(self.rows).map(lambda x: {"x": x})

    def metrics(self, samples, reference):
        return {"count": float(len(samples)), "reference": float(len(reference))}


class Unscored:
    """What a task must have and these tests do not look at."""

    def metrics(self, samples, problem):
        return {}

    def plot(self, samples, problem, answers):
        return None


def gaussian(mean, matrix):
    """E[x_0 | x_t] of x_0 ~ N(mean(cond), matrix), the frames being the first axis of x."""

    def x0_hat(x_t, t, cond):
        alpha, sigma = PROCESS.alpha(t), PROCESS.sigma(t)
        m = mean(x_t, cond)
        gain = alpha * matrix @ jnp.linalg.inv(alpha**2 * matrix + sigma**2 * jnp.eye(len(matrix)))
        return m + jnp.einsum("ij,bjc->bic", gain, x_t - alpha * m)

    return sd.FunctionDenoiser(x0_hat, PROCESS)


def model(domain, denoiser, batch_size=4000):
    config = base_config()
    config.sampling.update({"solver": "unipc2", "steps": 20, "grid": "logsnr", "batch_size": batch_size})
    return Model(denoiser, domain, config, 0, None)


def assert_covariance(x, expected):
    """x: (N, frames, 1) physical; within 4 standard errors of an empirical covariance, and 2 per cent for the steps."""
    z = (np.asarray(x)[..., 0] - 1) / 2
    error = np.sqrt((1 + expected**2) / len(z))
    np.testing.assert_array_less(np.abs(z.T @ z / len(z) - expected), 4 * error + 0.02)
