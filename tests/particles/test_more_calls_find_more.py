"""Every search finds more reward with more network calls."""

import numpy as np
import pytest
from best_of import answers

from sciddm import particles

SEARCHES = ("svdd", "rollover_budget", "search_over_paths")  # of best-of-N the law is known, and what it spends


@pytest.mark.parametrize("name", SEARCHES)
def test_more_calls_find_more_reward(name):
    options = {"steps": 6} | ({"forth": 3, "back": 2} if name == "search_over_paths" else {})
    least = 50 if name == "search_over_paths" else 12
    few, many = (answers(particles.METHODS[name], 300, budget=budget, **options) for budget in (least, 8 * least))
    gap = many.mean() - few.mean()
    assert gap > 5.0 * np.hypot(few.std(), many.std()) / np.sqrt(300), gap
    assert few.mean() > 0.3
