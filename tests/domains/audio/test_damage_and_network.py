"""What the network is conditioned on, what goes past it, and how training damages sounds."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from domains.audio import damage
from domains.audio.classical import restored
from domains.audio.damage import Damage
from domains.audio.levels import active_level
from domains.audio.mdct import imdct, mdct, mdst
from domains.audio.network import DOUBT, GUESS, SHARP, Spectral, Waveform, differences, evened
from tests.small_sounds import sound as voice

BINS, FRAMES = 16, 8
STD = np.linspace(1.0, 0.2, BINS)


def heard(seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(BINS * FRAMES)


def test_the_condition_of_a_whole_sound_is_its_spectrum_and_of_noise_unit_variance():
    sound = heard()
    found = Damage(sound).condition(STD, 8000.0)
    planes = found["concat"][:, :, 0]
    np.testing.assert_allclose(planes[..., 0], mdct(sound, BINS) / STD, atol=1e-6)
    np.testing.assert_allclose(planes[..., 1], mdst(sound, BINS) / STD, atol=1e-6)
    assert (planes[..., 3:6] == 1).all() and (planes[..., 6] == 0).all() and not found["numbers"].any()
    np.testing.assert_allclose(planes[..., GUESS : GUESS + 2], planes[..., :2], atol=1e-6)
    rng = np.random.default_rng(1)
    noisy = imdct(rng.standard_normal((400, FRAMES, BINS)) * STD) + 0.5 * rng.standard_normal((400, BINS * FRAMES))
    planes = np.stack([Damage(one, noise=0.5).condition(STD, 8000.0)["concat"][..., 0, :2] for one in noisy])
    np.testing.assert_allclose(planes[..., 0].std((0, 1)), 1.0, atol=0.06)


def test_the_condition_says_what_is_lost():
    gap = np.zeros(BINS * FRAMES, bool)
    gap[BINS * 2 : BINS * 3 + BINS // 2] = True  # a frame and the first half of the next one
    clipped = np.zeros(BINS * FRAMES)
    clipped[5] = -1
    sound = heard()
    found = Damage(sound, gap, clipped, cutoff=1000.0, noise=0.01).condition(STD, 8000.0)
    planes, numbers = found["concat"][:, :, 0], found["numbers"][:, 0, 0]
    np.testing.assert_array_equal(planes[:, 0, 3], [1, 1, 0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(planes[:, 0, 4], [1, 1, 0, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(planes[..., 2], mdct(clipped, BINS), atol=1e-6)
    assert (planes[..., 5] == 0).all()  # of a clipped sound no bin is heard as it was
    band = Damage(sound, gap, None, 1000.0).condition(STD, 8000.0)["concat"][0, :, 0, 5]
    np.testing.assert_array_equal(band, np.arange(BINS) + 1.5 < 0.95 * BINS / 4)
    np.testing.assert_allclose(planes[0, :, 6], 0.01 / STD, rtol=1e-5)
    np.testing.assert_array_equal(numbers[:, :4], 1)
    np.testing.assert_allclose(numbers[0, 4:], [np.log(np.abs(sound).max() / 0.1), 2 * 1000 / 4000 - 1, -1.0], rtol=1e-5)
    other = Damage(np.where(gap, 7.0, sound), gap, clipped, 1000.0, 0.01).condition(STD, 8000.0)
    np.testing.assert_array_equal(other["concat"][..., :9], found["concat"][..., :9])  # what stands in a gap counts for nothing
    guess = restored(sound, gap, clipped, 0.01, 8000.0, quick=True)
    np.testing.assert_allclose(planes[..., GUESS], mdct(guess, BINS) / STD, atol=1e-6)
    np.testing.assert_allclose(planes[..., GUESS + 1], mdst(guess, BINS) / STD, atol=1e-6)


def test_damage_of_a_louder_sound_and_of_one_turned_over_is_the_same_but_for_its_size():
    for i in range(12):
        drawn = damage.draw(np.random.default_rng(i), voice(i, 0.3), 8000.0)
        drawn = replace(drawn, guess=drawn.first_guess(8000.0))
        other = drawn.times(-2.0)
        np.testing.assert_allclose(other.first_guess(8000.0), other.guess, atol=1e-4)
        np.testing.assert_array_equal(other.heard, -2.0 * drawn.heard)
        assert drawn.noise is None or other.noise == 2.0 * drawn.noise
        if drawn.clipped is not None:
            np.testing.assert_array_equal(np.sign(other.heard)[other.clipped != 0], other.clipped[other.clipped != 0])


@pytest.mark.parametrize("sigma", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("which", [0, 1])
def test_a_gain_of_one_answers_what_is_heard_and_the_guess_as_far_as_it_may_be_right(sigma, which):
    """x0_hat = c_skip x_t + c_out F with F the difference is the sound that is heard, where there is no noise in it."""
    truth = mdct(heard(), BINS)[None, ..., None] / STD[:, None]
    x_t = truth + sigma * np.random.default_rng(1).standard_normal(truth.shape)
    sounds = [heard(), 0.9 * heard()]
    seen = jnp.asarray(Damage(sounds[0], guess=sounds[1]).condition(STD, 8000.0)["concat"][:, :, 0][None])
    differs, there = differences(jnp.asarray(x_t / np.sqrt(1 + sigma**2)), jnp.log(sigma) / 4, seen)
    x0_hat = x_t / (1 + sigma**2) + sigma / np.sqrt(1 + sigma**2) * np.asarray(differs)[..., which, None]
    assert (np.asarray(there) == 1).all()
    expected = mdct(sounds[which], BINS)[None, ..., None] / STD[:, None]
    if which:  # x and the guess are weighed by what both are off
        power = (expected**2 + (mdst(sounds[1], BINS)[None, ..., None] / STD[:, None]) ** 2) / 2
        trust = sigma**2 / (sigma**2 + SHARP**2 + DOUBT**2 * power)
        expected = trust * expected + (1 - trust) * x_t / (1 + sigma**2)
    np.testing.assert_allclose(x0_hat, expected, atol=0.05 * np.abs(truth).max())


@pytest.mark.parametrize("kind", [Spectral, Waveform])
def test_a_network_is_blind_to_what_it_is_to_keep_from(kind):
    """Where `keep` is 0 the condition changes nothing, and without a condition the answer is the same."""
    small = {"channels": (8,), "attention_levels": (), "features": 16, "patch": 4}
    network = kind(BINS, concat_channels=damage.CHANNELS, embedding_features=damage.NUMBERS, **small, rngs=nnx.Rngs(0))
    graph, params = nnx.split(network)
    params = jax.tree.map(lambda leaf: leaf + 0.1 * jax.random.normal(jax.random.key(1), leaf.shape), params)
    network = nnx.merge(graph, params)
    x = jax.random.normal(jax.random.key(0), (2, FRAMES, BINS, 1))
    conds = [Damage(heard(i), noise=0.01 * (i + 1)).condition(STD, 8000.0) for i in (0, 1)]
    cond = {name: jnp.stack([one[name] for one in conds]) for name in conds[0]}
    blind = network(x, 0.1, cond | {"keep": jnp.zeros(2)})
    np.testing.assert_allclose(network(x, 0.1, None), blind, atol=1e-5)
    seeing = network(x, 0.1, cond | {"keep": jnp.array([1.0, 0.0])})
    np.testing.assert_allclose(seeing[1], blind[1], atol=1e-5)
    assert np.abs(seeing[0] - blind[0]).max() > 0.01


@pytest.mark.parametrize("kind", [Spectral, Waveform])
@pytest.mark.parametrize("level", [-0.5, 0.3])
def test_what_is_certain_is_in_the_answer_whatever_was_learned(kind, level):
    """Of a network of random parameters: samples that are heard are those of its x0_hat, clipped ones lie beyond, at any noise level."""
    small = {"channels": (8,), "attention_levels": (), "features": 16, "patch": 4}
    graph, params = nnx.split(kind(BINS, concat_channels=damage.CHANNELS, embedding_features=damage.NUMBERS, **small, rngs=nnx.Rngs(0)))
    network = nnx.merge(graph, jax.tree.map(lambda leaf: leaf + 0.1 * jax.random.normal(jax.random.key(1), leaf.shape), params))
    sound, rng = heard(), np.random.default_rng(2)
    gap = np.arange(len(sound)) // 10 % 5 == 2
    clipped = np.sign(sound) * (np.abs(sound) > 0.15) * ~gap
    clip = np.clip(sound, -0.15, 0.15)
    cond = Damage(clip, gap, clipped).condition(STD, 8000.0)
    sigma = np.exp(4 * level)
    x_t = (mdct(sound, BINS) / STD + sigma * rng.standard_normal((FRAMES, BINS)))[None, ..., None].astype(np.float32)
    x = x_t / np.sqrt(1 + sigma**2)
    answer = np.asarray(network(jnp.asarray(x), level, {name: jnp.asarray(leaf[None]) for name, leaf in cond.items()}))
    wave = imdct((x_t / (1 + sigma**2) + sigma / np.sqrt(1 + sigma**2) * answer)[0, ..., 0] * STD)
    inner = slice(BINS // 2, -BINS // 2)
    known = (~gap & (clipped == 0))[inner]
    np.testing.assert_allclose(wave[inner][known], sound[inner][known], atol=3e-5)
    assert (clipped[inner] * (wave - clip)[inner])[clipped[inner] != 0].min() > -3e-5
    assert np.abs(wave[inner][gap[inner]] - sound[inner][gap[inner]]).max() > 1e-2


@pytest.mark.parametrize("kind", [Spectral, Waveform])
def test_beside_what_is_heard_the_answer_is_the_first_guess_and_further_on_the_networks_own(kind):
    """Of a network that has learned nothing, at high noise: within a tenth beside a gap, and less of it in the middle."""
    small = {"channels": (8,), "attention_levels": (), "features": 16, "patch": 4}
    network = kind(BINS, concat_channels=damage.CHANNELS, embedding_features=damage.NUMBERS, **small, rngs=nnx.Rngs(0))
    gap = (np.arange(BINS * FRAMES) >= 30) & (np.arange(BINS * FRAMES) < 98)

    def answered(size, gap):
        guess = np.where(gap, size, heard())
        cond = Damage(heard(), gap, guess=guess).condition(np.ones(BINS), 8000.0)
        answer = network(jnp.zeros((1, FRAMES, BINS, 1)), 0.4, {name: jnp.asarray(leaf[None]) for name, leaf in cond.items()})
        return imdct(np.asarray(answer)[0, ..., 0]) * np.exp(1.6) / np.sqrt(1 + np.exp(3.2))

    share = answered(0.1, gap) / 0.1 - answered(0.0, gap) / 0.1  # how much of a change of the guess is in the answer
    np.testing.assert_allclose(share[[30, 97]], 1.0, atol=0.1)
    assert np.abs(share[~gap]).max() < 1e-4 and np.abs(share[60:68]).max() < 0.7
    assert (np.diff(share[30:50]) < 0.02).all()
    everywhere = np.ones(BINS * FRAMES, bool)
    np.testing.assert_allclose(answered(0.1, everywhere), answered(0.0, everywhere), atol=1e-6)  # of nothing that is known


def test_training_damages_sounds_in_every_way_and_levels_clipped_ones_by_the_first_guess():
    sounds = [heard(i).repeat(8) for i in range(300)]
    drawn = [damage.draw(np.random.default_rng(i), sound, 8000.0) for i, sound in enumerate(sounds)]
    kinds = np.array([[d.gap is not None, d.clipped is not None, d.cutoff is not None, d.noise is not None] for d in drawn])
    assert (kinds.sum(1) <= 2).all() and (kinds.sum(1) >= 1).all()
    assert (np.abs(kinds.mean(0) - 0.3) < 0.08).all()
    for sound, d in zip(sounds, drawn, strict=True):
        if d.clipped is not None and d.noise is None and d.cutoff is None:
            beyond = d.clipped != 0
            assert (np.sign(sound[beyond]) == d.clipped[beyond]).all()
            np.testing.assert_allclose(np.abs(d.heard[beyond]), np.abs(d.heard).max(), rtol=1e-9)
            np.testing.assert_allclose(d.heard[~beyond], sound[~beyond], rtol=1e-9)
    clip = next(i for i, row in enumerate(kinds) if row[1])
    hurt = replace(drawn[clip], guess=drawn[clip].first_guess(8000.0))
    louder, levelled = damage.levelled(sounds[clip], hurt, 8000.0)
    assert active_level(levelled.guess, 8000.0) == pytest.approx(active_level(sounds[clip], 8000.0))
    np.testing.assert_allclose(louder / sounds[clip], levelled.guess / hurt.guess)
    other = next(i for i, row in enumerate(kinds) if not row[1])
    np.testing.assert_array_equal(damage.levelled(sounds[other], drawn[other], 8000.0)[0], sounds[other])


@pytest.mark.parametrize("sigma", [0.01, 0.3, 10.0])
def test_what_is_evened_is_of_unit_variance_at_every_level_and_keeps_gains_bounded(sigma):
    """The best linear answer in noise alone, F = -x / sigma for small sigma, is -1 / sqrt(1 + sigma^2) times the evened x."""
    noise = jax.random.normal(jax.random.key(0), (4, 64, BINS, 2))
    x, other = (sigma * noise[..., i : i + 1] / np.sqrt(1 + sigma**2) for i in (0, 1))
    even, even_other = evened(x, other)
    np.testing.assert_allclose([even.std(), even_other.std()], 1.0, atol=0.05)
    wanted = -sigma / sigma**2 * x  # sigma (v - 1) / (v + sigma^2) x at v = 0
    share = float((wanted * even).mean() / (even**2).mean())
    assert share == pytest.approx(-1 / np.sqrt(1 + sigma**2), rel=0.05)
    loud = evened(x * 100, other * 100)[0]
    np.testing.assert_allclose(loud, even, rtol=0.05)
