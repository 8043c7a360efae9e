"""What does sampling cost, and how close does it come? Speed beside the bare network, errors beside diffusers' schedulers.

Usage: python scripts/benchmarks/sampling.py [--only speed | errors] [--network points|unet|dit ...] [--grid logsnr] [--solver NAME ...]
Tables are printed and, without --solver, written to results/sampling_speed_NETWORK.md and results/sampling_errors.md.
"""

import argparse
import pathlib

from sampling_common import Table
from sampling_errors import errors
from sampling_speed import speed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("speed", "errors"))
    parser.add_argument("--network", nargs="+", choices=("points", "unet", "dit"), default=["points", "unet", "dit"])
    parser.add_argument("--grid", default="logsnr", help="of our solvers' rows in the table of errors")
    parser.add_argument("--solver", nargs="+", default=[], help="ours to show; all by default")
    arguments = parser.parse_args()
    for name in arguments.network if arguments.only != "errors" else []:
        table = Table()
        speed(table, name, arguments.solver)
        keep(table, f"speed_{name}", arguments)
    if arguments.only != "speed":
        table = Table()
        errors(table, arguments.grid, arguments.solver)
        keep(table, "errors" if arguments.grid == "logsnr" else f"errors_{arguments.grid}", arguments)


def keep(table: Table, part: str, arguments) -> None:
    # A look at a few solvers is not to replace the table of all.
    if not arguments.solver:
        (pathlib.Path(__file__).parent / "results" / f"sampling_{part}.md").write_text(table.text())


if __name__ == "__main__":
    main()
