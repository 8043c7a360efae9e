"""What each subcommand of `sciddm` does; heavy imports stand inside, so that help is immediate."""

import contextlib
import json
import shlex
import sys
import time

from sciddm.activity import activity
from sciddm.devices import announce, there
from sciddm.errors import UserError
from sciddm.export import open_source


def run_train(arguments, rest) -> None:
    if arguments.sweep or arguments.sweep_index is not None:
        return run_sweep(arguments, rest)
    with activity(f"reading {arguments.config}", at_once=False):
        from sciddm.config import check_shared
        from sciddm.overrides import found_beside, load_config

        config = load_config(arguments.config, rest)  # what is wrong with it is said before the imports below, which take seconds
        check_shared(config)
        from sciddm.train import fit
        from sciddm.train.own_grid import lacking, search_afterwards, way_to_one
        from sciddm.train.sharding import use_cores

    use_cores(config)
    announce(arguments.device)
    before = lacking(arguments.workdir, config)
    fit(config, arguments.workdir, **beginning(arguments))
    if before is not None and lacking(arguments.workdir, config) == before:  # and was not trained further
        stopped = not search_afterwards(arguments.workdir, config, not arguments.quiet)
    else:
        stopped = was_stopped(arguments.workdir, config)
    if stopped:
        print(f"stopped: {arguments.workdir}; the same command goes on")
        return
    if asks_for_own_grid(rest):
        from sciddm.runs import read

        with contextlib.suppress(UserError):  # another machine holds the run
            if not (run := read(arguments.workdir)).meta.get("grid"):
                print(f"grid own: the run has none; {way_to_one(run, config.sampling.solver)}", file=sys.stderr)
    print(f"done: {arguments.workdir}; next: {found_beside(config)}sciddm evaluate --workdir {typed(arguments.workdir)}")


def typed(path) -> str:
    """A path as it is typed in a shell."""
    return shlex.quote(str(path))


def was_stopped(workdir, config) -> bool:
    """Whether a run has ended before its budget was spent, by Ctrl-C; False where this machine holds nothing of it."""
    from sciddm.runs import finished, read

    try:
        run = read(workdir)
    except UserError:
        return False
    return not finished(run, config)


def run_sweep(arguments, rest) -> None:
    if not arguments.sweep:
        raise UserError("--sweep-index: says nothing without --sweep KEY=A,B; leave it out")
    configs = {}
    with activity(f"reading {arguments.config}", at_once=False):
        from sciddm import sweep
        from sciddm.config import check_shared, validate
        from sciddm.overrides import load_config

        for name, values in sweep.combinations(arguments.sweep).items():
            changes = [f"--config.{key}={value}" for key, value in values.items()]
            configs[arguments.workdir / name] = load_config(arguments.config, [*rest, *changes])
            check_shared(configs[arguments.workdir / name])
    if (alone := sweep.index(arguments.sweep_index, len(configs))) is not None:
        configs = dict([list(configs.items())[alone]])
    from sciddm.train.sharding import use_cores

    use_cores(sweep.for_all(list(configs.values())))
    announce(arguments.device)
    for config in configs.values():  # all of them before the first is trained
        validate(config)
    sweep.train_all(configs, **beginning(arguments))
    print(f"done: {len(configs)} runs in {arguments.workdir}; to compare: sciddm info --workdir {typed(arguments.workdir)}/*")


def beginning(arguments) -> dict:
    """Arguments of `fit` beside config and workdir. Raises: UserError if they don't go together."""
    if arguments.statistics and not arguments.init_from:
        raise UserError("--statistics: says nothing without --init-from RUN; leave it out")
    start = {"init_from": arguments.init_from, "statistics": arguments.statistics or "kept", "anew": arguments.anew}
    return start | {"progress": not arguments.quiet}


def run_sample(arguments, rest) -> None:
    task = arguments.task
    for name in ("given", "method", "strength"):
        if getattr(arguments, name) and not task:
            raise UserError(f"--{name}: say for which --task; `sciddm info --workdir {typed(arguments.workdir)}` lists them")
    if arguments.solver is not None:
        from sciddm import solvers

        try:
            solvers.resolve(arguments.solver)
        except ValueError as error:
            raise UserError(f"--solver: {error}") from error
    if not arguments.workdir.is_dir():
        open_source(arguments.workdir)  # a folder that is no run is said before the imports below, which take seconds
    with activity(f"reading {arguments.workdir}"):
        from sciddm import load
        from sciddm.events import Event
        from sciddm.members import write_members

        events = [Event.parse(text) for text in arguments.event or ()]
        model = load(arguments.workdir, overrides=rest)
        if task:
            changes = steering(model, arguments)
            model = load(arguments.workdir, overrides=[*rest, *changes]) if changes else model
    announce(arguments.device, 1)
    warn_of(model)
    warn_of_grid(model, rest, arguments.grid)
    options = {name: value for name in ("solver", "steps", "grid") if (value := getattr(arguments, name))}
    name = f"{task or 'generate'}-step{model.step}-seed{arguments.seed}{model.domain.suffix}"
    written = write_members(
        model, arguments.out or arguments.workdir / "samples" / name, count=arguments.count, seed=arguments.seed, task=task,
        given=arguments.given, events=events, page=arguments.page, command=shlex.join(["sciddm", *arguments.argv]), **options,
    )  # fmt: skip
    for line in written.lines:
        print(line)
    for what, path in written.files.items():
        print(f"{what}: {path}")


def warn_of(model) -> None:
    """On stderr, of a run that was not trained enough to be believed."""
    if model.verdict.undertrained:
        print(model.verdict, file=sys.stderr)


def warn_of_grid(model, rest, grid=None) -> None:
    """On stderr, where the run's own sampling times were asked for by name and there are none."""
    if asks_for_own_grid(rest, grid) and not model.has_own_grid:
        from sciddm.runs import read
        from sciddm.train.own_grid import way_to_one

        print(f"grid own: the run has none, it is sampled by the grid optimised; {way_to_one(read(model.workdir))}", file=sys.stderr)


def asks_for_own_grid(rest, grid=None) -> bool:
    """Whether the command line names it, by --grid or a key of the config."""
    from sciddm.overrides import as_changes

    return "own" in [grid, *(value for key, value in as_changes(rest).items() if key.rpartition(".")[2] == "grid")]


def steering(model, arguments) -> list[str]:
    """--method and --strength as keys of the config, for the task's own checks."""
    from sciddm.lookahead.by_name import SAMPLERS
    from sciddm.tasks.base import task_options

    task, keys = model.task(arguments.task), []
    options = task_options(type(task))
    if arguments.method is not None:
        if "method" not in options:
            raise UserError(f"--method: task {arguments.task!r} has no method to choose; leave it out")
        keys.append(f"--config.tasks.{arguments.task}.method={arguments.method}")
        if arguments.solver is None and arguments.method.partition("(")[0].strip() in SAMPLERS:  # which sample in their own way
            keys += [f"--config.tasks.{arguments.task}.{name}=None" for name in ("solver", "steps", "grid") if name in options]
    if arguments.strength is not None:
        if not task.strength:
            raise UserError(f"--strength: task {arguments.task!r} has none; leave it out")
        keys.append(f"--config.tasks.{arguments.task}.{task.strength}={arguments.strength}")
    return keys


def run_evaluate(arguments, rest) -> None:
    others = ("task", "problems") if arguments.steer else ("reward", "budget", "strength")
    for name in others:
        if getattr(arguments, name) is not None:
            raise UserError(
                f"--{name}: says nothing {'beside' if arguments.steer else 'without'} --steer; leave it out"
            )
    with activity(f"reading {arguments.workdir}"):
        from sciddm import load
        from sciddm.memory import check_answers

        model = load(arguments.workdir, overrides=rest)
    announce(arguments.device, 1)
    warn_of_grid(model, rest)
    if arguments.steer:
        members, budget = arguments.members or model.config.evaluation.members, arguments.budget or 0
        check_answers(model.domain.example, members, f"--members {members}")
        check_answers(model.domain.example, budget // model.config.sampling.steps, f"--budget {budget}")  # a population
        return report_steering(model, arguments)
    settings = {name: getattr(arguments, name) or model.config.evaluation[name] for name in ("problems", "members")}
    if settings["members"] < 2:
        raise UserError(f"--members {settings['members']}: expected at least 2, a spread needs them")
    tasks = arguments.task or model.config.evaluation.tasks
    check_answers(model.domain.example, settings["members"], f"--members {settings['members']}")
    if arguments.problems:
        with activity("reading or making held-out problems"):
            for task in tasks or model.domain.tasks:
                most = len(model.examples(task))
                if arguments.problems > most:
                    raise UserError(f"--problems {arguments.problems}: {task!r} has {most} held-out examples; take --problems {most}")
    report(model, tasks, arguments.seed, **settings)


def report(model, tasks, seed: int, **settings) -> None:
    """Print the tables, write them to evaluation.json, and say where the pictures are."""
    from sciddm.data.made import replace_text
    from sciddm.evaluation import evaluate, format_table

    with activity("reading or making held-out problems"):
        for task in tasks:
            model.problem(task)  # an unknown name is said before anything is sampled
    table = evaluate(model, tasks=tasks, seed=seed, **settings)
    for task, scores in table.items():
        print(
            f"\n{task}, mean of {settings['problems']} held-out problems, {settings['members']} members:\n{format_table(scores)}"
        )
    out = model.workdir / "evaluation.json"
    about = {"step": model.step, "seed": seed, **settings, "verdict": str(model.verdict), "scores": table}
    replace_text(out, json.dumps(about, indent=2).replace("NaN", "null") + "\n")
    print(f"\n{model.verdict}" if model.verdict.undertrained else "")
    print(f"table: {out}\npictures: {model.workdir / 'plots'}")


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
    warn_of(model)
    picture = model.workdir / "plots" / f"steering-{rows[0]['reward'].replace(' ', '-')}.png"
    save_figure(rewards.plot(rewards.comparable(rewards.store(rows, out), rows[0])), picture, model.verdict.short)
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
    if arguments.workdir is None:
        from sciddm import caches, config_files
        from sciddm.train.loop import versions

        kept = {str(place): f"{size / 1e6:.0f} MB" for place, size in caches.sizes().items()}
        about = {
            "devices": [str(device) for device in there()], "versions": versions(), "caches": kept,
            "configs": {name: str(path) for name, path in config_files.shipped().items()},
        }  # fmt: skip
        return print(json.dumps(about, indent=2))
    tell_runs(arguments)


def tell_runs(arguments) -> None:
    """One run, or several beside each other: text and a picture, or JSON. Loads no network."""
    from sciddm import compare, curves, runs

    if arguments.json and arguments.out:
        raise UserError(f"--out {arguments.out}: says nothing beside --json, which draws no picture; leave one of them out")
    found = [runs.read(path) for path in arguments.workdir]
    if arguments.json:
        return print(json.dumps([run.to_json() for run in found] if len(found) > 1 else found[0].to_json(), indent=2))
    print(compare.describe(found[0]) if len(found) == 1 else compare.side_by_side(found))
    place = found[0].path / "plots" / ("curves.png" if len(found) == 1 else "curves-compared.png")
    try:
        picture = curves.draw(found, arguments.out or place)
    except OSError as error:
        if arguments.out:
            raise
        return print(f"\npicture: not written to {place} ({error.strerror}); --out FILE.png names another place", file=sys.stderr)
    print(f"\npicture: {picture}" if picture else "\npicture: none, there are no lines of metrics")


def tell_task(arguments) -> None:
    """What `--given` takes for a task, and an example of it."""
    if not (arguments.task and len(arguments.workdir or ()) == 1):
        raise UserError("--task, --example: expected one --workdir RUN and --task T, and --example FOLDER to have files written")
    (arguments.workdir,) = arguments.workdir
    with activity(f"reading {arguments.workdir}"):
        from sciddm import load

        model, name = load(arguments.workdir), arguments.task
    print(f"--task {name} --given takes {model.task(name).takes}")
    if arguments.example is None:
        return print(f"an example, to copy: sciddm info --workdir {typed(arguments.workdir)} --task {name} --example FOLDER")
    if arguments.example.exists() and any(arguments.example.iterdir()):
        raise UserError(f"{arguments.example}: is not empty; give another --example")
    arguments.example.mkdir(parents=True, exist_ok=True)
    with activity("reading or making a held-out problem"):
        given = model.task(name).write_given(model.problem(name), arguments.example)
    words = " ".join(f"--given {shlex.quote(str(one))}" for one in given)
    print(f"the first held-out example: sciddm sample --workdir {typed(arguments.workdir)} --task {name} {words}")


def run_export(arguments, rest) -> None:
    from sciddm.export import export

    places = [arguments.workdir, *arguments.places] if arguments.workdir else arguments.places
    if len(places) != 2:
        raise UserError(f"export {' '.join(map(str, arguments.places))}: expected sciddm export RUN OUT, or --workdir RUN OUT")
    for path in export(*places):
        print(path)
    print(f"next: sciddm sample --workdir {typed(places[1])}; write the data's origin and a licence into {places[1] / 'README.md'}")


def run_demo(arguments, rest) -> None:
    start = time.monotonic()
    with activity("importing"):
        from sciddm import load
        from sciddm.config import check_shared
        from sciddm.evaluation import save_figure
        from sciddm.overrides import load_config
        from sciddm.train import fit
        from sciddm.train.sharding import use_cores

    config = load_config(arguments.config, rest)
    check_shared(config)
    use_cores(config)
    announce(arguments.device)
    fit(config, arguments.workdir)
    if was_stopped(arguments.workdir, config):  # what is half trained is not evaluated, which takes minutes
        print(f"stopped: {arguments.workdir}; the same command goes on")
        return
    with activity(f"reading {arguments.workdir}"):
        model = load(arguments.workdir)
    picture = arguments.workdir / "plots" / "generated.png"
    save_figure(model.domain.plot(model.sample(0, 6, progress=True)), picture, model.verdict.short)
    settings = model.config.evaluation
    report(model, settings.tasks, 0, problems=settings.problems, members=settings.members)
    print(f"{time.monotonic() - start:.0f} s in all")


