"""Ours beside other libraries from the package index, which `pip install -e ".[benchmarks]"` brings: azula, flow-matching,
diffusers and deepinv. Samplers on exact laws, and inverse problems whose posterior is known.

Usage: python scripts/benchmarks/peers.py [--only samplers | inverse] [--seeds 10] [--laws NAME ...] [--out FOLDER] [--keep FOLDER]
Tables are printed and written to results/peers_*.md; a look at some laws alone is written only with --out.
"""

import argparse
import pathlib

from peers_inverse import inverse
from peers_laws import NAMES
from peers_samplers import samplers
from sampling_common import Table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("samplers", "inverse"))
    parser.add_argument("--seeds", type=int, default=10, help="of the samplers")
    parser.add_argument("--sets", type=int, default=1, help="of observations of the inverse problems")
    parser.add_argument("--laws", nargs="+", choices=NAMES, default=list(NAMES), metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--out", type=pathlib.Path, help="the folder of the tables; results/ beside this script")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder to keep the peers' rows of samplers in, and to take them from")
    arguments = parser.parse_args()
    if arguments.keep:
        arguments.keep.mkdir(exist_ok=True)
    if arguments.only != "inverse":
        table = Table()
        samplers(table, arguments.seeds, arguments.laws, arguments.keep)
        keep(table, "samplers", arguments)
    if arguments.only != "samplers":
        table = Table()
        inverse(table, arguments.sets)
        keep(table, "inverse", arguments)


def keep(table: Table, part: str, arguments) -> None:
    # A look at a few laws is not to replace the table of all.
    if arguments.out or arguments.laws == list(NAMES):
        folder = arguments.out or pathlib.Path(__file__).parent / "results"
        folder.mkdir(exist_ok=True)
        (folder / f"peers_{part}.md").write_text(table.text())


if __name__ == "__main__":
    main()
