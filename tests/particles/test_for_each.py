import equinox as eqx
import jax
import numpy as np
from chain import end_variance, gaussian, log_normal

import sciddm as sd
from sciddm import particles

STEPS = 12


def test_a_problem_s_answer_is_that_of_its_own_key():
    def draw(key, y):
        return y + jax.random.normal(key)

    values = np.array([0.2, 1.0, -2.0], np.float32)
    together = jax.jit(lambda key: particles.for_each(key, draw, values, chunk=2))(jax.random.key(0))
    alone = jax.jit(lambda key: draw(jax.random.fold_in(key, 1), values[1]))(jax.random.key(0))
    np.testing.assert_allclose(together[1], alone, rtol=1e-6)


def test_problems_are_solved_one_by_one_or_together_with_the_same_answers():
    values = np.array([[0.2], [1.0], [-2.0]], np.float32)

    def solve(key, y):
        observation = sd.lookahead.Observation(np.array([[1.0]]), y, 0.5)
        return particles.smc(key, gaussian(), observation, (1,), num_particles=2000, steps=STEPS)

    @eqx.filter_jit
    def solved(key, chunk):
        result = particles.for_each(key, solve, values, chunk=chunk)
        return result.particles, result.log_evidence

    together, evidence = solved(jax.random.key(0), 2)  # two at once, and the one that is left
    one_by_one, _ = solved(jax.random.key(0), 1)
    np.testing.assert_allclose(together, one_by_one, rtol=1e-5, atol=1e-5)
    exact = [log_normal(float(y), end_variance(STEPS) + 0.25) for y in values[:, 0]]
    np.testing.assert_allclose(evidence, exact, atol=0.08)
