"""Potentials of crystals: CHGNet, which knows most elements, and EMT, which knows seven metals.

CHGNet 0.3.0: Deng et al., Nat. Mach. Intell. 5, 1031 (2023); weights come with its wheel. It was
trained on relaxations of the Materials Project (PBE and PBE+U, energies with the corrections of
2020), so its energies are comparable with those formation energies, and share their errors.

EMT: Jacobsen, Stoltze, Nørskov, Surf. Sci. 366, 394 (1996), in ASE. Fitted to face-centred cubic
Al, Cu, Ag, Au, Ni, Pd and Pt and used for their alloys; nothing else. No classical potential would
be honest for arbitrary compounds, so there is no other light default.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal

from heuresis.errors import MissingExtraError, OracleSetupError
from heuresis.spaces.crystals.elements import ELEMENT_SYMBOLS

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

Potential = Literal["CHGNet", "CHGNet-r2SCAN", "EMT"]
POTENTIALS: tuple[Potential, ...] = ("CHGNet", "CHGNet-r2SCAN", "EMT")

MODEL_NAMES: dict[str, str] = {"CHGNet": "0.3.0", "CHGNet-r2SCAN": "r2scan"}
"""Potential → the model's name in the wheel."""
EMT_ELEMENTS = ("Al", "Cu", "Ag", "Au", "Ni", "Pd", "Pt")
_CHGNET_UNKNOWN = frozenset({"Po", "At", "Rn", "Fr", "Ra", "Am", "Cm"})
"""Of the elements that crystals are written with, those not among the 89 of the training set."""


def require_installed(potential: Potential) -> None:
    """Check that a potential's package is there.

    Raises:
        MissingExtraError: it is not; says what to install.
    """
    if potential in MODEL_NAMES:
        try:
            version("chgnet")
        except PackageNotFoundError as error:
            raise MissingExtraError(
                f"the potential {potential} of crystals (EMT, for seven metals, needs nothing)",
                "chgnet",
                "crystals",
            ) from error


def packages(potential: Potential) -> tuple[str, ...]:
    """Return the packages whose versions decide what a potential gives."""
    return ("chgnet", "torch", "ase") if potential in MODEL_NAMES else ("ase",)


def known_elements(potential: Potential) -> tuple[str, ...]:
    """Return the elements that a potential was made for."""
    if potential == "EMT":
        return EMT_ELEMENTS
    return tuple(symbol for symbol in ELEMENT_SYMBOLS if symbol not in _CHGNET_UNKNOWN)


def require_elements(potential: Potential, symbols: Iterable[str]) -> None:
    """Refuse elements that the potential does not know.

    Raises:
        OracleSetupError: names the elements and those that are known.
    """
    known = known_elements(potential)
    wrong = sorted(set(symbols) - set(known))
    if wrong:
        names = ", ".join(known) if potential == "EMT" else "H to Np without Po to Ra, and Pu"
        raise OracleSetupError(
            f"{potential} has no parameters for {', '.join(wrong)}; it knows {names}"
        )


def calculator(potential: Potential) -> Calculator:
    """Return an ASE calculator of energy, forces and stress.

    Raises:
        MissingExtraError: its package is not installed.
    """
    if potential == "EMT":
        from ase.calculators.emt import EMT

        return EMT()
    require_installed(potential)
    with quiet():
        from chgnet.model.dynamics import CHGNetCalculator

        return CHGNetCalculator(
            _model(MODEL_NAMES[potential]), use_device="cpu", on_isolated_atoms="error"
        )


@cache
def _model(name: str) -> Any:
    import torch
    from chgnet.model.model import CHGNet

    # More threads would add in another order from run to run.
    torch.set_num_threads(1)
    return CHGNet.load(model_name=name, use_device="cpu", verbose=False)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep CHGNet's announcements and its warnings about torch from the terminal."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
