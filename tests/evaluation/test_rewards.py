"""Steering by rewards as a user meets it, with a stand-in for the particle methods whose answers are known."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_domain import Toy, exact_model

import sciddm as sd
from sciddm import cli, particles
from sciddm.domain import Reward
from sciddm.errors import UserError
from sciddm.evaluation import rewards
from sciddm.particles.result import Result


def keep_best(key, denoiser, potential, shape, *, budget, steps, **options):
    """The best by potential of budget / steps plain samples."""
    keep_best.traced += 1
    number = budget // steps
    if number < 1:
        raise ValueError(f"budget = {budget}: expected at least {steps}, one path")
    x, _ = sd.sample(key, denoiser, jax.tree.map(lambda leaf: (number, *leaf.shape), shape), steps=steps)
    best = jnp.where(jnp.arange(number) == jnp.argmax(potential(x, 0.0)), 0.0, -jnp.inf)
    return Result(x, best, jnp.nan, {"network_calls": number * steps})


def always_the_same(key, denoiser, potential, shape, *, budget, steps, **options):
    return Result(jnp.array([[0.5, 1.0]]), jnp.zeros(1), jnp.nan, {"network_calls": 7})


def sometimes_lost(key, denoiser, potential, shape, *, budget, steps, **options):
    lost = jnp.where(jax.random.bernoulli(key, 0.5), jnp.nan, 1.0)
    return Result(lost * jax.random.normal(key, (1, 2)), jnp.zeros(1), jnp.nan, {"network_calls": 1})


@pytest.fixture
def methods(monkeypatch):
    keep_best.traced = 0
    found = {"keep_best": keep_best, "always_the_same": always_the_same, "sometimes_lost": sometimes_lost}
    monkeypatch.setattr(particles, "METHODS", found, raising=False)
    return found


@pytest.fixture
def model(tmp_path):
    return exact_model(tmp_path)


def test_rows_are_the_scores_of_independent_answers_at_the_budget(model, methods):
    rows = {
        row["method"]: row
        for row in rewards.steer(model, ["all"], budget=80, members=48, strength=2.0, progress=False)
    }
    assert (
        list(rows) == ["data", "tilted data", "none", *methods] and keep_best.traced == 1
    )  # one program for all members
    best, plain, same, lost = rows["keep_best"], rows["none"], rows["always_the_same"], rows["sometimes_lost"]
    assert (best["reward"], best["held_out"], best["network_calls"], plain["network_calls"]) == ("right", "up", 80, 8)
    # the expected largest of ten normal numbers is 1.539, their spread 0.587; the other follows by the correlation
    assert plain["reward_mean"] == pytest.approx(1.0, abs=4 * 2.0 / 48**0.5)
    assert best["reward_mean"] == pytest.approx(1.0 + 2.0 * 1.539, abs=4 * 2.0 * 0.587 / 48**0.5)
    assert best["held_out_mean"] == pytest.approx(1.0 + 2.0 * 0.8 * 1.539, abs=4 * 2.0 * 0.76 / 48**0.5)
    assert best["reward_error"] == pytest.approx(2.0 * 0.587 / 48**0.5, rel=0.4)
    assert plain["spread"] == 1.0 and 0.2 < best["spread"] < 0.9 and best["seconds"] > 0
    # one point in normalised units, which is (2, 3) in physical ones
    assert (same["reward_mean"], same["held_out_mean"], same["reward_error"]) == (2.0, 3.0, 0.0)
    assert same["spread"] == 0.0 and same["network_calls"] == 7
    assert 0.2 < lost["non_finite"] < 0.8 and np.isfinite(lost["reward_mean"]) and best["non_finite"] == 0.0
    data = model.domain.points
    np.testing.assert_allclose(rows["data"]["held_out_mean"], data[:, 1].mean(), rtol=1e-5)
    np.testing.assert_allclose(rows["data"]["reward_error"], data[:, 0].std(ddof=1) / 16.0, rtol=1e-5)
    weights = np.exp(2.0 * data[:, 0] / data[:, 0].std())
    tilted = rows["tilted data"]
    assert tilted["held_out_mean"] == pytest.approx(np.average(data[:, 1], weights=weights), rel=1e-4)
    assert 0 < tilted["reward_error"] < 0.1 < tilted["reward_mean"] - rows["data"]["reward_mean"]
    again = rewards.steer(model, ["keep_best"], budget=80, members=48, strength=2.0, progress=False)[-1]
    assert {**again, "seconds": 0} == {**best, "seconds": 0}
    text = rewards.format_rows(list(rows.values())).splitlines()
    assert "right [m]" in text[0] and "not finite" in text[0] and len({len(line) for line in text}) == 1


def test_the_library_s_methods_answer_within_the_budget_whether_or_not_the_reward_has_a_gradient(model):
    without = Reward(lambda x: jnp.round(x[:, 0]), "m", "right", scale=2.0, differentiable=False)
    model.domain.rewards = {**Toy.rewards, "rounded": without}
    for reward, methods in (("right", ["svdd", "rollover_budget"]), ("rounded", ["tds"])):
        rows = rewards.steer(model, methods, reward, budget=96, members=4, strength=3.0, progress=False)[3:]
        assert [row["method"] for row in rows] == methods
        for row in rows:
            assert 0 < row["network_calls"] <= 96 and row["non_finite"] == 0.0, row
            assert row["reward_mean"] > 1.5, row  # the plain model's is 1 +- 1


def test_all_leaves_out_what_refuses_and_a_named_method_does_not(model, methods, monkeypatch, capsys):
    def names(wanted, budget=3):
        return [row["method"] for row in rewards.steer(model, wanted, budget=budget, members=2, progress=False)[3:]]

    refusal = "--steer keep_best --budget 3: budget = 3: expected at least 8, one path"
    assert names(["all"]) == ["always_the_same", "sometimes_lost"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"left out: {refusal}")
    with pytest.raises(UserError, match=refusal):
        names(["all", "keep_best"])
    monkeypatch.setattr(particles, "METHODS", {"keep_best": keep_best})
    with pytest.raises(UserError, match=f"no method is left: {refusal}"):
        names(["all"])
    # the library's own at few steps: 5 chains of 51 states are more than the budget, paths are searched in stretches of two steps
    found = {"psi": particles.psi, "search_over_paths": particles.search_over_paths}
    monkeypatch.setattr(particles, "METHODS", found)
    assert names(["all"], budget=128) == ["search_over_paths"]
    assert capsys.readouterr().err.startswith("left out: --steer psi --budget 128: ")


def test_nothing_stored_is_lost_but_what_is_made_again(model, methods, tmp_path):
    def rows(**options):
        return rewards.steer(model, ["always_the_same"], members=2, progress=False, **options)

    path = tmp_path / "steering.json"
    assert len(rewards.store(rows(budget=40), path)) == 4
    assert len(rewards.store(rows(budget=40), path)) == 4
    assert len(rewards.store(rows(budget=80), path)) == 5  # the data's and the plain model's rows are the same
    stored = rewards.store(rows(budget=80, strength=3.0), path)
    assert len(stored) == 9 and stored == json.loads(path.read_text())["rows"]
    shown = rewards.comparable(stored, stored[0])
    assert [(row["method"], row["budget"]) for row in shown] == [
        ("data", None), ("tilted data", None), ("none", 8), ("always_the_same", 40), ("always_the_same", 80),
    ]  # fmt: skip
    axes = rewards.plot(shown).axes[0]
    assert "right [m]" in axes.get_xlabel() and "up [m]" in axes.get_ylabel()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "data",
        "tilted data",
        "none",
        "always_the_same",
    ]
    path.write_text("{}")
    with pytest.raises(UserError, match="move it away"):
        rewards.store(rows(budget=40), path)
    assert path.read_text() == "{}"


def test_evaluate_steers_and_says_what_is_wrong_in_one_line(toy_run, tmp_path, methods, capsys, monkeypatch):
    shutil.copytree(toy_run, tmp_path, dirs_exist_ok=True)
    steered = ["evaluate", "--workdir", str(tmp_path), "--config.sampling.steps=4", "--config.evaluation.members=3"]
    assert cli.main([*steered, "--steer", "keep_best", "--steer", "always_the_same", "--reward", "up"]) == 0
    said = capsys.readouterr().out
    assert "held out: right [m]" in said and "64 network calls an answer, 3 answers a method" in said
    assert (tmp_path / "plots" / "steering-up.png").stat().st_size > 5000
    assert cli.main([*steered, "--steer", "keep_best", "--budget", "8", "--strength", "-1"]) == 0
    rows = json.loads((tmp_path / "steering.json").read_text())["rows"]
    assert [(row["reward"], row["method"]) for row in rows] == [
        *(("up", name) for name in ("data", "tilted data", "none", "keep_best", "always_the_same")),
        *(("right", name) for name in ("data", "tilted data", "none", "keep_best")),
    ]
    capsys.readouterr()

    def wrong(*arguments):
        assert cli.main([*steered, *arguments]) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("sciddm:", "Traceback"))]
        assert len(lines) == 1
        return lines[0]

    assert "did you mean keep_best" in wrong("--steer", "keep_bast")
    assert "did you mean right" in wrong("--steer", "all", "--reward", "rihgt")
    assert (
        "--steer keep_best --budget 3: budget = 3: expected at least 4, one path (steps are --config.sampling.steps)"
        in wrong("--steer", "keep_best", "--budget", "3")
    )
    assert "strength = nan" in wrong("--steer", "all", "--strength", "nan")
    assert "--reward: says nothing without --steer" in wrong("--reward", "up")
    assert "--budget: says nothing without --steer" in wrong("--budget", "4")
    assert "--task: says nothing beside --steer" in wrong("--steer", "all", "--task", "half")
    assert "none of" in wrong("--steer", "all", "--config.sampling.solver=dpm")
    with monkeypatch.context() as patch:
        patch.setattr(Toy, "rewards", {})
        assert "has no rewards" in wrong("--steer", "all")

    # stopped in the third of four programs: what was done before is kept
    (tmp_path / "steering.json").unlink()
    answers, left = rewards._answers, [1, 1]

    def stopped(*arguments):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return answers(*arguments)

    monkeypatch.setattr(rewards, "_answers", stopped)
    assert cli.main([*steered, "--steer", "all"]) == 130
    rows = json.loads((tmp_path / "steering.json").read_text())["rows"]
    assert [row["method"] for row in rows] == ["data", "tilted data", "none", "keep_best"]
