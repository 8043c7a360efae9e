import jax
import numpy as np
import pytest
from molecule_domains import draw, example


def test_conformers_keep_their_graph_and_the_reference_is_no_distance_from_itself(domain):
    task, truth = domain.tasks["conformers"], example(domain)
    problem = task.problem(jax.random.key(0), truth)
    samples = draw(domain, task, problem)
    for name in ("features", "pairs"):
        np.testing.assert_allclose(samples[name], np.broadcast_to(truth[name], samples[name].shape), atol=1e-5)
    again = jax.tree.map(lambda leaf: leaf[None], truth)
    assert task.metrics(again, problem) == pytest.approx(
        {"MAT [A]": 0, "AMR [A]": 0, "COV 0.5 A": 1, "made": 1}, abs=1e-3
    )
    mirrored = again | {"positions": -again["positions"]}
    assert task.metrics(mirrored, problem)["MAT [A]"] < 1e-3
    answers = task.baseline(problem)
    assert set(answers) == {"ETKDG", "ETKDG + MMFF"} and answers["ETKDG"]["positions"].shape[0] <= 8
