"""Claims: what the operating system says comes with a way out that fits it; numbers that fit no machine are refused before the work; names
of files and folders are looked at first; every key that a message tells to set can be set."""

import argparse
import ast
import errno
import importlib
import re
import shlex
from pathlib import Path

import pytest

from sciddm import cli, memory
from sciddm.config import resolved
from sciddm.config_files import find
from sciddm.errors import UserError, of_system
from sciddm.members import check_writable, picture_folder
from sciddm.overrides import Text, change, known_keys, load_config

ROOT = Path(__file__).parent.parent


SAID = (errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.EACCES, errno.EROFS, errno.ENOENT, errno.ELOOP, errno.EIO)


@pytest.mark.parametrize("code", SAID)
def test_only_a_full_disk_asks_for_space(code):
    line = of_system(OSError(code, "as the system says"), "runs/x")
    assert line.startswith("runs/x: ") and "space" not in line and "\n" not in line


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_asks_for_space(code):
    assert "free some space" in of_system(OSError(code, "x"), "runs/x")


@pytest.mark.parametrize("text", ["", " ", "-", "a\0b", "/".join("a" * 2000), "a" * 5000, "a\udcff"])
def test_a_name_that_can_be_no_file_is_no_argument(text):
    with pytest.raises(argparse.ArgumentTypeError):
        cli.place(text)
    assert cli.place("runs/a b") == Path("runs/a b") and cli.place("~/a") == Path.home() / "a"


def test_what_does_not_fit_into_memory_is_said_before_the_work():
    with pytest.raises(UserError, match=r"--count 9: takes about 1,000,000,000.0 GB of memory, .* are free; take fewer"):
        memory.check_memory(1e18, "--count 9", "take fewer")
    memory.check_memory(1e3, "--count 9", "take fewer")


def test_a_run_that_can_be_read_and_not_written_has_its_pictures_beside_the_answer(tmp_path):
    assert picture_folder(tmp_path / "run", tmp_path / "x.nc") == tmp_path / "run" / "plots"
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "plots").write_text("a file stands there")
    assert picture_folder(tmp_path / "closed", tmp_path / "x.nc") == tmp_path
    with pytest.raises(UserError, match="File exists; .* choose another place"):
        check_writable(tmp_path / "closed" / "plots")


def test_a_colon_may_stand_in_the_name_of_a_folder(tmp_path):
    place = tmp_path / "a:b"
    place.mkdir()
    (place / "c.py").write_text("")
    assert find(f"{place / 'c.py'}") == (place / "c.py", "")
    assert find(f"{place / 'c.py'}:smoke") == (place / "c.py", "smoke")


def test_the_config_of_a_run_is_one_for_training_too(toy_run, tmp_path):
    path = toy_run / "config.json"
    config = load_config(str(path), ["--config.training.steps=7"])
    before = load_config(str(path), [])
    assert config.training.steps == 7 and resolved(before) | {"training": 0} == resolved(config) | {"training": 0}
    for text, said in (("[1]", "holds a list"), ("{", "can't be read as JSON"), ("{}", "lacks 'domain'")):
        (tmp_path / "odd.json").write_text(text)
        with pytest.raises(UserError, match=said):
            load_config(str(tmp_path / "odd.json"), [])


def test_names_of_a_user_s_own_can_be_typed_and_nothing_else_is_open(tmp_path):
    config = load_config("pde:smoke", ["--config.data.names.u=pp"])
    assert config.data.names.u == "pp"
    for key in ("data.nope", "names.u", "training.nope", "data.names.", "process.u", "data.names.u.v", "data.equation.x"):
        with pytest.raises(UserError, match=f"config.{re.escape(key)}"):
            change(load_config("pde:smoke", []), {key: Text("pp")})


def advice(folder):
    """(file, key) of every "set config.KEY", "config.KEY = ..." to type and --config.KEY= in the messages of a folder."""
    pattern = re.compile(r"(?:set |--)config\.([a-z_]+(?:\.[a-z_]+)*)(?![\w.{])")
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from ((path, key) for key in pattern.findall(node.value) if key != "key")


def takes(config, key) -> bool:
    """Whether the key can be set, or is a group of such."""
    if any(one == key or one.startswith(f"{key}.") for one in known_keys(config)):
        return True
    try:
        change(config.copy_and_resolve_references(), {key: Text("x")})
    except UserError as error:
        return "no such key" not in str(error)
    return True


def test_every_key_that_a_message_tells_to_set_is_there():
    configs = {name: importlib.import_module(f"configs.{name}").get_config("smoke") for name in ("fields", "weather", "molecules", "pde")}
    found = {name: {*advice(f"domains/{name}")} for name in configs}
    assert all(found[name] for name in ("fields", "weather", "molecules"))
    for name, config in configs.items():
        assert not [(path.name, key) for path, key in found[name] if not takes(config, key)]
    of_core = {*advice("sciddm")}  # said by whichever domain has the key
    assert not [(path.name, key) for path, key in of_core if not any(takes(config, key) for config in configs.values())]


def test_what_a_message_says_to_type_is_taken_by_a_shell():
    (argument,) = shlex.split("--config.data.names.u='a name'")
    assert load_config("pde:smoke", [argument]).data.names.u == "a name"


def test_an_error_of_a_user_is_one_line_whatever_a_file_is_called():
    assert str(UserError("a\nb.csv: no column 'c\r\nd'")) == "a b.csv: no column 'c d'"


def test_no_message_tells_to_change_a_key_without_the_dashes_to_type():
    untyped = re.compile(r"(?:set|lower|raise|shorten|change|choose|larger|smaller|fewer|more) config\.[a-z_]+")
    said = [
        (path.name, node.value)
        for folder in ("sciddm", "domains")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and untyped.search(node.value)
    ]
    assert not said


@pytest.mark.parametrize("content, said", [(b"\x93NUMPY\x01\0", "is no text"), (b"x = 1\n", r"has no get_config\(\)")])
def test_a_file_that_is_no_config_is_said_to_be_none(content, said, tmp_path):
    (tmp_path / "odd.py").write_bytes(content)
    with pytest.raises(UserError, match=rf"odd\.py: {said}; expected a Python file"):
        load_config(str(tmp_path / "odd.py"), [])
