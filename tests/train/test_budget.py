import json

import numpy as np
import pytest
from toy_domain import toy_config

from sciddm.train import budget, fit
from sciddm.train.budget import RESTART, Budget, Leg
from sciddm.train.checkpoint import Checkpoints
from sciddm.train.state import learning_rate


@pytest.fixture
def clock(monkeypatch):
    """clock[0] is the time in seconds."""
    now = [100.0]
    monkeypatch.setattr(budget.time, "monotonic", lambda: now[0])
    return now


def test_minutes_are_those_of_training_steps_alone(clock):
    found = Budget(toy_config(steps=10**6, wall_minutes=1.0))
    clock[0] += 500  # data are made
    with found.running():
        clock[0] += 15
        with found.paused():  # compiling
            clock[0] += 300
        clock[0] += 15
        assert found.elapsed() == 30.0 and found.progress(7) == 0.5
    clock[0] += 40
    assert found.elapsed() == 30.0
    assert Budget(toy_config(steps=10**6, wall_minutes=1.0), elapsed=45.0).progress(0) == 0.75


def rate(config, found, step, progress):
    leg = found.legs[-1]
    return float(learning_rate(config, step, progress, leg.peak, leg.warm_from))


def test_an_unfinished_run_with_another_budget_goes_on_at_the_rate_that_it_had():
    before, after = toy_config(steps=1000, warmup=100), toy_config(steps=4000, warmup=100)
    for step in (30, 400, 900):  # within the warm-up, and past it
        first = Budget(before, 3.0, step)
        again = Budget(after, 3.0, step, first.to_json())
        assert rate(after, again, step, again.progress(step)) == pytest.approx(rate(before, first, step, first.progress(step)), rel=1e-5)
        assert rate(after, again, 4000, again.progress(4000)) == pytest.approx(0.0, abs=1e-9)
        assert again.legs[-1].progress(2000 + step // 2, 3.0) == pytest.approx(0.5) and "falls to zero from where it is" in again.said


def test_a_finished_run_with_a_larger_budget_warms_up_again_and_one_with_less_is_done():
    before, after = toy_config(steps=1000, warmup=100), toy_config(steps=3000, warmup=100)
    first = Budget(before, 3.0, 1000)
    again = Budget(after, 3.0, 1000, first.to_json())
    assert rate(after, again, 1000, 0.0) == pytest.approx(RESTART * 1e-3 / 100, rel=1e-5)
    assert rate(after, again, 1099, 0.0) == pytest.approx(RESTART * 1e-3, rel=1e-5) and "warms up again" in again.said
    assert [leg.step for leg in again.legs] == [0, 1000] and Budget(after, 3.0, 1500, again.to_json()).legs == again.legs
    assert Budget(toy_config(steps=700), 3.0, 1000, first.to_json()).progress(1000) == 1.0
    assert not Budget(toy_config(steps=700), 3.0, 1000, first.to_json()).said


def test_of_two_budgets_the_one_that_ends_first_counts_in_every_leg():
    leg = Leg(step=100, seconds=60.0, steps=300, minutes=3.0)
    assert leg.progress(200, 60.0) == 0.5 and leg.progress(100, 150.0) == 0.75 and leg.progress(300, 60.0) == 1.0


def test_the_loss_does_not_jump_where_a_finished_run_goes_on(tmp_path, capsys):
    """Held-out samples and draws are the same before and after, so that their differences say it far within the loss's own error."""
    for steps in (400, 700):
        config = toy_config(steps=steps, learning_rate=5e-3, warmup=20, held_out=32)
        config.checkpoint.every = 400
        fit(config, tmp_path)
    assert "going on from step 400 with another budget" in capsys.readouterr().err
    meta = Checkpoints(tmp_path, read_only=True).meta()
    looks = {look["step"]: look for look in meta["held_out"]}
    assert meta["step"] == 700 and 400 in looks and len(meta["schedule"]) == 2
    for step in (one for one in looks if one > 400):
        differences = np.subtract(looks[step]["each"], looks[400]["each"])
        assert differences.mean() < 3.0 * differences.std() / len(differences) ** 0.5
    rates = {row["step"]: row["learning_rate"] for row in map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())}
    assert rates[400] < 1e-5 and max(rates[step] for step in rates if step > 400) == pytest.approx(RESTART * 5e-3, rel=0.05)
