"""Particles with the options of their task."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tasks.chain import WINDOW, Chain, Unscored, gaussian, model

import sciddm as sd
from sciddm import particles
from sciddm.config import base_config
from sciddm.tasks.base import task_options


class Positive(Unscored, sd.tasks.Population):
    """The first frame is above 1, normalised."""

    def problem(self, key, example):
        return sd.Problem(particles.Exceeds(lambda z: z[:, 0, 0], 1.0), example)


def test_a_population_weighs_by_the_potential_with_the_options_of_the_task_before_which_the_caller_s_go():
    domain = Chain()
    plain = gaussian(lambda x_t, cond: jnp.zeros_like(x_t), jnp.eye(WINDOW))
    task = Positive(domain, num_particles=256, steps=16, solver="ddpm(prior_variance=1.0)")
    problem = task.problem(jax.random.key(0), domain.rows[0])
    result = task.run(model(domain, plain), jax.random.key(1), problem)
    assert np.exp(float(result.log_evidence)) == pytest.approx(0.1587, rel=0.15)
    assert len(result.info["times"]) == 17 and np.all(task.physical(result.resampled(jax.random.key(2), 5))[:, 0] > 3.0)
    few = task.run(model(domain, plain), jax.random.key(1), problem, 8, steps=4, grid="t", solver=None)
    np.testing.assert_allclose(few.info["times"], np.linspace(1, 0, 5), atol=1e-6)
    with pytest.raises(sd.UserError, match="the particles of this task: .*density"):
        task.run(model(domain, plain), jax.random.key(1), problem, 8, solver="unipc2")
    for options, said in (({"solver": "unipc2"}, "whose steps have a density"), ({"num_particles": 0}, "num_particles = 0")):
        with pytest.raises(ValueError, match=said):
            Positive.check(base_config(), task_options(Positive) | options)
