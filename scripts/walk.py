"""Does what README, guides and docs say, as a new user: every command and block of code as it is typed, in empty folders, with a log.

    python scripts/walk.py FOLDER [PAGE ...] [--minutes 0.5]        # all pages: about an hour on 2 cores with empty caches

Two things are otherwise than typed: every training gets a budget of so many minutes, and files of the user's own are made as
`tests/pages.py` makes them for the tests. FOLDER/log.txt holds all that was said, FOLDER/table.md a row a command.
"""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ.setdefault("MPLBACKEND", "agg")

from pages import PAGES, Reader, blocks  # noqa: E402

import sciddm as sd  # noqa: E402

TRAINED = {"pde": "runs/demo", "fields": "runs/mine", "weather": "runs/rain", "molecules": "runs/molecules"}  # of the README's folder
LIMIT = 1800  # seconds


class Walker(Reader):
    """A reader whose commands are processes of their own, and whose runs are those that it trained on the README."""

    def __init__(self, folder: Path, home: Path, minutes: float, page: str, keep):
        super().__init__(folder, lambda name: home / TRAINED[name], self.model_of)
        self.minutes, self.page, self.keep = minutes, page, keep

    def model_of(self, name: str):
        """That of the page's run of the domain that was trained last, or of the README's."""
        own = sorted((self.folder / "runs").glob("*/config.json"), key=lambda path: path.stat().st_mtime)
        own = [path.parent for path in own if json.loads(path.read_text())["domain"] == f"domains.{name}"]
        return sd.load(own[-1] if own else self.small_run(name))

    def read(self, page: str) -> None:
        for language, body, why in blocks(page):
            if why:
                self.keep.say(f"not run, {why}:\n{body}")
            elif language == "python":
                with self.keep.row(page, " ".join(body.split())[:60]):
                    self.bring(body)
                    with contextlib.redirect_stdout(self.keep.log), contextlib.redirect_stderr(self.keep.log):
                        exec(compile(body, page, "exec"), self.names)
            elif language == "text":
                (self.folder / "sensors.csv").write_text(body)
            elif language == "bash":
                self.read_commands(body)

    def run(self, command: str) -> None:
        budget = f"--config.training.wall_minutes={self.minutes:g}"
        typed = re.sub(r"--config\.training\.wall_minutes=\S+", f"--config.training.wall_minutes={1.5 * self.minutes:g}", command)
        if re.match(r"sciddm\s+(train|demo)", command) and typed == command:
            typed = f"{command} {budget}"
        if "--config.data.path=darcy.nc" in typed:
            typed += " --config.data.resolution=32"  # that of the file here
        if "--config.data.path=archive.nc" in typed:
            typed += " --config.training.batch_size=4"  # the file here is of an hour
        with self.keep.row(self.page, command):
            self.keep.say(f"$ {typed}")
            done = subprocess.run(["bash", "-c", typed], stdout=self.keep.log, stderr=subprocess.STDOUT, timeout=LIMIT)
            if done.returncode:
                raise RuntimeError(f"exit code {done.returncode}")


class Keep:
    """The log, and the table."""

    def __init__(self, folder: Path):
        self.log, self.table, self.failed = (folder / "log.txt").open("a"), (folder / "table.md").open("a"), 0
        self.write("| page | command | | seconds |\n| --- | --- | --- | --- |\n")

    def write(self, text: str) -> None:
        self.table.write(text)
        self.table.flush()
        print(text, end="", flush=True)

    def say(self, text: str) -> None:
        self.log.write(f"\n{text}\n")
        self.log.flush()

    @contextlib.contextmanager
    def row(self, page: str, what: str):
        """A row of the table: whatever goes wrong within is said, and the walk goes on."""
        began, outcome = time.monotonic(), "ok"
        try:
            yield
        except Exception as error:
            self.failed += 1
            outcome = f"FAILED: {type(error).__name__}: {str(error).splitlines()[0][:80] if str(error) else ''}"
            self.say(traceback.format_exc())
        self.write(f"| {page} | `{what.replace('|', '/')}` | {outcome} | {time.monotonic() - began:.0f} |\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pages", nargs="*", help="such as docs/runs.md (default: all); README.md must have been walked before")
    parser.add_argument("--minutes", type=float, default=0.5, help="of each training (default 0.5)")
    arguments = parser.parse_args()
    root = arguments.folder.resolve()
    root.mkdir(parents=True, exist_ok=True)
    keep, home = Keep(root), root / "README.md"
    for page in arguments.pages or PAGES:
        folder = root / page.replace("/", "-")
        folder.mkdir(exist_ok=True)
        os.chdir(folder)
        walker = Walker(folder, home, arguments.minutes, page, keep)
        if page == "README.md":
            walker.run("sciddm demo")
        walker.read(page)
    sys.exit(keep.failed > 0)


if __name__ == "__main__":
    main()
