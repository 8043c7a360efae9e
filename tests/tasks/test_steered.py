"""The guide of a task is that of its name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tasks.chain import WINDOW, Chain, Unscored, covariance, gaussian, model

import sciddm as sd
from sciddm.config import base_config
from sciddm.tasks.base import task_options


class First(Unscored, sd.tasks.Steered):
    """The first frame is seen."""

    def problem(self, key, example):
        normal = self.domain.normalizer.normalize(example)
        return sd.Problem(sd.lookahead.Observation(lambda z: z[:, :1], normal[:1], 0.1), example)


def test_a_method_by_name_with_options_is_that_method():
    domain = Chain()
    task = First(domain, method="pigdm(prior_variance=0.5, iterations=3)", solver="unipc2", steps=5)
    plain = gaussian(lambda x_t, cond: jnp.zeros_like(x_t), jnp.asarray(covariance(WINDOW), jnp.float32))
    problem = task.problem(jax.random.key(0), domain.rows[0])
    found = task.solve(model(domain, plain), jax.random.key(1), problem, 3)
    guided = sd.lookahead.pigdm(plain, problem.observation, prior_variance=0.5, iterations=3)
    z, _ = sd.sample(jax.random.key(1), guided, (3, WINDOW, 1), solver="unipc2", steps=5, grid="logsnr")
    np.testing.assert_allclose((found - 1) / 2, z, atol=1e-5)


def test_what_is_none_is_left_to_the_method_and_what_the_caller_says_goes_first():
    task = First(Chain(), method="dps", solver=None, steps=None, grid=None)
    assert task.sampling == {"solver": None, "steps": None, "grid": None}
    plain = gaussian(lambda x_t, cond: jnp.zeros_like(x_t), jnp.eye(WINDOW))
    problem = task.problem(jax.random.key(0), Chain().rows[0])
    options = model(Chain(), plain).sampling_options(task.guide(plain, problem), **task.sampling | {"steps": 7})
    assert options == {"solver": None, "steps": 7, "grid": None}  # dps: ddpm along t
    for method, said in (("dsp", "did you mean dps"), ("dps(scal=1.0)", "did you mean scale")):
        with pytest.raises(ValueError, match=f"method: .*{said}"):
            First.check(base_config(), task_options(First) | {"method": method})
