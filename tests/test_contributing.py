"""The recipes of CONTRIBUTING.md work as they are written."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = re.split(r"^## ", TEXT, flags=re.MULTILINE)


@pytest.fixture
def folder(tmp_path):
    """A copy of the example with all files of the recipes beside it."""
    place = shutil.copytree(ROOT / "examples" / "toy", tmp_path / "my-work")
    for text, name in re.findall(r"```python\n(# (\S+\.py)\n.*?)```", TEXT, re.DOTALL):
        (place / name).write_text(text)
    return place


def run(command: str, folder: Path):
    # `sciddm` and `python` are those of this environment
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(["bash", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=240)


@pytest.mark.slow
def test_the_tests_of_a_guide_and_a_noise_law_pass_and_all_files_can_be_imported(folder):
    files = ", ".join(path.stem for path in sorted(folder.glob("*.py")) if not path.stem.startswith("test_"))
    tests = "PYTHONPATH=. python -m pytest -q test_my_guides.py test_my_noise.py"
    done = run(f"{tests} && PYTHONPATH=. python -c 'import {files}'", folder)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_every_command_of_every_recipe_works_in_turn(folder):
    for recipe in RECIPES:
        for block in re.findall(r"```bash\n(.*?)```", recipe, re.DOTALL):
            for command in block.replace("\\\n", " ").splitlines():
                if command.startswith("cp -r"):  # that is the folder
                    continue
                done = run(command.partition("  #")[0], folder)
                print(f"$ {command}\n{done.stdout[-600:]}")
                assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
