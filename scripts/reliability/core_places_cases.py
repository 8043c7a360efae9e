"""Names of what is written, standard streams, the surroundings of a command, exports that are damaged, several runs beside each other."""

import errno
import io
import os
import shutil
import sys

from case import done, refused
from core_commands import toy
from runs import copied, trained


def sampled(*words, name="toy", before=None):
    """`sciddm sample` of a shared run in two steps, so that nothing stands between an odd name and what is made of it."""

    def run(folder):
        (folder / "there").mkdir()
        if before:
            before(folder)
        workdir = copied(name, folder)
        return ["sample", "--workdir", workdir, "--count", "2", "--config.sampling.steps=2", *words]

    return run


def written(*names):
    """These files are there, and no part of another."""

    def check(folder, said):
        lacking = [name for name in names if not (folder / name).exists()]
        assert not lacking, f"{lacking} lacks: {sorted(path.name for path in folder.iterdir())}"
        left = [path.name for path in folder.rglob("*.partial")]
        assert not left, f"{left} is left"

    return check


def nothing_made(folder, said):
    assert "member/s" not in said, "members were made first"


NAMES = [
    *[
        refused("nonsense", f"sample --out {name}", sampled("--out", name), "is a folder; name a file in it", check=nothing_made)
        for name in (".", "..", "/", "there", "there/", "./there/..")
    ],
    refused("nonsense", "sample --out -", sampled("--out", "-"), r"'-': expected the name of a file", check=nothing_made),
    refused("nonsense", "sample --out of a flag's look", sampled("--out", "-x.npy"), "--out: expected one argument"),
    *[
        refused("words", f"sample --out of {size} {letter}", sampled("--out", letter * size + ".npy"),
                "(?i)bytes; expected 200 at most|too long", check=nothing_made)
        for letter, size in (("a", 220), ("a", 235), ("a", 250), ("a", 300), ("\u00e4", 120))
    ],
    *[
        refused("words", f"sample --out {name} of {run}", sampled("--out", name, name=run), "can't be written; expected",
                check=nothing_made)
        for run, name in (("fields", "x"), ("fields", ".nc"), ("fields", "x.nc.gz"), ("fields", "x."), ("molecules", "x.sdf.gz"),
                          ("molecules", "x.pdb"), ("weather", "x.csv"))
    ],
    *[
        done("words", f"sample --out {name} of {run}", sampled("--out", name, name=run), check=written(*files))
        for run, name, files in (
            ("fields", "x.NC", ("x.NC", "x-summary.nc")),
            ("fields", "x.ZARR", ("x.ZARR", "x-summary.zarr")),
            ("fields", "a b.nc", ("a b.nc", "a b-summary.nc")),
            ("fields", "\u00e4\u6f22.nc", ("\u00e4\u6f22.nc", "\u00e4\u6f22-summary.nc")),
            ("fields", "new/deep/x.nc", ("new/deep/x.nc", "new/deep/x-summary.nc")),
            ("fields", "x.zarr/", ("x.zarr",)),
            ("fields", "$HOME 'x\".nc", ("$HOME 'x\".nc",)),
            ("molecules", "x.SDF", ("x.SDF", "x-summary.csv")),
        )
    ],
    done("words", "sample --out=-x.nc", sampled("--out=-x.nc", name="fields"), check=written("-x.nc")),
    done("words", "sample --out ./-", sampled("--out", "./-"), check=written("-")),
    refused("runs", "a summary in capitals that is there already", sampled("--out", "x.NC", name="fields",
            before=lambda folder: (folder / "x-summary.nc").write_text("mine")), "x-summary.nc: is there already", check=nothing_made),
    *[
        refused("nonsense", f"{command} of the workdir -", lambda folder, command=command: [command, "--workdir", "-"],
                "'-': expected the name")
        for command in ("sample", "evaluate", "info")
    ],
]  # fmt: skip


def info(*words, runs=("toy",)):
    return lambda folder: ["info", "--workdir", *(trained(name) for name in runs), *words]


class Broken(io.StringIO):
    """A stream that fails when it is first flushed."""

    def __init__(self, code):
        super().__init__()
        self.code = code

    def flush(self):
        code, self.code = self.code, 0
        if code:
            raise OSError(code, os.strerror(code))


def with_stdout(code, argv):
    def run(folder):
        sys.stdout = Broken(code)
        return argv

    return run


def closed(number, argv):
    """A command whose standard stream a shell closed."""

    def run(folder):
        name = ("stdin", "stdout", "stderr")[number]
        setattr(sys, name, None)
        os.close(number)
        return argv(folder)

    return run


def around(argv, **environment):
    """A command in other surroundings; None takes a variable away."""

    def run(folder):
        for name, value in environment.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value.format(folder=folder)})
        return argv(folder)

    return run


HELP = (["--version"], ["--print-completion", "bash"], ["info", "--config", "fields:smoke"])
SURROUNDINGS = [
    *[done("traceback", f"{' '.join(argv)}, whose reader has gone", with_stdout(errno.EPIPE, argv), "^(?!.*sciddm:)") for argv in HELP],
    *[refused("traceback", f"{' '.join(argv)} to a full disk", with_stdout(errno.ENOSPC, argv), "standard output: No space")
      for argv in HELP],
    *[done("traceback", f"info with stream {number} closed", closed(number, info())) for number in (0, 1, 2)],
    done("traceback", "sample with stream 1 closed", closed(1, sampled("--out", "x.npy")), check=written("x.npy")),
    done("traceback", "info without HOME", around(info(), HOME=None)),
    done("traceback", "info with HOME that is not there", around(info(), HOME="/nonexistent")),
    done("traceback", "sample with HOME that is a file", around(
        lambda folder: [(folder / "home").write_text(""), *sampled("--out", "x.npy")(folder)][1:], HOME="{folder}/home"),
        check=written("x.npy")),
    done("traceback", "sample with LANG=C and a name beyond ASCII", around(sampled("--out", "\u00e4.npy"), LANG="C", LC_ALL="C"),
         check=written("\u00e4.npy")),
    *[done("nonsense", f"info with TZ={zone}", around(info(), TZ=zone)) for zone in ("Pacific/Kiritimati", "Nowhere/Odd", "")],
]  # fmt: skip


def checkpoints(name, *more, keep=()):
    """A toy run whose newest checkpoint has another name, and beside it only those in `keep`."""

    def run(folder):
        workdir = copied("toy", folder)
        place = workdir / "checkpoints"
        (place / "4").rename(place / name)
        if "2" not in keep:
            shutil.rmtree(place / "2")
        return ["train", "--config", workdir / "config.json", "--workdir", workdir, "--quiet", "--config.training.steps=6", *more]

    return run


def kept_as(name):
    def check(folder, said):
        place = folder / "run" / "checkpoints"
        assert (place / name / "state").is_dir(), sorted(path.name for path in place.iterdir())

    return check


def lfs(folder):
    """A pointer in the place of the newest checkpoint."""
    workdir = copied("toy", folder)
    shutil.rmtree(workdir / "checkpoints" / "4")
    (workdir / "checkpoints" / "4").write_text("version https://git-lfs.github.com/spec/v1\n")
    return ["train", "--config", workdir / "config.json", "--workdir", workdir, "--quiet", "--config.training.steps=6"]


NUMBERS = [
    *[
        refused("runs", f"the only checkpoint is called {name!r}", checkpoints(name), "is not named by its step alone.* by mv .*--anew",
                check=kept_as(name))
        for name in ("04", "4 ", "4.tmp", "step_4", "4 (copy)", "+4", "\uff14")
    ],
    done("runs", "the only checkpoint is called '04', and it is to begin anew", checkpoints("04", "--anew"), "04 is not used",
         check=kept_as("04")),
    done("runs", "the newest checkpoint is called '04' beside another", checkpoints("04", keep=("2",)), "04 is not used",
         check=kept_as("04")),
    refused("runs", "the only checkpoint is called '04', sampled",
            lambda folder: [checkpoints("04")(folder), "sample", "--workdir", "run"][1:], "is not named by its step alone.* by mv"),
    done("runs", "a file in the place of the newest checkpoint", lfs, "4 is not used", "kept as 4.damaged"),
]  # fmt: skip


def exported(change, *argv):
    """A command on an export that `change(folder of it, another export)` has changed."""

    def run(folder):
        from sciddm.export import export

        export(trained("toy"), folder / "e")
        export(trained("fields"), folder / "other")
        change(folder / "e", folder / "other")
        return [*argv, "--workdir", "e"]

    return run


def gone(name):
    return lambda e, other: (e / name).unlink()


def cut(name):
    return lambda e, other: (e / name).write_bytes((e / name).read_bytes()[:40])


def swapped(name):
    return lambda e, other: shutil.copy(other / name, e / name)


def a_folder(name):
    return lambda e, other: ((e / name).unlink(), (e / name).mkdir())


PARTS = ("model.safetensors", "model.json")
SAMPLE, INFO = ("sample", "--count", "2", "--out", "x.npy"), ("info",)
EXPORTS = [
    *[
        refused("runs", f"{argv[0]} of an export whose {name} is {what.__name__.replace('_', ' ')}", exported(what(name), *argv),
                r"e/model\.(json|safetensors): .*get the export once more")
        for name in PARTS for what in (gone, cut, swapped, a_folder) for argv in (SAMPLE, INFO)
    ],
    *[
        done("runs", f"info of an export whose {name} is {what.__name__}", exported(what(name), *INFO))
        for name in ("README.md", "config.json") for what in (gone, cut)
    ],
    *[refused("nonsense", f"export to {place}", lambda folder, place=place: ["export", trained("toy"), place], words)
      for place, words in (("/", "not empty"), ("..", "not empty"), ("-", "'-': expected"))
      ],
    done("words", "export to a name with blanks", lambda folder: ["export", trained("toy"), "a b"], "--workdir 'a b'"),
    refused("runs", "train in an export", lambda folder: [exported(lambda e, other: None)(folder), "train", "--config", toy(folder),
            "--workdir", "e"][1:], "--init-from e"),
]  # fmt: skip


def damaged(folder):
    workdir = copied("toy", folder)
    for path in (workdir / "checkpoints").glob("*/meta/metadata"):
        path.write_bytes(path.read_bytes()[:50])
    return workdir


def pictures_in_the_way(folder):
    workdir = copied("toy", folder)
    (workdir / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n{"step": 4, "loss": 0.4}\n')
    (workdir / "plots").write_text("")
    return workdir


SEVERAL = [
    refused("runs", "info of a run and a damaged one", lambda folder: ["info", "--workdir", trained("toy"), damaged(folder)],
            "run/checkpoints: none"),
    refused("runs", "info of a run and none", lambda folder: ["info", "--workdir", trained("toy"), "none"], "none: holds no checkpoints"),
    done("runs", "info of the same run twice", info(runs=("toy", "toy"))),
    done("runs", "info of runs of different domains", info(runs=("toy", "fields", "molecules"))),
    done("runs", "info --json of runs of different domains", info("--json", runs=("toy", "weather"))),
    done("words", "info of a run whose plots can't be written", lambda folder: ["info", "--workdir", pictures_in_the_way(folder)],
         "not written to .*--out FILE.png"),
    *[refused("words", f"info --out {name}",
              lambda folder, name=name: [pictures_in_the_way(folder), "info", "--workdir", "run", "--out", name][1:], words)
      for name, words in ((".", "ends in .png"), ("x.txt", "ends in .png"), ("/proc/x.png", "/proc/x.png"))],
]  # fmt: skip

def of_bytes(content):
    def run(folder):
        (folder / "odd.py").write_bytes(content)
        return ["train", "--config", "odd.py", "--workdir", "run"]

    return run


SEVERAL += [
    refused("words", "info of a picture beside --json", info("--json", "--out", "x.png"), "--out x.png: says nothing beside --json"),
    refused("words", "a config that is no text", of_bytes(b"\x93NUMPY\x01\0\0"), "odd.py: is no text; expected a Python file"),
    refused("words", "a config without get_config", of_bytes(b"x = 1\n"), "odd.py: has no get_config()"),
    refused("words", "a sweep over one value twice",
            lambda folder: ["train", "--config", toy(folder), "--workdir", "run", "--sweep", "seed=1,1"],
            "two of its runs would be 'seed=1'"),
]  # fmt: skip

CASES = [*NAMES, *SURROUNDINGS, *NUMBERS, *EXPORTS, *SEVERAL]
