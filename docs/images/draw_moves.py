"""Draw one example of each move as ``docs/images/moves.svg``; each is made by the move itself.

Run: ``python docs/images/draw_moves.py`` after a change of the moves.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rdkit import Chem
from rdkit.Chem.Draw.rdMolDraw2D import MolDraw2DSVG, PrepareAndDrawMolecule

from heuresis_agents.graph_moves.chemistry import editable, finished
from heuresis_agents.graph_moves.crossover import crossover
from heuresis_agents.graph_moves.fragments import built_in
from heuresis_agents.graph_moves.graph import Graph
from heuresis_agents.graph_moves.mutations import MUTATIONS, Stock

TARGET = Path(__file__).with_name("moves.svg")
MUTANTS = {
    "element": ("Cc1ccc(CO)cc1", "Cc1ccc(CO)nc1"),
    "append": ("CSc1ccccc1", "CS(=O)c1ccccc1"),
    "delete": ("Oc1ccc2c(c1)CCC2", "c1ccc2c(c1)CCC2"),
    "insert": ("CCc1ccccc1", "COCc1ccccc1"),
    "fragment": ("CCOC(=O)c1ccccc1", "c1ccc(N2CCOCC2)cc1"),
    "bond-order": ("CCCc1ccccc1", "CC=Cc1ccccc1"),
    "move": ("COc1ccccc1C", "COc1cccc(C)c1"),
    "close-ring": ("CCCCc1ccccc1", "c1ccc2c(c1)CCCC2"),
    "open-ring": ("c1ccc(N2CCCC2)cc1", "CCCCNc1ccccc1"),
    "saturation": ("c1ccc(C2CCNCC2)cc1", "c1ccc(-c2ccncc2)cc1"),
    "drop": ("CCN(C)C(=O)c1ccccc1", "CNC(=O)c1ccccc1"),
}
"""Move → before and after."""
CROSSES = {
    "crossover: one bond each": (("Nc1ccc(CC#N)cc1", "OC1CCN(C=O)CC1"), "N#CC1CCN(C=O)CC1"),
    "crossover: two ring bonds each": (("FC1CCCCC1", "CN1CCOCC1"), "CN1CCC(F)CC1"),
}
CELL_WIDTH, CELL_HEIGHT, LABEL_HEIGHT, ARROW = 120, 84, 18, 26
COLUMNS_WIDTH = 3 * CELL_WIDTH + ARROW + 20
TRIES = 20_000


def reached(wanted: str, make: Callable[[np.random.Generator], Graph | None]) -> str:
    """Return the wanted child in canonical form; an error if the move never makes it."""
    rng = np.random.default_rng(0)
    target = Chem.MolToSmiles(Chem.MolFromSmiles(wanted))
    for _ in range(TRIES):
        graph = make(rng)
        if graph is not None and finished(graph) == target:
            return target
    raise SystemExit(f"{wanted} is not among the children of {TRIES} tries; draw another example")


def read(text: str) -> Graph:
    """Return a graph of a molecule that is known to be readable."""
    graph = editable(text)
    assert graph is not None
    return graph


def mutant(name: str, before: str, wanted: str) -> str:
    """Return the child of one mutation."""
    stock = Stock({6: 1, 7: 1, 8: 1}, built_in((6, 7, 8)))
    parent = read(before)

    def make(rng: np.random.Generator) -> Graph | None:
        graph = parent.copy()
        return graph if MUTATIONS[name][1](graph, rng, stock) else None

    return reached(wanted, make)


def crossed(parents: tuple[str, str], wanted: str) -> str:
    """Return the child of a crossover."""
    left, right = (read(text) for text in parents)
    return reached(wanted, lambda rng: crossover(left, right, rng))


def molecule(text: str, x: float, y: float) -> str:
    """Return the picture of a molecule at a place, with shortened numbers."""
    drawer = MolDraw2DSVG(CELL_WIDTH, CELL_HEIGHT)
    options = drawer.drawOptions()
    options.clearBackground = False  # type: ignore[assignment]
    options.fixedBondLength = 18  # type: ignore[assignment]
    options.bondLineWidth = 1  # type: ignore[assignment]
    PrepareAndDrawMolecule(drawer, Chem.MolFromSmiles(text))
    drawer.FinishDrawing()
    body = re.search(r"<!-- END OF HEADER -->(.*)</svg>", drawer.GetDrawingText(), re.DOTALL)
    assert body is not None
    short = re.sub(r"\d+\.\d+", lambda m: f"{float(m[0]):.1f}", body[1])
    # One path for all lines of a colour: a fifth of the size.
    lines: dict[str, list[str]] = {}
    letters = []
    for path, style in re.findall(r"<path[^>]*\bd='([^']*)'([^>]*)/>", short):
        stroke = re.search(r"stroke:(#\w+)", style)
        if stroke is not None:
            lines.setdefault(stroke[1], []).append(path)
        elif fill := re.search(r"fill='(#\w+)'", style):
            letters.append(f"<path fill='{fill[1]}' d='{path}'/>")
    drawn = [
        f"<path fill='none' stroke='{colour}' d='{' '.join(paths)}'/>"
        for colour, paths in lines.items()
    ]
    return f"<g transform='translate({x:g} {y:g})'>{''.join(drawn + letters)}</g>"


def row(label: str, parents: tuple[str, ...], child: str, x: float, y: float) -> str:
    """Return one example: a label, the parents, an arrow and the child."""
    parts = [f"<text x='{x + 6:g}' y='{y + 13:g}'>{label}</text>"]
    top = y + LABEL_HEIGHT
    for place, text in enumerate(parents):
        parts.append(molecule(text, x + place * CELL_WIDTH, top))
    end = x + len(parents) * CELL_WIDTH
    parts.append(f"<text x='{end + 4:g}' y='{top + CELL_HEIGHT / 2 + 6:g}' font-size='18'>→</text>")
    parts.append(molecule(child, end + ARROW, top))
    return "\n".join(parts)


def main() -> None:
    """Write the picture."""
    rows: list[tuple[str, tuple[str, ...], str]] = [
        (name, (before,), mutant(name, before, wanted))
        for name, (before, wanted) in MUTANTS.items()
    ]
    rows += [(name, pair, crossed(pair, wanted)) for name, (pair, wanted) in CROSSES.items()]
    # Two columns of mutations, then the crossovers side by side.
    step = CELL_HEIGHT + LABEL_HEIGHT
    lines = (len(MUTANTS) + 1) // 2
    places = [(n % 2 * COLUMNS_WIDTH, n // 2 * step) for n in range(len(MUTANTS))]
    places += [(n * COLUMNS_WIDTH, lines * step) for n in range(len(CROSSES))]
    height = (lines + 1) * step + 6
    body = [row(*entry, *place) for entry, place in zip(rows, places, strict=True)]
    TARGET.write_text(
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {2 * COLUMNS_WIDTH} {height}'"
        f" width='{2 * COLUMNS_WIDTH}' font-family='sans-serif' font-size='12'>\n"
        "<rect width='100%' height='100%' fill='#fff'/>\n" + "\n".join(body) + "\n</svg>\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
