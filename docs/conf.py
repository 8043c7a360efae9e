"""The site: `python -m sphinx docs OUT -W`. Pages of this folder, guides of the domains before their figures, and a reference of names.

Words stand in one place, where they are read on the web as well. What lies outside of this folder (README, CONTRIBUTING, the guides of the
domains, tables of benchmarks) is taken in when the site is built, with its links turned to the pages of the site.
"""

import os
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
DOMAINS = ("fields", "pde", "weather", "molecules", "audio")

project = "sciddm"
author = "the sciddm developers"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "sciddm"
exclude_patterns = ["site"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # a guide and its figures are one page, whose headings begin anew
smartquotes = False  # x' is no quotation
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
add_module_names = False

# the page of the site that a file of the repository becomes
PAGES = {ROOT / "README.md": "readme", ROOT / "CONTRIBUTING.md": "contributing", ROOT / "notebooks" / "README.md": "notebooks"}
PAGES |= {ROOT / "domains" / name / "README.md": name for name in DOMAINS}
PAGES |= {path: f"results/{path.stem}" for path in sorted((ROOT / "scripts" / "benchmarks" / "results").glob("*.md"))}
PAGES |= {path: path.stem for path in DOCS.glob("*.md") if path.stem not in ("readme", "contributing", "notebooks")}


def turned(text: str, source: Path, docname: str) -> str:
    """`text` of the file `source` as it stands on the page `docname`: its links lead to pages of the site, or to the repository's files."""

    def link(match):
        target, _, anchor = match[2].partition("#")
        if ":" in target or not target:
            return match[0]
        path = (source.parent / target).resolve()
        place = DOCS / f"{PAGES[path]}.md" if path in PAGES else path
        if path.is_dir():  # a folder is no page: its name is enough
            return match[1][1:-1]
        anchor = f"#{anchor}" if anchor else ""
        return f"{match[1]}({os.path.relpath(place, (DOCS / docname).parent)}{anchor})"

    return re.sub(r"(\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^)\s]+)\)", link, text)


def read(app, docname, content):
    """Of a page that has its words elsewhere, these; of all pages, links to pages of the site."""
    source = {f"{page}": path for path, page in PAGES.items()}.get(docname)
    if docname in DOMAINS:
        guide = ROOT / "domains" / docname / "README.md"
        figures = re.sub(r"^# .*?\n(?=## )", "", content[0], count=1, flags=re.DOTALL | re.MULTILINE)
        content[0] = turned(guide.read_text(), guide, docname) + "\n" + turned(figures, DOCS / f"{docname}.md", docname)
    elif source is not None and source.parent != DOCS:
        text = turned(source.read_text(), source, docname)
        content[0] = text if text.startswith("# ") else f"# {source.stem.replace('_', ' ').capitalize()}\n\n{text}"
    else:
        content[0] = turned(content[0], DOCS / f"{docname}.md", docname)


def docstring(app, what, name, obj, options, lines):
    """A docstring of the house as reStructuredText: prose, with names in backticks; indented equations and lists as they are typed."""
    out = []
    for paragraph in re.split(r"\n\n|\s+(?=(?:Args|Returns|Raises): )", "\n".join(lines).strip("\n")):
        label = re.match(r"(Args|Returns|Raises): ", paragraph)
        if not label and re.search(r"^ |\S {2,}\S", paragraph, re.MULTILINE):
            out += ["::", "", *("    " + line for line in paragraph.splitlines()), ""]
            continue
        parts = re.split(r"`([^`]+)`", " ".join(paragraph.split()))  # every second one stood in backticks
        parts[::2] = [re.sub(r"([\\*|_`])", r"\\\1", part) for part in parts[::2]]
        parts[1::2] = [f"``{part}``" + "\\ " * after[:1].isalnum() for part, after in zip(parts[1::2], parts[2::2], strict=True)]
        prose = "".join(parts)
        out += [f"**{label[1]}:** {prose[len(label[0]):]}" if label else prose, ""]
    lines[:] = out


def write_outside() -> None:
    """Empty files where pages with words from elsewhere stand, for sphinx to find."""
    for path, page in PAGES.items():
        file = DOCS / f"{page}.md"
        if path.parent != DOCS and page not in DOMAINS and not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_text(f"# {page}\n")
    index = DOCS / "results" / "index.md"
    names = "\n".join(sorted(Path(page).name for page in PAGES.values() if page.startswith("results/")))
    text = f"# Tables of benchmarks\n\nEach made by a script in `scripts/benchmarks/`.\n\n```{{toctree}}\n{names}\n```\n"
    if not index.exists() or index.read_text() != text:
        index.write_text(text)


def setup(app):
    write_outside()
    app.connect("source-read", read)
    app.connect("autodoc-process-docstring", docstring)
