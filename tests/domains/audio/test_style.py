"""Levels are those of the sound, also of one that is only expected; samples take those that are wanted as far as their law allows."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
from small_configs import small_config
from small_sounds import sound

import sciddm as sd
from domains.audio.levels import active_level
from domains.audio.sound import Sound
from domains.audio.style import UNKNOWN, Levels, Likeness, Style, tilted
from sciddm.config import validate
from sciddm.errors import UserError
from sciddm.given import things
from sciddm.lookahead import steer

BINS, FRAMES, BANDS = 32, 64, 4
STD = np.repeat([0.1, 0.05, 0.02, 0.01], BINS // BANDS)
LEVELS = Levels(STD.astype(np.float32), BANDS)


@pytest.fixture
def task(small_model):
    return small_model("audio").domain.tasks["style"]


def test_levels_are_powers_and_spreads_their_changes_over_time():
    z = jax.random.normal(jax.random.key(0), (2, 2048, BINS, 1))
    level, spread = np.moveaxis(np.asarray(LEVELS(z)), -1, 0)
    np.testing.assert_allclose(level, np.broadcast_to(20 * np.log10(STD[:: BINS // BANDS]), (2, BANDS)), atol=0.2)
    louder = np.asarray(LEVELS(2.0 * z))
    np.testing.assert_allclose(louder[..., 0] - level, 20 * np.log10(2), atol=1e-3)
    np.testing.assert_allclose(louder[..., 1], spread, atol=1e-3)
    fading = jnp.where(jnp.arange(2048)[:, None, None] < 1024, 1.0, 0.1)  # by 20 dB, 10 from the mean on either side
    np.testing.assert_allclose(np.asarray(LEVELS(z * fading))[..., 1], np.sqrt(10**2 + spread**2), rtol=0.05)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 5.0])
def test_the_level_of_what_is_expected_is_that_of_what_will_be_with_the_power_that_is_unknown(sigma):
    process = sd.GaussianProcess.edm()
    t = process.time(-2 * jnp.log(sigma))
    x_0, eps = jax.random.normal(jax.random.key(0), (2, 1, 1024, BINS, 1))
    alpha, sigma = process.alpha(t), process.sigma(t)
    x0_hat = alpha * (alpha * x_0 + sigma * eps) / (alpha**2 + sigma**2)
    unknown = sigma**2 / (alpha**2 + sigma**2)
    np.testing.assert_allclose(LEVELS(x0_hat, unknown)[..., 0], LEVELS(x_0)[..., 0], atol=0.25)
    if sigma > 0.5:
        assert np.all(LEVELS(x0_hat)[..., 0] < LEVELS(x_0)[..., 0] - 2)
    likeness = Likeness(LEVELS, LEVELS(x_0)[0], jnp.ones((BANDS, 2)), process)
    assert likeness(x0_hat, t).shape == (1,) and likeness(x_0)[0] == pytest.approx(likeness(x_0, 0.0)[0], abs=2.0)


def test_samples_of_white_noise_have_the_levels_of_the_closed_form_to_a_decibel():
    """Of n coefficients of a unit prior the mean square P has p(P) ~ P^(n/2 - 1) exp(-n P / 2), times the law of what is wanted of it."""
    process = sd.GaussianProcess.edm()
    white = sd.FunctionDenoiser(lambda x_t, t, cond: x_t * (process.alpha(t) / (process.alpha(t) ** 2 + process.sigma(t) ** 2)), process)
    count, off, error = FRAMES * BINS // BANDS, np.array([6.0, 0.0, -3.0, 4.0]), 0.3
    wanted = np.stack([20 * np.log10(STD[:: BINS // BANDS]) + off, np.zeros(BANDS)], 1)
    potential = Likeness(LEVELS, jnp.asarray(wanted, jnp.float32), jnp.array([error, UNKNOWN]), process)
    guided = steer(white, potential, through="x0")
    found, _ = sd.sample(0, guided, (16, FRAMES, BINS, 1), solver="dpmpp2m", steps=40, grid="logsnr")
    level = np.asarray(LEVELS(found))[..., 0].mean(0) - wanted[:, 0] + off

    power = np.linspace(0.2, 6, 20000)
    log_p = (count / 2 - 1) * np.log(power) - count / 2 * power - 0.5 * ((10 * np.log10(power) - off[:, None]) / error) ** 2
    p = np.exp(log_p - log_p.max(1, keepdims=True))
    expected = (p * 10 * np.log10(power)).sum(1) / p.sum(1)
    np.testing.assert_allclose(level, expected, atol=0.9)  # the guide is no exact one
    assert abs(expected[0]) > 2 and abs(expected[2]) > 1
    within = np.asarray(found).reshape(16, FRAMES, BANDS, -1)
    assert abs((within[..., 1:] * within[..., :-1]).mean() / (within**2).mean()) < 0.05  # as white as it was
    assert abs((within[:, 1:] * within[:, :-1]).mean() / (within**2).mean()) < 0.05


def test_a_tilt_is_so_many_decibels_an_octave():
    time = np.arange(8000) / 8000
    tones = [np.sin(2 * np.pi * hertz * time) for hertz in (500, 1000, 2000)]
    gains = [20 * np.log10(np.std(tilted(tone, 3.0, 8000)) / np.std(tone)) for tone in tones]
    np.testing.assert_allclose(gains, [-3, 0, 3], atol=0.05)


def test_a_sound_of_the_reference_s_levels_scores_nothing_and_the_filter_alone_keeps_the_spread(task, small_model):
    model, rng = small_model("audio"), np.random.default_rng(0)
    domain = model.domain
    problem = task.asked(Sound(sound(3, domain.samples / 8000)[:, None], 8000), known=True)
    assert max(task.metrics(problem.truth[None], problem).values()) < 0.05
    white = rng.standard_normal((2, *domain.example.shape)).astype(np.float32) * domain.std[:, None].astype(np.float32)
    drawn = SimpleNamespace(draw=lambda key, n, **options: white)
    found = task.controls(drawn, jax.random.key(0), problem, 2)
    free, level = (task.metrics(found[name], problem) for name in ("unsteered", "equalised"))
    assert level["long-term spectrum off by [dB]"] < 0.4 * free["long-term spectrum off by [dB]"]
    assert level["spread over time off by [dB]"] == pytest.approx(free["spread over time off by [dB]"], rel=0.2)


def test_the_potential_at_a_time_is_told_of_the_process_and_its_strength(task, small_model):
    model = small_model("audio")
    problem = model.problem("style")
    guided = task.guide(model.denoiser, problem)
    assert guided.potential.process is model.denoiser.process
    z = jax.random.normal(jax.random.key(0), (1, *model.domain.example.shape))
    np.testing.assert_allclose(problem.observation.tempered(4.0)(z), 4.0 * problem.observation(z), rtol=1e-5)


def test_a_reference_of_a_lower_rate_binds_its_own_band_and_answers_are_as_loud_as_it_is(task, small_model, tmp_path, capsys):
    wave = 0.03 * sound(0, 0.5, 4000)
    soundfile.write(tmp_path / "low.wav", np.stack([wave, wave], 1), 4000, "FLOAT")
    problem = small_model("audio").problem("style", given=str(tmp_path / "low.wav"))
    free = np.asarray(problem.observation.error)[:, 0] == UNKNOWN
    bands = len(free)
    np.testing.assert_array_equal(free, (np.arange(bands) + 1) / bands * 4000 > 0.9 * 2000)
    assert "both are compared up to 1800 Hz" in capsys.readouterr().err
    x = np.random.default_rng(0).standard_normal((1, *task.domain.example.shape)).astype(np.float32)
    quiet = task.to_native(x, problem)["waveform"].values[0]
    loud = task.domain.to_native(x)["waveform"].values[0]
    np.testing.assert_allclose(quiet, loud * active_level(wave, 4000) / 0.1, rtol=0.01, atol=1e-5)


def test_what_is_no_reference_is_refused_in_one_line(task, tmp_path):
    for name, wave in (("short", sound(0, 0.03)), ("silent", np.zeros(4000)), ("fine", sound(0, 0.3))):
        soundfile.write(tmp_path / f"{name}.wav", wave, 8000)
    (tmp_path / "gaps.txt").write_text("0.1 0.2\n")
    for names, said in (
        (["short.wav"], "is 0.030 s long; expected"), (["silent.wav"], "is silent"), ([], "0 sounds; expected one"),
        (["fine.wav", "gaps.txt"], "gaps.txt: is no sound"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=said) as error:
            task.problem_given(0, things([tmp_path / name for name in names], task.given_names))
        assert "\n" not in str(error.value)


def test_a_method_that_takes_no_potential_is_refused(tmp_path):
    config = small_config("audio", tmp_path)
    config.tasks.style.method = "mmps(iterations=3)"
    with pytest.raises(UserError, match="config.tasks.style.method = 'mmps.*expected a guide by a potential, one of .*steer"):
        validate(config)
    assert Style.strength == "strength"
