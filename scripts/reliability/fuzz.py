"""Texts that are cut, doubled, mixed up and have odd words in them, as hypothesis finds them: refused in one line, or read.

    python scripts/reliability/fuzz.py FOLDER [--examples 500] [--only NAME] [--table FILE.md]

Each text format is tried in a forked process. What goes wrong is shown as the fewest changes that do it.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from flips import TEXTS, Format, arguments_and_formats, outcome_of, until_over  # noqa: E402
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

ODD = (
    "nan", "-nan", "inf", "-1", "0", "1e400", "1e-400", "", "²", "٣", "0x10", "1,5", "1_000", "1d3", "\0", "9" * 30, "é", '"', "'", "H",
    "X", "-", "=", "[", "(", "#", "\t", "\r", "\x1a", "\ufeff", "None", "True", "C" * 5000,
)  # fmt: skip
WORDS = st.one_of(st.sampled_from(ODD), st.text(max_size=8), st.floats().map(repr), st.integers().map(str))
PLACES = st.integers(0, 200)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("drop"), PLACES),
        st.tuples(st.just("double"), PLACES),
        st.tuples(st.just("swap"), PLACES, PLACES),
        st.tuples(st.just("cut"), st.integers(0, 5000)),
        st.tuples(st.just("word"), PLACES, PLACES, WORDS),
        st.tuples(st.just("line"), PLACES, WORDS),
    ),
    min_size=1,
    max_size=4,
)
CAPTION = """
Texts with one to four changes (lines dropped, doubled, swapped, cut; words and lines put in): how many were tried of each format, and what
was neither read nor refused in one line (good: nothing).
"""


def changed(text: str, changes) -> str:
    """The text after each of the changes in turn; places count round."""
    for kind, *how in changes:
        lines = text.split("\n")
        at = how[0] % len(lines)
        if kind == "cut":
            text = text[: how[0] % (len(text) + 1)]
            continue
        if kind == "drop":
            del lines[at]
        elif kind == "double":
            lines.insert(at, lines[at])
        elif kind == "swap":
            other = how[1] % len(lines)
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == "line":
            lines.insert(at, how[1])
        else:
            words = lines[at].split(" ")
            words[how[1] % len(words)] = how[2]
            lines[at] = " ".join(words)
        text = "\n".join(lines)
    return text


def worker(one: Format, whole: Path, folder: Path, examples: int, log: Path) -> None:
    """In a forked process: a line of `log` an example. Never returns."""
    text, path = whole.read_text(), folder / whole.name

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(CHANGES)
    def reads_or_refuses(changes):
        path.write_bytes(changed(text, changes).encode("utf-8", errors="surrogatepass"))
        with log.open("a") as file:
            file.write(".\n")
        found = outcome_of(one, path, "")
        assert not found.startswith("traceback"), f"{changes}: {found}"

    code = 0
    try:
        reads_or_refuses()
    except BaseException as error:
        (folder / "wrong.txt").write_text(str(error).splitlines()[0] if str(error) else type(error).__name__)
        code = 1
    os._exit(code)


def try_format(one: Format, whole: Path, folder: Path, examples: int) -> tuple[int, str]:
    """(how many were tried, what went wrong)."""
    log = folder / "log.txt"
    process = os.fork()
    if process == 0:
        worker(one, whole, folder, examples, log)
    status = until_over(process, log)
    tried = len(log.read_text().splitlines()) if log.exists() else 0
    wrong = folder / "wrong.txt"
    return tried, status if status != "over" else wrong.read_text() if wrong.exists() else ""


def main() -> None:
    arguments, formats = arguments_and_formats(__doc__, "--examples", 500)
    rows, bad = ["| format | tried | wrong |", "| --- | --- | --- |"], False
    for one in formats:
        folder = arguments.folder.resolve() / "".join(c if c.isalnum() else "-" for c in one.name)
        folder.mkdir(parents=True)
        whole = one.write(folder / "whole")
        if whole.suffix not in TEXTS:
            continue
        (folder / "changed").mkdir()
        tried, wrong = try_format(one, whole, folder / "changed", arguments.examples)
        rows.append(f"| {one.name} | {tried} | {wrong or 'nothing'} |")
        bad |= bool(wrong)
        print(rows[-1], flush=True)
    (arguments.table or arguments.folder / "fuzz.md").write_text("\n".join(rows) + "\n" + CAPTION)
    sys.exit(bad)


if __name__ == "__main__":
    main()
