"""What a campaign may say about its molecules: the settings of the `molecule` space."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from heuresis.errors import did_you_mean
from heuresis.plugin import PluginConfig

ORGANIC_ELEMENTS = ("C", "H", "N", "O", "F", "P", "S", "Cl", "Br", "I")


def alert_catalogues() -> list[str]:
    """Return the names of RDKit's filter catalogues: PAINS, BRENK, NIH, …"""
    from rdkit.Chem.FilterCatalog import FilterCatalogParams

    return sorted(FilterCatalogParams.FilterCatalogs.names)


def _known_elements(symbols: tuple[str, ...]) -> tuple[str, ...]:
    from rdkit.Chem import GetPeriodicTable

    table = GetPeriodicTable()
    known = [table.GetElementSymbol(number) for number in range(1, 119)]
    for symbol in symbols:
        if symbol not in known:
            raise ValueError(f"'{symbol}' is no chemical element{did_you_mean(symbol, known)}")
    if not symbols:
        raise ValueError("impossible constraint: no element is allowed")
    return symbols


def _known_alerts(names: tuple[str, ...]) -> tuple[str, ...]:
    known = alert_catalogues()
    for name in names:
        if name not in known:
            # The catalogues differ in upper and lower case; a typing error should not have to.
            by_upper = {one.upper(): one for one in known}
            close = by_upper.get(name.upper(), name)
            raise ValueError(
                f"unknown alert catalogue '{name}'{did_you_mean(close, known)};"
                f" known: {', '.join(known)}"
            )
    return names


def _parsable(patterns: dict[str, str]) -> dict[str, str]:
    from rdkit.Chem import MolFromSmarts
    from rdkit.rdBase import BlockLogs

    for name, smarts in patterns.items():
        with BlockLogs():
            if MolFromSmarts(smarts) is None:
                raise ValueError(f"'{name}: {smarts}' is not a readable SMARTS pattern")
    return patterns


Count = Annotated[int, Field(ge=0)]
Smarts = Annotated[dict[str, str], AfterValidator(_parsable)]


class MoleculeRules(PluginConfig):
    """Rules for salts and charges, and limits; a range is ``[lowest, highest]``, both allowed."""

    elements: Annotated[tuple[str, ...], AfterValidator(_known_elements)] = Field(
        ORGANIC_ELEMENTS, description="allowed elements; hydrogen is always allowed"
    )
    heavy_atoms: tuple[Count, Count] = Field((1, 80), description="number of non-hydrogen atoms")
    molecular_weight_Da: tuple[FiniteFloat, FiniteFloat] | None = None
    rings: tuple[Count, Count] | None = Field(None, description="number of rings (smallest set)")
    ring_size: tuple[Count, Count] | None = Field(None, description="atoms in every ring")
    rotatable_bonds: tuple[Count, Count] | None = None
    salts: Literal["largest-fragment", "refuse"] = Field(
        "largest-fragment", description="what to do with more than one fragment"
    )
    charges: Literal["neutralize", "refuse", "keep"] = Field(
        "neutralize",
        description="neutralize: add or remove protons, refuse what stays charged",
    )
    stereo: Literal["keep", "strip"] = "keep"
    isotopes: Literal["refuse", "strip", "keep"] = "refuse"
    alerts: Annotated[tuple[str, ...], AfterValidator(_known_alerts)] = Field(
        (), description="RDKit filter catalogues to refuse, e.g. PAINS, BRENK"
    )
    forbid_smarts: Smarts = Field({}, description="name → SMARTS that must not match")
    require_smarts: Smarts = Field({}, description="name → SMARTS that must match")
    max_characters: int = Field(500, ge=1, le=10_000, description="longer texts are not parsed")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name in ("heavy_atoms", "molecular_weight_Da", "rings", "ring_size", "rotatable_bonds"):
            limits = getattr(self, name)
            if limits is not None and limits[0] > limits[1]:
                raise ValueError(
                    f"impossible constraint: {name} expects [lowest, highest], got {list(limits)}"
                )
        if self.heavy_atoms[1] == 0:
            raise ValueError("impossible constraint: heavy_atoms allows no atom at all")
        if self.molecular_weight_Da is not None and self.molecular_weight_Da[1] <= 0:
            raise ValueError("impossible constraint: molecular_weight_Da allows no positive weight")
        if self.rings is not None and self.rings[0] > 0 and self.ring_size is not None:
            smallest_ring = 3
            if self.ring_size[1] < smallest_ring:
                raise ValueError(
                    "impossible constraint: rings are required, but ring_size allows none"
                    f" ({self.ring_size[1]} atoms at most; the smallest ring has {smallest_ring})"
                )
        if not set(self.elements) - {"H"}:
            raise ValueError("impossible constraint: a molecule needs an element besides H")
        both = set(self.forbid_smarts.values()) & set(self.require_smarts.values())
        if both:
            raise ValueError(f"impossible constraint: '{both.pop()}' is required and forbidden")
        return self


def in_words(rules: MoleculeRules) -> str:
    """Return the rules as one line for a terminal."""

    def span(limits: Iterable[float]) -> str:
        low, high = limits
        return f"{low:g}–{high:g}"

    words = [
        f"elements {' '.join(rules.elements)}",
        f"{span(rules.heavy_atoms)} heavy atoms",
        f"{span(rules.molecular_weight_Da)} Da" if rules.molecular_weight_Da else "",
        f"{span(rules.rings)} rings" if rules.rings else "",
        f"ring size {span(rules.ring_size)}" if rules.ring_size else "",
        f"{span(rules.rotatable_bonds)} rotatable bonds" if rules.rotatable_bonds else "",
        f"no {'/'.join(rules.alerts)} alerts" if rules.alerts else "",
        f"without {', '.join(rules.forbid_smarts)}" if rules.forbid_smarts else "",
        f"with {', '.join(rules.require_smarts)}" if rules.require_smarts else "",
        {"neutralize": "neutral", "refuse": "neutral", "keep": "any charge"}[rules.charges],
    ]
    return "molecules: " + ", ".join(word for word in words if word)
