"""What both parts of `sampling.py` share: markdown tables, the list of solvers, and steps that cost a number of calls."""

import equinox as eqx

import sciddm as sd


class Table:
    """Markdown lines, printed as they come."""

    def __init__(self):
        self.lines = []

    def line(self, text=""):
        self.lines.append(text)
        print(text, flush=True)

    def row(self, *cells):
        self.line("| " + " | ".join(str(cell) for cell in cells) + " |")

    def head(self, *cells):
        self.line()
        self.row(*cells)
        self.row(*["---"] * len(cells))

    def text(self) -> str:
        return "\n".join(self.lines).strip() + "\n"


def distinct_solvers(only=()) -> dict:
    """Label -> solver, all or those named in `only`; a method with several names stands once, under all of them."""
    found = {}
    for name in only or sd.solvers.SOLVERS:
        solver = sd.solvers.resolve(name)
        same = next((label for label in found if eqx.tree_equal(found[label], solver) is True), None)
        if same:
            found = {(f"{label}, {name}" if label == same else label): value for label, value in found.items()}
        else:
            found[name] = solver
    return found


def steps_for(solver, calls: int) -> int | None:
    """The most steps that ask the network at most `calls` times; None if their number is not fixed, 0 if one step asks more."""
    if solver.network_calls(1) is None:
        return None
    return max((steps for steps in range(1, calls + 1) if solver.network_calls(steps) <= calls), default=0)
