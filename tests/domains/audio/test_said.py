"""What is said of sounds: folders are told apart in training and asked for by name, words by what they mean."""

import numpy as np
import pytest
import soundfile
from small_configs import small_config
from small_sounds import sound

import sciddm as sd
from domains.audio.damage import NUMBERS
from domains.audio.said import DIMENSIONS, embedded
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
    with pytest.raises(UserError, match="class=anna: class is given twice"):
        generate.problem_given(None, things(["class=anna", "class=anna"], generate.given_names))
    with pytest.raises(UserError) as refused:  # of sounds, which it does not take
        generate.problem_given(None, things(given[:1] + ["class=anna"], generate.given_names))
    assert "twice" not in str(refused.value)
    with pytest.raises(UserError, match="class"):
        config.data.classes = ("anna", "anna")
        sd.get_domain(config)


WORDS = {"anna": "a dog barks", "bert": "barking of a dog", "others": "rain on a roof"}


@pytest.fixture(params=["beside", "captions.csv"])
def in_words(config, tmp_path, request):
    folder = tmp_path / "voices"
    if request.param == "beside":
        for file in folder.rglob("*.wav"):
            file.with_suffix(".txt").write_text(WORDS[file.parent.name] + "\n")
    else:
        rows = [f'{file.relative_to(folder).as_posix()},"{WORDS[file.parent.name]}"' for file in folder.rglob("*.wav")]
        (folder / "captions.csv").write_text("\n".join(["File,Caption", *rows]))
    config.data.texts = request.param
    return config


def test_words_are_a_sentence_that_the_network_is_conditioned_on(in_words):
    """Of unit variance, nearer to each other the nearer what they mean, beside the class; not said in one window of ten."""
    validate(in_words)
    domain = sd.get_domain(in_words)
    assert domain.cond_example["numbers"].shape[-1] == domain.network_inputs["embedding_features"] == NUMBERS + 2 + DIMENSIONS
    found = [domain.dataset("train")[i]["cond"]["numbers"][0, 0, 0, NUMBERS:] for i in range(100)]
    barks, barking, rain = (embedded(words) for words in WORDS.values())
    kinds = {(1.0, 0.0, *barks.tolist()), (0.0, 1.0, *barking.tolist()), (0.0, 0.0, *rain.tolist()), (0.0,) * (2 + DIMENSIONS)}
    assert {tuple(one.tolist()) for one in found} == kinds
    assert (barks**2).mean() == pytest.approx(1) and barks @ barking > 0.8 * DIMENSIONS > 4 * barks @ rain
    generate = domain.tasks["generate"]
    cond = generate.problem_given(None, things(["class=anna", "text=a dog barks"], generate.given_names)).cond
    np.testing.assert_array_equal(cond["numbers"][0, 0, 0, 0, NUMBERS:], [1, 0, *barks])
    assert "text=" in generate.takes and "text=" in domain.tasks["inpaint"].takes


def test_words_that_are_missing_are_counted_and_asked_for(config, tmp_path, capsys):
    config.data.texts = "beside"
    with pytest.raises(UserError, match=r"config.data.texts = beside: no sound has a file NAME.txt beside it, such as .*1.wav"):
        sd.get_domain(config)
    (tmp_path / "voices" / "train" / "anna" / "1.txt").write_text("a dog barks")
    sd.get_domain(config)
    assert "5 of 6 sounds have no words" in capsys.readouterr().err
    (tmp_path / "voices" / "train" / "anna" / "1.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UserError, match="1.txt: is no text in UTF-8"):
        sd.get_domain(config)
    config.data.texts = "captions.csv"
    with pytest.raises(UserError, match="captions.csv"):
        sd.get_domain(config)
    config.data.texts = ""
    domain = sd.get_domain(config)
    with pytest.raises(UserError, match="trained without config.data.texts"):
        domain.tasks["generate"].problem_given(None, things("text=a dog", ("class", "text")))
    config.data.update({"texts": "beside", "path": ""})
    with pytest.raises(UserError, match="config.data.texts = beside"):
        validate(config)
