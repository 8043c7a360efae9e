"""Measurements whose noise depends on their prediction, by the methods that take its spread from there."""

import numpy as np
import pytest
from lookahead.common import ask, identity

import sciddm as sd


def test_counts_are_as_uncertain_as_their_prediction_says():
    # 400 counts are seen and 400 expected: a standard deviation of 20, nearly all there is where x_t is noisier by far
    denoiser = sd.FunctionDenoiser(lambda x, t, cond: 0.0 * x + 400.0, sd.GaussianProcess.edm())
    obs = sd.lookahead.Observation(identity, np.array([400.0]), sd.lookahead.Poisson())
    drawn = ask(sd.lookahead.daps(denoiser, obs, ode_steps=1), np.zeros((4000, 1), np.float32), 1.0)
    assert np.std(drawn) == pytest.approx(20.0, rel=0.15)
    # off by less than 20, so the search does not begin
    off = sd.lookahead.Observation(identity, np.array([415.0]), sd.lookahead.Poisson())
    moving = sd.FunctionDenoiser(lambda x, t, cond: x + 400.0, sd.GaussianProcess.edm())
    found = ask(sd.lookahead.sitcom(moving, off), np.zeros((1, 1), np.float32), 1.0)
    np.testing.assert_array_equal(found, 400.0)
