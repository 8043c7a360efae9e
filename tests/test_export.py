"""An export is the same model, whole or refused; and a card says what it is."""

import json
import shutil

import jax
import numpy as np
import pytest

import sciddm as sd
from sciddm import cli
from sciddm.export import export


@pytest.fixture(scope="module")
def exported(toy_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "toy"
    assert cli.main(["export", str(toy_run), str(out)]) == 0
    return out


def refused(capsys, *command):
    assert cli.main([str(part) for part in command]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("sciddm: ") and "Traceback" not in "".join(said)
    return said[-1]


def test_samples_of_an_export_are_bitwise_those_of_its_run(toy_run, exported, tmp_path):
    run, own = sd.load(toy_run), sd.load(exported)
    jax.tree.map(np.testing.assert_array_equal, run.denoiser.network.params, own.denoiser.network.params)
    np.testing.assert_array_equal(run.draw(3, 2), own.draw(3, 2))
    assert own.step == run.step == 60 and own.verdict == run.verdict
    assert cli.main(["sample", "--workdir", str(exported), "--count", "2", "--out", str(tmp_path / "x.npy")]) == 0


def test_an_export_holds_plain_weights_and_a_card_that_says_how_far_to_trust_it(exported):
    from safetensors.numpy import load_file

    weights = load_file(exported / "model.safetensors")
    assert {array.dtype for array in weights.values()} == {np.dtype("float32")} and all("[" not in name for name in weights)
    card = (exported / "README.md").read_text()
    for said in (
        "60 steps", "undertrained: 60 steps", "`half`: `--given` takes", 'sd.load("toy")', "Licence of the weights: not chosen", "x [m]",
    ):  # fmt: skip
        assert said in card, card
    assert {path.name for path in exported.iterdir()} >= {"config.json", "model.json"}


def test_what_is_damaged_there_already_or_not_a_run_is_refused_in_one_line(toy_run, exported, tmp_path, capsys):
    assert "is there and not empty" in refused(capsys, "export", toy_run, exported)
    assert "holds no checkpoints" in refused(capsys, "export", tmp_path / "none", tmp_path / "out")
    assert "is an export already" in refused(capsys, "export", "--workdir", exported, tmp_path / "out")
    damaged = shutil.copytree(exported, tmp_path / "damaged")
    weights, meta = damaged / "model.safetensors", damaged / "model.json"
    data, text = bytearray(weights.read_bytes()), meta.read_text()
    for place in (9, len(data) // 2):  # in the names, and in the numbers
        weights.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert "its checksum differs" in refused(capsys, "sample", "--workdir", damaged)
    meta.write_text(json.dumps(json.loads(text) | {"sigma_data": 2.0}))
    assert "its checksum differs" in refused(capsys, "sample", "--workdir", damaged)
    meta.write_text(text[:-100])
    assert "can't be read" in refused(capsys, "info", "--workdir", damaged)
    meta.write_text(text)
    weights.write_bytes(data + b"\0")
    assert "is damaged, or of another export than model.json beside it" in refused(capsys, "info", "--workdir", toy_run, damaged)
    weights.unlink()
    for command in ("sample", "info"):
        assert "model.safetensors: can't be read" in refused(capsys, command, "--workdir", damaged)


def test_an_export_into_the_empty_folder_where_one_stands_leaves_the_folder_in_its_place(toy_run, tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    before = folder.stat().st_ino
    assert cli.main(["export", str(toy_run), "."]) == 0
    assert folder.stat().st_ino == before and (folder / "README.md").read_text().startswith("# here\n")
    assert sd.load(".").step == 60 and [path.name for path in tmp_path.iterdir()] == ["here"]


def test_an_export_is_not_trained_further_and_the_way_out_is_said(exported, tmp_path, capsys):
    (tmp_path / "toy.py").write_text("from toy_domain import toy_config\n\n\ndef get_config(variant=''):\n    return toy_config()\n")
    assert f"--init-from {exported}" in refused(capsys, "train", "--config", tmp_path / "toy.py", "--workdir", exported)
    with pytest.raises(sd.UserError, match="averaged weights alone"):
        sd.load(exported, ema=False)
    with pytest.raises(sd.UserError, match="is an export of step 60"):
        sd.load(exported, step=20)


def test_an_export_goes_where_a_link_points(toy_run, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    export(toy_run, tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and sd.load(tmp_path / "disk").step == 60 and len(list(tmp_path.iterdir())) == 2


def test_an_export_that_fails_leaves_nothing_behind(toy_run, tmp_path, monkeypatch):
    monkeypatch.setattr("sciddm.export._text", lambda value: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(toy_run, tmp_path / "out")
    assert not list(tmp_path.iterdir())
