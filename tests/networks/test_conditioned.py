import numpy as np
import pytest
from networks.common import check_condition, run
from networks.patches import COND, field, make


@pytest.mark.parametrize("kind", COND)
def test_every_kind_of_condition_counts_with_keep_or_without_and_keep_zero_is_unconditional(kind):
    network = make(concat_channels=2, embedding_features=6, token_features=5)
    given = check_condition(network, field(), {kind: COND[kind]})
    np.testing.assert_allclose(run(network, field(), 0.2, {kind: COND[kind]}), given, rtol=1e-4, atol=1e-5)
