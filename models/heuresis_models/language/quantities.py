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
from heuresis_models.language.tokens import ELEMENT_SYMBOLS, LABELS, PROPERTIES, QUANTILES

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
