"""`sciddm train | sample | evaluate | info | demo`. Exit code 0: done; 2: something the user can mend; 1: our own fault."""

import argparse
import functools
import json
import logging
import os
import shlex
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path

from sciddm.errors import UserError


def main(argv=None) -> int:
    """Run one subcommand; returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = make_parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.command not in ("train", "sample", "evaluate"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    # A program compiled once is found again by the next process; set before jax is first imported.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path.home() / ".cache" / "sciddm" / "compiled"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("MPLBACKEND", "agg")
    quiet_libraries()
    try:
        arguments.run(arguments, rest)
    except UserError as error:
        print(f"sciddm: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0
    except OSError as error:  # a full disk, a folder that can't be written: whatever the place, the user can mend it
        where = error.filename or getattr(arguments, "workdir", None) or "a file"
        print(f"sciddm: {where}: {error.strerror or error}; free some space or choose another place", file=sys.stderr)
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
    parser = argparse.ArgumentParser("sciddm", description="Scientific diffusion models: train, sample, steer.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="{train,sample,evaluate,info,demo}")

    train = commands.add_parser(
        "train", allow_abbrev=False, help="train a model, or go on where it stopped",
        description="Train the config in a workdir; the same command goes on where it stopped. --config executes that Python file.",
    )  # fmt: skip
    train.add_argument("--config", required=True, metavar="FILE[:VARIANT]", help="such as configs/pde.py:smoke")
    train.add_argument("--workdir", required=True, type=Path, help="where checkpoints, metrics and samples go")
    train.add_argument("--quiet", action="store_true", help="no progress bar")
    train.epilog = "Any key is set by --config.key=value, such as --config.training.steps=1000."
    train.set_defaults(run=run_train)

    sample = commands.add_parser("sample", allow_abbrev=False, help="draw samples of a trained model")
    sample.add_argument("--workdir", required=True, type=Path, help="of the training run")
    sample.add_argument("--count", type=positive, default=16, help="how many (default 16)")
    sample.add_argument("--task", help="one of the domain's, of what is --given, or of the first held-out example")
    sample.add_argument(
        "--given", action="append", metavar="THING",
        help="what you have measured: a file, a text such as SMILES, or name=value; may be repeated "
        "(`sciddm info --workdir RUN --task T` says what a task takes)",
    )  # fmt: skip
    sample.add_argument("--seed", type=seed, default=0)
    sample.add_argument("--solver", help="instead of the config's")
    sample.add_argument("--steps", type=positive, help="instead of the config's")
    sample.add_argument("--out", type=Path, help="file in the domain's format (default: samples/ in the workdir)")
    sample.epilog = "Keys are set otherwise than in training by --config.key=value, such as --config.sampling.steps=40."
    sample.set_defaults(run=run_sample)

    evaluate = commands.add_parser("evaluate", allow_abbrev=False, help="score a trained model beside classical answers")
    evaluate.add_argument("--workdir", required=True, type=Path, help="of the training run")
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
    evaluate.set_defaults(run=run_evaluate)

    info = commands.add_parser("info", allow_abbrev=False, help="what a workdir holds, or what this machine offers")
    about = info.add_mutually_exclusive_group()
    about.add_argument("--workdir", type=Path, help="a run")
    about.add_argument("--config", metavar="FILE[:VARIANT]", help="all keys of a config, such as configs/pde.py:smoke, and their values")
    info.add_argument("--task", help="with --workdir: what --given takes for a task")
    info.add_argument("--example", type=Path, metavar="FOLDER", help="with --task: writes the first held-out example as you would bring it")
    info.set_defaults(run=run_info)

    demo = commands.add_parser("demo", allow_abbrev=False, help="data, training, samples and inverse problems in one go")
    demo.add_argument("--workdir", type=Path, default=Path("runs/demo"), help="default runs/demo")
    demo.add_argument("--config", default="configs/pde.py:smoke", metavar="FILE[:VARIANT]")
    demo.set_defaults(run=run_demo)
    return parser


def run_train(arguments, rest) -> None:
    from sciddm.overrides import found_beside, load_config
    from sciddm.train import fit
    from sciddm.train.sharding import use_cores

    config = load_config(arguments.config, rest)
    use_cores(config)
    fit(config, arguments.workdir, progress=not arguments.quiet)
    print(f"done: {arguments.workdir}; next: {found_beside(config)}sciddm evaluate --workdir {arguments.workdir}")


def run_sample(arguments, rest) -> None:
    from sciddm import load, solvers
    from sciddm.evaluation import save_figure
    from sciddm.tasks.base import draw_picture

    if arguments.given and not arguments.task:
        raise UserError(
            f"--given {arguments.given[0]}: say for which --task; `sciddm info --workdir {arguments.workdir}` lists them"
        )
    try:
        solvers.resolve("ddim" if arguments.solver is None else arguments.solver)
    except ValueError as error:
        raise UserError(f"--solver: {error}") from error
    model = load(arguments.workdir, overrides=rest)
    options = {name: value for name in ("solver", "steps") if (value := getattr(arguments, name))}
    kind = arguments.task or "generate"
    out = (
        arguments.out
        or arguments.workdir / "samples" / f"{kind}-step{model.step}-seed{arguments.seed}{model.domain.suffix}"
    )
    if out.exists():
        raise UserError(f"{out}: is there already; give another --out or --seed")
    if arguments.task is None:
        samples = model.sample(arguments.seed, arguments.count, progress=True, **options)
        figure = model.domain.plot(samples)
    else:
        problem = model.problem(arguments.task, key=arguments.seed, given=arguments.given)
        x = model.solve(arguments.seed, arguments.task, problem, arguments.count, progress=True, **options)
        task = model.task(arguments.task)
        samples, figure = task.to_native(x, problem), draw_picture(task, x, problem, {})
    out.parent.mkdir(parents=True, exist_ok=True)
    model.domain.save(samples, out)
    picture = arguments.workdir / "plots" / f"{out.stem}.png"
    save_figure(figure, picture)
    print(f"samples: {out}\npicture: {picture}")


def run_evaluate(arguments, rest) -> None:
    from sciddm import load

    others = ("task", "problems") if arguments.steer else ("reward", "budget", "strength")
    for name in others:
        if getattr(arguments, name) is not None:
            raise UserError(
                f"--{name}: says nothing {'beside' if arguments.steer else 'without'} --steer; leave it out"
            )
    model = load(arguments.workdir, overrides=rest)
    if arguments.steer:
        return report_steering(model, arguments)
    settings = {name: getattr(arguments, name) or model.config.evaluation[name] for name in ("problems", "members")}
    if settings["members"] < 2:
        raise UserError(f"--members {settings['members']}: expected at least 2, a spread needs them")
    report(model, arguments.task or model.config.evaluation.tasks, arguments.seed, **settings)


def report(model, tasks, seed: int, **settings) -> None:
    """Print the tables, write them to evaluation.json, and say where the pictures are."""
    from sciddm.evaluation import evaluate, format_table

    for task in tasks:
        model.problem(task)  # an unknown name is said before anything is sampled
    table = evaluate(model, tasks=tasks, seed=seed, **settings)
    for task, scores in table.items():
        print(
            f"\n{task}, mean of {settings['problems']} held-out problems, {settings['members']} members:\n{format_table(scores)}"
        )
    out = model.workdir / "evaluation.json"
    out.write_text(
        json.dumps({"step": model.step, "seed": seed, **settings, "scores": table}, indent=2).replace("NaN", "null")
        + "\n"
    )
    print(f"\ntable: {out}\npictures: {model.workdir / 'plots'}")


def report_steering(model, arguments) -> None:
    """Print the table, add each row to steering.json as it is made, and draw all that is there of this reward."""
    from sciddm.evaluation import rewards, save_figure

    strength = 1.0 if arguments.strength is None else arguments.strength
    members = arguments.members or model.config.evaluation.members
    out = model.workdir / "steering.json"
    rows = rewards.steer(
        model, arguments.steer, arguments.reward, budget=arguments.budget, members=members, strength=strength,
        seed=arguments.seed, keep=lambda rows: rewards.store(rows, out),
    )  # fmt: skip
    about = f"{rows[-1]['budget']} network calls an answer, {members} answers a method, strength {strength:g}"
    print(f"\nsteered by {rows[0]['reward']}, {about}:\n\n{rewards.format_rows(rows)}")
    picture = model.workdir / "plots" / f"steering-{rows[0]['reward'].replace(' ', '-')}.png"
    save_figure(rewards.plot(rewards.comparable(rewards.store(rows, out), rows[0])), picture)
    print(f"\ntable: {out}\npicture: {picture}")


def run_info(arguments, rest) -> None:
    if arguments.task or arguments.example:
        return tell_task(arguments)
    if arguments.config:
        from sciddm.config import validate
        from sciddm.overrides import describe, load_config

        config = load_config(arguments.config, ())
        validate(config)
        return print(describe(config))
    import jax

    if arguments.workdir is None:
        from sciddm.train.loop import versions

        print(json.dumps({"devices": [str(device) for device in jax.devices()], "versions": versions()}, indent=2))
        return
    from sciddm import load
    from sciddm.train.checkpoint import Checkpoints

    model, checkpoints = load(arguments.workdir), Checkpoints(arguments.workdir, read_only=True)
    meta = checkpoints.meta(model.step)
    about = {
        "domain": model.config.domain, "step": model.step, "checkpoints": checkpoints.steps(),
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(model.denoiser.network.params)),
        "tasks": sorted(model.domain.tasks), "normalizer": meta["normalizer"], "sigma_data": meta["sigma_data"],
        "minutes": round(meta["elapsed"] / 60, 1), "git_revision": meta["git_revision"], "versions": meta["versions"],
        "config": meta["config"],
    }  # fmt: skip
    print(json.dumps(about, indent=2))


def tell_task(arguments) -> None:
    """What `--given` takes for a task, and an example of it."""
    from sciddm import load

    if not (arguments.workdir and arguments.task):
        raise UserError("--task, --example: expected --workdir RUN --task T, and --example FOLDER to have files written")
    model, name = load(arguments.workdir), arguments.task
    print(f"--task {name} --given takes {model.task(name).takes}")
    if arguments.example is None:
        return print(f"an example, to copy: sciddm info --workdir {arguments.workdir} --task {name} --example FOLDER")
    if arguments.example.exists() and any(arguments.example.iterdir()):
        raise UserError(f"{arguments.example}: is not empty; give another --example")
    arguments.example.mkdir(parents=True, exist_ok=True)
    given = model.task(name).write_given(model.problem(name), arguments.example)
    words = " ".join(f"--given {shlex.quote(str(one))}" for one in given)
    print(f"the first held-out example: sciddm sample --workdir {arguments.workdir} --task {name} {words}")


def run_demo(arguments, rest) -> None:
    start = time.monotonic()
    from sciddm import load
    from sciddm.evaluation import save_figure
    from sciddm.overrides import load_config
    from sciddm.train import fit
    from sciddm.train.sharding import use_cores

    config = load_config(arguments.config, rest)
    use_cores(config)
    fit(config, arguments.workdir)
    model = load(arguments.workdir)
    picture = arguments.workdir / "plots" / "generated.png"
    if not picture.exists():
        save_figure(model.domain.plot(model.sample(0, 6)), picture)
    settings = model.config.evaluation
    report(model, settings.tasks, 0, problems=settings.problems, members=settings.members)
    print(f"{time.monotonic() - start:.0f} s in all")


def seed(text: str) -> int:
    """A seed of `jax.random.key`."""
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{value}: expected 0 to {2**32 - 1}")
    return value


def positive(text: str) -> int:
    """An argument that counts something."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value}: expected at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
