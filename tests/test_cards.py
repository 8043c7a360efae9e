from dataclasses import replace

import numpy as np
import pytest
from toy_domain import Toy, exact_model

from sciddm import cards, runs


@pytest.fixture
def run(toy_run):
    return runs.read(toy_run)


def test_a_card_says_what_is_modelled_how_it_was_trained_and_what_is_not_known(run, tmp_path):
    card = cards.model_card(run, exact_model(tmp_path), "points")
    for said in ("# points", "| x [m] | 1 | 2 |", "Samples have the shape (2,)", "undertrained: 60 steps", "Who measured or made the data"):
        assert said in card, said
    last = run.looks[-1]
    assert f"{last['loss']:.4g} ± {last['error']:.2g}, of {len(last['each'])} samples" in card
    assert f"| {' | '.join(last['levels'])} |" in card and 'sd.load("points")' in card


def test_a_card_says_so_where_nothing_was_recorded_and_what_a_run_began_with(run, tmp_path):
    meta = {key: value for key, value in run.meta.items() if key != "held_out"}
    meta |= {"init_from": {"path": "runs/first", "step": 1234, "statistics": "kept"}, "step": 5000}
    model = exact_model(tmp_path)
    model = replace(model, domain=type("Bare", (Toy,), {"tasks": {}})(model.config))
    model.domain.tasks = {}
    card = cards.model_card(replace(run, meta=meta), model, "tuned")
    assert "Held-out loss: not recorded." in card and "begun with the weights of `runs/first`, step 1,234" in card
    assert "nothing speaks against its training" in card and "Samples alone: it has no tasks." in card


def test_variables_of_one_array_have_a_row_each_where_their_statistics_are_their_own():
    several = {"": {"mean": [1.0, 2.0], "std": [3.0, 4.0], "units": "u [m s-1], v [m s-1]"}, "aside": {"sizes": [1]}}
    assert cards._variables(several).splitlines()[2:] == ["| u [m s-1] | 1 | 3 |", "| v [m s-1] | 2 | 4 |"]
    one = {"positions": {"mean": np.zeros(3).tolist(), "std": 2.0, "units": "angstrom"}}
    assert cards._variables(one).splitlines()[2:] == ["| positions [angstrom] | 0 | 2 |"]
