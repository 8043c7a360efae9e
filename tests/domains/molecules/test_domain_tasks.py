import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from particles.chain import VARIANCE, end_variance, log_normal
from rdkit import Chem

import sciddm as sd
from domains.molecules.descriptors import descriptor
from domains.molecules.domain import MoleculesDomain, OfAtoms
from domains.molecules.layout import Layout
from domains.molecules.metrics import sanitised
from sciddm import particles
from sciddm.networks import split
from sciddm.train.data import Batches


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = importlib.import_module("configs.molecules").get_config("smoke")
    config.data.update({"source": "qm9", "count": 60, "cache": str(tmp_path_factory.mktemp("cache"))})
    return config


@pytest.fixture(scope="module")
def domain(config):
    return sd.get_domain(config)


def changed(config, **keys):
    config = config.copy_and_resolve_references()
    config.data.update(keys)
    return config


def random_denoiser(domain, size):
    """A network whose zero layers are filled, small enough that samples stay finite; the same whatever the size."""
    made = domain.network({"hidden": 8, "layers": 2}, nnx.Rngs(0))
    network = split(made)
    leaves, structure = jax.tree.flatten(network.params)
    rng = np.random.default_rng(0)
    filled = [leaf + 0.05 * rng.standard_normal(leaf.shape).astype(np.float32) for leaf in leaves]
    process = sd.GaussianProcess.edm(noise=domain.noise)
    return sd.NetworkDenoiser(network.replace(structure.unflatten(filled)), process, "edm", 0.7)


def padded(domain, config, more: int):
    """The same domain with arrays that are longer."""
    n = domain.normalizer
    sizes = np.concatenate([n.sizes, np.zeros(max(more, 0), n.sizes.dtype)])[: len(n.sizes) + more]
    return MoleculesDomain(config, OfAtoms(n.mean, n.std, n.units, n.layout, sizes, n.scalar).to_json())


def test_normaliser_comes_back_from_json_with_kinds_sizes_and_scalar(domain):
    again = OfAtoms.from_json(domain.normalizer.to_json())
    assert again.layout == domain.layout == Layout((6, 7, 8, 9), True, True)
    np.testing.assert_array_equal(again.sizes, domain.normalizer.sizes)
    assert again.scalar == domain.normalizer.scalar
    np.testing.assert_allclose(again.std["features"], domain.normalizer.std["features"])
    with pytest.raises(sd.UserError, match="no kinds of atom"):
        OfAtoms.from_json({})


def test_each_molecule_is_told_what_the_config_says_in_turn(domain):
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
    told = dict(zip(ways, flags, strict=True))
    assert told[""] == (0, 0, 0) and told["property"] == (0, 1, 0) and told["graph"] == (mask.sum(), 0, 0)
    assert 0 < told["part"][0] <= mask.sum() and told["part"][1] == 0


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
        told = one.draw_cond(keys)
        denoiser = random_denoiser(one, one.size)
        shapes = jax.tree.map(lambda leaf: (count, *leaf.shape), one.example)
        samples, _ = sd.sample(keys, denoiser, shapes, cond=told, solver=solver, steps=4)
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
        told = one.cond_of(x)
        denoiser = random_denoiser(one, one.size)
        z = one.normalizer.normalize(x)
        values.append(sd.log_prob(jax.random.key(0), denoiser, z, cond=told, rtol=1e-4, atol=1e-4))
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
        ({"source": "qm8"}, "config.data.source = 'qm8': expected 'qm9', 'smiles'"),
        ({"most_atoms": 1}, "data: 0 of .* molecules are left; expected 8 or more"),
        ({"pairs": False}, "config.data.pairs = False: hydrogens can't be placed"),
        ({"property": ""}, "config.data.property is empty: expected a name, or config.data.conditions without 'property'"),
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


def example(domain, atoms=7):
    """A held-out molecule with that many heavy atoms."""
    return next(
        x
        for i in range(len(domain.dataset("test")))
        if domain.layout.mask_of(x := domain.dataset("test")[i]["x"]).sum() >= atoms
    )


def draw(domain, task, problem, count=4, steps=6):
    guided = task.guide(random_denoiser(domain, domain.size), problem)
    shapes = jax.tree.map(lambda leaf: (count, *leaf.shape), domain.example)
    samples, _ = sd.sample(jax.random.key(0), guided, shapes, cond=problem.cond, solver="ddpm", steps=steps)
    return jax.tree.map(np.array, domain.normalizer.denormalize(samples))


@pytest.mark.parametrize("name", ["scaffold", "linker"])
def test_the_part_is_kept_by_every_sample_of_any_network(domain, name):
    task, truth = domain.tasks[name], example(domain)
    problem = task.problem(jax.random.key(2), truth)
    kept = problem.extras["kept"]
    assert 0 < len(kept) < domain.layout.mask_of(truth).sum()
    samples = draw(domain, task, problem)
    scores = task.metrics(samples, problem)
    assert scores["kept within 0.1 A"] == 1.0 and scores["off [A]"] < 1e-3
    np.testing.assert_allclose(
        samples["features"][:, kept], np.broadcast_to(truth["features"][kept], (4, len(kept), 6)), atol=1e-5
    )
    # one whose part was stretched does not pass
    samples["positions"][:2, kept[0]] += 0.3
    assert task.metrics(samples, problem)["kept within 0.1 A"] == 0.5
    assert float(problem.cond["concat"][..., -1].sum()) == len(kept)


def test_conformers_keep_their_graph_and_the_reference_is_no_distance_from_itself(domain):
    task, truth = domain.tasks["conformers"], example(domain)
    problem = task.problem(jax.random.key(0), truth)
    samples = draw(domain, task, problem)
    for name in ("features", "pairs"):
        np.testing.assert_allclose(samples[name], np.broadcast_to(truth[name], samples[name].shape), atol=1e-5)
    again = jax.tree.map(lambda leaf: leaf[None], truth)
    assert task.metrics(again, problem) == pytest.approx(
        {"MAT [A]": 0, "AMR [A]": 0, "COV 0.5 A": 1, "made": 1}, abs=1e-3
    )
    mirrored = again | {"positions": -again["positions"]}
    assert task.metrics(mirrored, problem)["MAT [A]"] < 1e-3
    answers = task.baseline(problem)
    assert set(answers) == {"ETKDG", "ETKDG + MMFF"} and answers["ETKDG"]["positions"].shape[0] <= 8


def test_a_hit_is_valid_whole_and_near_the_wanted_value(domain):
    task, truth = domain.tasks["property"], example(domain)
    batch = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), truth)
    problem = task.problem(jax.random.key(0), truth)
    value = descriptor("logP", domain.to_native(batch)[0])
    there = problem.__class__(None, truth, problem.cond, problem.extras | {"target": value + 0.01})
    assert task.metrics(batch, there)["hits"] == 1.0 and task.metrics(batch, there)["mean logP"] == pytest.approx(value)
    batch["pairs"][1, 0, :, :] = batch["pairs"][1, :, 0, :] = 0.0  # an atom that hangs in the air
    assert task.metrics(batch, there)["hits"] == 0.5
    away = problem.__class__(None, truth, problem.cond, problem.extras | {"target": value + 10})
    assert task.metrics(batch, away)["hits"] == 0.0


def test_counting_is_exact_and_its_potential_is_a_gaussian_of_the_count(domain):
    task, data = domain.tasks["count"], domain.dataset("test")
    x = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[data[i]["x"] for i in range(12)])
    expected = [len(Chem.GetSSSR(sanitised(molecule))) for molecule in domain.to_native(x)]
    np.testing.assert_array_equal(task.counted(x), expected)
    value = task.potential(domain.normalizer.normalize(x), 0.0)
    np.testing.assert_allclose(value, -2.0 * (np.array(expected) - task.wanted) ** 2, rtol=1e-6)


def test_a_database_search_gives_training_molecules_that_hold_the_part(domain):
    task, truth = domain.tasks["scaffold"], domain.dataset("train")[len(domain.data.conditions) * 30]["x"]
    problem = task.problem(jax.random.key(0), truth)
    found = task.baseline(problem)["database search"]
    kept = problem.extras["kept"]
    same = found["features"][:, kept, :5] == truth["features"][kept, :5]
    assert len(same) and same.all()
    first = jax.tree.map(lambda leaf: leaf[:1], found)
    assert task.metrics(first, problem)["off [A]"] < 1e-3  # the molecule itself is among them, and fits best


def test_a_run_refuses_other_data_than_it_was_trained_on(domain, config):
    other = sd.get_domain(changed(config, count=40), domain.normalizer.to_json())
    with pytest.raises(sd.UserError, match="molecules to train on, and the run had"):
        other.dataset("test")


def test_every_epoch_tells_another_part_and_the_same_again_from_the_same_place(domain):
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
