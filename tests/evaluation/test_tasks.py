import dataclasses
import shutil

import matplotlib.pyplot as plt
import numpy as np
import pytest

import sciddm as sd
from sciddm.evaluation import evaluate, format_table, tasks


@pytest.fixture
def model(toy_run, tmp_path):
    """Of a run in `tmp_path`."""
    return sd.load(shutil.copytree(toy_run, tmp_path, dirs_exist_ok=True))


def test_an_evaluation_is_made_once_and_read_back(model, monkeypatch):
    table = evaluate(model, problems=2, members=4, progress=False)
    assert set(table) == {"half"} and set(table["half"]) == {"posterior", "mean"}
    monkeypatch.setattr(type(model), "solve", None)
    assert evaluate(model, problems=2, members=4, progress=False) == table


def test_a_classical_ensemble_is_scored_as_one_and_a_single_answer_as_one_member(model, monkeypatch):
    task, shapes = type(model.domain.tasks["half"]), []
    monkeypatch.setattr(task, "baseline", lambda self, problem: {"one": np.zeros(2), "seven": np.zeros((7, 2))})
    monkeypatch.setattr(task, "metrics", lambda self, samples, problem: shapes.append(samples.shape) or {"error": 0.0})
    assert set(evaluate(model, problems=1, members=4, progress=False)["half"]) == {"posterior", "one", "seven"}
    assert shapes == [(4, 2), (1, 2), (7, 2)]


def test_a_table_is_aligned_and_shows_a_dash_for_nothing():
    text = format_table(
        {"posterior": {"error": 0.12345, "coverage": 0.9}, "mean": {"error": 1234.5, "coverage": float("nan")}}
    )
    lines = text.splitlines()
    assert (
        len({len(line) for line in lines}) == 1
        and "0.123" in lines[1]
        and lines[2].endswith("-")
        and "1.2e+03" in lines[2]
    )


def test_small_scores_keep_their_digits():
    assert "2.35e-06" in format_table({"posterior": {"CRPS of q [kg/kg]": 2.346e-06, "bias": 0.0}})


def test_what_a_task_adds_is_scored_beside_the_same_model_without_it(model, monkeypatch):
    task = type(model.domain.tasks["half"])
    plain = lambda self, model, key, problem, members: {"unguided": model.draw(key, members)}  # noqa: E731
    monkeypatch.setattr(task, "controls", plain)
    table = evaluate(model, problems=1, members=4, progress=False)["half"]
    assert list(table) == ["posterior", "unguided", "mean"]
    assert table["unguided"]["error of the measured [m]"] != table["posterior"]["error of the measured [m]"]


def test_kept_samples_are_made_anew_when_what_they_depend_on_changes(model, tmp_path, monkeypatch):
    evaluate(model, problems=1, members=2, progress=False)
    monkeypatch.setattr(type(model.domain.tasks["half"]), "depends", lambda self, model: "another file")
    evaluate(model, problems=1, members=2, progress=False)
    assert len(list((tmp_path / "samples").glob("half-*.npz"))) == 2


def test_samples_of_an_earlier_checkpoint_are_not_read_back(model, tmp_path):
    evaluate(model, problems=1, members=2, progress=False)
    evaluate(dataclasses.replace(model, step=model.step + 1), problems=1, members=2, progress=False)
    assert len(list((tmp_path / "samples").glob("half-*.npz"))) == 2


@pytest.mark.parametrize("damage", [lambda data: data[:-40], lambda data: data[:200] + b"\xff" + data[201:], lambda data: b""])
def test_kept_samples_that_a_kill_cut_short_or_that_are_damaged_are_made_again(model, tmp_path, damage):
    table = evaluate(model, problems=1, members=2, progress=False)
    (kept,) = (tmp_path / "samples").glob("half-*.npz")
    kept.write_bytes(damage(kept.read_bytes()))
    assert evaluate(model, problems=1, members=2, progress=False) == table
    assert [path.name for path in (tmp_path / "samples").iterdir()] == [kept.name]  # nothing half written beside it


def test_dollars_in_names_are_drawn_as_they_are_and_powers_of_ten_as_powers(tmp_path):
    figure = plt.figure(figsize=(2, 2))
    axes = figure.add_subplot(xscale="log", xlabel="$5 \\or {$6", title="C$1$ \\x")
    axes.plot([1, 1e3], [0, 1], label="a$b_$")
    axes.legend()
    tasks.save_figure(figure, tmp_path / "a.png", "note: $x\\ $")
    assert (tmp_path / "a.png").exists() and "$" in axes.xaxis.get_ticklabels()[0].get_text()
    assert axes.xaxis.get_ticklabels()[0].get_parse_math() and not axes.title.get_parse_math()


def test_the_corner_of_a_picture_says_that_a_run_is_undertrained_and_nothing_of_another(model, monkeypatch, tmp_path):
    notes = []
    monkeypatch.setattr(tasks, "save_figure", lambda figure, path, note="": notes.append(note) or plt.close(figure))
    for about in (model.about, {}):
        evaluate(dataclasses.replace(model, about=about), problems=1, members=4, progress=False)
    assert notes == [model.verdict.short, ""] and notes[0].startswith("undertrained: ")
    monkeypatch.undo()
    for layout in (None, "constrained"):  # which moves axes when they are drawn
        for name in ("", *notes[:1]):
            figure = plt.figure(figsize=(3, 2), layout=layout)
            figure.add_subplot().set(xlabel="x [m]", ylabel="y [m]")
            tasks.save_figure(figure, tmp_path / f"{bool(name)}.png", name)
        plain, noted = (plt.imread(tmp_path / f"{name}.png")[..., :3] for name in (False, True))
        below = len(plain) - 8  # a blank border
        assert len(noted) > len(plain) and (noted[below:, :40] < 0.9).any() and (plain[below:] == 1.0).all()
        if layout is None:
            np.testing.assert_allclose(noted[:below, : plain.shape[1] // 2], plain[:below, : plain.shape[1] // 2], atol=0.02)
        drawn = np.flatnonzero((noted < 0.9).any((1, 2)))
        between = np.diff(drawn)[-14:].max() - 1  # blank rows above the note
        assert 2 <= between <= 9
