"""What any command can be given that is odd: workdirs, configs, seeds, numbers, places that can't be written, runs that lost a part."""

import os
import shutil
from pathlib import Path

from case import done, refused
from core_formats import FORMATS
from core_runs_cases import CASES as RUNS
from runs import copied

__all__ = ["CASES", "FORMATS"]

TOY = """
import sys
sys.path.insert(0, {tests!r})
from toy_domain import toy_config

def get_config(variant=""):
    return toy_config(held_out=0)
"""
TESTS = str(Path(__file__).resolve().parent.parent.parent / "tests")


def toy(folder, name="toy.py"):
    """A config of the smallest domain there is."""
    path = folder / name
    path.write_text(TOY.format(tests=TESTS))
    return path


def train(*more, workdir="run"):
    """`sciddm train` of it."""
    return lambda folder: ["train", "--config", toy(folder), "--workdir", workdir, "--quiet", *more]


def of_config(text):
    """`sciddm train` of a file that says this."""

    def run(folder):
        (folder / "odd.py").write_text(text)
        return ["train", "--config", "odd.py", "--workdir", "run"]

    return run


def sample(*more, name="toy"):
    """`sciddm sample` of a copy of a run."""
    return lambda folder: ["sample", "--workdir", copied(name, folder), *more]


def evaluate(*more, name="toy"):
    return lambda folder: ["evaluate", "--workdir", copied(name, folder), *more]


def no_run(folder, said):
    """Nothing was made that looks like a run."""
    assert not (folder / "run" / "checkpoints").exists() or not list((folder / "run" / "checkpoints").iterdir()), (
        "a checkpoint was made"
    )


def smoke(domain, *more):
    """`sciddm train` of a domain that comes with sciddm."""
    return lambda folder: [
        "train",
        "--config",
        f"{domain}:smoke",
        "--workdir",
        "run",
        "--quiet",
        "--config.data.cache=cache",
        *more,
    ]


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


def twice(text):
    """Of a `given` that is there already."""
    return text


DIGITS = ("nan", "inf", "-1", "0", "1e9999", "x", "", "2.5", "None", "True", "9" * 40)
CONFIGS = {
    "calls sys.exit(0)": "import sys\nsys.exit(0)\n",
    "get_config calls sys.exit(0)": "import sys\ndef get_config():\n    sys.exit(0)\n",
    "os._exit is not to be caught, but quit is": "def get_config():\n    quit()\n",
    "gives None": "def get_config():\n    return None\n",
    "gives a dict": "def get_config():\n    return {'domain': 'domains.pde'}\n",
    "is empty": "",
    "has no get_config": "x = 1\n",
    "get_config is no function": "get_config = 3\n",
    "get_config takes two arguments": "def get_config(a, b):\n    return a\n",
    "is no Python": "def get_config(:\n",
    "holds a null byte": "x = '\0'\n",
    "imports what is not there": "import not_there_at_all\n",
    "raises KeyboardInterrupt of its own": "raise SystemError('x')\n",
    "gives another library's object": "def get_config():\n    import datetime\n    return datetime.datetime.now()\n",
    "recurs for ever": "def get_config():\n    return get_config()\n",
    "gives a generator": "def get_config():\n    yield 1\n",
}
DOMAIN_WORDS = (
    "../x",
    "",
    "a b",
    "domains",
    "domains.",
    ".pde",
    "os",
    "os.path",
    "domains.pde:Nothing",
    "domains.pde:",
    ":",
    "/etc/passwd",
    "json:loads",
    "domains.not_there",
    "__main__",
    "é",
    "domains..pde",
)
NETWORK = (
    "channels=(0,)",
    "channels=()",
    "channels=(-4,)",
    "channels=(8,0)",
    "channels=abc",
    "channels=(1.5,)",
    "features=0",
    "features=-1",
    "blocks=0",
    "blocks=-1",
    "kind=nothing",
    "kind=os:system",
    "patch=0",
    "heads=0",
)
TRAINING = (
    "steps=0",
    "steps=-1",
    "steps=1.5",
    "steps=nan",
    "batch_size=0",
    "batch_size=100000000",
    "learning_rate=0",
    "learning_rate=nan",
    "learning_rate=-1",
    "ema=1",
    "ema=1.5",
    "warmup=-1",
    "grad_clip=0",
    "cond_dropout=2",
    "log_every=0",
    "wall_minutes=0",
    "wall_minutes=-1",
    "wall_minutes=nan",
    "accumulate=0",
    "accumulate=3",
    "precision=float16",
    "held_out=-1",
    "stepz=3",
    "steps",
    "reference_steps=0",
)

CASES = [
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
    # configs
    *[
        refused("nonsense", f"a config that {name}", of_config(text), "odd.py", check=no_run)
        for name, text in CONFIGS.items()
    ],
    refused("words", "a config that is a folder", lambda folder: ["train", "--config", ".", "--workdir", "run"]),
    refused(
        "words",
        "a config that is not there",
        lambda folder: ["train", "--config", "nope.py", "--workdir", "run"],
        "nope.py",
    ),
    refused(
        "words", "an empty name of a config", lambda folder: ["train", "--config", "", "--workdir", "run"], "config"
    ),
    refused(
        "words",
        "a variant that is not there",
        lambda folder: ["train", "--config", "pde:smok", "--workdir", "run"],
        "smoke",
    ),
    *[
        refused("traceback", f"config.domain = {word!r}", train(f"--config.domain={word}"), "domain", check=no_run)
        for word in DOMAIN_WORDS
    ],
    *[
        refused(
            "traceback",
            f"config.network.{text} of pde",
            smoke("pde", f"--config.network.{text}"),
            "network",
            check=no_run,
        )
        for text in NETWORK
    ],
    *[
        refused(
            "traceback",
            f"config.network.{text} of molecules",
            smoke("molecules", f"--config.network.{text}"),
            "network",
            check=no_run,
        )
        for text in ("hidden=0", "hidden=-1", "layers=0", "layers=-1", "heads=0", "kind=unet")
    ],  # fmt: skip
    *[
        refused("nonsense", f"config.training.{text}", train(f"--config.training.{text}"), "training", check=no_run)
        for text in TRAINING
    ],
    *[
        refused("nonsense", f"config.seed = {text}", train(f"--config.seed={text}"), "seed", check=no_run)
        for text in ("-1", "4294967296", "18446744073709551616", "1.5", "x", "None", "True", "9" * 100)
    ],  # fmt: skip
    *[
        refused("nonsense", f"an argument {text!r}", train(text), check=no_run)
        for text in (
            "--config.seed",
            "--config.=1",
            "--config.training=3",
            "--config.network=",
            "--config.nope.x=1",
            "--config.tasks.half.nope=1",
            "seed=1",
            "--confg.seed=1",
            "--config.training.steps=",
            "--config.data.cache=",
            "--config.process.name=nope",
            "--config.mesh.data=0",
            "--config.mesh.data=-2",
            "--config.mesh.fsdp=3",
            "--config.sampling.solver=nope",
            "--config.sampling.steps=0",
            "--config.sampling.grid=nope",
            "--config.sampling.grid=nope.json",
            "--config.checkpoint.every=0",
            "--config.checkpoint.keep=0",
            "--config.version=3",
            "--config.evaluation.tasks=nope",
            "--config.evaluation.members=1",
            "--config.evaluation.problems=0",
            "--config.objective.levels=x",
            "--config.denoiser.prediction=x",
            "--config.denoiser.sigma_data=0",
            "--config.objective.times=x",
            "--config.objective.weighting=x",
        )
    ],  # fmt: skip
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


def stored_config(folder):
    workdir = copied("toy", folder)
    return ["train", "--config", workdir / "config.json", "--workdir", folder / "new", "--quiet"]


def with_colon(folder):
    (folder / "a:b").mkdir()
    return ["train", "--config", toy(folder, "a:b/toy.py"), "--workdir", "run", "--quiet"]


def trains_here(folder, said):
    assert any((folder / name / "checkpoints").exists() for name in ("run", "new")), "no run"


CASES += [
    *RUNS,
    done("words", "train from a run's config.json", stored_config, check=trains_here),
    done("words", "a colon in the name of a config's folder", with_colon, check=trains_here),
    done(
        "runs",
        "a run goes on where it stopped",
        changed(lambda w: None, "train", "--config.training.steps=4", "--config.training.batch_size=8"),
    ),
]
