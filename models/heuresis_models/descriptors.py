"""Properties of a molecule's graph that the language names, computed by RDKit.

They are exact and cheap, so they teach conditioning (state the value, then the molecule) and check
it afterwards, without any campaign's oracle. Names and units are those of
`heuresis_models.language.tokens.PROPERTIES`.

Sources: logP by Wildman and Crippen (J. Chem. Inf. Comput. Sci. 1999, 39, 868); polar surface by
Ertl et al. (J. Med. Chem. 2000, 43, 3714), nitrogen and oxygen only; QED by Bickerton et al. (Nat.
Chem. 2012, 4, 90); synthetic accessibility by Ertl and Schuffenhauer (J. Cheminf. 2009, 1, 8).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rdkit.Chem import Mol


def _logp(molecule: Mol) -> float:
    from rdkit.Chem import rdMolDescriptors

    return float(rdMolDescriptors.CalcCrippenDescriptors(molecule)[0])


def _tpsa(molecule: Mol) -> float:
    from rdkit.Chem import rdMolDescriptors

    return float(rdMolDescriptors.CalcTPSA(molecule))


def _qed(molecule: Mol) -> float:
    from rdkit.Chem import QED

    qed: Any = QED.qed
    return float(qed(molecule))


@cache
def _sa_module() -> Any:
    from rdkit import RDConfig

    path = Path(RDConfig.RDContribDir) / "SA_Score" / "sascorer.py"
    spec = importlib.util.spec_from_file_location("heuresis_models_sascorer", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _sa_score(molecule: Mol) -> float:
    return float(_sa_module().calculateScore(molecule))


def _counted(name: str) -> Callable[[Mol], float]:
    def count(molecule: Mol) -> float:
        from rdkit.Chem import rdMolDescriptors

        return float(getattr(rdMolDescriptors, name)(molecule))

    return count


MOLECULE_PROPERTIES: Final[dict[str, Callable[[Mol], float]]] = {
    "logp": _logp,
    "tpsa": _tpsa,
    "qed": _qed,
    "sa_score": _sa_score,
    "molar_mass": _counted("_CalcMolWt"),
    "heavy_atoms": lambda molecule: float(molecule.GetNumHeavyAtoms()),
    "rings": _counted("CalcNumRings"),
    "aromatic_rings": _counted("CalcNumAromaticRings"),
    "rotatable_bonds": _counted("CalcNumRotatableBonds"),
    "donors": _counted("CalcNumHBD"),
    "acceptors": _counted("CalcNumHBA"),
    "sp3_share": _counted("CalcFractionCSP3"),
}
"""Property → function of a sanitised RDKit molecule."""


def properties_of(molecule: Mol, names: Iterable[str]) -> dict[str, float]:
    """Return the named properties of an RDKit molecule.

    Raises:
        KeyError: a name is not in `MOLECULE_PROPERTIES`.
    """
    return {name: MOLECULE_PROPERTIES[name](molecule) for name in names}
