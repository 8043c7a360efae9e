"""Caches lie where the user's system keeps caches, and the paths of a stored config mean the same on another machine."""

import sys
import types
from pathlib import Path

from sciddm import caches
from sciddm.config import base_config


def test_caches_lie_in_xdg_cache_home_and_else_in_the_home_folder_of_whoever_reads(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert base_config().data.cache == "~/.cache/sciddm/data"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert base_config().data.cache == str(tmp_path / "sciddm" / "data")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/ones")
    assert caches.folder("compiled") == Path("~/.cache/sciddm/compiled")


def test_sizes_count_every_file_once_and_those_of_before_too(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    for place, size in (("home/.cache/sciddm/data/a/b", 5), ("other/sciddm/data/c", 7), ("other/sciddm/data/d/e", 11)):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(bytes(size))
    (tmp_path / "other/sciddm/data/d/link").symlink_to(tmp_path / "home")
    link = len(str(tmp_path / "home"))
    assert caches.sizes() == {tmp_path / "home/.cache/sciddm/data": 5, tmp_path / "other/sciddm/data": 18 + link}


def test_programs_are_kept_where_nobody_has_said_where(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for said in (None, "/elsewhere"):
        settings = {"jax_compilation_cache_dir": said}
        config = types.SimpleNamespace(jax_compilation_cache_dir=said, update=settings.__setitem__)
        monkeypatch.setitem(sys.modules, "jax", types.SimpleNamespace(config=config))
        caches.keep_compiled()
        assert settings["jax_compilation_cache_dir"] == (said or str(tmp_path / "sciddm" / "compiled"))
