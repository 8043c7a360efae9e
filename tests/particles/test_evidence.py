"""Weights of every method with an evidence: it is unbiased, and the law the posterior of the chain."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chain import TAU, Y, end_variance, gaussian, log_normal

import sciddm as sd
from sciddm import particles

STEPS = 12


@pytest.mark.parametrize(
    "method, options",
    [
        (particles.smc, {"twist": "none"}),
        (particles.smc, {"twist": "pigdm", "resample": "residual"}),
        (particles.smc, {"twist": "mmps", "resample": "stratified"}),
        (particles.fk_steering, {"kind": "difference", "every": 3}),
        (particles.fk_steering, {"kind": "max", "every": 3}),
        (particles.fk_steering, {"kind": "sum", "every": 5, "tau": 10.0}),  # twelve times the reward on the way
        (particles.tds, {"resample": "multinomial", "tau": 1.0}),
        (particles.das, {}),
    ],
)
def test_the_evidence_is_unbiased_and_the_law_the_posterior_of_the_chain(method, options):
    # sharp enough that weights matter, smooth enough that the naive twists don't diverge
    options = dict(options)
    tau = options.pop("tau", TAU)
    observation = sd.lookahead.Observation(np.array([[1.0]]), np.array([Y]), np.sqrt(tau))

    @eqx.filter_jit
    def many(key):
        def one(key):
            result = method(key, gaussian(), observation, (1,), num_particles=256, steps=STEPS, **options)
            z = jnp.exp(result.log_evidence)
            return z, z * result.mean()[0], z * result.mean(jnp.square)[0]

        return particles.for_each(key, one, count=64)

    z, first, second = (np.asarray(v) for v in many(jax.random.key(0)))
    prior = end_variance(STEPS)
    variance = 1.0 / (1.0 / prior + 1.0 / tau)
    mean = variance * Y / tau
    # each is unbiased times the evidence, so all three hold within standard errors
    for values, expected in ((z, 1.0), (first, mean), (second, variance + mean**2)):
        values = values / np.exp(log_normal(Y, prior + tau))
        assert abs(values.mean() - expected) < 3.3 * values.std(ddof=1) / 8, (values.mean(), expected)
    assert z.std() / z.mean() < 0.5
