import re
import time

import pytest
from tqdm import tqdm

from sciddm import activity


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(activity, "TICK", 0.02)


def test_what_is_done_is_said_at_once_and_its_seconds_go_on(capsys):
    with activity.activity("reading storm.cdf"):
        assert capsys.readouterr().err == "\rreading storm.cdf ..."
        time.sleep(0.2)
    said = capsys.readouterr().err
    assert len(re.findall(r"\rreading storm.cdf \.\.\. \d+ s", said)) > 4 and said.endswith("\n")


def test_the_clock_is_quiet_while_a_bar_or_another_activity_speaks(capsys):
    with activity.activity("outer"):
        with tqdm(total=1), activity.activity("inner"):
            capsys.readouterr()
            time.sleep(0.1)
            assert "outer" not in capsys.readouterr().err
        time.sleep(0.1)
        assert "outer" in capsys.readouterr().err


def test_nothing_is_said_where_nothing_is_to_be_shown_and_an_error_goes_through(capsys):
    with pytest.raises(KeyError), activity.activity("quiet", show=False):
        raise KeyError
    assert capsys.readouterr().err == ""
    with pytest.raises(KeyError), activity.activity("failing"):
        raise KeyError
    assert not activity._SPEAKING
