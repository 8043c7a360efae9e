"""Sounds of classes, such as speakers: folders are told apart in training, and asked for by name."""

import numpy as np
import pytest
import soundfile
from small_configs import small_config
from small_sounds import sound

import sciddm as sd
from domains.audio.damage import NUMBERS
from sciddm.config import validate
from sciddm.errors import UserError
from sciddm.given import things


@pytest.fixture
def config(tmp_path):
    found = small_config("audio", tmp_path)
    for split in ("train", "held_out"):
        for i, name in enumerate(("anna", "bert", "others")):
            (tmp_path / "voices" / split / name).mkdir(parents=True)
            soundfile.write(tmp_path / "voices" / split / name / "1.wav", sound(i, 1.0), 8000)
    found.data.update({"path": str(tmp_path / "voices"), "classes": ("anna", "bert")})
    return found


def test_a_folder_is_a_class_that_the_network_is_conditioned_on(config):
    validate(config)
    domain = sd.get_domain(config)
    labels = np.stack([domain.dataset("train")[i]["cond"]["numbers"][0, 0, 0, NUMBERS:] for i in range(300)])
    assert domain.cond_example["numbers"].shape[-1] == domain.network_inputs["embedding_features"] == NUMBERS + 2
    kinds, counts = np.unique(labels, axis=0, return_counts=True)
    assert kinds.tolist() == [[0, 0], [0, 1], [1, 0]]
    assert counts[1:].min() > 60 and counts[0] > 90  # a third is of no class, and one in ten of the others is not said
    tests = [domain.dataset("test")[i]["cond"]["numbers"][0, 0, 0, NUMBERS:].tolist() for i in range(len(domain.dataset("test")))]
    assert {tuple(one) for one in tests} == {(1, 0), (0, 1), (0, 0)}


def test_a_class_is_asked_for_by_its_name(config, tmp_path):
    domain = sd.get_domain(config)
    generate, inpaint = domain.tasks["generate"], domain.tasks["inpaint"]
    cond = generate.problem_given(None, things("class=bert", generate.given_names)).cond
    assert (cond["numbers"][..., NUMBERS:] == [0, 1]).all() and (cond["concat"][..., 3:5] == 0).all()
    given = [tmp_path / "voices" / "train" / "anna" / "1.wav", "gaps=0.2-0.25", "class=anna"]
    problem = inpaint.problem_given(None, things(given, inpaint.given_names))
    assert (problem.cond["numbers"][..., NUMBERS:] == [1, 0]).all()
    assert "anna, bert" in generate.takes and "anna, bert" in inpaint.takes
    with pytest.raises(UserError, match="class=brt: expected one of anna, bert; did you mean bert"):
        generate.problem_given(None, things("class=brt", generate.given_names))
    with pytest.raises(UserError, match="class"):
        config.data.classes = ("anna", "anna")
        sd.get_domain(config)
