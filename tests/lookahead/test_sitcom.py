import jax
import numpy as np
from lookahead.common import A, Y, ask

import sciddm as sd


def test_sitcom_moves_the_input_until_the_output_agrees_and_no_further(mixture):
    denoiser, x_t = mixture.denoiser(sd.GaussianProcess.vp()), jax.random.normal(jax.random.key(0), (6, 3))
    obs = sd.lookahead.Observation(A, Y, 0.1)
    plain, *moved = (
        np.asarray(ask(guided, x_t, 0.4))
        for guided in (
            denoiser,
            *(sd.lookahead.sitcom(denoiser, obs, inner_steps=k, learning_rate=0.05) for k in (0, 20, 1000)),
        )
    )
    given, *residual = (np.linalg.norm(Y - x0_hat @ A.T, axis=-1) for x0_hat in (plain, *moved))
    np.testing.assert_allclose(residual[0], given, rtol=1e-5)
    assert np.all(residual[1] < residual[0]) and np.all(residual[2] < 1.05 * 0.1 * np.sqrt(2))
    agreeing = sd.lookahead.Observation(A, np.tile(A @ plain[0] + 0.05, (6, 1)), 0.1)  # the first one by less than the noise
    found = ask(sd.lookahead.sitcom(denoiser, agreeing, inner_steps=20, learning_rate=0.05), x_t, 0.4)
    np.testing.assert_array_equal(found[0], plain[0])
