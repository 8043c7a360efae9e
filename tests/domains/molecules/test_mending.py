"""A repair starts at the first level that is no stronger than asked for, and from what was given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_posterior import gaussian_denoiser

import sciddm as sd
from domains.molecules.mending import FromGiven
from sciddm.errors import UserError

PROCESS = sd.GaussianProcess.edm()


def start(noise, steps=20, value=2.0, variance=1e-8):
    """(400, 2) samples around a law of no width at 0, in one step of which nothing of the start is lost."""
    sampler = FromGiven(jnp.full((1, 2), value), noise)
    keys, like = jax.random.split(jax.random.key(0), 400), jax.ShapeDtypeStruct((400, 2), np.float32)
    denoiser = sd.FunctionDenoiser(lambda x, t, cond: x, PROCESS) if variance is None else gaussian_denoiser(PROCESS, variance)
    return np.asarray(sampler(keys, denoiser, like, cond=None, solver="ddim", steps=steps, grid="logsnr")[0])


@pytest.mark.parametrize("noise", [0.3, 2.0])
def test_a_denoiser_that_changes_nothing_gives_what_was_given_with_noise_of_the_level_and_no_more(noise):
    made = start(noise, variance=None)
    assert abs(made.mean() - 2.0) < 5 * noise / 800**0.5
    assert 0.4 * noise < made.std() <= 1.1 * noise  # the grid's first level below


def test_a_narrow_prior_takes_over_and_a_level_below_all_of_the_grid_is_refused():
    assert np.abs(start(2.0)).max() < 0.05
    with pytest.raises(UserError, match="noise = 1e-09: the weakest level of the 20 steps is"):
        start(1e-9)
