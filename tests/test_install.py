"""What is installed, and that it is found from any folder."""

import os
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from sciddm import errors

ROOT = Path(__file__).parent.parent
PACKAGES = ("sciddm", "domains", "configs")
NOT_READ = ("README.md",)  # at run time


def files(folder: Path) -> set[str]:
    """Of the packages in a folder, without what Python and documentation leave there."""
    found = (path for package in PACKAGES for path in (folder / package).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in found if "__pycache__" not in path.parts and path.name not in NOT_READ}


def test_every_file_of_the_packages_is_python_or_declared_as_data():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = {pattern.lstrip("*") for patterns in project["tool"]["setuptools"]["package-data"].values() for pattern in patterns}
    assert {Path(name).suffix for name in files(ROOT)} <= {".py", *declared}


def test_an_empty_folder_called_sciddm_does_not_hide_the_package(tmp_path):
    (tmp_path / "sciddm").mkdir()  # as a clone has it: beside a clone of that name, its own folder
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    script = "import sciddm, importlib.util as u; assert 'load' in dir(sciddm) and u.find_spec('domains.pde')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr


def test_how_an_extra_is_installed_is_said_as_it_is_typed(tmp_path, monkeypatch):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    *_, place = shlex.split(errors.install("weather"))
    assert place == f"{ROOT}[weather]" and "weather" in extras
    monkeypatch.setattr(errors, "CLONE", tmp_path)
    assert errors.install("weather").startswith("install sciddm[weather] by: pip install '.[weather]' in the folder")
    for path in (*ROOT.glob("sciddm/**/*.py"), *ROOT.glob("domains/**/*.py"), *ROOT.glob("domains/*/*.md"), ROOT / "README.md"):
        words = path.read_text()  # not from a registry, where sciddm is not
        assert not any(f"pip install {quote}sciddm" in words for quote in ("", "'", '"')), path


@pytest.mark.slow  # builds in an environment of its own, which is fetched
def test_a_wheel_has_all_files_and_works_from_any_folder(tmp_path):
    source, site = tmp_path / "source", tmp_path / "site"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, source], check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    assert files(site) == files(ROOT)
    command = "import sciddm.cli; print(sciddm.__file__); sciddm.cli.main(['info', '--config', 'pde:smoke'])"
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0 and str(site) in done.stdout and "--config.training.steps" in done.stdout, done.stderr
