"""Answers keep what is certain of a sound, whatever the network says; several damages go together; sounds go on."""

import numpy as np
import pytest
import soundfile
from small_sounds import sound

import sciddm as sd
from domains.audio.mdct import imdct
from sciddm.errors import UserError
from sciddm.members import write_members


@pytest.fixture
def model(small_model):
    return small_model("audio")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "voice.wav"
    soundfile.write(path, sound(5, 0.4), 8000, subtype="FLOAT")
    return path


def test_heard_samples_stay_and_clipped_ones_lie_beyond(model):
    for name in ("inpaint", "declip"):
        problem = model.problem(name)
        part = problem.extras["segments"].part
        waves = imdct(np.asarray(model.solve(0, name, problem, 2), np.float64)[..., 0])
        known = ~part.gap[:, 0] & (part.side[:, 0] == 0)
        np.testing.assert_allclose(waves[:, known], np.broadcast_to(part.heard[known, 0], (2, known.sum())), atol=1e-5)
        beyond = part.side[:, 0] * (waves - part.heard[:, 0])
        assert (beyond[:, part.side[:, 0] != 0] >= -1e-5).all()
        assert known.any() and (~known).any()


def test_a_method_by_name_meets_what_is_heard_without_the_condition(model):
    blind = sd.load(model.workdir, changes={"tasks.inpaint.method": "mmps(iterations=2)"})
    problem = blind.problem("inpaint")
    answer = blind.solve(0, "inpaint", problem, 2, solver="ddpm")
    assert np.isfinite(answer).all()
    assert np.abs(answer - model.solve(0, "inpaint", problem, 2)).max() > 1e-3
    with pytest.raises(UserError, match="tasks.inpaint.method"):
        sd.load(model.workdir, changes={"tasks.inpaint.method": "mmsp"})


def test_several_damages_are_one_problem(model, file):
    given = [file, "gaps=0.1-0.13", "clip=0.2", "noise=-50 dB", "cutoff=2000"]
    part = model.problem("denoise", given=given).extras["segments"].part
    numbers = model.problem("denoise", given=given).cond["numbers"][0, 0, 0, 0]
    assert (numbers[:4] == 1).all()
    assert part.gap.sum() == 240 and part.side.any() and part.cutoff == 2000.0 and part.noise > 0
    assert part.certain(model.domain) is None  # noise is in all of it
    alone = model.problem("inpaint", given=[file, "gaps=0.1-0.13"])
    assert (alone.cond["numbers"][0, 0, 0, 0] == [1, 0, 0, 0, 0, 0, 0]).all()


def test_a_level_is_undone_in_the_end(model, file):
    quiet = file.with_name("quiet.wav")
    soundfile.write(quiet, 0.01 * soundfile.read(file)[0], 8000, subtype="FLOAT")
    loud, soft = (model.sample(0, 1, task="inpaint", given=[one, "gaps=0.1-0.13"])["waveform"].values for one in (file, quiet))
    np.testing.assert_allclose(soft, 0.01 * loud, atol=1e-6)


def test_a_sound_goes_on_from_what_is_given(model, file):
    longer = sd.load(model.workdir, changes={"tasks.long.seconds": 0.6})
    answer = longer.sample(0, 2, task="long", given=[file])
    assert answer["waveform"].shape == (2, 4800, 1)
    waves, before = answer["waveform"].values[..., 0], soundfile.read(file, dtype="float32")[0]
    np.testing.assert_array_equal(waves[:, :3200], np.broadcast_to(before, (2, 3200)))
    assert np.abs(waves[0, 3200:] - waves[1, 3200:]).max() > 1e-4
    assert longer.sample(0, 1, task="long", given=[])["waveform"].shape[1] == 4800 + -4800 % 32
    with pytest.raises(UserError, match="is 0.40 s long"):
        sd.load(model.workdir, changes={"tasks.long.seconds": 0.3}).sample(0, 1, task="long", given=[file])


def test_a_page_lies_beside_the_answers_and_is_refused_where_there_is_none(model, file, tmp_path, small_model):
    options = {"count": 2, "task": "inpaint", "given": [str(file), "gaps=0.1-0.13"], "page": True, "progress": False}
    written = write_members(model, tmp_path / "fixed.wav", **options)
    text = written.files["page"].read_text()
    assert text.count("<audio") == 4 and "answer 2" in text and "fixed" in written.files["page"].name
    with pytest.raises(UserError, match="fixed.html|fixed.wav: is there already"):
        write_members(model, tmp_path / "fixed.wav", **options)
    with pytest.raises(UserError, match="--page: task 'half' has no page"):
        write_members(small_model("toy"), tmp_path / "toy.npy", count=2, task="half", page=True, progress=False)


def test_windows_of_a_long_sound_end_where_the_task_says(model):
    task = model.task("long")
    seams = task.seams(100)
    views = task.views((100, 32, 1))
    edges = set()
    for row in np.asarray(views.indices)[..., 0]:
        edges |= {int(row.min()), int(row.max()) + 1}
    assert sorted(edges - {0, 100}) == list(seams // 32)
