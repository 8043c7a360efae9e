import re
import time

import pytest

from sciddm import activity


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(activity, "TICK", 0.02)


def test_what_is_done_is_said_at_once_and_its_seconds_go_on(capsys):
    with activity.activity("reading storm.cdf"):
        assert capsys.readouterr().err == "reading storm.cdf ...\r"
        time.sleep(0.2)
    said = capsys.readouterr().err
    assert len(re.findall(r"reading storm.cdf \.\.\. \d+ s\r", said)) > 4 and said.endswith(" s\n")


def test_the_clock_is_quiet_while_a_bar_or_another_activity_speaks(capsys):
    with activity.activity("outer"):
        with activity.Bar(total=7, desc="inner"):
            capsys.readouterr()
            time.sleep(0.1)
            said = capsys.readouterr().err
            assert "outer" not in said and said.count("0/7") > 2  # its own clock goes on
        with activity.activity("another"):
            capsys.readouterr()
            time.sleep(0.1)
            assert "outer" not in capsys.readouterr().err
        time.sleep(0.1)
        assert "outer" in capsys.readouterr().err


def test_a_bar_within_another_has_the_line_and_gives_it_back(capsys):
    with activity.Bar(total=9, desc="outer", mininterval=0.0) as outer:
        outer.update(2)
        with activity.Bar(total=7, desc="inner", leave=False):
            capsys.readouterr()
            time.sleep(0.1)
            outer.update(1)  # counted, and shown afterwards
            said = capsys.readouterr().err
            assert said.count("inner") > 2 and "outer" not in said
            assert not re.search(r"\n|\x1b", said)  # one line, where two would move up and down
        time.sleep(0.1)
        said = capsys.readouterr().err
        assert "3/9" in said and "inner" not in said.rpartition("outer")[2]
    assert not activity._BARS


def test_nothing_is_said_where_nothing_is_to_be_shown_and_an_error_goes_through(capsys):
    with pytest.raises(KeyError), activity.activity("quiet", show=False):
        raise KeyError
    assert capsys.readouterr().err == ""
    with pytest.raises(KeyError), activity.activity("failing"):
        raise KeyError
    with pytest.raises(KeyError), activity.Bar(range(3)) as bar:
        raise KeyError
    assert not activity._SPEAKING and bar._stop is None


def test_what_ends_before_the_first_second_leaves_no_line_where_none_is_wanted(capsys):
    with pytest.raises(KeyError), activity.activity("reading", at_once=False):
        raise KeyError
    assert capsys.readouterr().err == ""
    with activity.activity("reading", at_once=False):
        time.sleep(0.1)
    assert capsys.readouterr().err.endswith("reading ... 0 s\n")
