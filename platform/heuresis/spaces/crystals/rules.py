"""What a campaign may say about its crystals: the settings of the `crystal` space."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from heuresis.errors import did_you_mean
from heuresis.plugin import PluginConfig
from heuresis.spaces.crystals.elements import ELEMENT_SYMBOLS

_LEFT_OUT = frozenset(
    "He Ne Ar Kr Xe Rn Tc Pm Po At Fr Ra Ac Th Pa U Np Pu Am Cm".split()  # noqa: SIM905
)
USUAL_ELEMENTS = tuple(symbol for symbol in ELEMENT_SYMBOLS if symbol not in _LEFT_OUT)
"""All but noble gases and what is radioactive."""


def _known_elements(symbols: tuple[str, ...]) -> tuple[str, ...]:
    for symbol in symbols:
        if symbol not in ELEMENT_SYMBOLS:
            raise ValueError(
                f"'{symbol}' is no element that crystals are written with"
                f"{did_you_mean(symbol, ELEMENT_SYMBOLS)}; known: H to Cm"
            )
    return tuple(dict.fromkeys(symbols))


Elements = Annotated[tuple[str, ...], AfterValidator(_known_elements)]
Count = Annotated[int, Field(ge=1)]


class CrystalRules(PluginConfig):
    """Limits; a range is ``[lowest, highest]``, both allowed."""

    elements: Elements = Field(
        USUAL_ELEMENTS,
        description="allowed elements; default: all but noble gases and radioactive ones",
    )
    require_elements: Elements = Field((), description="elements that every crystal must hold")
    element_count: tuple[Count, Count] = Field((1, 5), description="number of different elements")
    atoms: tuple[Count, Count] = Field((1, 40), description="atoms in the primitive cell")
    space_groups: tuple[
        Annotated[int, Field(ge=1, le=230)], Annotated[int, Field(ge=1, le=230)]
    ] = Field((1, 230), description="numbers of the allowed space groups")
    charges: Literal["balanced", "smact", "any"] = Field(
        "balanced",
        description="balanced: one oxidation state per element makes it neutral; smact: that, or"
        " an alloy of metals, or one element alone; any: not asked",
    )
    shortest_contact: FiniteFloat = Field(
        0.6,
        ge=0.0,
        le=1.5,
        description="shortest distance of any two atoms, in units of the sum of their covalent"
        " radii",
    )
    volume_per_atom_angstrom3: tuple[FiniteFloat, FiniteFloat] = (3.0, 150.0)
    max_characters: int = Field(1500, ge=1, le=10_000, description="longer texts are not parsed")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name in ("element_count", "atoms", "space_groups", "volume_per_atom_angstrom3"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(
                    f"impossible constraint: {name} expects [lowest, highest], got {[low, high]}"
                )
        if not self.elements:
            raise ValueError("impossible constraint: no element is allowed")
        missing = [symbol for symbol in self.require_elements if symbol not in self.elements]
        if missing:
            raise ValueError(
                f"impossible constraint: {', '.join(missing)} is required, but not among the"
                " allowed elements"
            )
        if len(self.require_elements) > self.element_count[1]:
            raise ValueError(
                f"impossible constraint: {len(self.require_elements)} elements are required, but"
                f" at most {self.element_count[1]} allowed (element_count)"
            )
        if self.element_count[0] > len(self.elements):
            raise ValueError(
                f"impossible constraint: at least {self.element_count[0]} different elements are"
                f" asked for (element_count), but only {len(self.elements)} are allowed"
            )
        if self.element_count[0] > self.atoms[1]:
            raise ValueError(
                "impossible constraint: element_count asks for more elements than the cell may"
                f" have atoms ({self.atoms[1]})"
            )
        return self


def in_words(rules: CrystalRules) -> str:
    """Return the rules as one line for a terminal."""

    def span(limits: tuple[float, float]) -> str:
        low, high = limits
        return f"{low:g}" if low == high else f"{low:g}–{high:g}"

    few = len(rules.elements) <= 30
    words = [
        f"elements {' '.join(rules.elements)}" if few else f"{len(rules.elements)} elements",
        f"{span(rules.element_count)} different",
        f"with {', '.join(rules.require_elements)}" if rules.require_elements else "",
        f"{span(rules.atoms)} atoms in the primitive cell",
        f"space groups {span(rules.space_groups)}" if rules.space_groups != (1, 230) else "",
        {"balanced": "charges balance", "smact": "charges balance or metals", "any": ""}[
            rules.charges
        ],
    ]
    return "crystals: " + ", ".join(word for word in words if word)
