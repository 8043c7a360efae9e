"""What a user brings: what is there on the disk is a path, name=value only by names that the task knows, all else a text or an object."""

import pathlib

import numpy as np
import pytest

import sciddm as sd
from sciddm.given import Thing, refuse, things


def test_files_and_patterns_that_are_there_are_paths_and_other_texts_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).touch()
    file, pattern, smiles, star = things(["a.csv", "*.csv", "C=CC", "*c1ccccc1"])
    assert file.path == pathlib.Path("a.csv") and pattern.path == pathlib.Path("*.csv") and file.text is None
    assert (smiles.path, smiles.text, smiles.name) == (None, "C=CC", "") and star.text == "*c1ccccc1"


def test_a_name_is_split_off_where_the_task_knows_it_and_a_double_bond_is_none(tmp_path):
    (tmp_path / "stations.csv").touch()
    keep, bond, stations = things(["keep=[#6]=O", "C=O", f"stations={tmp_path}/stations.csv"], names=("keep", "stations"))
    assert (keep.name, keep.text) == ("keep", "[#6]=O") and (bond.name, bond.text) == ("", "C=O")
    assert stations.path == tmp_path / "stations.csv" and str(keep) == "keep=[#6]=O"
    assert [str(one) for one in things([{"logP": 3.2, "atoms": 12}, "C"], ("logP",))] == ["logP=3.2", "atoms=12", "C"]


def test_one_thing_or_many_and_objects_come_through_as_they_are():
    array = np.zeros(3)
    assert things(None) == () and things(array)[0].value is array and things((array, Thing("x", "name")))[1].name == "name"
    assert str(things(array)[0]) == "a ndarray"


def test_what_can_not_be_meant_is_one_line_with_what_would_be():
    for thing, said in (
        (Thing("sensor.csv"), "--given sensor.csv: no such file; expected a table"),
        (Thing("lopP=3"), "--given lopP=3: can't be meant here; did you mean logP\\?; expected a table"),
        (Thing(3.0, "x"), "--given x=3.0: can't be meant here; expected a table"),
    ):
        with pytest.raises(sd.UserError, match=said):
            refuse(thing, "a table", ("logP",))
    with pytest.raises(sd.UserError, match="nowhere.nc: no such file"):
        things(pathlib.Path("nowhere.nc"))


def test_a_file_that_is_given_twice_is_refused_for_it_would_count_twice(tmp_path):
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(sd.UserError, match="a.csv: is given twice, .*; give it once"):
        things([str(tmp_path / "a.csv"), str(tmp_path / "." / "a.csv")])
    assert len(things([f"one={tmp_path}/a.csv", f"two={tmp_path}/a.csv"], ("one", "two"))) == 2
