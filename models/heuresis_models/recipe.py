"""The training recipe: a strict YAML file that says all that a training depends on but the data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from heuresis.errors import did_you_mean
from heuresis_models.descriptors import MOLECULE_PROPERTIES
from heuresis_models.errors import RecipeError
from heuresis_models.presets import PRESETS, preset
from heuresis_models.transformer import TransformerConfig

SHIPPED_RECIPES = Path(__file__).parent / "recipes"
STATED: Final = {
    "logp": 0.6, "tpsa": 0.6, "qed": 0.6, "sa_score": 0.6, "heavy_atoms": 0.6, "rings": 0.6,
}  # fmt: skip
"""Default of ``documents.molecules.stated``."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_S = TypeVar("_S", bound=_Section)


def _parts_of_one(section: _S, *names: str) -> _S:
    total = sum(getattr(section, name) for name in names)
    if total > 1.0:
        raise ValueError(f"{' + '.join(names)} is {total:g}; shares must not exceed 1 together")
    return section


class ModelSection(_Section):
    """Shape of the network, by name (``{preset: 3M}``) or by numbers.

    The vocabulary gives the rest. Of a named shape, only ``max_tokens`` can be given as well.
    """

    preset: str | None = None
    """A size of `presets.PRESETS`."""
    layers: int = Field(gt=0)
    width: int = Field(gt=0)
    heads: int = Field(gt=0)
    key_value_heads: int | None = Field(default=None, gt=0)
    """Heads of keys and values, each shared by a group of query heads; default: as many."""
    feed_forward: int = Field(gt=0)
    max_tokens: int = Field(default=256, gt=0)
    """Longest document, head included, that the model can ever read or write."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("preset") is None:
            return given
        name = str(given["preset"])
        known = {one.casefold(): one for one in PRESETS}
        shape = preset(known.get(name.casefold(), name))
        full = {
            "layers": shape.num_hidden_layers,
            "width": shape.hidden_size,
            "heads": shape.num_attention_heads,
            "key_value_heads": shape.key_value_heads,
            "feed_forward": shape.intermediate_size,
        }
        for key, value in full.items():
            if given.get(key, value) != value:
                raise ValueError(
                    f"preset {name} has {key} {value}, the recipe says {given[key]}; leave one out"
                )
        return {"max_tokens": shape.max_position_embeddings, **given, **full}

    def config(self, vocabulary_size: int) -> TransformerConfig:
        """Return the network's own configuration."""
        return TransformerConfig(
            vocab_size=vocabulary_size,
            hidden_size=self.width,
            intermediate_size=self.feed_forward,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.key_value_heads,
            max_position_embeddings=self.max_tokens,
        )


class SourceSection(_Section):
    """Files of one kind, and how much of what the model reads comes from them."""

    name: str = Field(min_length=1)
    files: tuple[str, ...] = Field(min_length=1)
    """Names within the data folder: of known files (`language.datafiles`, whose SHA-256 is
    checked), or of SMILES files (``.smi``, ``.smi.gz``)."""
    share: float = Field(default=1.0, gt=0)
    """Of the tokens, relative to the other sources."""


class MoleculeDocuments(_Section):
    """Shares of the kinds of documents of a molecule; the rest is the molecule alone."""

    randomized: float = Field(default=0.5, ge=0, le=1)
    """Share of SMILES in a random instead of the canonical form."""
    exemplars: float = Field(default=0.0, ge=0, le=1)
    """Share shown after exemplars; the following two are shares of the others."""
    conditions: float = Field(default=0.0, ge=0, le=1)
    predictions: float = Field(default=0.0, ge=0, le=1)
    stated: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(
        default_factory=lambda: dict(STATED), min_length=1
    )
    """Property → chance of being stated where properties are stated. Each is drawn on its own, so
    any subset can be asked for. Several at a time and few kinds: what belongs to which tag is hard
    to learn, and one number alone changes a molecule too little to be noticed."""

    values: Literal["levels", "numbers"] = "numbers"
    """How stated values are written: in one token to the nearest of 32 steps
    (`quantities.LEVEL_SCALES`), or in five to three digits."""

    @model_validator(mode="after")
    def _within_one(self) -> Self:
        return _parts_of_one(self, "conditions", "predictions")

    @field_validator("stated")
    @classmethod
    def _known(cls, stated: dict[str, float]) -> dict[str, float]:
        for name in stated:
            if name not in MOLECULE_PROPERTIES:
                known = ", ".join(MOLECULE_PROPERTIES)
                hint = did_you_mean(name, MOLECULE_PROPERTIES)
                raise ValueError(f"no property '{name}'{hint}; known: {known}")
        return stated


class ReactionDocuments(_Section):
    """How reactions are written."""

    retro: float = Field(default=0.65, ge=0, le=1)
    """Share written product first."""
    aligned: float = Field(default=0.9, ge=0, le=1)
    """Share written root-aligned; the rest is canonical."""


class CrystalDocuments(_Section):
    """Shares of crystals with a stated formula, with stated properties, with predicted ones."""

    formula: float = Field(default=0.4, ge=0, le=1)
    conditions: float = Field(default=0.3, ge=0, le=1)
    predictions: float = Field(default=0.3, ge=0, le=1)

    @model_validator(mode="after")
    def _within_one(self) -> Self:
        return _parts_of_one(self, "conditions", "predictions")


class ChainDocuments(_Section):
    """Shares of chains with a label before, and with a label or a track behind."""

    conditions: float = Field(default=0.3, ge=0, le=1)
    predictions: float = Field(default=0.3, ge=0, le=1)

    @model_validator(mode="after")
    def _within_one(self) -> Self:
        return _parts_of_one(self, "conditions", "predictions")


class DocumentsSection(_Section):
    """How things are shown (`curriculum`)."""

    molecules: MoleculeDocuments = MoleculeDocuments()
    reactions: ReactionDocuments = ReactionDocuments()
    crystals: CrystalDocuments = CrystalDocuments()
    chains: ChainDocuments = ChainDocuments()


class OpeningSection(_Section):
    """What is taught first, alone, before the whole mixture.

    A skill that a mixture drowns, such as reading stated numbers, is learned within minutes when
    nothing else is shown, and then kept.
    """

    tokens: int = Field(gt=0)
    """How long, about."""
    sources: tuple[str, ...] = Field(min_length=1)
    """Names of the recipe's sources."""
    documents: DocumentsSection = DocumentsSection()


class OptimizationSection(_Section):
    """How long and how fast to learn.

    The rate rises linearly over ``warmup``, is flat until ``flat_until``, then falls linearly to
    zero; all in shares of the training.
    """

    total_tokens: int = Field(gt=0)
    max_minutes: float | None = Field(default=None, gt=0)
    """Wall-clock guard: progress is the larger of the share of tokens and the share of minutes, so
    a slow machine still gets the whole schedule, only with fewer tokens."""
    batch_tokens: int = Field(default=8192, gt=0)
    row_length: int = Field(default=256, gt=0)
    matrix_rate: float = Field(default=0.02, gt=0)
    """Muon, for the matrices of the blocks."""
    other_rate: float = Field(default=3e-3, gt=0)
    """AdamW, for embedding, head and norms."""
    base_width: int = Field(default=192, gt=0)
    """Width of the network that the two rates were found on; at another one each group of weights
    gets its own multiple (`width_scaling`)."""
    clip_norm: float = Field(default=1.0, gt=0)
    warmup: float = Field(default=0.03, ge=0, lt=1)
    flat_until: float = Field(default=0.5, ge=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.warmup > self.flat_until:
            raise ValueError(f"warmup {self.warmup} must end before flat_until {self.flat_until}")
        if self.batch_tokens % self.row_length:
            raise ValueError(
                f"batch_tokens {self.batch_tokens} must be a multiple of row_length"
                f" {self.row_length}"
            )
        return self

    def rate_factor(self, progress: float) -> float:
        """Return the share of the full rate at a progress in [0, 1]."""
        if progress < self.warmup:
            return max(progress, 1e-3) / self.warmup
        if progress <= self.flat_until:
            return 1.0
        return max(0.0, (1.0 - progress) / (1.0 - self.flat_until))


class Recipe(_Section):
    """A whole training."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = Field(default=0, ge=0)
    start_from: str | None = None
    """A shipped model or a model folder whose weights the training starts from, instead of random
    ones; of the same shape."""
    model: ModelSection
    sources: tuple[SourceSection, ...] = Field(min_length=1)
    documents: DocumentsSection = DocumentsSection()
    opening: OpeningSection | None = None
    optimization: OptimizationSection
    precision: Literal["bf16", "fp32"] = "bf16"
    """Of activations; weights and loss are always 32-bit."""
    compile: bool = False
    """Let torch.compile fuse the training step: half a minute of start, a quarter faster after."""
    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:[0-9]+)?)$")
    threads: int = Field(default=1, gt=0)
    pool_workers: int = Field(default=0, ge=0)
    """Processes that write and pack documents ahead of an accelerator; 0: the training itself
    does, between two steps."""
    evaluations: int = Field(default=10, ge=0)
    """Evenly spread over the training; one more follows at the end."""
    evaluation_documents: int = Field(default=200, gt=0)
    """Held-out documents of each source for the loss, and molecules drawn for the validity."""
    checkpoint_minutes: float = Field(default=3.0, gt=0)

    @model_validator(mode="after")
    def _rows_fit(self) -> Self:
        if self.optimization.row_length > self.model.max_tokens:
            raise ValueError(
                f"optimization.row_length {self.optimization.row_length} must not be above"
                f" model.max_tokens {self.model.max_tokens}"
            )
        return self

    @model_validator(mode="after")
    def _opening_known(self) -> Self:
        names = [source.name for source in self.sources]
        for name in self.opening.sources if self.opening is not None else ():
            if name not in names:
                raise ValueError(
                    f"opening.sources: no source '{name}'{did_you_mean(name, names)}; the recipe"
                    f" has {', '.join(names)}"
                )
        return self


def recipe_file(name_or_path: str) -> Path:
    """Return the file of a shipped recipe or of a path.

    Raises:
        RecipeError: neither; lists the shipped names.
    """
    shipped = SHIPPED_RECIPES / f"{name_or_path}.yaml"
    path = Path(name_or_path).expanduser()
    if not path.exists() and shipped.is_file():
        return shipped
    if path.is_file():
        return path
    names = sorted(file.stem for file in SHIPPED_RECIPES.glob("*.yaml"))
    raise RecipeError(
        f"no recipe '{name_or_path}'{did_you_mean(name_or_path, names)}; expected a YAML file or"
        f" a shipped recipe ({', '.join(names)})"
    )


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        RecipeError: missing file, not YAML, unknown key, wrong type or range; names the key.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(f"no recipe {path}; give the path of a YAML file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read as text: {error}") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise RecipeError(f"{path}: expected keys and values, got {type(document).__name__}")
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        # A mistyped key also makes the right one missing; the typing error is the better message.
        errors = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
        first = errors[0]
        key = ".".join(str(part) for part in first["loc"]) or "recipe"
        unknown = first["type"] == "extra_forbidden"
        hint = did_you_mean(key.rpartition(".")[2], _known_keys()) if unknown else ""
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise RecipeError(f"{path}: {key}: {first['msg']}{hint}{more}") from error


def _known_keys() -> list[str]:
    sections: tuple[type[_Section], ...] = (
        Recipe, ModelSection, SourceSection, DocumentsSection, MoleculeDocuments,
        ReactionDocuments, CrystalDocuments, ChainDocuments, OpeningSection, OptimizationSection,
    )  # fmt: skip
    return sorted({name for section in sections for name in section.model_fields})
