"""Two published samplers are `smc` with the twists of their papers."""

import equinox as eqx
import jax
import numpy as np
from chain import OBSERVATION, gaussian

import sciddm as sd
from sciddm import particles
from sciddm.particles.twists import Plain

STEPS = 8


def test_tds_and_das_are_smc_with_the_twists_of_their_papers():
    options = {"num_particles": 32, "steps": STEPS}
    twice = sd.lookahead.conjunction(OBSERVATION, weights=[2.0])
    pairs = (
        (
            lambda key: particles.tds(key, gaussian(), OBSERVATION, (1,), **options),
            lambda key: particles.smc(key, gaussian(), OBSERVATION, (1,), twist="plain", ess_threshold=1.0, **options),
        ),
        (
            lambda key: particles.das(key, gaussian(), OBSERVATION, (1,), scale=2.0, gamma=0.3, **options),
            lambda key: particles.smc(
                key, gaussian(), twice, (1,), twist=Plain(twice, gamma=0.3), resample="ssp", **options
            ),
        ),
    )
    for pair, always in zip(pairs, (True, False), strict=True):
        ours, theirs = (eqx.filter_jit(one)(jax.random.key(0)) for one in pair)
        np.testing.assert_array_equal(ours.particles, theirs.particles)
        np.testing.assert_array_equal(ours.log_weights, theirs.log_weights)
        assert np.all(ours.info["resampled"]) or not always
