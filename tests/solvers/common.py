"""What the solver tests share: every process in one compiled program, an exact mixture as array and as tree."""

import jax
import jax.numpy as jnp
import numpy as np

import sciddm as sd
from sciddm.process import Schedule

NAMES = ("vp", "sub_vp", "cosine", "ve", "edm", "rectified")
SCHEDULES = [getattr(sd.GaussianProcess, name)().schedule for name in NAMES]


class Either(Schedule):
    """The schedule of NAMES[index], the index being data: one program serves all six."""

    index: jax.Array

    def _of(self, method, value):
        # a selection of six values: six branches that a switch goes into take longer to compile than most solvers
        return jax.lax.select_n(self.index, *(getattr(schedule, method)(jnp.asarray(value)) for schedule in SCHEDULES))

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


CALLS = []


def _called():
    CALLS.append(1)


class Counted(sd.Denoiser):
    """A denoiser of (B, 3) arrays, or of {"a": (B, 1), "b": {"c": (B, 2)}} of any precisions; CALLS has one entry a call."""

    inner: sd.Denoiser
    process: sd.GaussianProcess

    def evaluate(self, x_t, t, cond=None):
        jax.debug.callback(_called)
        if not isinstance(x_t, dict):
            return self.inner.evaluate(x_t.astype(jnp.float32), t)
        answer = self.inner.evaluate(joined(x_t), t)
        x0_hat = answer.x0_hat
        return answer.to({"a": x0_hat[:, :1].astype(x_t["a"].dtype), "b": {"c": x0_hat[:, 1:].astype(x_t["b"]["c"].dtype)}})


def tree_shape(count: int, first=jnp.float32):
    return {"a": jax.ShapeDtypeStruct((count, 1), first), "b": {"c": (count, 2)}}


def joined(tree):
    return jnp.concatenate([tree["a"].astype(jnp.float32), tree["b"]["c"]], 1)


KEYS = jax.random.split(jax.random.key(0), 64)


def run(denoiser, solver, keys=KEYS, steps=12, **options):
    """Samples of three entries, a key each."""
    return np.asarray(sd.sample(keys, denoiser, (len(keys), 3), solver=solver, steps=steps, **options)[0])
