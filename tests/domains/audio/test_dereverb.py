"""A room is a convolution that begins with its direct path; what is taken out of it has the exact law and comes back as the file."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy
import soundfile
from small_sounds import sound

import sciddm as sd
from domains.audio import metrics
from domains.audio.dereverb import Reverberant, Whitened, at_rate, dry, heard_through, in_room, room
from domains.audio.mdct import imdct, mdct
from domains.audio.observe import Filtered, Wave
from domains.audio.part import Part
from domains.audio.sound import Sound, resample
from sciddm.errors import UserError
from sciddm.given import things
from sciddm.lookahead import mmps
from sciddm.lookahead.conjugate_gradient import conjugate_gradient

BINS, FRAMES = 8, 3
SAMPLES = BINS * FRAMES
STD = np.linspace(1.0, 0.3, BINS)


class Model:
    """What an observation asks of a domain."""

    std, rate, bins = STD, 8000, BINS


@pytest.fixture
def task(small_model):
    return small_model("audio").domain.tasks["dereverb"]


@pytest.mark.parametrize("before", [0, 2])
def test_what_is_heard_in_a_room_begins_with_the_direct_path_and_passes_the_dot_product_test(before, x64):
    taps = np.random.default_rng(0).standard_normal(20)
    heard = sd.lookahead.operators.Compose(Wave(jnp.asarray(STD)), Filtered(jnp.asarray(taps), before))
    z = jax.random.normal(jax.random.key(0), (2, FRAMES, BINS, 2))
    y, adjoint = jax.vjp(heard, z)
    u = jax.random.normal(jax.random.key(1), y.shape)
    assert jnp.vdot(y, u) == pytest.approx(float(jnp.vdot(z, adjoint(u)[0])), rel=1e-10)
    waves = np.asarray(Wave(jnp.asarray(STD))(z))
    np.testing.assert_allclose(y[1, :, 0], np.convolve(waves[1, :, 0], taps)[before : before + SAMPLES], atol=1e-12)


def test_the_law_of_a_dry_sound_is_the_closed_form():
    """A Gaussian prior with its exact denoiser, asked as the task asks: mean and covariance of coefficients to Monte-Carlo error."""
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.standard_normal((SAMPLES, SAMPLES)))[0]
    prior = (turn * np.geomspace(1.5, 0.1, SAMPLES)) @ turn.T
    response, noise = np.array([1.0, 0.5, -0.4, 0.3]), 0.2
    law = sd.oracle.GaussianMixture(np.ones(1), np.zeros((1, SAMPLES)), prior)
    dense = np.asarray(Wave(jnp.asarray(STD))(jnp.eye(SAMPLES).reshape(-1, FRAMES, BINS, 1)))[..., 0].T
    dense = scipy.linalg.toeplitz(np.pad(response, (0, SAMPLES - 4)), np.zeros(SAMPLES)) @ dense
    heard = dense @ rng.multivariate_normal(np.zeros(SAMPLES), prior) + noise * rng.standard_normal(SAMPLES)
    exact = law.posterior(dense, heard, noise)

    nothing = np.zeros((SAMPLES, 1))
    part = Part((), heard[:, None], nothing > 0, nothing, noise=noise)
    observation = heard_through(part, in_room(Sound(nothing, 8000), response, noise), Model)
    count = 1000
    guided = mmps(law.denoiser(sd.GaussianProcess.edm()), observation, iterations=12)
    samples, _ = sd.sample(jax.random.key(0), guided, (count, FRAMES, BINS, 1), solver="dpmpp2m", steps=30, grid="logsnr")
    found, covariance = np.asarray(samples).reshape(count, -1), np.asarray(exact.covariances[0])
    spread = np.sqrt(np.diag(covariance))
    np.testing.assert_array_less(np.abs(found.mean(0) - np.asarray(exact.means[0])), 5 * spread / np.sqrt(count) + 0.01)
    np.testing.assert_allclose(np.cov(found.T) / np.outer(spread, spread), covariance / np.outer(spread, spread), atol=0.16)
    assert np.mean(spread / np.sqrt(np.diag(prior))) < 0.7  # of which much was heard


def test_whitened_sounds_are_the_same_knowledge_in_which_a_room_is_nearly_flat(x64):
    count, std, rng = 256, np.geomspace(1.0, 0.03, BINS), np.random.default_rng(2)
    gains = np.ones(count)
    transform = np.asarray(Whitened(jnp.asarray(gains))(jnp.eye(count)[..., None]))[..., 0].T
    np.testing.assert_allclose(transform @ transform.T, np.eye(count), atol=1e-12)

    nothing, response = np.zeros((count, 1)), room(rng, 0.05, 2000)
    model = type("Domain", (), {"std": std, "rate": 8000, "bins": BINS})
    wave = np.convolve(imdct(rng.standard_normal((count // BINS, BINS)) * std), response)[:count, None]
    part = Part((), wave, nothing > 0, nothing, noise=0.01)
    observation = heard_through(part, in_room(Sound(nothing, 8000), response, 0.01), model)
    basis = jnp.eye(count).reshape(count, -1, BINS, 1)
    plain = np.asarray(sd.lookahead.operators.Compose(*observation.operator.operators[:2])(basis))[..., 0].T
    white, noise = np.asarray(observation.operator(basis))[..., 0].T, np.asarray(observation.noise.std)[:, 0]
    exact = plain.T @ np.linalg.solve(plain @ plain.T + 0.01**2 * np.eye(count), part.heard[:, 0])
    again = white.T @ np.linalg.solve(white @ white.T + np.diag(noise**2), observation.value[:, 0])
    np.testing.assert_allclose(again, exact, atol=2e-3 * np.abs(exact).max())

    def off(dense, value, variance):  # after as many iterations as a guide takes
        found = conjugate_gradient(lambda u: u @ (dense @ dense.T), jnp.asarray(value, float)[None], 10, 0.0, variance[None])
        return np.linalg.norm(dense.T @ found[0] - exact) / np.linalg.norm(exact)

    assert off(white, observation.value[:, 0], noise**2) < 0.2 * off(plain, part.heard[:, 0], 0.01**2 * gains)


def test_a_made_room_has_a_direct_path_of_one_a_tail_of_as_much_energy_and_decays_by_60_db():
    response = room(np.random.default_rng(0), 0.4, 8000)
    assert response[0] == 1.0 and len(response) == 3200
    assert (response[1:] ** 2).sum() == pytest.approx(1.0)
    left = 10 * np.log10(np.cumsum(response[:0:-1] ** 2)[::-1])  # Schroeder 1965
    slope = np.polyfit(np.arange(1600) / 8000, left[:1600], 1)[0]
    assert slope * 0.4 == pytest.approx(-60, rel=0.1)


@pytest.mark.parametrize("old, late", [(16000, 0), (44100, 301), (4000, 13)])
def test_a_room_at_another_rate_does_to_a_sound_what_the_room_does(old, late):
    response = np.pad(room(np.random.default_rng(0), 0.05, old), (late, 0))
    wave = resample(sound(0, 0.5, 2000), 2000, old)  # of what all rates have
    brought = in_room(Sound(wave[:, None], old), response, 0.01)
    assert brought.direct == late and np.abs(brought.response).max() == 1
    heard = np.convolve(wave, response)[late : late + len(wave)]  # beginning with the direct path
    taps, direct = at_rate(brought, 8000)
    expected, low = resample(heard, old, 8000), resample(wave, old, 8000)
    found = np.convolve(low, taps)[direct : direct + len(low)]
    inside = slice(200, -200)
    assert np.abs(found - expected)[inside].max() < 2e-3 * np.abs(expected).max()


def test_the_classical_answer_of_a_late_response_is_as_late_as_the_direct_sound():
    wave = sound(0, 1.0)
    response = np.pad(room(np.random.default_rng(0), 0.2, 8000), (70, 0))
    heard = np.convolve(wave, response)[70 : 70 + len(wave)]
    found = dry(in_room(Sound(heard[:, None], 8000), 0.3 * response, 1e-4), 8000)[:, 0]
    assert metrics.si_sdr(found, wave) > 20 > 5 > metrics.si_sdr(heard, wave)
    assert np.std(found) == pytest.approx(np.std(wave), rel=0.02)


def test_an_example_is_its_dry_sound_in_a_room_that_the_observation_knows(task, small_model):
    problem = small_model("audio").problem("dereverb")
    observation, brought = problem.observation, problem.extras["brought"]
    assert isinstance(brought, Reverberant)
    z = small_model("audio").normalizer.normalize(jnp.asarray(problem.truth)[None])
    left = np.asarray(observation.residual(z))
    np.testing.assert_allclose(np.std(left / np.asarray(observation.noise.std)), 1.0, atol=0.05)
    scores = {name: task.metrics(answer[None], problem)["SI-SDR [dB]"] for name, answer in task.baseline(problem).items()}
    assert scores["Wiener deconvolution"] > scores["untreated"] + 5


@pytest.fixture
def recording(tmp_path):
    """(files of a recording of two channels at 16 kHz and of its room at 44.1 kHz, of two channels too; the dry sound)."""
    wave = np.stack([sound(seed, 0.6, 16000) for seed in (0, 1)], 1)
    wave = resample(resample(wave, 16000, 8000), 8000, 16000)
    response = np.pad(room(np.random.default_rng(0), 0.1, 44100), (60, 0))
    at_16 = resample(np.pad(response, (441, 441)), 44100, 16000)
    direct = int(np.abs(at_16).argmax())
    heard = np.stack([np.convolve(channel, at_16 / at_16[direct])[direct : direct + len(wave)] for channel in wave.T], 1)
    soundfile.write(tmp_path / "sound.wav", heard, 16000, "PCM_24")
    soundfile.write(tmp_path / "room.wav", np.stack([0.4 * response, 0.4 * response], 1), 44100, "FLOAT")
    return tmp_path / "sound.wav", tmp_path / "room.wav", wave


def test_a_perfect_answer_comes_back_at_the_rate_channels_and_level_of_the_recording(recording, task, small_model, capsys):
    file, response, wave = recording
    problem = small_model("audio").problem("dereverb", given=[file, f"response={response}", "noise=-80 dB"])
    segments, bins = problem.extras["segments"], task.domain.bins
    low = resample(wave, 16000, 8000) * segments.scale
    parts = np.linalg.solve(segments.part.mixing, np.pad(low, [(0, segments.length - len(low)), (0, 0)]).T)
    native = task.to_native(np.moveaxis(mdct(parts, bins), 0, -1)[None], problem)
    assert native.attrs["rate"] == 16000 and native.attrs["subtype"] == "PCM_24"
    found = native["waveform"].values[0]
    assert found.shape == wave.shape
    inside = slice(400, -400)
    assert np.sqrt(np.mean((found - wave)[inside] ** 2)) < 0.02 * np.sqrt(np.mean(wave**2))
    assert "the model hears up to 4000 Hz" in capsys.readouterr().err
    # what is heard is what the room makes of it
    z = mdct(parts, bins) / task.domain.std
    heard = sd.lookahead.operators.Compose(*problem.observation.operator.operators[:2])
    left = segments.part.heard - np.asarray(heard(jnp.asarray(np.moveaxis(z, 0, -1)[None], jnp.float32)))[0]
    assert np.sqrt(np.mean(left[200 : len(low) - 200] ** 2)) < 0.01 * np.sqrt(np.mean(segments.part.heard**2))


@pytest.mark.parametrize(
    "what, said",
    [
        ("nothing", "lacks response=FILE"), ("longer", "is 1.00 s long, the sound only 0.60 s"), ("silent", "is silent, as the mean"),
        ("missing", "no such file"), ("table", "is no sound"), ("hushed", "sound.wav: is silent; expected a sound"),
    ],
)  # fmt: skip
def test_what_is_no_room_is_refused_in_one_line(what, said, recording, task, tmp_path):
    file, response, _ = recording
    given = {"nothing": [], "missing": ["response=nowhere.wav"]}.get(what, [f"response={response}"])
    if what == "longer":
        soundfile.write(response, np.ones(8000) * 0.1, 8000)
    if what == "silent":
        soundfile.write(response, np.array([[0.5, -0.5]] * 100), 8000)
    if what == "hushed":
        soundfile.write(file, np.zeros(16000), 16000)
    if what == "table":
        (tmp_path / "gaps.txt").write_text("0.1 0.2\n")
        given.append(str(tmp_path / "gaps.txt"))
    with pytest.raises(UserError, match=said) as error:
        task.problem_given(0, things([file, *given], task.given_names))
    assert "\n" not in str(error.value)


def test_a_response_may_be_a_sound_in_memory(recording, task):
    file, response, _ = recording
    samples, rate = soundfile.read(response, always_2d=True)
    by_file = task.problem_given(0, things([file, f"response={response}"], task.given_names))
    by_sound = task.problem_given(0, things([file, {"response": Sound(samples, rate)}], task.given_names))
    for a, b in zip(*map(jax.tree.leaves, (by_file.observation, by_sound.observation)), strict=True):
        np.testing.assert_allclose(a, b)
