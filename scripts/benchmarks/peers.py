"""Ours beside other libraries from the package index, which `pip install -e ".[benchmarks]"` brings: azula, flow-matching, diffusers.

Usage: python scripts/benchmarks/peers.py [--only samplers] [--seeds 10] [--laws NAME ...] [--out FOLDER]
Tables are printed and written to results/peers_*.md; a look at some laws alone is written only with --out.
"""

import argparse
import pathlib

from peers_laws import NAMES
from peers_samplers import samplers
from sampling_common import Table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("samplers",))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--laws", nargs="+", choices=NAMES, default=list(NAMES), metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--out", type=pathlib.Path, help="the folder of the tables; results/ beside this script")
    arguments = parser.parse_args()
    results = pathlib.Path(__file__).parent / "results"
    table = Table()
    samplers(table, arguments.seeds, arguments.laws)
    if arguments.out or arguments.laws == list(NAMES):
        (arguments.out or results).mkdir(exist_ok=True)
        ((arguments.out or results) / "peers_samplers.md").write_text(table.text())


if __name__ == "__main__":
    main()
