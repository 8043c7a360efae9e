"""Half of the held-out data says what the other half scores."""

import numpy as np
from tasks.chain import Chain

import sciddm as sd


class Plain(sd.tasks.Generate):
    """Nothing is overridden."""


def test_generated_samples_are_held_against_one_half_of_the_held_out_data_and_the_other_half_is_the_ceiling():
    domain = Chain(count=41)
    task = Plain(domain)
    reference, ceiling = task.held_out(0), task.baseline(None)["held-out data"]
    assert len(reference) == 21 and len(ceiling) == 20
    np.testing.assert_array_equal(reference, domain.rows[::2])
    np.testing.assert_array_equal(ceiling, domain.rows[1::2])
    assert task.metrics(ceiling, None) == {"count": 20.0, "reference": 21.0}
    assert len(Plain(Chain(count=5000)).held_out(0)) <= 512
