"""What a run says of itself is read without its network, said in words and in a picture, and put beside others honestly."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest

from sciddm import cli, compare, curves, runs
from sciddm.runs import Run


@pytest.fixture
def run(toy_run, tmp_path):
    copy = shutil.copytree(toy_run, tmp_path / "run", ignore=shutil.ignore_patterns("state", "tensorboard"))
    scores = {"half": {"posterior": {"CRPS [m]": 0.25, "coverage": None}, "other": {"CRPS [m]": 0.5, "coverage": 1.0}}}
    (copy / "evaluation.json").write_text(json.dumps({"step": 40, "seed": 0, "scores": scores}))
    return copy


def look(step, each, levels=("0.1", "1")):
    each = list(map(float, each))
    return {"step": step, "loss": float(np.mean(each)), "error": 0.5, "levels": {level: 0.25 for level in levels}, "each": each}


def made(path, *, looks=(), step=100, training=None, normalizer=None, **config):
    training = {"batch_size": 4, "steps": 100, "learning_rate": 1e-3} | (training or {})
    meta = {
        "config": {"domain": "d", "data": {"cache": str(path)}, "seed": 0, "training": training, "tasks": {}} | config,
        "step": step, "elapsed": 30.0, "samples": 50, "shapes": {".params['a']": [[2, 3], "float32"], ".ema['a']": [[2, 3], "float32"]},
        "normalizer": normalizer or {"": {"mean": [0.0], "std": [1.0], "units": "m"}}, "sigma_data": 1.0, "held_out": list(looks),
        "versions": {"sciddm": "0", "jax": "0"}, "git_revision": None,
    }  # fmt: skip
    return Run(path, meta, (step,), tuple({"step": s, "loss": 1.0 / s} for s in (10, 20, 40)))


def test_one_run_says_all_that_is_known_of_it_and_draws_its_curves(run, capsys):
    assert cli.main(["info", "--workdir", str(run)]) == 0
    said = capsys.readouterr().out
    held_out = runs.read(run).looks[-1]
    for part in (
        "60 of 60 steps (done)", "undertrained: 60 steps", "3,330", "half", "60, 40, 20", "evaluation at step 40", "CRPS [m]", "0.25",
        "learning curve", "held-out loss by noise level at step 60", *held_out["levels"], f"picture: {run / 'plots' / 'curves.png'}",
    ):  # fmt: skip
        assert part in said, part
    assert "0.5" not in said.split("evaluation at")[1]  # scores of the model, not of the methods beside it
    assert matplotlib.image.imread(run / "plots" / "curves.png").ndim == 3


def test_json_holds_the_same_for_machines(run, capsys):
    shutil.rmtree(run / "plots", ignore_errors=True)  # of a test that has drawn into the shared one
    assert cli.main(["info", "--workdir", str(run), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["step"] == 60 and about["checkpoints"] == [60, 40, 20] and about["parameters"] == 3330 and about["tasks"] == ["half"]
    assert about["verdict"]["undertrained"] and about["held_out"][-1]["step"] == 60 and about["samples_seen"] == 60 * 16
    assert not (run / "plots").exists()


def test_a_run_is_read_without_jax_flax_or_equinox(run):
    code = f"import sys; from sciddm import compare, curves, runs; compare.describe(runs.read({str(run)!r})); print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not [name for name in ("jax", "flax", "equinox", "orbax", "pandas") if f"'{name}'" in loaded]


def test_runs_beside_each_other_show_what_differs_and_nothing_that_does_not(tmp_path):
    runs = [
        made(tmp_path / "a", looks=[look(100, [1.0, 2.0, 3.0])]),
        made(tmp_path / "b", looks=[look(100, [0.5, 1.5, 2.5])], training={"learning_rate": 2e-3, "accumulate": 2}),
    ]
    assert compare.short_names(runs) == ["a", "b"] == compare.side_by_side(runs).splitlines()[0].split()
    table = {line[:31].strip(): line[31:].split() for line in compare.side_by_side(runs).splitlines()}
    assert table["config.training.learning_rate"] == ["0.001", "0.002"] and table["config.training.accumulate"] == ["-", "2"]
    assert "config.data.cache" not in table and "config.seed" not in table
    assert table["samples seen"] == ["400", "400"] and table["time in training"] == ["30", "seconds", "30", "seconds"]
    assert table["parameters"] == ["6", "6"]
    # of the same samples: the difference is exactly -0.5 for each of them, though each loss is uncertain by much more
    assert table["less that of the first"] == ["-0.5", "±", "0"]


def test_losses_of_other_data_statistics_or_draws_are_not_taken_for_comparable(tmp_path):
    first, offset = made(tmp_path / "a", looks=[look(100, [1.0, 2.0])]), {"": {"mean": [1.0], "std": [1.0], "units": "m"}}
    for words, other in (
        ("config.data.path", made(tmp_path / "b", looks=[look(100, [1.0, 2.0])], data={"path": "other"})),
        ("config.seed", made(tmp_path / "b", looks=[look(100, [1.0, 2.0])], seed=1)),
        ("the normaliser", made(tmp_path / "b", looks=[look(100, [1.0, 2.0])], normalizer=offset)),
        ("the held-out samples", made(tmp_path / "b", looks=[look(100, [1.0])])),
        ("noise levels", made(tmp_path / "b", looks=[look(100, [1.0, 2.0], ("0.2", "1"))])),
    ):
        said = compare.side_by_side([first, other])
        assert words in said.splitlines()[-1] and "small differences say nothing" in said and "less that of the first" not in said
    elsewhere = compare.side_by_side([first, made(tmp_path / "b", domain="domains.else", data={"path": "other", "crop": 3})])
    assert "config.domain" in elsewhere and "config.data.crop" not in elsewhere  # which the first has no meaning for
    older = compare.side_by_side([first, made(tmp_path / "b")])
    assert "-" in next(line for line in older.splitlines() if line.startswith("held-out loss"))


def test_a_curve_of_blocks_falls_as_the_loss_does_on_logarithmic_axes():
    drawn = compare.bars([(step, 1.0 / step) for step in range(1, 1025)], width=8)
    assert drawn == "█▇▆▅▄▃▂▁"  # a power law is a straight line


def test_many_runs_make_several_tables_and_one_picture(tmp_path, run, capsys):
    others = [shutil.copytree(run, tmp_path / f"run{i}") for i in range(compare.BESIDE)]
    assert cli.main(["info", "--workdir", *map(str, [run, *others]), "--out", str(tmp_path / "all.png")]) == 0
    said = capsys.readouterr().out
    assert said.count("verdict") == 2 and f"picture: {tmp_path / 'all.png'}" in said and (tmp_path / "all.png").exists()
    assert "half: CRPS [m]" in said


def test_what_is_no_run_is_one_line(run, tmp_path, capsys):
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)

    def refused(*arguments):
        assert cli.main(["info", "--workdir", *map(str, arguments)]) == 2
        said = capsys.readouterr().err.strip().splitlines()
        assert said[-1].startswith("sciddm: ")
        return said[-1]

    assert "holds no checkpoints" in refused(tmp_path / "none")
    assert "holds no finished checkpoint yet" in refused(run, tmp_path / "empty")
    assert "ends in .png" in refused(run, "--out", tmp_path / "curves.txt")
    odd = ('{"step": "x"}', '{"step": [1]}', '{"step": 3, "loss": "x"}', "[]", "3", "null", '{"step": true}')  # of another program
    with (run / "metrics.jsonl").open("a") as file:
        file.write("\n".join(odd) + "\n" + '{"step": 61, "lo')  # a kill cut it short
    assert cli.main(["info", "--workdir", str(run)]) == 0
    (run / "evaluation.json").write_text('{"step": 3')
    assert "delete it, `sciddm evaluate` writes it anew" in refused(run)
    for path in (run / "checkpoints").glob("*/meta/metadata"):
        path.write_text(path.read_text().replace("elapsed", "elapse"))
    assert "none of the checkpoints [60, 40, 20] can be read" in refused(run)


def test_a_run_without_lines_of_metrics_has_no_picture(tmp_path):
    assert curves.draw([Run(tmp_path, made(tmp_path).meta, (100,))], tmp_path / "x.png") is None and not (tmp_path / "x.png").exists()


def test_a_stopped_run_is_over_where_a_smaller_budget_is_spent(run):
    stopped = replace(runs.read(run), meta=runs.read(run).meta | {"progress": 0.4})
    assert not runs.finished(stopped) and runs.finished(stopped, {"training": {"steps": 60}})
    assert not runs.finished(stopped, {"training": {"steps": 61}})
