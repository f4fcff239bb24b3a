"""What a campaign will do, before it does it: for ``heuresis check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from heuresis.cli.output import as_typed
from heuresis.cli.tables import plain_table
from heuresis.cli.words import budget_words, duration, limit, unit_word, wish

if TYPE_CHECKING:
    from heuresis.campaign.resolve import ResolvedCampaign


def plan_document(campaign: ResolvedCampaign) -> dict[str, Any]:
    """Return the resolved campaign, its hash and what its oracles declare, with stable keys."""
    return {
        "valid": True,
        "campaign": campaign.spec.campaign,
        "spec_hash": campaign.spec_hash,
        "resolved": campaign.document(),
        "oracles": {o.name: o.declaration.model_dump(mode="json") for o in campaign.oracles},
        "proposers": {
            p.name: {"learn_every": p.learn_every, "observes": p.observes}
            for p in campaign.proposers
        },
        "notes": list(campaign.notes),
    }


def print_plan(screen: Console, campaign: ResolvedCampaign) -> None:
    """Print space, cascade, objective, proposers, search and budget."""
    spec = campaign.spec
    screen.print(f"[bold]{spec.campaign}[/bold] is valid", end="")
    screen.print(f"  spec {campaign.spec_hash[:12]}, seed {spec.seed}", style="dim")
    if spec.question:
        screen.print(spec.question, markup=False)
    describe = getattr(campaign.space, "describe", None)
    about = describe() if describe is not None else ""
    screen.print()
    _pair(screen, "space", about or spec.space.kind)
    screen.print(_cascade(campaign))
    screen.print(_objective(campaign))
    for proposer in campaign.proposers:
        learns = (
            f"learns from the best {proposer.section.learn_best} every {proposer.learn_every}"
            if proposer.learn_every
            else "does not learn"
        )
        knows = ", is told what became of every candidate" if proposer.observes else ""
        text = f"{proposer.name}: share {proposer.section.share:g}, {learns}{knows}"
        _pair(screen, "proposer", text)
    search = spec.search
    exemplars = "1 exemplar" if search.exemplars == 1 else f"{search.exemplars} exemplars"
    islands = (
        "1 island, never reset"
        if search.islands == 1
        else f"{search.islands} islands, the weaker half reset every {search.reset_every} completed"
    )
    text = f"{islands}; {exemplars} per prompt"
    if search.ranking == "pareto":
        text += "; selection by Pareto front, not by score"
    if search.proposer_choice == "bandit":
        text += f"; {1 - search.bandit.floor:.0%} of the asks go by who succeeds"
    _pair(screen, "search", text)
    _pair(screen, "budget", budget_words(spec.budget))
    for text in campaign.notes:
        _pair(screen, "note", text)
    if campaign.file is not None:
        screen.print()
        _pair(screen, "run it", as_typed(f"heuresis run {campaign.file}"))


def _pair(screen: Console, name: str, text: str) -> None:
    screen.print(f"{name:9} ", end="", style="dim")
    screen.print(text, markup=False)


def _cascade(campaign: ResolvedCampaign) -> Any:
    used = {t.measure for t in campaign.spec.objectives.values()}
    used |= {c.measure for c in campaign.spec.constraints.values()}
    table = plain_table("cascade, in this order")
    table.add_column("oracle", no_wrap=True)
    table.add_column("measures used here", overflow="fold")
    table.add_column("cost", no_wrap=True)
    table.add_column("workers", justify="right")
    table.add_column("limit", justify="right", no_wrap=True)
    for oracle in campaign.oracles:
        declaration = oracle.declaration
        names = [n for n in declaration.outputs if f"{oracle.name}.{n}" in used]
        units = [f"{n} ({unit_word(declaration.outputs[n].unit) or 'no unit'})" for n in names]
        table.add_row(
            oracle.name,
            Text(", ".join(units) or "none"),
            declaration.cost_class.value
            + (f" × {oracle.section.repeats} seeds" if oracle.section.repeats > 1 else ""),
            f"{oracle.section.workers}",
            duration(oracle.timeout_s) if oracle.timeout_s >= 1 else f"{oracle.timeout_s:g} s",
        )
    return table


def _objective(campaign: ResolvedCampaign) -> Any:
    units = {
        f"{oracle.name}.{name}": output.unit
        for oracle in campaign.oracles
        for name, output in oracle.declaration.outputs.items()
    }
    table = plain_table("objective: the weighted geometric mean of these wishes")
    table.add_column("name", no_wrap=True)
    table.add_column("measure", no_wrap=True)
    table.add_column("wanted")
    for name, term in campaign.spec.objectives.items():
        wanted = wish(term, units[term.measure]) + term.certainty
        table.add_row(name, term.measure, Text(wanted))
    for name, constraint in campaign.spec.constraints.items():
        text = f"must be {limit(constraint, units[constraint.measure])}"
        table.add_row(name, constraint.measure, Text(text, style="yellow"))
    return table
