"""An exact denoiser for the tests of guides."""

import pytest

import sciddm as sd


@pytest.fixture
def denoiser(mixture):
    """Of the mixture in three dimensions."""
    return mixture.denoiser(sd.GaussianProcess.vp())
