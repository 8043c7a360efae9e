"""Ends of families of solvers are solvers of other names."""

import jax.numpy as jnp
import numpy as np
import pytest
from solvers.common import process_of, run

from sciddm.solvers import DDIM, EDM, FlowSDE


def zero(t):
    return jnp.zeros_like(t)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (DDIM(eta=1.0), "ddpm"),
        (FlowSDE(zero), "ddim"),
        (EDM(churn=0.0), "heun"),
    ],
    ids=["ddim with all noise is ddpm", "a flow without noise is ddim", "edm without churn is heun"],
)
def test_limits_of_a_family_are_each_other(one, other, mixture):
    denoiser = mixture.denoiser(process_of("rectified"))
    np.testing.assert_allclose(run(denoiser, one), run(denoiser, other), rtol=2e-4, atol=2e-4)
