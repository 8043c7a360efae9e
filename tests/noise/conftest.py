"""The contract of every noise law, against its own covariance written out densely."""

import pytest

from sciddm.testing import check_noise


@pytest.fixture
def holds_the_contract(x64):
    """check(law, like) -> Sigma (d, d), of `sciddm.testing`. Build the law inside the test, in double precision; like: one x of zeros."""
    return check_noise
