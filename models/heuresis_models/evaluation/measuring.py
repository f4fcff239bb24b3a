"""Running a model for the table: what is drawn, how, and which rows come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from heuresis.errors import UserError
from heuresis.randomness import random_generator
from heuresis_models.corpus import Source
from heuresis_models.evaluation import reactions
from heuresis_models.evaluation.crystal_rows import (
    FORMULAS,
    CrystalReference,
    crystal_rows,
    formula_rows,
)
from heuresis_models.evaluation.heldout import ALIGNED, FLOORS, HeldoutLoss, heldout_losses
from heuresis_models.evaluation.molecule_rows import MoleculeReference, molecule_rows
from heuresis_models.evaluation.references import (
    REACTION_HELDOUT_FILES,
    crystals_of,
    molecules_of,
    read_reactions,
    read_reference,
)
from heuresis_models.evaluation.table import Row
from heuresis_models.generation import Sampling, generate, payload, prompt
from heuresis_models.language.documents import Entry
from heuresis_models.language.floors import DOMAINS
from heuresis_models.language.objects import Reaction
from heuresis_models.language.split import RULE
from heuresis_models.retrosynthesis import predict_products, propose_reactants
from heuresis_models.transformer import Transformer

DRUG_LIKE: Final = "molecules, drug-like"
RETRO: Final = "reactions, retro"
CRYSTALS: Final = "crystals"
_CHUNK: Final = 256
"""Documents between two moves of the progress bar."""
_NO_DATA: Final = "no data"


class View(Protocol):
    """Shows what is going on."""

    def start(self, what: str, total: int | None) -> None:
        """Begin a stage of so many steps; None: unknown."""

    def advance(self, steps: int) -> None:
        """So many more steps are done."""


@dataclass
class Evaluation:
    """One model under test.

    Args:
        model: the language model.
        samples: documents drawn of each kind.
        reactions: held-out reactions that are decoded.
        inputs: roots from which each product is written.
        heldout_tokens: tokens per domain for the held-out loss.
        seed: of the named random streams.
        data: folder with the data files; None: what needs them is not measured.
        cache: folder for rewritten crystals.
        view: shows progress.
        real: also measure held-out molecules as if they were a sample.
        temperature: of what is drawn.
    """

    model: Transformer
    samples: int
    reactions: int
    inputs: int
    heldout_tokens: int
    seed: int
    data: Path | None
    cache: Path | None
    view: View
    real: bool = False
    temperature: float = 1.0
    _read: dict[str, Source | str] = field(default_factory=dict)
    _losses: dict[str, HeldoutLoss] = field(default_factory=dict)

    def molecules(self) -> list[Row]:
        """Draw molecules without and with the grammar, and measure the former."""
        plain = self._drawn("molecule", masked=False)
        source = self._source(DRUG_LIKE)
        reference = None
        if not isinstance(source, str):
            reference = MoleculeReference(
                molecules_of(source.training), molecules_of(source.heldout),
                f"{', '.join(source.files)} by {RULE}",
            )  # fmt: skip
        on = f"{len(plain):,} samples, no mask, temperature 1"

        def stage(what: str) -> None:
            self.view.start(f"molecules: {what}", None)

        rng = random_generator(self.seed, "evaluation reference", 0)
        rows = molecule_rows(
            plain, reference, rng, on=on, stage=stage,
            no_reference=source if isinstance(source, str) else "",
        )  # fmt: skip
        masked = self._drawn("molecule", masked=True)
        from heuresis_models.evaluation.molecules import validity

        stage("validity under the mask")
        on = f"{len(masked):,} samples under the grammar mask, temperature 1"
        rows.insert(1, Row("molecules", "valid, grammar mask", validity(masked), on=on))
        if self.real and reference is not None:
            rng = random_generator(self.seed, "evaluation real", 0)
            order = rng.permutation(len(reference.heldout))
            half = [reference.heldout[int(i)] for i in order]
            middle = min(len(half) // 2, self.samples)
            other = MoleculeReference(reference.training, half[middle:], reference.name)
            rows += [
                Row("real molecules", row.measure, row.value, row.kind, row.beside, row.on,
                    row.reason)
                for row in molecule_rows(
                    half[:middle], other, rng, on=f"{middle:,} held-out molecules", stage=stage
                )
            ]  # fmt: skip
        return rows

    def crystals(self) -> list[Row]:
        """Draw crystals under the grammar (and, to see what it does, without)."""
        source = self._source(CRYSTALS)
        reference = None
        if not isinstance(source, str):
            if unknown := self._unknown(CRYSTALS):
                return [Row("crystals", "all", None, reason=unknown)]
            rng = random_generator(self.seed, "evaluation crystals", 0)
            reference = CrystalReference(
                crystals_of(source.training), crystals_of(source.heldout)
            ).shuffled(rng)
        plain = self._drawn("crystal", masked=False)
        masked = self._drawn("crystal", masked=True)
        self.view.start("crystals: expanding", None)
        why = source if isinstance(source, str) else ""
        rows = crystal_rows(masked, plain, reference, no_reference=why)
        if reference is not None:
            self.view.start("crystals of stated formulas", None)
            rng = random_generator(self.seed, "evaluation formulas", 0)
            rows += formula_rows(self.model, reference, min(self.samples, FORMULAS), rng)
        return rows

    def retrosynthesis(self) -> list[Row]:
        """Decode held-out products of USPTO-50k's test file."""
        source = self._source(RETRO)
        if isinstance(source, str):
            return [Row("reactions", "top-k exact match", None, reason=source)]
        if unknown := self._unknown(RETRO + ALIGNED, RETRO):
            return [Row("reactions", "top-k exact match", None, reason=unknown)]
        rng = random_generator(self.seed, "evaluation reactions", 0)
        assert self.data is not None
        entries = read_reactions(self.data)
        chosen = [entries[int(i)] for i in rng.permutation(len(entries))[: self.reactions]]
        return reaction_rows(
            self.model, chosen, inputs=self.inputs, seed=self.seed, view=self.view,
            on=f"{len(chosen):,} of {len(entries):,} reactions of USPTO-50k test,"
            f" beam 10, {self.inputs} root-aligned input(s) each",
        )  # fmt: skip

    def language(self) -> list[Row]:
        """Measure the held-out loss of every domain."""
        rows = []
        for domain in DOMAINS:
            for name in (domain, domain + ALIGNED) if domain == RETRO else (domain,):
                loss = self._loss(name)
                measure = f"held-out loss, {name}"
                if isinstance(loss, str):
                    rows.append(Row("language", measure, None, "nats", reason=loss))
                    continue
                low, high = FLOORS[domain]
                beside = f"n-grams of order 0: {low:.3f}, 3: {high:.3f}"
                left = f", {loss.left_out} left out (too long)" if loss.left_out else ""
                on = (
                    f"{loss.tokens:,} tokens of {loss.documents:,} of {loss.available:,}"
                    f" documents{left}, {RULE}"
                )
                if name.endswith(ALIGNED):
                    beside = "no floor: aligned texts repeat the product"
                rows.append(Row("language", measure, loss.nats, "nats", beside, on))
        return rows

    # --- helpers -------------------------------------------------------------------------------

    def _drawn(self, kind: str, *, masked: bool) -> list[str]:
        """Draw documents and return their payloads."""
        how = "grammar mask" if masked else "no mask"
        self.view.start(f"drawing {kind}s, {how}", self.samples)
        rng = random_generator(self.seed, f"evaluation {kind} {how}", 0)
        settings = Sampling(masked=masked, temperature=self.temperature)
        texts: list[str] = []
        while len(texts) < self.samples:
            count = min(_CHUNK, self.samples - len(texts))
            drawn = generate(self.model, [prompt(kind)] * count, rng, settings)
            # A text that was cut off at the limit is no finished object.
            texts += [payload(s.tokens, kind) if s.finished else "" for s in drawn]
            self.view.advance(count)
        return texts

    def _source(self, domain: str) -> Source | str:
        """Return the data of a domain, or why there are none."""
        if domain not in self._read:
            self._read[domain] = self._read_source(domain)
        return self._read[domain]

    def _read_source(self, domain: str) -> Source | str:
        if self.data is None:
            return _NO_DATA
        self.view.start(f"reading {domain}", None)
        try:
            if domain == RETRO:
                # The training file is not needed, and takes a minute to make canonical.
                found = [r for f in REACTION_HELDOUT_FILES for r in read_reactions(self.data, f)]
                return Source(domain, 1.0, heldout=[Entry(reaction) for reaction in found])
            return read_reference(self.data, domain, cache=self.cache)
        except UserError as error:
            return f"{_NO_DATA}: {error}"

    def _loss(self, name: str) -> HeldoutLoss | str:
        if name in self._losses:
            return self._losses[name]
        source = self._source(name.removesuffix(ALIGNED))
        if isinstance(source, str):
            return source
        self.view.start(f"held-out loss, {name}", self.heldout_tokens)
        try:
            found = heldout_losses(
                self.model, {name: source.heldout}, seed=self.seed, tokens=self.heldout_tokens,
                advance=self.view.advance,
            )[0]  # fmt: skip
        except UserError as error:
            return str(error)
        self._losses[name] = found
        return found

    def _unknown(self, name: str, floor: str | None = None) -> str:
        """Say why a model does not know a domain; "" when it does."""
        loss = self._loss(name)
        if isinstance(loss, str):
            return loss
        low = FLOORS[floor or name][0]
        if loss.nats < low:
            return ""
        return (
            f"the model does not know this domain (held-out loss {loss.nats:.2f} nats per token;"
            f" counting single tokens reaches {low:.2f})"
        )


def reaction_rows(
    model: Transformer,
    chosen: list[Reaction],
    *,
    inputs: int,
    seed: int,
    view: View,
    on: str,
    width: int = 10,
    batch: int = 8,
) -> list[Row]:
    """Decode reactions backwards and measure the answers.

    Args:
        model: taught ``<retro>`` and ``<reaction>`` documents.
        chosen: reactions with true reactants.
        inputs: roots from which each product is written.
        seed: of the roots.
        view: shows progress.
        on: which reactions these are.
        width: of the beam.
        batch: inputs that are searched together.
    """
    rng = random_generator(seed, "evaluation roots", 0)
    view.start("retrosynthesis: beam search", len(chosen) * inputs)
    answers = propose_reactants(
        model, [reaction.product for reaction in chosen], rng, inputs=inputs, width=width,
        batch=batch, advance=view.advance,
    )  # fmt: skip
    ranked = [[proposal.written for proposal in answer.proposals] for answer in answers]
    truths = [reaction.reactants for reaction in chosen]
    exact = reactions.top_k(ranked, truths)
    largest = reactions.top_k(ranked, truths, largest_only=True)
    beams = [[item.text for item in beam] for answer in answers for beam in answer.beams]
    view.start("retrosynthesis: round trip", len(chosen))

    def forward(texts: object) -> list[str]:
        assert isinstance(texts, list)
        return predict_products(model, texts, advance=view.advance)

    trip = reactions.round_trip(ranked, [reaction.product for reaction in chosen], forward)
    own = "forward by the same model from the text that it wrote: no independent judge"
    return [
        *(Row("reactions", f"top-{k} exact match", value, on=on) for k, value in exact.items()),
        *(
            Row("reactions", f"top-{k} largest fragment", value, on=on)
            for k, value in largest.items()
        ),
        Row("reactions", "round trip of the first answer", trip, beside=own, on=on),
        *(
            Row("reactions", f"invalid among the first {k} of a beam",
                reactions.invalid_share(beams, k), on=on)
            for k in (1, width)
        ),
    ]  # fmt: skip


Part = Callable[[Evaluation], list[Row]]
PARTS: Final[dict[str, Part]] = {
    "molecules": Evaluation.molecules,
    "crystals": Evaluation.crystals,
    "reactions": Evaluation.retrosynthesis,
    "language": Evaluation.language,
}
"""Name on the command line → what is measured."""


def measured(job: Evaluation, part: str) -> list[Row]:
    """Return the rows of one of `PARTS`; what stops it becomes the reason of its only row."""
    try:
        return PARTS[part](job)
    except UserError as error:
        return [Row(part, "all", None, reason=str(error))]
