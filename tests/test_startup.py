"""What is said at once, and what reading a run does without."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import sciddm as sd
from sciddm import cli, config_files

PACKAGE = Path(sd.__file__).parent
HEAVY = ("jax", "numpy", "equinox", "flax", "grain", "xarray", "pandas", "matplotlib", "orbax", "diffrax", "scipy")


def test_help_usage_errors_and_what_is_not_there_are_said_before_any_library_is_imported(tmp_path):
    # In one new process; the functions stand in the places of the submodules of the same name, whichever is touched first.
    script = f"""
import contextlib, io, sys
import sciddm as sd
from sciddm import cli
for argv in (["--help"], ["train", "--help"], ["samples"], ["--version"], ["train", "--config", "pdee", "--workdir", "w"],
             ["sample", "--workdir", "none"], ["train"]):
    said = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        assert cli.main(argv) == 2
    assert said.getvalue(), argv
assert not set({HEAVY}) & set(sys.modules), sorted(sys.modules)
import sciddm.rollout
from sciddm import rollout
import sciddm.sample, sciddm.match_snr, sciddm.likelihood
for name in ("rollout", "sample", "match_snr", "log_prob", "load"):
    assert callable(getattr(sd, name)) and sd.__dict__[name] is getattr(sd, name), name
assert sd.lookahead.dps and sd.rollout is rollout
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_where_the_stub_says_and_no_other():
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    imported = {name.name for node in stub.body if isinstance(node, ast.ImportFrom) for name in node.names}
    listed = next(node.value for node in stub.body if isinstance(node, ast.Assign))
    assert imported == set(ast.literal_eval(listed)) == set(sd.__all__) == set(dir(sd))
    for name in sd.__all__:
        assert getattr(sd, name) is not None
    for name in ("sample", "rollout", "match_snr"):
        module = importlib.import_module(f"sciddm.{name}")
        assert getattr(sd, name) is getattr(module, name)
    with pytest.raises(AttributeError, match="smaple"):
        sd.smaple  # noqa: B018


@pytest.mark.parametrize("domain", ["pde", "fields", "weather", "molecules"])
def test_a_run_is_loaded_without_its_data_without_parameters_to_throw_away_and_without_its_optimiser(small_run, domain, monkeypatch):
    run = small_run(domain)
    kind = type(sd.load(run).domain)

    def refuse(*_, **__):
        raise AssertionError("the data of the run are asked for")

    for name in ("dataset", "source", "collection", "archive", "_measure"):
        if hasattr(kind, name):
            monkeypatch.setattr(kind, name, property(refuse) if name in ("source", "collection", "archive") else refuse)
    made, asked = [], []
    for name in ("normal", "uniform", "truncated_normal"):
        own = getattr(jax.random, name)

        def drawn(*arguments, own=own, **options):
            found = own(*arguments, **options)
            made.extend([found] if not isinstance(found, jax.core.Tracer) else [])
            return found

        monkeypatch.setattr(jax.random, name, drawn)
    from sciddm.train import checkpoint

    monkeypatch.setattr(checkpoint, "CHECKED_WHOLE", 0)  # as of a large one
    read = checkpoint._read_arrays
    monkeypatch.setattr(checkpoint, "_read_arrays", lambda folder, names: asked.extend(names) or read(folder, names))
    model = sd.load(run)
    assert not made and asked and all(name.startswith(".ema[") for name in asked)
    stored = checkpoint.Checkpoints(run, read_only=True).arrays("ema")[0]
    for path, leaf in jax.tree_util.tree_flatten_with_path(model.denoiser.network.params)[0]:
        np.testing.assert_array_equal(leaf, stored[jax.tree_util.keystr(path)])
    if domain == "fields":  # of a file of the user's own, which may have moved
        assert len(model.sample(0, 2).sample) == 2


def test_configs_that_come_with_sciddm_are_found_from_any_folder_and_files_go_first(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    own = config_files.SHIPPED / "pde.py"
    for name in ("pde", "configs/pde.py"):
        assert config_files.find(f"{name}:base") == (own, "base") and config_files.find(name) == (own, "")
    assert set(config_files.shipped()) == {"audio", "fields", "molecules", "pde", "weather"}
    assert cli.main(["info", "--config", "pde:smoke"]) == 0 and "--config.data.equation=darcy" in capsys.readouterr().out
    assert cli.main(["info", "--config", "pde:smok"]) == 2 and "did you mean smoke" in capsys.readouterr().err
    for name in ("wether", "configs/wether.py", "elsewhere/pde.py"):
        assert cli.main(["info", "--config", name]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "no such file" in said and "did you mean" in said
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "pde.py").write_text("")
    (tmp_path / "pde").write_text("")
    for name in ("configs/pde.py", "pde"):
        assert config_files.find(name)[0] == Path(name)


def test_versions_and_completion_are_printed(capsys):
    versions = f"sciddm {sd.__version__} (jax {jax.__version__}"
    for argv, expected in ((["--version"], versions), (["--print-completion", "bash"], "--workdir")):
        with pytest.raises(SystemExit) as stopped:
            cli.main(argv)
        assert stopped.value.code == 0 and expected in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--print-completion", "cmd"])
    assert stopped.value.code == 2 and "expected one of bash, zsh" in capsys.readouterr().err
