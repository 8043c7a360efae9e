"""README and docs do what they say: their code runs, their links lead somewhere, and the site builds without a warning."""

import pickle
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure
from pages import PAGES, ROOT, Reader, anchors, blocks, links, tables

from sciddm import train

CODE = [page for page in PAGES if any(language in ("bash", "python") and not why for language, _, why in blocks(page))]
# Guides whose tasks the README asks too, and the tests of each domain; as typed they take longer than the suite has.
LONG = ("domains/audio/README.md", "domains/fields/README.md", "domains/molecules/README.md", "domains/weather/README.md")
# what no test can run: the first words of the block, on its page
NOT_RUN = {
    ("README.md", "./scripts/demo.sh"), ("domains/weather/README.md", "pip install"), ("domains/molecules/README.md", "pip install"),
    ("domains/audio/README.md", "pip install"), ("docs/audio.md", "sciddm train"),
    ("docs/solvers.md", "python scripts/optimise_grid.py"), ("docs/weather.md", "sciddm train"), ("docs/molecules.md", "sciddm train"),
    ("docs/runs.md", "sbatch"), ("docs/runs.md", "pip install tensorboard"), ("docs/runs.md", "rm -r"),
    ("notebooks/README.md", "pip install"), ("notebooks/README.md", "jupytext"),
}  # fmt: skip


@pytest.fixture
def reader(tmp_path, monkeypatch, small_run, small_model):
    reader = Reader(tmp_path, small_run, small_model)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "fit", reader.prepared)
    monkeypatch.setattr("sciddm.train.own_grid.lacking", lambda *_: None)  # searched by one test of its own, which takes seconds
    drawn = lambda figure, place, **options: None if hasattr(place, "write") else Path(place).touch()  # noqa: E731
    monkeypatch.setattr(Figure, "savefig", drawn)  # rendered by tests of pictures
    yield reader
    plt.close("all")


@pytest.mark.parametrize("page", [pytest.param(page, marks=pytest.mark.slow) if page in LONG else page for page in CODE])
def test_every_block_of_a_page_runs(page, reader):
    reader.read(page)


def test_what_is_not_run_is_known_and_says_why():
    found = {(page, body) for page in PAGES for language, body, why in blocks(page) if why}
    known = {(page, body) for page, body in found for name, first in NOT_RUN if page == name and body.startswith(first)}
    assert found == known and len(found) == len(NOT_RUN)
    languages = {language for page in PAGES for language, _, _ in blocks(page)}
    assert languages <= {"bash", "python", "text", "", "{toctree}", "{glossary}", "{eval-rst}"}


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md"])
def test_every_link_and_every_file_that_a_page_names_is_there(page):
    place = (ROOT / page).parent
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (place / path).resolve() if path else ROOT / page
        assert file.exists(), f"{page}: {target}"
        assert not anchor or anchor in anchors(file), f"{page}: {target}"
    folders = "tests|scripts|configs|domains|notebooks|examples"
    for name in re.findall(rf"`(?:python |\./)?((?:{folders})/[\w/.-]*\w)", (ROOT / page).read_text()):
        assert (ROOT / name).exists(), f"{page}: {name}"


@pytest.mark.parametrize("page", [page for page in PAGES if tables(page)])
def test_a_table_of_figures_says_what_is_good(page):
    for table, after in tables(page):
        assert re.search(r"^\*[^*]", after, re.MULTILINE), f"{page}: no caption below {table[:80]}"


def test_the_readme_is_three_screens():
    text = (ROOT / "README.md").read_text()
    beside = re.sub(r"^\|.*$|```.*?```", "", text, flags=re.MULTILINE | re.DOTALL)
    assert len(text.splitlines()) <= 150 and len(beside.split()) <= 1300


@pytest.mark.parametrize("builder", ["dummy", pytest.param("html", marks=pytest.mark.slow)])
def test_the_site_builds_without_a_warning(builder, tmp_path):
    # Without writing its pages, a third of the work, all that they hold is read and each reference followed. In a process of its own: to
    # show defaults as they are written, autodoc puts words in the place of those of the functions themselves.
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", builder, "-d", tmp_path / "read", ROOT / "docs", tmp_path / "site"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    import sciddm as sd

    there = pickle.loads((tmp_path / "read" / "environment.pickle").read_bytes()).domaindata["py"]
    ends = {name.rpartition(".")[2] for kind in ("objects", "modules") for name in there[kind]}
    assert not set(sd.__all__) - ends
    assert builder != "html" or 'id="sciddm.sample.sample"' in (tmp_path / "site" / "api.html").read_text()
