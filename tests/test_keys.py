"""Keys, seeds, counts, times and starts: what can't be meant is said at once, in one line."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from sciddm import particles
from sciddm.keys import one_key, sample_keys, whole

DENOISER = sd.FunctionDenoiser(lambda x, t, cond: 0.6 * x, sd.GaussianProcess.vp())
SHAPE = (4, 3)


def reward(x_0, t):
    return x_0[:, 0]


def sample(key=0, shape=SHAPE, **options):
    return np.asarray(sd.sample(key, DENOISER, shape, **{"steps": 3, "solver": "ddim"} | options)[0])


def test_an_integer_is_the_seed_of_a_key_wherever_a_key_is_taken():
    key, x = jax.random.key(7), np.ones((2, 3), np.float32)
    few = {"num_particles": 4, "steps": 3}
    for name, draw in {
        "sample": lambda k: sd.sample(k, DENOISER, SHAPE, steps=3, solver="ddim")[0],
        "log_prob": lambda k: sd.log_prob(k, DENOISER, x, trace="hutchinson", probes=1),
        "rollout": lambda k: sd.rollout(k, DENOISER, SHAPE, cond=None, advance=lambda x: None, windows=1, steps=3, solver="ddim")[0],
        "perturb": lambda k: DENOISER.process.perturb(k, x, 0.5)[0],
        "simulate": lambda k: sd.lookahead.Observation(lambda x: x, x[0], 0.1).simulate(k, x),
        "mixture": lambda k: sd.oracle.GaussianMixture([1.0], jnp.zeros((1, 3)), 1.0).sample(k, 2),
        "smc": lambda k: particles.smc(k, DENOISER, reward, (3,), **few).particles,
        "best_of_n": lambda k: particles.best_of_n(k, DENOISER, reward, (3,), **few).particles,
        "svdd": lambda k: particles.svdd(k, DENOISER, reward, (3,), **few).particles,
        "psi": lambda k: particles.psi(k, DENOISER, reward, (3,), **few, chains=2, burn_in=1, moves=2).particles,
        "feynman_kac": lambda k: particles.feynman_kac(k, particles.anneal(DENOISER, 1.5), (3,), **few).particles,
        "rollover_budget": lambda k: particles.rollover_budget(k, DENOISER, reward, (3,), budget=12, steps=3).particles,
        "search_over_paths": lambda k: particles.search_over_paths(
            k, DENOISER, reward, (3,), copies=2, steps=4, forth=2, back=1).particles,
        "reward_langevin": lambda k: particles.reward_langevin(k, DENOISER, reward, (3,), num_particles=2, moves=2, burn_in=1).particles,
        "for_each": lambda k: particles.for_each(k, jax.random.normal, count=2),
        "result": lambda k: particles.Result(x, jnp.zeros(2), jnp.zeros(()), {}).resampled(k),
    }.items():  # fmt: skip
        np.testing.assert_array_equal(draw(np.int64(7)), draw(key), err_msg=name)
    np.testing.assert_array_equal(sample(7), sample(key))


@pytest.mark.parametrize("count", [1, 3, 5])
def test_any_other_number_of_keys_than_samples_is_an_error(count):
    keys = jax.random.split(jax.random.key(0), count)
    with pytest.raises(ValueError, match=f"key has {count} keys for 4 samples"):
        sample(keys)
    with pytest.raises(ValueError, match="for 2 samples"):
        sd.log_prob(keys, DENOISER, np.ones((2, 3), np.float32))
    with pytest.raises(ValueError, match="for 4 samples"):
        DENOISER.process.perturb(keys, np.ones(SHAPE, np.float32), 0.5)
    with pytest.raises(ValueError, match="expected one"):
        particles.smc(keys, DENOISER, reward, (3,), num_particles=count, steps=3)
    assert sample(jax.random.split(jax.random.key(0), 4)).shape == SHAPE


@pytest.mark.parametrize("key", [0.5, "seed", None, True, np.float32(1.0), np.arange(3)])
def test_what_is_no_key_and_no_seed_is_an_error(key):
    for use in (sample, lambda k: sample_keys(k, 2), one_key):
        with pytest.raises(ValueError, match="expected a jax key"):
            use(key)


def test_keys_of_the_older_kind_still_serve():
    old = jax.random.PRNGKey(3)
    np.testing.assert_array_equal(sample(old), sample(jax.random.wrap_key_data(old)))
    assert len(sample_keys(jax.random.split(old, 4), 4)) == 4


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
def test_counts_are_numpys_integers_too(kind):
    np.testing.assert_array_equal(sample(steps=kind(3)), sample(steps=3))
    many = particles.smc(0, DENOISER, reward, (3,), num_particles=kind(4), steps=kind(3), chunk=kind(2))
    assert many.particles.shape == (4, 3)
    found = particles.search_over_paths(0, DENOISER, reward, (3,), copies=kind(2), steps=kind(4), forth=kind(2), back=kind(1))
    assert found.info["network_calls"] == 24  # 2 * 2, then rounds of 2 * 2 paths: two steps and a look, and two steps
    best = particles.rollover_budget(0, DENOISER, reward, (3,), budget=kind(12), steps=kind(3), batch=kind(2), initial=kind(2))
    assert best.particles.shape == (1, 3)
    assert particles.for_each(0, jax.random.normal, count=kind(2), chunk=kind(2)).shape == (2,)


@pytest.mark.parametrize("steps", [0, -1, 2.0, "3", True, np.float64(3)])
def test_steps_that_are_no_positive_integer_are_an_error_that_names_them(steps):
    with pytest.raises(ValueError, match="steps = .*expected an integer, at least 1"):
        sample(steps=steps)
    with pytest.raises(ValueError, match="expected an integer"):
        whole(steps, "anything")


GUIDES, SMALL = sd.lookahead, {"num_particles": 4, "steps": 3}
COUNTS = {
    "probes": lambda n: sd.solvers.DDPM(covariance="diagonal", probes=n),
    "points of unipc": lambda n: sd.solvers.UniPC(n),
    "points of unipc-signal": lambda n: sd.solvers.UniPCSignal(n),
    "points of adams-bashforth": lambda n: sd.solvers.AdamsBashforth(n),
    "max_steps": lambda n: sd.solvers.Adaptive(diffrax.Tsit5(), max_steps=n),
    "moves": lambda n: GUIDES.Langevin(n),
    "depth": lambda n: GUIDES.steer(DENOISER, reward, depth=n),
    "truncate": lambda n: GUIDES.steer(DENOISER, reward, depth=2, truncate=n),
    "backward_steps": lambda n: GUIDES.universal(DENOISER, reward, backward_steps=n),
    "every of svdd": lambda n: particles.svdd(0, DENOISER, reward, (3,), every=n, **SMALL),
    "every of fk_steering": lambda n: particles.fk_steering(0, DENOISER, reward, (3,), every=n, **SMALL),
    "chunk of smc": lambda n: particles.smc(0, DENOISER, reward, (3,), chunk=n, **SMALL),
    "chunk of best_of_n": lambda n: particles.best_of_n(0, DENOISER, reward, (3,), chunk=n, **SMALL),
    "chunk of search_over_paths": lambda n: particles.search_over_paths(0, DENOISER, reward, (3,), copies=2, steps=10, chunk=n),
    "chunk of rollover_budget": lambda n: particles.rollover_budget(0, DENOISER, reward, (3,), budget=40, steps=3, chunk=n),
    "probes of log_prob": lambda n: sd.log_prob(0, DENOISER, np.ones((2, 3), np.float32), trace="hutchinson", probes=n),
    "jump": lambda n: sd.TimeTravel(jump=n),
    "repeats": lambda n: sd.TimeTravel(repeats=n),
}


@pytest.mark.parametrize("option", COUNTS)
@pytest.mark.parametrize("count", [2.5, "3", True, -1])
def test_a_count_that_is_none_is_one_line_that_names_it_wherever_it_is_taken(option, count):
    with pytest.raises(ValueError, match=f"{option.split()[0]} = {count!r}") as said:
        COUNTS[option](count)
    assert len(str(said.value).splitlines()) == 1


def test_a_chunk_that_does_not_divide_the_particles_is_an_error_that_says_how_many_there_are():
    for option, count in {"smc": 4, "best_of_n": 4, "search_over_paths": 4, "rollover_budget": 2}.items():
        with pytest.raises(ValueError, match=f"chunk = 3: expected a divisor of the {count} particles"):
            COUNTS[f"chunk of {option}"](3)


@pytest.mark.parametrize(
    "grid",
    [
        [1, np.nan, 0], [1.0, 0.5, np.inf], [np.nan, 0.5, 0.0], [0.0, 0.5, 1.0], [1.0, 0.5, 0.5], [1.5, 0.5, 0.0], [1.0], [[1.0, 0.0]],
        [1.0, 0.5, -0.1],
    ],
)  # fmt: skip
def test_times_that_do_not_decrease_from_one_to_zero_are_an_error(grid):
    with pytest.raises(ValueError, match="a grid of times decreases"):
        sample(grid=grid)


GRIDS = {
    "ascending": lambda process, steps: jnp.linspace(0.0, 1.0, steps + 1),
    "flat": lambda process, steps: jnp.full(steps + 1, 0.5),
    "not a number": lambda process, steps: jnp.linspace(1.0, 0.0, steps + 1).at[1].set(jnp.nan),
    "beyond 1": lambda process, steps: jnp.linspace(2.0, 0.0, steps + 1),
    "of another length": lambda process, steps: jnp.linspace(1.0, 0.0, steps),
}


@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_function_is_looked_at_before_it_is_walked(name):
    expected = "expected .4,." if name == "of another length" else "a grid of times decreases"
    with pytest.raises(ValueError, match=expected):
        sample(grid=GRIDS[name])
    with pytest.raises(ValueError, match=expected):
        sample(grid=sd.TimeTravel(GRIDS[name], repeats=2), solver="ddpm")
    with pytest.raises(ValueError, match=expected):
        particles.smc(0, DENOISER, reward, (3,), num_particles=4, steps=3, grid=GRIDS[name])
    with pytest.raises(ValueError, match=expected):
        jax.jit(lambda key: sd.sample(key, DENOISER, SHAPE, steps=3, grid=GRIDS[name])[0])(jax.random.key(0))


def test_an_integer_start_gives_samples_like_a_start_of_floats():
    for start in (np.arange(12).reshape(SHAPE), np.arange(12).reshape(SHAPE) > 3, np.arange(12.0).reshape(SHAPE)):
        made = sample(start=start)
        assert made.dtype == np.float32
        np.testing.assert_array_equal(made, sample(start=np.asarray(start, np.float32)))
    with pytest.raises(ValueError, match="start has shapes"):
        sample(start=np.zeros((3, 3)))


def test_a_start_that_is_not_finite_is_an_error_that_names_the_place():
    start = np.zeros(SHAPE)
    start[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"start is not finite at \(2, 1\)"):
        sample(start=start)
