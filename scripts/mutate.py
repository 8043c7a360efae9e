"""Would the tests notice? Each mutation of scripts/mutations.json, a line gone wrong, is put into a copy of the code and tested there.

Usage: .venv/bin/python scripts/mutate.py [--only 3,14] [--folder-only] [--table docs/mutations.md] [--root CHECKOUT]

First come the tests that mirror the changed file, for 90 seconds at most, then, where they all pass, the whole suite. All of it takes
about an hour on two cores with a compile cache that is warm, so run ./scripts/test.sh before. Exits with 1 if a mutation survives.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SECONDS = 90  # of the mirrored tests
SKIPPED = shutil.ignore_patterns(".venv", ".cache", "__pycache__", "*_cache", "runs", "outputs", "*.egg-info")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="N[,N]", help="these entries of the list, counted from 1")
    parser.add_argument("--folder-only", action="store_true", help="not the whole suite where the mirrored tests pass")
    parser.add_argument(
        "--table", type=Path, metavar="OUT", help="where to write the markdown table, besides printing it"
    )
    parser.add_argument("--root", type=Path, default=HERE.parent, metavar="DIR", help="the checkout to copy (this one)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up like Ctrl-C

    mutations = dict(enumerate(json.loads((HERE / "mutations.json").read_text()), 1))
    if arguments.only:
        wanted = [int(number) for number in arguments.only.split(",")]
        if unknown := set(wanted) - set(mutations):
            parser.error(f"--only {arguments.only}: there is no entry {min(unknown)}, they are 1 to {len(mutations)}")
        mutations = {number: mutations[number] for number in wanted}
    for number, mutation in mutations.items():
        mutated(arguments.root, number, mutation)  # what no longer fits is said before anything runs

    rows = []
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(arguments.root.resolve(), copy, ignore=SKIPPED)
        environment = environment_of(copy, Path(folder))
        for number, mutation in mutations.items():
            start, path = time.monotonic(), copy / mutation["file"]
            text = path.read_text()
            try:
                path.write_text(mutated(copy, number, mutation))
                verdict = judge(copy, environment, mutation["file"], arguments.folder_only)
            finally:
                path.write_text(text)
            rows.append((number, mutation, verdict, time.monotonic() - start))
            print(f"{number:3} {mutation['file']}: {verdict} ({rows[-1][3]:.0f} s)", flush=True)
            if arguments.table:
                arguments.table.write_text(table(rows))
    print("\n" + table(rows), end="")
    return int(any(not verdict.startswith("caught") for _, _, verdict, _ in rows))


def mutated(root: Path, number: int, mutation: dict) -> str:
    """The text of the file with the mutation in it. Exits with a message where its old text is not there exactly once."""
    path, old, new = root / mutation["file"], mutation["old"], mutation["new"]
    text = path.read_text() if path.exists() else ""
    if text.count(old) != 1 or "\n" in old + new or old == new:
        sys.exit(
            f"mutation {number} of {path}: {old!r} is there {text.count(old)} times; expected a part of a line, once"
        )
    return text.replace(old, new)


def environment_of(copy: Path, folder: Path) -> dict:
    """Of the tests: they import the copy, whatever is installed, and leave nothing behind but what they compile."""
    (folder / "tmp").mkdir()
    environment = dict(
        os.environ, PYTHONPATH=str(copy), PYTHONDONTWRITEBYTECODE="1", TMPDIR=str(folder / "tmp"), COLUMNS="500"
    )
    code = "import sciddm, domains.pde; print(sciddm.__file__, domains.pde.__file__, sep='\\n')"
    found = subprocess.run([sys.executable, "-c", code], cwd=copy, env=environment, capture_output=True, text=True)
    if found.returncode or not all(Path(line).is_relative_to(copy) for line in found.stdout.split("\n")[:2]):
        sys.exit(f"the tests would not import the copy in {copy}:\n{found.stdout}{found.stderr}")
    return environment


def judge(copy: Path, environment: dict, file: str, folder_only: bool) -> str:
    """ "caught by" a test, "caught by suite:" a test, or "survived" and what."""
    code, test = run(copy, environment, ["-p", "no:xdist", *map(str, mirrored(copy, file))], SECONDS)
    if code == 1:
        return f"caught by {test}"
    passed = "the mirrored tests" if code == 0 else f"{SECONDS} s of the mirrored tests"
    if folder_only:
        return f"survived {passed}"
    code, test = run(copy, environment, ["-n", "2", "--dist", "worksteal"], None)
    return f"caught by suite: {test}" if code == 1 else "survived"


def mirrored(copy: Path, file: str) -> list[Path]:
    """Test files of the folder that mirrors the file's: those with its name in theirs, those that mention it, and the others."""
    stem, parts = Path(file).stem, Path(file).parent.parts
    folder = Path("tests", *parts[parts[0] == "sciddm" :])
    while not list((copy / folder).glob("test_*.py")):  # sciddm/lookahead/views is tested in tests/lookahead
        folder = folder.parent
    tests = [path.relative_to(copy) for path in sorted((copy / folder).glob("test_*.py"))]
    name = re.compile(rf"(?<![a-z0-9]){stem}(?![a-z0-9])")
    return sorted(tests, key=lambda path: (not name.search(path.stem), not name.search((copy / path).read_text())))


def run(copy: Path, environment: dict, options: list, seconds: int | None) -> tuple[int, str]:
    """0 where all tests pass, 1 where one fails, and its name; -1 where the time is over."""
    command = [sys.executable, "-m", "pytest", "-x", "-rfE", "--tb=no", "-p", "no:cacheprovider", *options]
    child = subprocess.Popen(
        command, cwd=copy, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )  # fmt: skip
    try:
        output, _ = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return -1, ""
    finally:  # with all that the tests have started
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()
    failed = re.search(r"^(?:FAILED|ERROR) (\S+?)(?:\[.*)?(?: - .*)?$", output, re.MULTILINE)
    if child.returncode == 0 or failed:
        return int(child.returncode != 0), failed[1] if failed else ""
    sys.exit(f"{' '.join(command)}\nended with {child.returncode} and names no test that failed:\n{output[-3000:]}")


def table(rows: list) -> str:
    """Markdown, a row a mutation, and how many were caught."""
    lines = ["| | file | what was changed | caught by | seconds |", "| --- | --- | --- | --- | --- |"]
    for number, mutation, verdict, seconds in rows:
        by = verdict.removeprefix("caught by ").replace("tests/", "", 1)
        lines.append(f"| {number} | `{mutation['file']}` | {mutation['what']} | {by} | {seconds:.0f} |")
    caught = sum(verdict.startswith("caught") for _, _, verdict, _ in rows)
    return "\n".join([*lines, "", f"{caught} of {len(rows)} caught.", ""])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
