"""Numbers, labels, quantiles and formulas: what stands before an object, or after it.

Before the object a quantity is a condition ("make one like this"), after it a prediction ("this
one has that"); place alone decides, so both share every token but not the meaning.

A number is a sign, three digits and a decimal exponent: ``<logp><+>'2'3'4<e+0>`` is 2.34. That is
three significant digits, a relative error of at most 0.5 %. Clipping, never silent in the text:
magnitudes from 9.995e9 up are written as 9.99e9, magnitudes below 9.995e-10 as zero,
``<+>'0'0'0<e+0>``. Zero has the sign ``<+>``; what is not finite is an error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from heuresis.errors import did_you_mean
from heuresis_models.language.errors import DocumentError
from heuresis_models.language.tokens import ELEMENT_SYMBOLS, LABELS, LEVELS, PROPERTIES, QUANTILES

MANTISSA_DIGITS: Final = 3
LARGEST_EXPONENT: Final = 9
LARGEST: Final = 9.99e9
ZERO: Final = ("<+>", "'0", "'0", "'0", "<e+0>")
NUMBER_TOKENS: Final = len(ZERO)


def write_number(value: float) -> list[str]:
    """Return the tokens of a number, rounded to three significant digits and clipped.

    Raises:
        DocumentError: the value is not finite.
    """
    if not math.isfinite(value):
        raise DocumentError(f"the language writes finite numbers, got {value}; leave it out")
    sign = "<->" if value < 0 else "<+>"
    mantissa, _, exponent_text = f"{abs(value):.{MANTISSA_DIGITS - 1}e}".partition("e")
    exponent = int(exponent_text)
    if value == 0.0 or exponent < -LARGEST_EXPONENT:
        return list(ZERO)
    if exponent > LARGEST_EXPONENT:
        mantissa, exponent = "9.99", LARGEST_EXPONENT
    return [sign, *(f"'{digit}" for digit in mantissa if digit != "."), f"<e{exponent:+d}>"]


def read_number(tokens: list[str]) -> float:
    """Return the value of `NUMBER_TOKENS` tokens.

    Raises:
        DocumentError: they are no number, or not in the one normal form that a number has.
    """
    try:
        sign, *digits, exponent = tokens
        value = float(
            f"{sign[1:-1]}{digits[0][1]}.{digits[1][1]}{digits[2][1]}e{int(exponent[2:-1])}"
        )
    except (ValueError, IndexError):
        value = math.nan
    if math.isnan(value) or write_number(value) != tokens:
        raise DocumentError(
            f"expected a number such as <+>'2'3'4<e+0> in normal form, got {''.join(tokens)!r}"
        )
    return value


@dataclass(frozen=True)
class Quantity:
    """A property with its value in the unit of `tokens.PROPERTIES`."""

    name: str
    value: float

    def tokens(self) -> list[str]:
        """Return tag and number."""
        return [_property(self.name, label=False), *write_number(self.value)]


LEVEL_SCALES: Final[dict[str, tuple[float, float]]] = {
    "logp": (-2.0, 0.25), "tpsa": (0.0, 5.0), "qed": (0.2, 0.025), "sa_score": (1.4, 0.15),
    "molar_mass": (100.0, 12.5), "heavy_atoms": (8.0, 1.0), "rings": (0.0, 1.0),
    "aromatic_rings": (0.0, 1.0), "rotatable_bonds": (0.0, 1.0), "donors": (0.0, 1.0),
    "acceptors": (0.0, 1.0), "sp3_share": (0.0, 1.0 / 31.0),
}  # fmt: skip
"""Property → (value of level 0, step), in the unit of `tokens.PROPERTIES`. The scales hold all but
a few in a thousand of the molecules of ZINC250k."""


@dataclass(frozen=True)
class Level:
    """A property in one token, to the nearest of 32 even steps: read sooner than digits.

    A number takes five tokens, and what the third of them is worth depends on the others; a level
    is one step of an ordered scale, and its neighbours start with similar embeddings.
    """

    name: str
    level: int

    @classmethod
    def of(cls, name: str, value: float) -> Level:
        """Return the level nearest to a value; the first or the last for what lies outside.

        Raises:
            DocumentError: the property has no scale, or the value is not finite.
        """
        if name not in LEVEL_SCALES or not math.isfinite(value):
            raise DocumentError(
                f"levels are written of finite values of {', '.join(LEVEL_SCALES)}; got"
                f" {name} = {value}"
            )
        low, step = LEVEL_SCALES[name]
        return cls(name, min(max(round((value - low) / step), 0), len(LEVELS) - 1))

    @property
    def value(self) -> float:
        """The value in the middle of the level."""
        low, step = LEVEL_SCALES[self.name]
        return low + self.level * step

    def tokens(self) -> list[str]:
        """Return tag and level."""
        if self.name not in LEVEL_SCALES or not 0 <= self.level < len(LEVELS):
            raise DocumentError(
                f"levels are 0 to {len(LEVELS) - 1} of {', '.join(LEVEL_SCALES)}; got"
                f" {self.name} {self.level}"
            )
        return [_property(self.name, label=False), LEVELS[self.level]]


@dataclass(frozen=True)
class Label:
    """A property that is one of at most 16 classes."""

    name: str
    label: int

    def tokens(self) -> list[str]:
        """Return tag and label."""
        if not 0 <= self.label < len(LABELS):
            raise DocumentError(f"labels are 0 to {len(LABELS) - 1}, got {self.label}")
        return [_property(self.name, label=True), LABELS[self.label]]


@dataclass(frozen=True)
class Quantile:
    """Rank of a campaign's score among the evaluations so far: 15 is the best sixteenth."""

    quantile: int

    @classmethod
    def of(cls, rank: float) -> Quantile:
        """Return the quantile of a rank in [0, 1], where 1 is the best."""
        if not 0.0 <= rank <= 1.0:
            raise DocumentError(f"a rank is within 0 and 1, got {rank}")
        return cls(min(int(rank * len(QUANTILES)), len(QUANTILES) - 1))

    def tokens(self) -> list[str]:
        """Return the one token."""
        if not 0 <= self.quantile < len(QUANTILES):
            raise DocumentError(f"quantiles are 0 to {len(QUANTILES) - 1}, got {self.quantile}")
        return [QUANTILES[self.quantile]]


@dataclass(frozen=True)
class Formula:
    """Elements with counts, as a condition for a crystal: ``<formula>{Na}'1{Cl}'1</formula>``."""

    counts: tuple[tuple[str, int], ...]

    def tokens(self) -> list[str]:
        """Return delimiters, elements and counts."""
        tokens = ["<formula>"]
        for symbol, count in self.counts:
            if symbol not in ELEMENT_SYMBOLS or not 1 <= count <= 999:
                raise DocumentError(
                    f"a formula has known elements with counts 1 to 999, got {symbol} {count}"
                )
            tokens += [f"{{{symbol}}}", *(f"'{digit}" for digit in str(count))]
        if len({symbol for symbol, _ in self.counts}) != len(self.counts) or not self.counts:
            raise DocumentError(f"a formula lists each element once, got {self.counts}")
        return [*tokens, "</formula>"]


def _property(name: str, *, label: bool) -> str:
    if name not in PROPERTIES:
        raise DocumentError(
            f"unknown property '{name}'{did_you_mean(name, PROPERTIES)};"
            f" known: {', '.join(PROPERTIES)}"
        )
    if (PROPERTIES[name] == "label") is not label:
        kind = "a class: use Label" if PROPERTIES[name] == "label" else "a number: use Quantity"
        raise DocumentError(f"the property '{name}' is {kind}")
    return f"<{name}>"
