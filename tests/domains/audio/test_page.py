"""The page of sounds: every sound is in it as it was, nothing else is loaded, and labels stay text."""

import base64
import io
import json
import re
import shutil
import subprocess
import wave
from html.parser import HTMLParser

import numpy as np
import pytest

from domains.audio.page import Row, page, write_page
from sciddm.errors import UserError

RATE, MARKS = 8000, [(0.1, 0.15), (0.2, 0.23)]
EVIL = '<script>alert(1)</script> & "it\'s" $title'
VOID = {"meta", "input", "img", "br"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def noise(seed, seconds=0.3, channels=1):
    """(n, channels) of 16-bit values."""
    values = np.random.default_rng(seed).integers(-(2**15), 2**15, (round(seconds * RATE), channels))
    return values / 2**15


@pytest.fixture(scope="module")
def rows():
    return [
        Row("member 1", noise(1), RATE, "SI-SDR 12 dB"),
        Row("member 2", noise(2, channels=2), RATE, EVIL),
        Row(EVIL, noise(3, 0.2), 16000, group="baseline"),
        Row("truth", noise(4), RATE, group="truth"),
    ]


@pytest.fixture(scope="module")
def text(rows):
    return page(rows, title=EVIL, about=[("seed", 0), (EVIL, EVIL)], marks=MARKS)


class Reader(HTMLParser):
    """Open tags, what is loaded, texts by the class of the element around them."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("class")))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else None, data))

    def of(self, tag, name=None):
        return [text for where, text in self.texts if where == (tag, name)]


def sounds(text):
    """Type and content of every sound, in the page's order."""
    sources = [attrs["src"] for tag, attrs in Reader(text).elements if tag == "audio"]
    return [(source.split(";")[0], base64.b64decode(source.split(",")[1])) for source in sources]


def decoded(content):
    with wave.open(io.BytesIO(content)) as sound:
        values = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
        return values.reshape(-1, sound.getnchannels()) / 2**15, sound.getframerate()


def test_every_sound_is_in_the_page_bit_for_bit_truth_first(text, rows):
    found = [decoded(content) for _, content in sounds(text)]
    expected = [rows[3], rows[2], rows[0], rows[1]]  # truth, baseline, answers
    assert [rate for _, rate in found] == [row.rate for row in expected]
    for (samples, _), row in zip(found, expected, strict=True):
        np.testing.assert_array_equal(samples, row.samples)


def test_labels_notes_and_titles_stay_text(text):
    read = Reader(text)
    assert read.of("span", "label") == ["truth", EVIL, "member 1", "member 2"]
    assert read.of("span", "note") == ["SI-SDR 12 dB", EVIL]
    assert read.of("title") == read.of("h1") == read.of("td")[1:] == [EVIL]
    assert [tag for tag, _ in read.elements].count("script") == 1


def test_tags_are_balanced_and_every_control_has_a_name(text):
    read = Reader(text)
    assert read.open == []
    for tag, attrs in read.elements:
        assert tag != "img" or attrs["alt"]
        assert tag != "input" or attrs["aria-label"]


def test_nothing_is_loaded_from_elsewhere(text):
    read = Reader(text)
    loaded = [attrs[key] for _, attrs in read.elements for key in ("src", "href", "srcset", "data", "action") if key in attrs]
    assert len(loaded) == 2 * 4 + 1  # a sound and a picture each, and the colours
    assert all(source.startswith("data:") for source in loaded)
    assert not re.search(r"https?://|@import|url\(|xmlns", text)
    assert any("default-src 'none'" in attrs.get("content", "") for tag, attrs in read.elements if tag == "meta")


def test_marks_are_places_to_loop_over(text):
    found = [attrs for tag, attrs in Reader(text).elements if attrs.get("class") == "mark"]
    assert [(float(one["data-start"]), float(one["data-stop"])) for one in found] == MARKS


def test_values_beyond_full_scale_are_clipped_and_missing_ones_silent_which_the_row_says():
    samples = np.full((1000, 1), 0.25)
    samples[:3], samples[10], samples[500:600] = 1.5, -2.0, np.nan
    text = page([Row("loud", samples, RATE, "a note")], title="one")
    (found, _), = (decoded(content) for _, content in sounds(text))
    assert found[0, 0] == 1 - 2**-15 and found[10, 0] == -1.0 and found[20, 0] == 0.25
    assert not found[500:600].any()
    assert Reader(text).of("span", "note") == ["a note; 4 values beyond full scale, clipped; 10 % missing, silent here"]


def test_loudness_is_what_it_is():
    text = page([Row("quiet", 2**-10 * np.sign(noise(5)), RATE), Row("loud", noise(6), RATE)], title="two")
    assert np.abs(decoded(sounds(text)[0][1])[0]).max() == 2**-10


def test_more_than_a_minute_of_sound_is_compressed_which_the_page_says():
    soundfile = pytest.importorskip("soundfile")
    seconds = np.arange(31 * RATE) / RATE
    tone = 0.1 * np.sin(2 * np.pi * 440 * seconds)[:, None]
    text = page([Row("one", tone, RATE), Row("two", tone, RATE)], title="long")
    for kind, content in sounds(text):
        assert kind == "data:audio/ogg"
        samples, rate = soundfile.read(io.BytesIO(content), always_2d=True)
        assert (samples.shape, rate) == (tone.shape, RATE)
        assert np.sqrt(np.mean((samples - tone) ** 2)) < 0.02 * np.sqrt(np.mean(tone**2))
    assert "compressed with loss (OGG Vorbis)" in text and "without loss" not in text


def test_blind_is_offered_only_where_there_are_labels_to_hide(rows, text):
    assert 'id="blind"' in text
    assert 'id="blind"' not in page([rows[0], rows[3]], title="two")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([], "there is none"),
        ([Row("empty", np.zeros((0, 1)), RATE)], "row 'empty': there are no samples"),
        ([Row("other", np.zeros((5, 1)), RATE, group="mine")], "row 'other': group 'mine' is unknown"),
    ],
)
def test_what_can_not_be_shown_is_refused_by_name(wrong, said):
    with pytest.raises(UserError, match=said):
        page(wrong, title="")


def test_a_file_that_is_there_is_left_as_it_is(tmp_path):
    write_page("één", tmp_path / "new" / "page.html")
    assert (tmp_path / "new" / "page.html").read_text(encoding="utf-8") == "één"
    with pytest.raises(UserError, match="is there already"):
        write_page("two", tmp_path / "new" / "page.html")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]
    assert (tmp_path / "new" / "page.html").read_text(encoding="utf-8") == "één"


@pytest.mark.skipif(not shutil.which("node"), reason="node, which reads the script, is not here")
def test_the_script_is_javascript(text, tmp_path):
    (tmp_path / "page.js").write_text("".join(Reader(text).of("script")), encoding="utf-8")
    subprocess.run(["node", "--check", tmp_path / "page.js"], check=True, timeout=60)


# Presses what a listener presses, and keeps what came of it where `--dump-dom` shows it.
PRESSES = """<script>
addEventListener("load", () => setTimeout(() => {
  const all = (name) => Array.from(document.querySelectorAll(name)), labels = () => all(".label").map((label) => label.textContent);
  const heard = () => all("audio").filter((audio) => !audio.muted).map((audio) => audio.closest("li").querySelector(".label").textContent);
  const said = { first: heard() }, position = document.getElementById("position"), blind = document.getElementById("blind");
  position.value = 0.125;
  position.dispatchEvent(new Event("input"));
  said.positions = all("audio").map((audio) => audio.currentTime);
  all(".hear")[2].click();
  said.pressed = heard();
  document.dispatchEvent(new KeyboardEvent("keydown", { key: "4" }));
  said.key = heard();
  blind.click();
  said.blind = [labels(), heard(), all(".note").filter((note) => note.offsetParent && note.textContent).length];
  blind.click();
  said.shown = labels();
  document.documentElement.dataset.said = JSON.stringify(said);
}, 300));
</script>"""


@pytest.fixture(scope="module")
def opened(text, tmp_path_factory):
    """Attributes of the page's root after a browser has opened it and PRESSES."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium is here to open the page")
    folder = tmp_path_factory.mktemp("browser")
    (folder / "page.html").write_text(text.replace("</body>", PRESSES + "</body>"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'user'}", "--virtual-time-budget=8000"]
    command = [browser, *options, "--dump-dom", (folder / "page.html").as_uri()]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
    return next(attrs for tag, attrs in Reader(run.stdout).elements if tag == "html")


def test_a_browser_finds_every_sound_as_long_as_it_is(opened):
    assert (opened.get("data-rows"), opened.get("data-durations")) == ("4", "equal")


def test_one_sound_is_heard_and_all_are_at_the_same_position(opened):
    said = json.loads(opened["data-said"])
    assert said["positions"] == [0.125, 0.1, 0.125, 0.125]  # the baseline is shorter, and waits at its end
    assert (said["first"], said["pressed"], said["key"]) == (["truth"], ["member 1"], ["member 2"])


def test_blind_hides_what_answers_are_called_and_shows_it_again(opened):
    said = json.loads(opened["data-said"])
    labels, heard, notes = said["blind"]
    assert labels == ["truth", "sound A", "sound B", "sound C"] and heard == ["sound A"] and notes == 0
    assert [label[:3] for label in said["shown"][1:]] == ["A: ", "B: ", "C: "]
    assert sorted(label[3:] for label in said["shown"][1:]) == sorted([EVIL, "member 1", "member 2"])
