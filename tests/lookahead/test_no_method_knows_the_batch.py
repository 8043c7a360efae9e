"""Methods with draws or inner solves treat each sample as if it were alone."""

import jax
import jax.numpy as jnp
import numpy as np
from lookahead.common import A, Y

import sciddm as sd
from sciddm.denoiser import Draws


def test_a_sample_of_any_method_does_not_depend_on_the_batch():
    denoiser = sd.FunctionDenoiser(lambda x, t, cond: jnp.tanh(x), sd.GaussianProcess.vp())
    obs, x_t = sd.lookahead.Observation(A, Y, 0.5), np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    shifts = {
        "lgd": sd.lookahead.lgd(denoiser, obs), "daps": sd.lookahead.daps(denoiser, obs, ode_steps=2),
        "sitcom": sd.lookahead.sitcom(denoiser, obs, inner_steps=3),
    }  # fmt: skip

    @jax.jit
    def asked(x_t):
        keys = jax.random.split(jax.random.key(3), 5)[: len(x_t)]  # one a sample, as the sampler hands them out
        return {name: Draws.refresh(guided, keys)(x_t, 0.6) for name, guided in shifts.items()}

    def sampled(count):
        guides = {name: getattr(sd.lookahead, name)(denoiser, obs) for name in ("tfg", "repaint")}
        options = {"solver": "ddim", "steps": 3, "grid": "t"}
        return {name: sd.sample(jax.random.key(3), guided, (count, 3), **options)[0] for name, guided in guides.items()}

    many, few = asked(x_t) | sampled(5), asked(x_t[:2]) | sampled(2)
    for method in many:
        np.testing.assert_allclose(np.asarray(many[method])[:2], few[method], rtol=1e-3, atol=1e-4, err_msg=method)
        assert np.all(np.isfinite(many[method])), method
