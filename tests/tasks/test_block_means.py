"""Block means are seen as they are, and blocks with a missing point not at all."""

import jax
import numpy as np
from tasks.chain import Chain, Unscored

from sciddm.tasks.block_means import BlockMeans


class Seen(Unscored, BlockMeans):
    noise_std = 0.1


def test_block_means_of_the_truth_are_seen_and_blocks_with_nan_are_not():
    domain, x = Chain(), np.arange(8, dtype=np.float32)[:, None]
    task = Seen(domain, factor=2)
    problem = task.problem(jax.random.key(0), x)
    means = (x.reshape(4, 2, 1).mean(1) - 1) / 2  # normalised
    np.testing.assert_allclose(problem.observation.value, means, rtol=1e-6)
    z = domain.normalizer.normalize(x)[None]
    hole = x.copy()
    hole[3] = np.nan
    observation = task.problem(jax.random.key(0), hole).observation
    other = z.copy()
    other[0, 2:4] += 3.0
    np.testing.assert_allclose(observation.log_likelihood(z), observation.log_likelihood(other), atol=1e-4)
    other[0, 0] += 1.0
    assert observation.log_likelihood(other)[0] < observation.log_likelihood(z)[0] - 10
