"""What a config names: by table or package.module:Name, options by signature, and nothing that does not fit is ever called."""

import pytest

from sciddm import grids, lookahead, solvers
from sciddm.lookahead.by_name import named_guide
from sciddm.named import check_options, options_of, parse


def test_a_name_is_read_with_literal_options_and_nothing_else():
    assert parse("mmps") == ("mmps", {}) and parse(" mmps( iterations = 3 )") == ("mmps", {"iterations": 3})
    assert parse("a.b:C(x=(1, 2.5), y='s', z=None)") == ("a.b:C", {"x": (1, 2.5), "y": "s", "z": None})
    for wrong in ("mmps(3)", "mmps(iterations=3", "mmps(iterations=__import__('os'))", "mmps(**{})", "mmps(a=1)(b=2)", "mmps(a=1) or 2"):
        with pytest.raises(ValueError, match="can't be read: .*; expected a name"):
            parse(wrong)


def test_names_of_tables_and_of_modules_give_the_same():
    assert type(solvers.resolve("sciddm.solvers.ddim:DDIM(eta=0.5)")) is type(solvers.resolve("ddim-eta"))
    assert solvers.resolve("ddim(eta=0.25)").eta == 0.25 and solvers.resolve("diffrax:Tsit5") is not None
    assert named_guide("sciddm.lookahead.dps:dps") is lookahead.dps and named_guide("dps") is lookahead.dps
    assert grids.named("sciddm.grids:uniform_log_snr") is grids.GRIDS["logsnr"]


@pytest.mark.parametrize(
    "look, name, said",
    [
        (solvers.resolve, "ddmp", "solver 'ddmp' is none of .*did you mean ddpm"),
        (solvers.resolve, "unipc2(order=3)", "order is not known; there are no options"),
        (solvers.resolve, "os:system(command='exit')", "is no solver; expected a class"),
        (solvers.resolve, "subprocess:Popen(args='exit')", "is no solver"),
        (solvers.resolve, "nowhere.at.all:X", "No module named 'nowhere'; .*PYTHONPATH=FOLDER"),
        (solvers.resolve, "sciddm.solvers:DDMI", "has no 'DDMI'; did you mean DD"),
        (named_guide, "mmps(iteration=3)", "iteration is not known; .*did you mean iterations"),
        (named_guide, "mmps(iterations=1.5)", "iterations = 1.5: expected int"),
        (named_guide, "mmps(iterations=True)", "iterations = True: expected int"),
        (named_guide, "os:system", "is no guide; expected a function"),
        (named_guide, "builtins:exec", "is no guide"),
        (grids.named, "log", "grid 'log' is none of"),
        (grids.named, "os:system", "is no grid"),
    ],
)
def test_what_is_not_known_or_does_not_fit_is_refused_with_a_word(look, name, said):
    with pytest.raises(ValueError, match=said):
        look(name)


class Base:
    def __init__(self, domain, *, steps: int = 3, grid: str | None = None):
        pass


class Inner(Base):
    def __init__(self, domain, *, share: float = 0.5, widths: tuple[int, ...] = (1,), free=None, **base):
        pass


class Closed(Base):
    def __init__(self, domain, *, share: float = 0.5):
        pass


def test_options_are_those_of_the_signature_and_of_base_classes_that_they_are_handed_on_to():
    assert list(options_of(Inner, ("domain",))) == ["share", "widths", "free", "steps", "grid"]
    assert list(options_of(Closed, ("domain",))) == ["share"]
    check_options(Inner, {"share": 1, "widths": [2, 3], "free": object(), "steps": 4, "grid": None}, ("domain",))
    for options, said in (
        ({"share": "half"}, "share = 'half': expected float"), ({"share": float("inf")}, "share = inf: expected finite"),
        ({"steps": 2.0}, "steps = 2.0: expected int"), ({"grid": 3}, "grid = 3: expected str or None"),
        ({"widths": 3}, "widths = 3: expected tuple"),
        ({"domain": 3}, "domain is not known"), ({"stepz": 3}, "did you mean steps"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            check_options(Inner, options, ("domain",))


def test_what_can_t_be_read_says_which_part(tmp_path, monkeypatch):
    (tmp_path / "broken_one.py").write_text("import os\nos.nothing_of_it\n")
    (tmp_path / "abstract_one.py").write_text("import sciddm.solvers as s\n\n\nclass Own(s.AbstractDenoiserSolver):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name, said in (
        ("mmps(3)", "each option wants its name in front"), ("mmps(iterations=3", "its brackets don't match"),
        ("mmps(iterations=three)", "option iterations = three is no number, word in quotes"),
        ("my_guides.pull", "did you mean my_guides:pull"), ("my_guides.py:pull", "without .py: my_guides:pull"),
        ("broken_one:pull", r"AttributeError: module 'os' has no attribute 'nothing_of_it' \(broken_one.py, line 2\)"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            named_guide(name)
    with pytest.raises(ValueError, match="'abstract_one:Own' lacks advance"):
        solvers.resolve("abstract_one:Own")
