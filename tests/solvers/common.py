"""What the solver tests share: every process in one compiled program, an exact mixture as array and as tree."""

import jax
import jax.numpy as jnp

import sciddm as sd
from sciddm.process import Schedule

NAMES = ("vp", "sub_vp", "cosine", "ve", "edm", "rectified")


class Either(Schedule):
    """The schedule of NAMES[index], the index being data: one program serves all six."""

    index: jax.Array

    def _of(self, method, value):
        schedules = [getattr(sd.GaussianProcess, name)().schedule for name in NAMES]
        return jax.lax.switch(self.index, [getattr(schedule, method) for schedule in schedules], jnp.asarray(value))

    def alpha(self, t):
        return self._of("alpha", t)

    def sigma(self, t):
        return self._of("sigma", t)

    def log_snr(self, t):
        return self._of("log_snr", t)

    def time(self, log_snr):
        return self._of("time", log_snr)


def process_of(name: str) -> sd.GaussianProcess:
    return sd.GaussianProcess(Either(jnp.asarray(NAMES.index(name))), sd.White())


class OnTree(sd.Denoiser):
    """A denoiser of (B, 3) arrays for {"a": (B, 1), "b": {"c": (B, 2)}}."""

    inner: sd.Denoiser
    process: sd.GaussianProcess

    def evaluate(self, x_t, t, cond=None):
        joined, report = self.inner.evaluate(jnp.concatenate([x_t["a"], x_t["b"]["c"]], 1), t)
        return {"a": joined[:, :1], "b": {"c": joined[:, 1:]}}, report


def tree_shape(count: int):
    return {"a": (count, 1), "b": {"c": (count, 2)}}


def joined(tree):
    return jnp.concatenate([tree["a"], tree["b"]["c"]], 1)
