"""Odd things given to the tasks of molecules by `--given`, and odd configurations of them."""

import os
from pathlib import Path

from case import done, refused
from rdkit import Chem
from runs import trained

from domains.molecules import metrics
from domains.molecules.smiles import conformer

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def given(kind, name, task, things, *words, write=None):
    """What `sample` refuses of a task before it draws."""

    def run(folder):
        for file, content in (write or {}).items():
            content(Path(file)) if callable(content) else Path(file).write_bytes(
                content if isinstance(content, bytes) else content.encode()
            )
        argv = ["sample", "--workdir", trained("molecules"), "--task", task, "--count", "1", "--out", "out.sdf"]
        return argv + [word for thing in things for word in ("--given", thing)]

    return refused(kind, name, run, *words)


def config(kind, name, *words, keys=()):
    """What `train` refuses of a configuration."""
    argv = ["train", "--config", "molecules:smoke", "--workdir", "run", "--quiet", *keys]
    return refused(kind, name, lambda folder: argv, *words)


def of_files():
    block = Chem.MolToMolBlock(conformer("CCO"))
    two = f"{block}$$$$\n" * 2
    for name, file, content, word in (
        ("a periodic frame", "a.xyz", '1\npbc="T T T"\nC 0 0 0\n', "periodic"),
        ("a superscript digit", "a.xyz", "\u00b2\n\nC 0 0 0\n", "number of atoms"),
        ("a pipe", "a.xyz", os.mkfifo, "is a pipe"),
        ("a pipe of a database", "a.db", os.mkfifo, "is a pipe"),
        ("a folder", "a.sdf", Path.mkdir, "is a folder"),
        ("an empty file", "a.sdf", "", "no molecule|empty"),
        ("noise", "a.mol", bytes(range(256)), "a.mol"),
        ("two records", "a.sdf", two, "record=1"),
        ("another suffix", "a.pdb", "ATOM", "is not read"),
        ("a charge of halves", "a.xyz", "1\ncharge=-1.5\nC 0 0 0\n", "charge is -1.5"),
        ("a dative bond", "a.mol", block.replace("  2  3  1  0", "  2  3  9  0"), "DATIVE"),
        ("a charge of 15", "a.mol", block.replace("M  END", "M  CHG  1   1  15\nM  END"), r"\+15"),
        (
            "a polymer",
            "a.mol",
            block.replace("M  END", "M  STY  1   1 SRU\nM  SAL   1  1   1\nM  SMT   1 n\nM  END"),
            "polymer",
        ),
        ("a cut gzip", "a.xyz.gz", b"\x1f\x8b\x08\0\0", "can't be unpacked"),
        ("a table of an open quote", "a.csv", 'smiles\n"CCO\n', "end of data"),
        ("nan", "a.xyz", "2\n\nC nan 0 0\nO 0 0 0\n", "no numbers"),
    ):
        yield given("traceback", f"conformers of a file: {name}", "conformers", [file], word, write={file: content})
    nothing = "2\n\nC nan 0 0\nO 0 0 0\n"
    yield given("traceback", "repair of nan", "repair", ["a.xyz"], "no numbers", write={"a.xyz": nothing})
    yield given(
        "traceback",
        "repair of no element",
        "repair",
        ["a.xyz"],
        "of no element",
        write={"a.xyz": nothing.replace("nan", "1").replace("O", "200")},
    )
    yield given(
        "traceback",
        "repair far from the origin",
        "repair",
        ["a.xyz"],
        "from the origin",
        write={"a.xyz": nothing.replace("nan", "1e30")},
    )
    yield given(
        "nonsense", "record=3 of two", "conformers", ["a.sdf", "record=3"], "counted from 1", write={"a.sdf": two}
    )


def of_texts():
    many = "9" * 5000
    for name, task, things, word in (
        ("no SMILES", "conformers", ["CC("], "no SMILES"),
        ("a letter of another alphabet", "conformers", ["CO\u0421"], r"U\+0421"),
        ("keep of a letter of another alphabet", "scaffold", [ASPIRIN, "keep=CO\u0421"], "ASCII"),
        ("two SMILES in a text", "conformers", ["CCO CCN"], "expected one"),
        ("two SMILES in two lines", "conformers", ["CCO\nCCN"], "expected one"),
        ("pieces", "conformers", ["CC(=O)[O-].[Na+]"], "2 pieces|never seen"),
        ("pieces of a scaffold", "scaffold", ["CCO.CCN", "keep=0-1"], "pieces without positions"),
        ("a kind never seen", "conformers", ["CCCl"], "never seen"),
        ("two molecules", "conformers", ["CCO", "CCN"], "two things"),
        ("an empty text", "conformers", [""], "no molecule"),
        ("10,000 carbons", "conformers", ["C" * 10_000], "expected|at most"),
        ("10,001 carbons", "scaffold", ["C" * 10_001], "10001 characters"),
        ("a chain too long for a shape", "scaffold", ["C" * 400, "keep=0-3"], "at most|no shape"),
        ("a charge of 130", "conformers", ["[N+130]"], "no SMILES"),
        ("an aromatic bond outside of a ring", "conformers", ["C:C"], "aromatic"),
        ("InChI that is none", "conformers", ["InChI=1S/x"], "no InChI"),
        ("a star", "conformers", ["*CC"], "open end"),
        ("stars", "scaffold", ["**"], "another"),
        ("atoms=0", "generate", ["atoms=0"], "1 or more"),
        ("atoms in 5,000 digits", "generate", [f"atoms={many}"], "expected"),
        ("atoms=1.5", "generate", ["atoms=1.5"], "whole number"),
        ("atoms=\u00b2", "generate", ["atoms=\u00b2"], "whole number"),
        ("atoms=1_0", "generate", ["atoms=1_0"], "whole number"),
        ("record in 5,000 digits", "conformers", ["CCO", f"record={many}"], "record"),
        ("keep in 5,000 digits", "scaffold", [ASPIRIN, f"keep={many}"], "keep"),
        ("keep up to a billion", "scaffold", [ASPIRIN, "keep=0-999999999"], "atoms 0 to"),
        ("keep backwards", "scaffold", [ASPIRIN, "keep=5-0"], "backwards"),
        ("keep that is none", "scaffold", [ASPIRIN, "keep=c1cc"], "neither SMARTS"),
        ("keep of nothing there", "scaffold", [ASPIRIN, "keep=[Si]"], "matches nothing"),
        ("match of five", "scaffold", [ASPIRIN, "keep=c1ccccc1", "match=99"], "matches 1 time|matches"),
        ("a linker of one piece", "linker", [ASPIRIN, "keep=0-2"], "joins two"),
        ("logP=nan", "property", ["logP=nan"], "expected a number"),
        ("logP=1e400", "property", ["logP=1e400"], "expected a number"),
        ("logP=1_0", "property", ["logP=1_0"], "expected a number"),
        ("logP=2,5", "property", ["logP=2,5"], "expected a number"),
        ("logP far away", "property", ["logP=1e9"], "expected -?[0-9]"),
        ("logp", "property", ["logp=2"], "logP"),
        ("rings=99", "count", ["rings=99"], "more than"),
        ("rings=-1", "count", ["rings=-1"], "0 or more"),
        ("two counts", "count", ["rings=1", "N=1"], "one is meant"),
        ("N of an empty text", "count", ["N="], "whole number"),
        ("repair of SMILES", "repair", ["CCO"], "no positions"),
        ("noise=0", "repair", ["CCO", "noise=0"], "above 0|positions"),
        ("a name of another task", "conformers", ["CCO", "rings=3"], "none of this task's names"),
        ("a name twice", "generate", ["atoms=4", "atoms=5"], "twice"),
        ("no such file", "conformers", ["none.sdf"], "no such file"),
        ("no such file in gzip", "conformers", ["none.xyz.gz"], "no such file"),
    ):
        yield given("nonsense", f"{task} of {name}", task, things, word)


def of_configs():
    for name, keys, word in (
        ("source=qm8", ["source=qm8"], "config.data.source = 'qm8'"),
        ("source=QM9", ["source=QM9"], "config.data.source"),
        ("count=-1", ["count=-1"], "count = -1"),
        ("count beyond what there is", ["source=smiles", "count=99999999"], "99999999 molecules"),
        ("count=two", ["count=two"], "count"),
        ("count=1.5", ["count=1.5"], "count"),
        ("most_atoms=-1", ["most_atoms=-1"], "most_atoms"),
        ("most_atoms=1", ["source=smiles", "count=9", "most_atoms=1"], "0 of 9 molecules|expected 8 or more"),
        ("scales nan", ["scales.pairs=nan"], "scales.pairs"),
        ("scales=0", ["scales.features=0"], "scales.features"),
        ("conditions of nothing", ["conditions=()"], "conditions"),
        ("a condition that is none", ["conditions=('shape',)"], "'shape' is none of"),
        ("buckets=(0,)", ["buckets=(0,)"], "buckets"),
        ("buckets=(1.5,)", ["buckets=(1.5,)"], "buckets"),
        ("split_seed=-1", ["split_seed=-1"], "split_seed"),
        ("no property", ["property="], "property is empty"),
        ("hydrogens without bonds", ["pairs=False"], "heavy=False"),
        ("a property that is none", ["source=smiles", "count=9", "property=weight"], "expected one of"),
        ("no such path", ["path=none.xyz"], "no such file"),
        ("a pattern that fits nothing", ["path=*.xyz"], "no file fits"),
    ):
        yield config("nonsense", f"data.{name}", word, keys=[f"--config.data.{key}" for key in keys])


def as_advised():
    # Advice typed, beside a number that is refused after it, so that nothing is trained.
    after = [f"--config.data.{key}" for key in ("source=smiles", "count=9", "most_atoms=1")]
    for name, keys in (
        ("conditions without property", ["--config.data.property=", "--config.data.conditions=('', 'graph', 'part')"]),
        ("atoms that are all modelled", ["--config.data.pairs=False", "--config.data.heavy=False"]),
        ("another property", ["--config.data.property=logP"]),
    ):
        yield config("words", f"{name}, as is advised", "0 of 9 molecules are left", keys=[*keys, *after])
    for key, word in (
        ("source=qm8", "--config.data.source=smiles"),
        ("property=", "--config.data.property=logP, or --config.data.conditions="),
        ("pairs=False", "--config.data.heavy=False"),
    ):
        yield config("words", f"the advice about data.{key}", word, keys=[f"--config.data.{key}"])
    most = ["--config.data.source=smiles", "--config.data.count=99999999"]
    yield config("words", "the advice about data.count", r"--config\.data\.count=\d+$", keys=most)
    for task, option in (
        ("conformers", "count=1000000000"),
        ("conformers", "count=0"),
        ("scaffold", "kept=nan"),
        ("scaffold", "kept=1.0"),
        ("property", "scale=inf"),
        ("property", "target=nan"),
        ("property", "method=guess"),
        ("repair", "noise=inf"),
        ("repair", "valence=-1.0"),
        ("repair", "clash=nan"),
        ("count", "number=-1"),
        ("count", "number=1000000000"),
        ("count", "num_particles=0"),
    ):
        key = f"config.tasks.{task}.{option}"
        yield config("nonsense", key, f"tasks.{task}.{option.partition('=')[0]}", keys=[f"--{key}"])


def strained(folder):
    two = conformer("C.C")
    first, second = Chem.GetMolFrags(two)
    places = two.GetConformer().GetPositions()
    assert metrics.strain([two])[0] < 0.1, "apart they are relaxed"
    places[list(second)] += places[first[0]] - places[second[0]] + [0.4, 0, 0]
    two.GetConformer().SetPositions(places)
    assert metrics.strain([two])[0] > 1e3, f"strain of two methanes .4 angstrom apart is {metrics.strain([two])[0]}"


def seeded(folder):
    for seed in (2**31, 2**40, 2**63):
        assert conformer("CCO", seed).GetNumAtoms() == 9


GIVEN = [
    *of_files(),
    *of_texts(),
    *of_configs(),
    *as_advised(),
    done("metadata", "two methanes .4 angstrom apart are strained", strained),
    done("traceback", "seeds beyond what RDKit takes", seeded),
]
