import jax
import numpy as np
import pytest
from molecule_domains import draw, example


@pytest.mark.parametrize("name", ["scaffold", "linker"])
def test_the_part_is_kept_by_every_sample_of_any_network(domain, name):
    task, truth = domain.tasks[name], example(domain)
    problem = task.problem(jax.random.key(2), truth)
    kept = problem.extras["kept"]
    assert 0 < len(kept) < domain.layout.mask_of(truth).sum()
    samples = draw(domain, task, problem)
    scores = task.metrics(samples, problem)
    assert scores["kept within 0.1 A"] == 1.0 and scores["off [A]"] < 1e-3
    np.testing.assert_allclose(
        samples["features"][:, kept], np.broadcast_to(truth["features"][kept], (4, len(kept), 6)), atol=1e-5
    )
    # one whose part was stretched does not pass
    samples["positions"][:2, kept[0]] += 0.3
    assert task.metrics(samples, problem)["kept within 0.1 A"] == 0.5
    assert float(problem.cond["concat"][..., -1].sum()) == len(kept)


def test_a_database_search_gives_training_molecules_that_hold_the_part(domain):
    task, truth = domain.tasks["scaffold"], domain.dataset("train")[len(domain.data.conditions) * 30]["x"]
    problem = task.problem(jax.random.key(0), truth)
    found = task.baseline(problem)["database search"]
    kept = problem.extras["kept"]
    same = found["features"][:, kept, :5] == truth["features"][kept, :5]
    assert len(same) and same.all()
    first = jax.tree.map(lambda leaf: leaf[:1], found)
    assert task.metrics(first, problem)["off [A]"] < 1e-3  # the molecule itself is among them, and fits best
