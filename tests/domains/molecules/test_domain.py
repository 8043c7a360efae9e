import jax
import jax.numpy as jnp
import numpy as np
import pytest
from molecule_domains import changed, padded, random_denoiser
from particles.chain import VARIANCE, end_variance, log_normal

import sciddm as sd
from sciddm import particles
from sciddm.train.data import Batches


def test_each_molecule_is_conditioned_on_what_the_config_says_in_turn(domain):
    ways = domain.data.conditions
    data = domain.dataset("train")
    assert len(data) == len(ways) * len(domain.molecules("train"))
    flags = []
    for way in range(len(ways)):
        cond, x = data[20 * len(ways) + way]["cond"], data[20 * len(ways) + way]["x"]
        mask = domain.layout.mask_of(x)
        np.testing.assert_array_equal(cond["mask"], mask)
        atoms = cond["concat"][..., -1]
        flags.append(
            (float(atoms.sum()), float(cond["embedding"][-1]), float(np.abs(cond["pairs"][..., 5:]).sum() > 0))
        )
        z = domain.normalizer.normalize(x)
        np.testing.assert_allclose(cond["concat"][..., :-1], z["features"] * atoms[:, None])
        np.testing.assert_allclose(cond["pairs"][..., :4], z["pairs"] * (atoms[:, None] * atoms)[..., None])
    given = dict(zip(ways, flags, strict=True))
    assert given[""] == (0, 0, 0) and given["property"] == (0, 1, 0) and given["graph"] == (mask.sum(), 0, 0)
    assert 0 < given["part"][0] <= mask.sum() and given["part"][1] == 0


def test_leaves_count_as_the_weights_say_and_padding_not_at_all(domain):
    element = domain.dataset("train")[3]
    totals = {name: leaf.sum() for name, leaf in element["loss_weight"].items()}
    assert totals == pytest.approx({"positions": 2.0, "features": 1.0, "pairs": 1.0}, rel=1e-5)
    assert not element["loss_weight"]["positions"][domain.layout.mask_of(element["x"]) == 0].any()


def test_sizes_are_drawn_as_often_as_the_data_have_them_by_key_alone(domain):
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(jnp.arange(2000))
    drawn = np.asarray(domain.draw_cond(keys)["mask"]).sum(1).astype(int)
    share = domain.normalizer.sizes / domain.normalizer.sizes.sum()
    seen = np.bincount(drawn, minlength=len(share)) / 2000
    assert np.all(np.abs(seen - share) <= 4 * np.sqrt(share * (1 - share) / 2000) + 1e-9)
    np.testing.assert_array_equal(domain.draw_cond(keys[7:9])["mask"], domain.draw_cond(keys)["mask"][7:9])


@pytest.mark.parametrize("solver", ["ddpm", "unipc2"])
def test_more_padding_changes_no_sample(domain, config, solver):
    wider, count = padded(domain, config, 3), 3
    keys = jax.random.split(jax.random.key(1), count)
    results = []
    for one in (domain, wider):
        cond = one.draw_cond(keys)
        denoiser = random_denoiser(one, one.size)
        shapes = jax.tree.map(lambda leaf: (count, *leaf.shape), one.example)
        samples, _ = sd.sample(keys, denoiser, shapes, cond=cond, solver=solver, steps=4)
        results.append(samples)
    n = domain.size
    assert float(jnp.abs(results[0]["positions"]).max()) > 0.1
    for name, leaf in results[0].items():
        cut = results[1][name][:, :n, :n] if name == "pairs" else results[1][name][:, :n]
        np.testing.assert_allclose(cut, leaf, atol=1e-5)
        assert not np.any(results[1][name][:, n:])


def test_log_density_is_finite_and_sees_neither_rotation_nor_padding(domain, config, collection):
    narrow, wide = (padded(domain, config, size - domain.size) for size in (3, 4))  # of its nine
    values = []
    for one in (narrow, wide):
        x = one.layout.expand(one.layout.pack(collection.select([0, 0]), one.size))  # ethanol twice, once turned
        turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
        x["positions"][1] = x["positions"][1] @ turn.astype(np.float32)
        cond = one.cond_of(x)
        denoiser = random_denoiser(one, one.size, layers=1)
        z = one.normalizer.normalize(x)
        values.append(sd.log_prob(jax.random.key(0), denoiser, z, cond=cond, rtol=1e-4, atol=1e-4))
    assert np.isfinite(values).all()
    # of hundreds of nats, what the tolerance of the steps leaves
    np.testing.assert_allclose(values[0][1], values[0][0], rtol=1e-3)
    np.testing.assert_allclose(values[1], values[0], rtol=1e-3)


def test_particles_weigh_by_the_degrees_of_freedom_that_are_there(domain):
    # d = 3 (n - 1) + features n + orders n (n - 1) / 2; the prior is N(0, .7 Sigma), whose chain of ancestral steps is known exactly
    mask = jnp.zeros(domain.size).at[:3].set(1.0)
    law = domain.noise.given({"mask": mask[None]})
    like = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), domain.example)
    assert float(law.dimension(like)) == 3 * 2 + domain.layout.features * 3 + 4 * 3
    process, steps = sd.GaussianProcess.vp(noise=law), 40

    def expected(x, t, cond):
        alpha, sigma = process.alpha(t), process.sigma(t)
        return jax.tree.map(lambda v: alpha * VARIANCE / (alpha**2 * VARIANCE + sigma**2) * v, x)

    def potential(x, t):
        seen = x["positions"][:, 0, 0] - x["positions"][:, 1, 0]  # twice the variance of a coordinate
        return log_normal(seen - 1.0, 0.25)

    prior, shape = sd.FunctionDenoiser(expected, process), domain.example
    results = [
        particles.smc(jax.random.key(seed), prior, potential, shape, num_particles=512, steps=steps, twist="plain")
        for seed in range(4)
    ]
    exact = log_normal(1.0, 2.0 * end_variance(steps) + 0.25)
    found = np.array([result.log_evidence for result in results])
    assert abs(found.mean() - exact) < 0.05 + 3 * found.std(ddof=1) / 2
    assert not np.any(results[0].particles["features"][:, 3:])


def test_batches_are_cut_to_their_bucket(config):
    small = sd.get_domain(changed(config, buckets=(7, 8)))
    data = small.dataset("train")
    batches = Batches(data, 4, 0, None, small.buckets(), small.cut)
    widths, whole = set(), data[0]
    for step in range(60):
        rows = batches.indices(step)
        width = {int(w) for w in small.buckets()[rows]}
        assert len(width) == 1
        widths |= width
    assert widths == {7, 8, small.size} and np.bincount(small.buckets()).sum() == len(data)
    largest = max(int(data[i]["cond"]["mask"].sum()) for i in np.flatnonzero(small.buckets() == 7)[:20])
    assert largest <= 7
    cut = small.cut(whole, 7)
    shapes = jax.tree.map(np.shape, cut)
    assert shapes["x"] == {"positions": (7, 3), "features": (7, 6), "pairs": (7, 7, 4)}
    assert shapes["cond"]["pairs"] == (7, 7, 17) and shapes["cond"]["embedding"] == (2,)


@pytest.mark.parametrize(
    "keys,message",
    [
        ({"conditions": ("grph",)}, "'grph' is none of"),
        ({"conditions": ()}, "conditions is empty"),
        ({"property": "colour"}, "config.data.property = 'colour': expected one of"),
        ({"source": "qm8"}, "config.data.source = 'qm8': expected one of .*--config.data.source=smiles"),
        ({"most_atoms": 1}, "data: 0 of .* molecules are left; expected 8 or more"),
        ({"pairs": False}, "config.data.pairs = False: hydrogens can't be placed"),
        ({"property": ""}, "config.data.property is empty.*--config.data.property=logP, or --config.data.conditions="),
        ({"count": -1}, "config.data.count = -1"),
        ({"buckets": (40,)}, "config.data.buckets = \\(40,\\): expected sizes from 1 to"),
    ],
)
def test_a_wrong_key_is_named(config, keys, message):
    with pytest.raises(sd.UserError, match=message):
        sd.get_domain(changed(config, **keys)).buckets()


def without_pairs(config):
    config = changed(config, heavy=False, pairs=False, conditions=("",))
    config.tasks = {}
    return config


def test_an_all_atom_domain_without_pairs_finds_bonds_by_the_table(config):
    all_atom = sd.get_domain(without_pairs(config))
    assert all_atom.layout.kinds == (1, 6, 7, 8, 9) and set(all_atom.example) == {"positions", "features"}
    x = all_atom.dataset("test")[0]["x"]
    molecule = all_atom.to_native(jax.tree.map(lambda leaf: leaf[None], x))[0]
    assert molecule.GetNumBonds() >= molecule.GetNumAtoms() - 1
    assert set(all_atom.tasks) == {"generate", "scaffold", "linker", "repair", "count"}


def test_a_run_refuses_other_data_than_it_was_trained_on(domain, config):
    other = sd.get_domain(changed(config, count=40), domain.normalizer.to_json())
    with pytest.raises(sd.UserError, match="molecules to train on, and the run had"):
        other.dataset("test")


def test_every_epoch_conditions_on_another_part_and_the_same_again_from_the_same_place(domain):
    way = domain.data.conditions.index("part")
    data = domain.dataset("train").repeat(2)
    i, epoch = 30 * len(domain.data.conditions) + way, len(domain.dataset("train"))
    parts = [
        np.asarray(data[i + j * len(domain.data.conditions) + e * epoch]["cond"]["concat"][..., -1])
        for e in (0, 1)
        for j in range(5)
    ]
    assert any((a != b).any() for a, b in zip(parts[:5], parts[5:], strict=True))
    np.testing.assert_array_equal(data[i]["cond"]["concat"], domain.dataset("train").repeat(2)[i]["cond"]["concat"])
