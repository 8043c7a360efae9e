"""What any command can be given that is odd: workdirs, seeds, numbers, places that can't be written, runs that lost a part."""

import os
import shutil

from case import done, refused
from core_commands import evaluate, no_run, sample, smoke, toy, train
from core_config_cases import CASES as OF_CONFIGS
from core_formats import FORMATS
from core_places_cases import CASES as OF_PLACES
from core_runs_cases import CASES as OF_RUNS
from runs import copied

__all__ = ["CASES", "FORMATS"]


def link_to_itself(folder):
    os.symlink("loop", folder / "loop")
    return ["train", "--config", toy(folder), "--workdir", "loop/run"]


def beneath_a_file(folder):
    (folder / "file").write_text("")
    return ["train", "--config", toy(folder), "--workdir", "file/run"]


def workdir_is_a_file(command):
    def run(folder):
        (folder / "run").write_text("words")
        return {"train": ["train", "--config", toy(folder), "--workdir", "run"]}.get(
            command, [command, "--workdir", "run"]
        )

    return run


def unwritable(folder):
    return ["train", "--config", toy(folder), "--workdir", "/proc/run"]


def changed(change, *argv, name="toy"):
    """A command on a copy of a run that `change(run)` has changed."""

    def run(folder):
        workdir = copied(name, folder)
        change(workdir)
        first, *rest = argv
        if first == "train":
            return ["train", "--config", toy(folder), "--workdir", workdir, "--quiet", *rest]
        return [first, "--workdir", workdir, *rest]

    return run


def newest(workdir):
    return max(
        (path for path in (workdir / "checkpoints").iterdir() if path.name.isdigit()), key=lambda path: int(path.name)
    )


def without_metadata(workdir):
    (newest(workdir) / "_CHECKPOINT_METADATA").unlink()


def alone_without_metadata(workdir):
    for path in (workdir / "checkpoints").iterdir():
        if path != newest(workdir):
            shutil.rmtree(path)
    without_metadata(workdir)


def still_there(folder, said):
    there = [path.name for path in (folder / "run" / "checkpoints").iterdir()]
    assert any((folder / "run" / "checkpoints" / name / "state").exists() for name in there), (
        f"the checkpoint is gone: {there}"
    )


def metrics(text):
    return lambda workdir: (workdir / "metrics.jsonl").write_text(text)


def replaced(name, text):
    return lambda workdir: (workdir / name).write_text(text)


def cut(pattern):
    def change(workdir):
        for path in workdir.rglob(pattern):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return change


DIGITS = ("nan", "inf", "-1", "0", "1e9999", "x", "", "2.5", "None", "True", "9" * 40)

CASES = [
    *OF_CONFIGS,
    *OF_RUNS,
    *OF_PLACES,
    # runs and folders
    refused("nonsense", "train in an empty workdir", train(workdir=""), "workdir", check=no_run),
    *[
        refused("nonsense", f"{name} of an empty workdir", lambda folder, name=name: [name, "--workdir", ""], "workdir")
        for name in ("sample", "evaluate", "info", "export")
    ],
    refused("traceback", "a workdir below a link to itself", link_to_itself, "loop"),
    refused("traceback", "a workdir 2,000 levels deep", train(workdir="/".join(["a"] * 2000)), "a/a"),
    refused("traceback", "a workdir whose name is 300 characters long", train(workdir="a" * 300), "aaa", "(?i)name"),
    refused("traceback", "a workdir with a null byte", train(workdir="a\0b"), "workdir"),
    refused("words", "a workdir below a file", beneath_a_file, "file", "^(?!.*free some space)"),
    *[
        refused(
            "words", f"{name} of a workdir that is a file", workdir_is_a_file(name), "run", "^(?!.*free some space)"
        )
        for name in ("train", "sample", "info")
    ],
    refused("words", "a workdir that can't be written", unwritable, "/proc/run", "^(?!.*free some space)"),
    refused("words", "info of a folder without a run", lambda folder: ["info", "--workdir", "."], "checkpoint"),
    refused(
        "words", "export over what is there", lambda folder: ["export", copied("toy", folder), str(folder / "run")]
    ),
    # checkpoints that lost a part
    refused(
        "runs",
        "the only checkpoint lost its metadata",
        changed(alone_without_metadata, "train"),
        "checkpoint",
        check=still_there,
    ),
    refused("runs", "the same, sampled", changed(alone_without_metadata, "sample"), "checkpoint", check=still_there),
    refused(
        "runs",
        "config.json of another program",
        changed(replaced("config.json", "{}"), "sample", "--config.nothing=1"),
        "nothing",
    ),
    done("traceback", "metrics whose step is a word", changed(metrics('{"step": "x"}\n'), "info")),
    done(
        "traceback",
        "metrics whose step is a list",
        changed(metrics('{"step": [1], "loss": 2}\n{"step": 1, "loss": "x"}\n[]\n3\nnull\n"a"\n'), "info"),
    ),
    done(
        "traceback",
        "metrics of bytes",
        changed(lambda w: (w / "metrics.jsonl").write_bytes(bytes(range(256)) * 9), "info"),
    ),
    done(
        "traceback",
        "metrics whose loss is null",
        changed(metrics('{"step": 1, "loss": null}\n{"step": 2, "loss": NaN}\n'), "info"),
    ),
    refused(
        "traceback",
        "evaluation.json cut in two",
        changed(replaced("evaluation.json", '{"scores": {'), "info"),
        "evaluation.json",
        "delete",
    ),
    refused(
        "traceback",
        "evaluation.json that is a list",
        changed(replaced("evaluation.json", "[1, 2]"), "info"),
        "evaluation.json",
    ),
    refused(
        "runs", "all arrays of the only checkpoint cut", changed(lambda w: cut("d/*")(w), "sample"), "checkpoint|whole"
    ),
    # numbers and words of commands
    *[refused("nonsense", f"sample --count {text}", sample("--count", text)) for text in DIGITS if text != "inf"],
    *[
        refused("hang", f"sample --count {text}", sample("--count", text), "count|memory", seconds=30)
        for text in ("999999999999", "100000000000000000000")
    ],
    *[
        refused("nonsense", f"sample --seed {text}", sample("--seed", text), "seed")
        for text in ("-1", "4294967296", str(2**64), "x", "", "1.5", "nan")
    ],
    *[
        refused("nonsense", f"sample --steps {text}", sample("--steps", text), "steps")
        for text in ("0", "-3", "x", "1000001", "1.5")
    ],
    refused("nonsense", "sample --solver nope", sample("--solver", "nope"), "solver"),
    refused("nonsense", "sample --grid nope", sample("--grid", "nope"), "grid"),
    refused("nonsense", "sample --task nope", sample("--task", "nope"), "half"),
    refused("nonsense", "sample --task ''", sample("--task", ""), "task"),
    refused("nonsense", "sample --given without a task", sample("--given", "x.csv"), "task"),
    refused("nonsense", "sample --strength nan", sample("--task", "half", "--strength", "nan"), "strength"),
    refused("nonsense", "sample --event of nothing", sample("--event", "nope > 1"), "nope"),
    refused("nonsense", "sample --event ''", sample("--event", ""), "event"),
    refused("nonsense", "sample --device nope", sample("--device", "nope"), "device"),
    refused("nonsense", "sample --device cpu:99", sample("--device", "cpu:99"), "cpu:99"),
    refused(
        "words",
        "sample --out of a folder that is a file",
        lambda f: [(f / "x").write_text(""), *sample("--out", "x/y.nc")(f)][1:],
    ),
    refused("words", "sample --out that can't be written", sample("--out", "/proc/x.nc"), "/proc"),
    refused(
        "words",
        "sample --out that is there",
        lambda f: [(f / "y.nc").write_text(""), *sample("--out", "y.nc")(f)][1:],
        "y.nc",
    ),
    refused("words", "sample --out of a name that can't be written", sample("--out", "y.nope", name="fields"), "nope"),
    *[
        refused("nonsense", f"evaluate --members {text}", evaluate("--members", text), "members")
        for text in ("1", "0", "-1", "x", "2.5")
    ],
    *[
        refused("nonsense", f"evaluate --problems {text}", evaluate("--problems", text), "problems")
        for text in ("0", "-1", "x")
    ],
    refused("hang", "evaluate --problems 1000000", evaluate("--problems", "1000000"), "problems", seconds=30),
    refused("hang", "evaluate --members 1000000000", evaluate("--members", "1000000000"), "members|memory", seconds=30),
    *[refused("hang", f"evaluate --steer svdd --{name} 2000000000", evaluate("--steer", "svdd", f"--{name}", "2000000000"), name)
      for name in ("members", "budget")],
    refused("nonsense", "evaluate --task nope", evaluate("--task", "nope"), "half"),
    refused("nonsense", "evaluate --steer nope", evaluate("--steer", "nope")),
    refused("nonsense", "evaluate --reward without --steer", evaluate("--reward", "x"), "steer"),
    refused(
        "hang",
        "config.data.resolution = 100000000",
        smoke("pde", "--config.data.resolution=100000000"),
        "resolution",
        seconds=30,
        check=no_run,
    ),
    refused(
        "hang",
        "config.data.count = 10**12",
        smoke("pde", "--config.data.count=1000000000000"),
        "count",
        seconds=30,
        check=no_run,
    ),
]
