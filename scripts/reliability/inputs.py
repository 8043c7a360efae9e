"""Odd and broken inputs through the command line, each in a process of its own: what is refused, what is read right, and what is wrong.

    python scripts/reliability/inputs.py FOLDER [--only core|fields|weather|molecules|audio] [--case WORDS] [--table FILE.md]

FOLDER holds a folder and a log of each case; the table counts by domain and kind. Exit code 1 where something is wrong.
"""

import argparse
import importlib
import itertools
import os
import re
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import runs  # noqa: E402
from case import attempt, last_line  # noqa: E402

DOMAINS = ("core", "fields", "weather", "molecules", "audio")
CAPTION = """Inputs tried and those that went wrong: {tried} tried, {wrong} wrong (good: none). {advice} refusals say a key to type;
each was typed with the same command, and counts as wrong where the key or its value was not known.
"""
UNKNOWN = re.compile(
    r"no such key|is not known|such task|: expected (str|int|float|tuple|bool), got"
)  # of a key that a message gave


def import_all() -> None:
    """What every case would else import anew; no accelerator is started, so that processes can be forked."""
    for name in ("sciddm.commands", "sciddm.train", "sciddm.evaluation", "sciddm.model", "sciddm.checks", "orbax.checkpoint",
                 "domains.fields", "domains.pde", "domains.weather", "domains.molecules",
                 "domains.audio.domain"):  # fmt: skip
        importlib.import_module(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append", choices=DOMAINS)
    parser.add_argument("--case", default="", help="those whose kind and name hold these words")
    parser.add_argument("--runs", type=Path, help="where the trained runs are, or are made (default: FOLDER/runs)")
    parser.add_argument("--table", type=Path, help="where the table goes (default: FOLDER/table.md)")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    runs.make_all(arguments.runs or folder / "runs")
    import_all()
    names = arguments.only or DOMAINS
    cases = [(name, case) for name in names for case in importlib.import_module(f"{name}_cases").CASES]
    cases = [(name, case) for name, case in cases if arguments.case.lower() in f"{case.kind} {case.name}".lower()]
    places = [
        folder / f"{i:03d}-{name}-{re.sub(r'[^a-z0-9]+', '-', case.name.lower())[:50]}"
        for i, (name, case) in enumerate(cases)
    ]
    for place in places:
        if place.exists():
            raise SystemExit(f"{place}: is there already; give another FOLDER")
    with ThreadPoolExecutor(2) as pool:
        outcomes = []
        for (name, _), outcome in zip(cases, pool.map(attempt, [case for _, case in cases], places), strict=True):
            outcomes.append((name, outcome))
            if outcome.wrong:
                print(f"WRONG {name}, {outcome.case.kind}: {outcome.case.name}: {outcome.wrong}", flush=True)
    outcomes = [(name, typed(outcome, place)) for (name, outcome), place in zip(outcomes, places, strict=True)]
    (arguments.table or folder / "table.md").write_text(table_of(outcomes))
    print(table_of(outcomes))
    sys.exit(any(outcome.wrong for _, outcome in outcomes))


def typed(outcome, place: Path):
    """The outcome, wrong where what its message says to type is refused as unknown."""
    for i, text in enumerate(outcome.advice if outcome.case.refused and not outcome.wrong else ()):
        argument = shlex.split(text)[0]
        again = replace(
            outcome.case, run=lambda folder, argument=argument: [*outcome.case.run(folder), argument], check=None
        )
        said = last_line(attempt(again, place.with_name(f"{place.name}-typed{i}")).said)
        if UNKNOWN.search(said):
            print(f"WRONG advice of {outcome.case.name}: {text}: {said}", flush=True)
            return replace(outcome, wrong=f"{text} can't be typed: {said}")
    return outcome


def table_of(outcomes) -> str:
    """Markdown: a row a domain and kind."""
    key = lambda one: (one[0], one[1].case.kind)  # noqa: E731
    rows = ["| domain | kind | tried | wrong | longest, s |", "| --- | --- | --- | --- | --- |"]
    for (name, kind), group in itertools.groupby(sorted(outcomes, key=key), key):
        found = [outcome for _, outcome in group]
        rows.append(
            f"| {name} | {kind} | {len(found)} | {sum(bool(o.wrong) for o in found)} | {max(o.seconds for o in found):.1f} |"
        )
    wrong, advice = (sum(bool(getattr(o, what)) for _, o in outcomes) for what in ("wrong", "advice"))
    return "\n".join(rows) + "\n\n" + CAPTION.format(tried=len(outcomes), wrong=wrong, advice=advice) + "\n"


if __name__ == "__main__":
    main()
