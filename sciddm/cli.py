"""`sciddm train | sample | evaluate | info | export | demo`. Exit code 0: done; 2: something the user can mend; 1: our own fault."""

import argparse
import atexit
import functools
import gc
import logging
import os
import sys
import threading
import traceback
import warnings
from pathlib import Path

import sciddm
from sciddm import streams
from sciddm.caches import folder
from sciddm.devices import choose, device
from sciddm.errors import UserError, of_system


def main(argv=None) -> int:
    """Run one subcommand; returns the exit code."""
    streams.open_closed()
    try:
        with streams.written():
            return run(argv)
    except BrokenPipeError:
        return 0
    except UserError as error:
        print(f"sciddm: {error}", file=sys.stderr)
        return 2


def run(argv) -> int:
    """As `main`, of a program whose output can be written."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = make_parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.command not in ("train", "sample", "evaluate", "demo"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    # A program compiled once is found again by the next process; set before jax is first imported.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder("compiled").expanduser()))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("MPLBACKEND", "agg")
    # Below "fatal" the compiler only remarks, such as that it is slow and whom to tell; what fails comes as an exception.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    quiet_libraries()
    try:
        from sciddm import commands

        arguments.argv = argv
        choose(getattr(arguments, "device", None))
        getattr(commands, arguments.run)(arguments, rest)
    except UserError as error:
        print(f"sciddm: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        raise
    except OSError as error:  # a full disk, a folder that can't be written: whatever the place, the user can mend it
        workdir = getattr(arguments, "workdir", None)  # of info a list
        place = error.filename or (str(workdir) if isinstance(workdir, Path) else "standard output")
        print(f"sciddm: {of_system(error, place)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not (where := of_the_user(error)):
            raise
        print(f"sciddm: {where}", file=sys.stderr)
        return 2
    return 0


def of_the_user(error: Exception) -> str:
    """In one line, an error that came out of a file of the user's own: neither ours nor a library's; "" for any other."""
    from sciddm.errors import in_words

    ours = [Path(__file__).parent, Path(__file__).parent.parent / "domains", Path(sys.prefix), Path(sys.base_prefix)]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename).resolve()
        if path.exists() and not any(path.is_relative_to(folder.resolve()) for folder in ours):
            return f"{in_words(error).rpartition(' (')[0]} (by {path.name}, line {frame.lineno}: {frame.line})"
    return ""


@functools.cache  # once a process: hooks around hooks would pile up
def quiet_libraries() -> None:
    """Errors of the writing libraries reach us as exceptions; printed by their threads too, they would bury the line that helps."""
    atexit.register(gc.freeze)  # looking through all that is to go anyway takes a second at the end of every command
    for name in ("absl", "asyncio", "jax", "orbax"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # A compile cache that can't be written or read costs time and nothing else.
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache")
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")  # what is left of a save that failed
    for module, hook in ((sys, "unraisablehook"), (threading, "excepthook")):
        setattr(module, hook, _except_on_full_disks(getattr(module, hook)))


def _except_on_full_disks(report):
    """A hook for the errors of threads, without those of writing to a full disk: the main thread meets them too."""

    def reported(error):
        # The second is what tensorstore's callbacks meet once the save they belonged to has failed.
        if not isinstance(error.exc_value, OSError) and str(error.exc_value) != "Event loop is closed":
            report(error)

    return reported


def make_parser() -> argparse.ArgumentParser:
    """The subcommands and their options; imports nothing heavy, so that help is immediate."""
    parser = argparse.ArgumentParser(
        "sciddm", description="Scientific diffusion models: train, sample, steer.", allow_abbrev=False,
        epilog="examples:\n"
        "  sciddm demo                                        everything in one go, a few minutes on 2 cores\n"
        "  sciddm train --config pde:smoke --workdir runs/pde && sciddm sample --workdir runs/pde --count 4\n\n"
        "`sciddm COMMAND --help` says more of each. Completion of words by the tab key, in bash:\n"
        "  mkdir -p ~/.local/share/bash-completion/completions\n"
        "  sciddm --print-completion bash > ~/.local/share/bash-completion/completions/sciddm",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--version", action=Version, nargs=0, help="of sciddm, jax and Python")
    parser.add_argument("--print-completion", action=Completion, metavar="SHELL", help="a script for bash, zsh, fish or tcsh; see below")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")

    train = commands.add_parser(
        "train", allow_abbrev=False, help="train a model, or go on where it stopped",
        description="Train the config in a workdir; the same command goes on where it stopped. --config executes that Python file.",
    )  # fmt: skip
    train.add_argument(
        "--config", required=True, metavar="FILE[:VARIANT]", help="a file of yours, or one that comes with sciddm, such as pde:smoke"
    )
    train.add_argument("--workdir", required=True, type=place, help="where checkpoints, metrics and samples go")
    train.add_argument(
        "--init-from", metavar="RUN", type=source,
        help="begin with the averaged weights of this run, or export, on other data of the same layout (fine-tuning)",
    )  # fmt: skip
    train.add_argument(
        "--statistics", choices=("kept", "measured"),
        help="with --init-from: the data's mean and spread as that run had them (default), or measured anew",
    )  # fmt: skip
    train.add_argument(
        "--sweep", action="append", metavar="KEY=A,B",
        help="a run for each value of a key of the config, in a folder of its own in the workdir; repeated, for each combination",
    )  # fmt: skip
    train.add_argument(
        "--sweep-index", type=int, metavar="I", help="with --sweep: this combination alone, from 0 (default: SLURM_ARRAY_TASK_ID, else all)"
    )
    train.add_argument("--anew", action="store_true", help="begin again where no checkpoint is whole; those are kept aside")
    train.add_argument("--quiet", action="store_true", help="no progress bar")
    train.epilog = "Any key is set by --config.key=value, such as --config.training.steps=1000."
    train.set_defaults(run="run_train")

    sample = commands.add_parser("sample", allow_abbrev=False, help="draw samples of a trained model")
    sample.add_argument("--workdir", required=True, type=place, help="of the training run")
    sample.add_argument("--count", type=positive, default=16, help="how many (default 16)")
    sample.add_argument("--task", help="one of the domain's, of what is --given, or of the first held-out example")
    sample.add_argument(
        "--given", action="append", metavar="THING",
        help="what you have measured: a file, a text such as SMILES, or name=value; may be repeated "
        "(`sciddm info --workdir RUN --task T` says what a task takes)",
    )  # fmt: skip
    sample.add_argument("--seed", type=seed, default=0)
    sample.add_argument(
        "--event", action="append", metavar="EVENT",
        help="its probability, as 'u > 0.3', 'max(rain) > 5 mm/h' or 'rings == 3': a map or a number; may be repeated",
    )  # fmt: skip
    sample.add_argument("--page", action="store_true", help="an HTML page beside the answers that plays them, where the domain has one")
    sample.add_argument("--method", help="with --task: the guide, such as 'mmps(iterations=8)' (default: the task's)")
    sample.add_argument("--strength", type=float, help="with --task: how strongly it steers (default: the task's, 1 is as measured)")
    sample.add_argument("--solver", help="instead of the task's or the config's")
    sample.add_argument("--steps", type=steps, help="instead of the task's or the config's")
    sample.add_argument("--grid", help="of times, instead of the task's or the config's")
    sample.add_argument(
        "--out", type=place,
        help="file in the domain's format, with a summary beside it (default: samples/ in the workdir). What was stopped goes on "
        "by the same command",
    )  # fmt: skip
    sample.epilog = "Keys are set otherwise than in training by --config.key=value, such as --config.sampling.steps=40."
    sample.set_defaults(run="run_sample")

    evaluate = commands.add_parser("evaluate", allow_abbrev=False, help="score a trained model beside classical answers")
    evaluate.add_argument("--workdir", required=True, type=place, help="of the training run")
    evaluate.add_argument(
        "--task", action="append", help="one of the domain's; may be repeated (default: the config's)"
    )
    evaluate.add_argument("--problems", type=positive, help="held-out examples a task")
    evaluate.add_argument("--members", type=positive, help="posterior samples a problem, or answers a method")
    evaluate.add_argument("--seed", type=seed, default=0)
    evaluate.add_argument(
        "--steer", action="append", metavar="METHOD",
        help="instead of tasks: steer by a reward with this particle method, such as svdd, or all; may be repeated",
    )  # fmt: skip
    evaluate.add_argument("--reward", help="with --steer: one of the domain's (default: its first)")
    evaluate.add_argument(
        "--budget",
        type=positive,
        help="with --steer: network calls an answer (default: 16 times config.sampling.steps)",
    )
    evaluate.add_argument(
        "--strength", type=float, help="with --steer: how far, in nats a spread of the reward over the data (default 1)"
    )
    evaluate.epilog = sample.epilog
    evaluate.set_defaults(run="run_evaluate")

    info = commands.add_parser("info", allow_abbrev=False, help="what a workdir holds, or what this machine offers")
    about = info.add_mutually_exclusive_group()
    about.add_argument(
        "--workdir", type=place, nargs="+", metavar="RUN", help="a run or an export; several are put beside each other in a table"
    )
    about.add_argument("--config", metavar="FILE[:VARIANT]", help="all keys of a config, such as pde:smoke, and their values")
    info.add_argument("--json", action="store_true", help="with --workdir: for machines, without a picture")
    info.add_argument(
        "--out", type=place, metavar="FILE.png", help="with --workdir: the picture of the curves (default: in plots/ of the first run)"
    )
    info.add_argument("--task", help="with --workdir: what --given takes for a task")
    info.add_argument("--example", type=place, metavar="FOLDER", help="with --task: the first held-out example as you would bring it")
    info.set_defaults(run="run_info")

    export = commands.add_parser(
        "export", allow_abbrev=False, usage="sciddm export [-h] RUN OUT", help="a trained model as a folder to hand on",
        description="Write the averaged weights (safetensors), the config, the normaliser and a model card to the new folder OUT, which "
        "sd.load and every --workdir but that of train take in the place of the run.",
    )  # fmt: skip
    export.add_argument("--workdir", type=place, metavar="RUN", help="in the place of RUN, as for other subcommands")
    export.add_argument("places", type=place, nargs="+", metavar="RUN OUT", help="a run, and a folder that is not there yet")
    export.set_defaults(run="run_export")

    demo = commands.add_parser("demo", allow_abbrev=False, help="data, training, samples and inverse problems in one go")
    demo.add_argument("--workdir", type=place, default=Path("runs/demo"), help="default runs/demo")
    demo.add_argument("--config", default="pde:smoke", metavar="FILE[:VARIANT]", help="default pde:smoke")
    demo.epilog = train.epilog
    demo.set_defaults(run="run_demo")
    for command in (train, sample, evaluate, info, demo):
        command.add_argument(
            "--device", type=device, metavar="KIND[:N]",
            help="cpu, gpu or tpu, or one of several alone, such as gpu:1 (default: what JAX_PLATFORMS says, else the fastest)",
        )  # fmt: skip
    return parser


class Version(argparse.Action):
    """`--version`; the versions are looked up when they are asked for, without importing what they are of."""

    def __call__(self, parser, *_):
        from importlib.metadata import version

        print(f"sciddm {sciddm.__version__} (jax {version('jax')}, Python {sys.version.split()[0]})")
        parser.exit()


class Completion(argparse.Action):
    """`--print-completion SHELL`."""

    def __call__(self, parser, namespace, shell, option=None):
        import shtab

        if shell not in shtab.SUPPORTED_SHELLS:
            parser.error(f"--print-completion {shell}: expected one of {', '.join(shtab.SUPPORTED_SHELLS)}")
        for action in every_action(parser):
            if action.type is place or action.dest in ("config", "init_from"):
                action.complete = shtab.FILE
        print(shtab.complete(parser, shell))
        parser.exit()


def every_action(parser):
    """The options of a parser and of its subcommands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from every_action(command)


def seed(text: str) -> int:
    """A seed of `jax.random.key`."""
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{value}: expected 0 to {2**32 - 1}")
    return value


LEVELS, LONGEST = 200, 4000  # of a path: folders in folders, and characters


def place(text: str) -> Path:
    """An argument that names a file or a folder."""
    if not text.strip() or "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r}: expected the name of a file or folder; . is this folder")
    if text == "-":
        raise argparse.ArgumentTypeError("'-': expected the name of a file or folder; ./- is one of that name")
    if text.count("/") > LEVELS or len(text) > LONGEST:
        raise argparse.ArgumentTypeError(f"{text[:40]}...: expected at most {LEVELS} folders in each other and {LONGEST} characters")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise argparse.ArgumentTypeError(f"{text[:80]!r}: has bytes that are no letters in UTF-8; expected a name of letters, rename it")
    try:
        return Path(text).expanduser()  # as in --workdir=~/run, which no shell replaces
    except RuntimeError:  # without a home
        return Path(text)


def source(text: str) -> str:
    """An argument that names a run to begin with."""
    return str(place(text))


def positive(text: str) -> int:
    """An argument that counts something."""
    value = int(text)
    if not 1 <= value < 2**31:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 to {2**31 - 1}")
    return value


def steps(text: str) -> int:
    """How many a sampler takes."""
    if positive(text) > 10**6:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 to a million")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
