"""What cases of the core start from: a config of the smallest domain there is, and commands on copies of its run."""

from pathlib import Path

from runs import copied

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
