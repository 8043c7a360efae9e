"""Two priors whose sum is heard have the exact posterior; stems come in the units of their own models; made notes are a collection."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
from gaussian_posterior import gaussian_posterior
from small_configs import small_config
from small_sounds import sound

import sciddm as sd
from domains.audio.both import Both
from domains.audio.collection import Collection
from domains.audio.domain import AudioDomain
from domains.audio.levels import REFERENCE, active_level
from domains.audio.made_notes import MadeNotes
from domains.audio.mdct import imdct, mdct
from domains.audio.separate import Mixture, Separate
from domains.audio.sound import Sound
from sciddm import testing
from sciddm.errors import UserError
from sciddm.given import things
from sciddm.lookahead import mmps

BINS, FRAMES = 4, 3
SAMPLES = BINS * FRAMES
STD = np.linspace(0.5, 1.5, 2 * BINS).reshape(BINS, 2)


@pytest.fixture(scope="module")
def model(small_run):
    """The small run, which is its own other one."""
    changes = [f"--config.tasks.separate.{change}" for change in ("snr=30", f"other={small_run('audio')}")]
    return sd.load(small_run("audio"), overrides=changes)


@pytest.fixture
def task(model):
    return model.domain.tasks["separate"]


def test_what_is_heard_of_two_is_the_sum_of_their_waveforms(x64):
    z = np.random.default_rng(0).standard_normal((2, FRAMES, BINS, 2))
    expected = sum(imdct(z[..., i] * STD[:, i]) for i in range(2))
    heard = Mixture(jnp.asarray(STD))
    np.testing.assert_allclose(heard(z), expected, atol=1e-12)
    y, adjoint = jax.vjp(heard, jnp.asarray(z))
    u = jax.random.normal(jax.random.key(1), y.shape)
    assert jnp.vdot(y, u) == pytest.approx(float(jnp.vdot(z, adjoint(u)[0])), rel=1e-10)


def test_the_law_of_two_gaussians_whose_sum_is_heard_is_the_closed_form():
    rng = np.random.default_rng(0)
    priors = []
    for spread in (np.geomspace(1.5, 0.1, SAMPLES), np.geomspace(0.2, 1.0, SAMPLES)):
        turn = np.linalg.qr(rng.standard_normal((SAMPLES, SAMPLES)))[0]
        priors.append((turn * spread) @ turn.T)
    process, shape = sd.GaussianProcess.edm(), (FRAMES, BINS, 1)
    laws = [sd.oracle.GaussianMixture(np.ones(1), np.zeros((1, SAMPLES)), prior) for prior in priors]
    both = Both(tuple(law.denoiser(process, shape) for law in laws))
    assert both.calls == 2

    as_x = lambda rows: np.moveaxis(rows.reshape(-1, 2, FRAMES, BINS), 1, -1)  # noqa: E731
    dense = np.asarray(Mixture(STD)(jnp.asarray(as_x(np.eye(2 * SAMPLES)), jnp.float32))).T
    prior, noise = np.kron(np.diag([1, 0]), priors[0]) + np.kron(np.diag([0, 1]), priors[1]), 0.1
    heard = dense @ rng.multivariate_normal(np.zeros(2 * SAMPLES), prior) + noise * rng.standard_normal(SAMPLES)
    mean, covariance = gaussian_posterior(np.zeros(2 * SAMPLES), prior, dense, heard, noise)

    observation = sd.lookahead.Observation(Mixture(np.float32(STD)), jnp.asarray(heard, jnp.float32), noise)
    count = 2000
    samples, info = sd.sample(
        jax.random.key(0), mmps(both, observation, iterations=12), (count, FRAMES, BINS, 2), solver="dpmpp2m", steps=40, grid="logsnr"
    )
    found, spread = np.moveaxis(np.asarray(samples), -1, 1).reshape(count, -1), np.sqrt(np.diag(covariance))
    np.testing.assert_array_less(np.abs(found.mean(0) - mean), 5 * spread / np.sqrt(count) + 0.01)
    np.testing.assert_allclose(np.cov(found.T) / np.outer(spread, spread), covariance / np.outer(spread, spread), atol=0.12)
    assert abs(covariance[:SAMPLES, SAMPLES:]).max() > 0.1  # what one has the other has not


def test_parts_of_two_processes_are_refused():
    law = sd.oracle.GaussianMixture(np.ones(1), np.zeros((1, 2)), 1.0)
    with pytest.raises(ValueError, match="denoisers of two processes"):
        Both((law.denoiser(sd.GaussianProcess.edm()), law.denoiser(sd.GaussianProcess.vp())))


def test_the_task_is_there_by_its_other_run_alone_and_keeps_the_contract(model, small_model, tmp_path):
    assert "separate" not in small_model("audio").domain.tasks and model.domain.tasks["separate"].snr == 30.0
    testing.check_task(model, "separate")
    brought = testing.check_given(model, "separate", tmp_path)
    samples, rate = soundfile.read(tmp_path / "answer.wav")  # own left, other right
    assert samples.shape == (len(brought.extras["sound"].samples), 2) and rate == 8000 and (tmp_path / "answer-2.wav").exists()


def test_true_stems_explain_the_mixture_have_the_ratio_that_was_asked_for_and_infinite_scores(model, task):
    problem = model.problem("separate")
    own, other = task.waves(problem.truth)
    assert active_level(own, 8000) == pytest.approx(active_level(other, 8000), rel=1e-3)
    assert active_level(problem.extras["heard"].astype(float), 8000) == pytest.approx(REFERENCE, rel=0.01)
    z = problem.truth / np.stack([model.domain.std, task.second.domain.std], 1)
    left = np.asarray(problem.observation.residual(jnp.asarray(z[None], jnp.float32)))
    assert np.std(left) == pytest.approx(REFERENCE * 10 ** (-task.snr / 20), rel=0.1)
    scores = task.metrics(problem.truth[None], problem)
    assert min(scores.values()) > 60
    untreated = task.metrics(task.baseline(problem)["untreated"][None], problem)
    assert untreated["improvement, other [dB]"] == pytest.approx(0, abs=1e-3)  # float32


def test_a_stem_is_in_the_units_of_its_own_model(model):
    domain = model.domain
    task = Separate(domain, other="elsewhere")
    theirs = SimpleNamespace(std=3 * domain.std[::-1], frames=domain.frames, samples=domain.samples)
    task.__dict__["second"] = SimpleNamespace(domain=theirs, denoiser=model.denoiser)
    z = np.ones((1, domain.frames, domain.bins, 2), np.float32)
    drawing = SimpleNamespace(denoiser=model.denoiser, draw=lambda *args, **options: z * domain.std[:, None].astype(np.float32))
    problem = task.asked(Sound(sound(0, 0.2)[:, None], 8000))
    found = task.solve(drawing, 0, problem, 1)
    np.testing.assert_allclose(found[0, 0], np.stack([domain.std, theirs.std], 1), rtol=1e-5)


def test_stems_come_back_at_the_rate_level_and_length_of_the_mixture(model, task, tmp_path):
    wave = np.stack([sound(0, 0.5, 16000), sound(1, 0.5, 16000)], 1)
    soundfile.write(tmp_path / "mixture.wav", 0.1 * wave, 16000, "PCM_24")
    problem = model.problem("separate", given=str(tmp_path / "mixture.wav"))
    heard = problem.extras["heard"]
    halves = np.moveaxis(mdct(np.stack([0.25 * heard, 0.75 * heard]), model.domain.bins), 0, -1)
    native = task.to_native(halves[None], problem)
    assert native["waveform"].shape == (1, 8000, 2) and native.attrs["rate"] == 16000 and list(native["stem"].values) == ["own", "other"]
    added = native["waveform"].values[0].sum(1)
    expected = 0.1 * wave.mean(1)  # has little above 4 kHz
    assert np.sqrt(np.mean((added - expected)[200:-200] ** 2)) < 0.02 * np.std(expected)


def test_what_does_not_go_together_is_refused_in_one_line(model, task, tmp_path, small_run):
    soundfile.write(tmp_path / "silent.wav", np.zeros(8000), 8000)
    soundfile.write(tmp_path / "tone.wav", sound(0, 0.3), 8000)
    silent, tone = tmp_path / "silent.wav", tmp_path / "tone.wav"
    for given, said in (([silent], "is silent"), ([], "0 sounds; expected one"), ([tone, "gaps"], "can't be")):
        with pytest.raises(UserError, match=said):
            task.problem_given(0, things(given, task.given_names))
    with pytest.raises(UserError, match="config.tasks.separate.other: .* holds no checkpoints"):
        Separate(model.domain, other=str(tmp_path)).second  # noqa: B018
    other = SimpleNamespace(rate=16000, bins=64, **{name: getattr(model.domain, name) for name in ("frames", "std")})
    with pytest.raises(UserError, match="hears 8000 Hz in 32 bins, this run 16000 Hz in 64"):
        wrong = Separate.__new__(Separate)
        wrong.domain, wrong.other = SimpleNamespace(name="audio", **vars(other)), str(small_run("audio"))
        wrong.second  # noqa: B018


def test_made_notes_are_a_collection_the_same_every_time_at_levels_of_their_own():
    found, again = MadeNotes(8000, seeds=(0, 1, 2, 3)), MadeNotes(8000, seeds=(0, 1, 2, 3))
    train, test = found.split(0.25)
    assert (len(train), len(test)) == (3, 1) and not set(train.seeds) & set(test.seeds)
    np.testing.assert_array_equal(found.read(3, 100, 5000), again.read(3, 0, 6000)[100:5100])
    np.testing.assert_array_equal(test.read(0, 0, 500), found.read(3, 0, 500))
    end = found.read(0, found.frames(0) - 10, 20)
    assert end.dtype == np.float32 and len(end) == 20 and not end[10:].any()
    levels = [active_level(found.read(i, 0, found.frames(i)), 8000) / REFERENCE for i in range(4)]
    assert all(0.5 < level < 2 for level in levels) and np.ptp(levels) > 0.1
    assert {"read", "frames", "level", "split", "seconds", "paths"} <= set(dir(found)) & set(dir(Collection))
    with pytest.raises(UserError, match="there are 4 melodies"):
        found.split(4)


def test_a_config_of_notes_trains_on_them_and_takes_no_path(tmp_path):
    config = small_config("audio", tmp_path)
    config.data.source = "notes"
    with pytest.raises(UserError, match="config.data.source = notes: expected '', or 'notes', which takes no data.path"):
        AudioDomain.check(config)
    config.data.path = ""
    AudioDomain.check(config)
    domain = AudioDomain(config)
    assert all(isinstance(one, MadeNotes) for one in domain.collections)
    element = domain.dataset("train")[0]
    assert element["x"].shape == domain.example.shape and np.abs(element["x"]).max() > 0
    assert len(domain.clips) and np.isfinite(domain.clips[0]["x"]).all()
