import jax
import jax.numpy as jnp
import numpy as np
import pytest
from example_guides import Push
from lookahead.common import OBS

import sciddm as sd


def test_a_kick_moves_x_s_by_what_each_kind_is_worth_there(mixture):
    process = sd.GaussianProcess.cosine()
    denoiser, start = mixture.denoiser(process), jnp.ones((2, 3))
    plain, _ = sd.sample(jax.random.key(0), denoiser, (2, 3), solver="ddim", grid=[0.8, 0.5], start=start)
    twice, info = sd.sample(jax.random.key(0), Push(Push(denoiser)), (2, 3), grid=[0.8, 0.5], start=start)
    a_s, a_t = process.alpha(0.5), process.alpha(0.8)
    np.testing.assert_allclose(twice - plain, jnp.full((2, 3), 2 * (1 + 2 * a_s / a_t + 3 * a_s)), rtol=1e-5)
    assert "kick" not in info
    assert np.all(np.isfinite(sd.sample(jax.random.key(0), Push(denoiser), (2, 3))[0]))  # alpha = 0 at the start


def test_a_kick_is_refused_where_no_step_would_pass_it_on(mixture):
    guided = sd.lookahead.dps(mixture.denoiser(sd.GaussianProcess.vp()), OBS, scale=1.0)
    for solver in ("tsit5", "euler-maruyama"):
        with pytest.raises(ValueError, match="moves x between fixed steps"):
            sd.sample(jax.random.key(0), guided, (2, 3), solver=solver, steps=4)
