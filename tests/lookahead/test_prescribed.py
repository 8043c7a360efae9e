import jax
import pytest
from lookahead.common import OBS

import sciddm as sd


def test_a_method_that_is_a_sampler_takes_no_other_solver(mixture):
    denoiser, obs = mixture.denoiser(sd.GaussianProcess.vp()), OBS
    for method in ("ddrm", "reddiff", "dflow"):
        with pytest.raises(ValueError, match=f"{method} is a sampler of its own"):
            sd.sample(jax.random.key(0), getattr(sd.lookahead, method)(denoiser, obs), (2, 3), solver="ddim")
