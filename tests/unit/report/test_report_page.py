"""The HTML report: complete, self-contained, small, and deaf to hostile texts."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from synthetic_ledger import synthetic_entries, synthetic_plan

from heuresis.events import (
    AcceptedProposal,
    CampaignStarted,
    Entry,
    Event,
    Judged,
    Proposed,
    Settled,
)
from heuresis.records import Candidate, Evaluation, Failure, FailureCause, Measurement
from heuresis.report.charts import convergence_chart, ticks
from heuresis.report.markup import measured, number
from heuresis.report.page import ReportContext, answer, render_report, write_report
from heuresis.report.projections import CampaignView
from heuresis.report.ranking import wish
from heuresis.search.objective import DesirabilityTerm

HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(2)'></code></style>&amp;"
VIEW = CampaignView().apply_all(synthetic_entries(240))
OBJECTIVE = synthetic_plan().objective


class Page(HTMLParser):
    """Collects tags, attributes and text; checks that every element is closed."""

    VOID = frozenset({"meta", "img", "br", "line", "circle", "path"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def svg(text: str) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg"><text y="16">{text}</text></svg>'


def test_it_says_what_was_found_by_whom_and_how_to_repeat_it() -> None:
    html = render_report(
        VIEW,
        ReportContext(
            question="Which emitters are rigid?",
            objective=OBJECTIVE,
            depict=svg,
            workers={"xtb": 2, "md": 2, "descriptors": 1},
            budget={"evaluations": "240"},
            commands=[("The same again", "heuresis run campaign.yaml")],
            campaign_yaml="campaign: blue-emitters",
            provenance={"git commit": "0123abc"},
        ),
    )
    text = " ".join(" ".join(Page(html).text).split())
    best = VIEW.best
    assert best is not None
    for expected in (
        "Which emitters are rigid?",
        best.candidate.text,
        f"found at evaluation {best.evaluations:,} of {VIEW.evaluations:,}",
        "target 2.9 ± 0.3 eV",
        "below 0.6 Å",
        "valid and new",
        "measured by md",
        "SCF did not converge",
        "heuresis-base+1",
        "openmm-md@1",
        "heuresis run campaign.yaml",
        "campaign: blue-emitters",
        "0123abc",
        "Budget: evaluations: 240.",
        best.candidate.id,
    ):
        assert expected in text, expected
    assert html.count("<tr>") > 60


def test_it_needs_nothing_from_outside_and_stays_small() -> None:
    big = svg("x" * 60_000)  # 50 of these would be 4 MB
    html = render_report(
        VIEW, ReportContext(question="?", objective=OBJECTIVE, depict=lambda _: big)
    )
    assert len(html.encode()) < 2_000_000
    page = Page(html)
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert 10 < len(pictures) < 50  # the best keep theirs
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "base", "form")
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href"):
                assert value is not None
                assert value.startswith("data:image/svg+xml;base64,")
    assert "url(" not in html
    assert "@import" not in html


def test_the_policy_allows_exactly_our_script() -> None:
    html = render_report(VIEW, ReportContext(question="?"))
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html
    assert "default-src 'none'" in html


def hostile_view() -> CampaignView:
    """Every text that anyone outside can choose is hostile."""
    good, bad = Candidate.of("text", HOSTILE), Candidate.of("text", HOSTILE + "2")
    events: list[Event] = [
        CampaignStarted(campaign=HOSTILE, spec_hash=HOSTILE, seed=1, versions={HOSTILE: HOSTILE}),
        Proposed(
            task="a",
            proposer=HOSTILE,
            island=0,
            epoch=0,
            model_version=HOSTILE,
            accepted=tuple(
                AcceptedProposal(candidate=c, operator=HOSTILE, parents=(HOSTILE,))
                for c in (good, bad)
            ),
            rejected={HOSTILE: 3},
        ),
        Settled(
            task="t",
            oracle=HOSTILE,
            candidate=good.id,
            attempt=0,
            outcome=Evaluation(
                measurements={HOSTILE: Measurement(value=1.0, unit=HOSTILE)}, checks=(HOSTILE,)
            ),
        ),
        Judged(candidate=good.id, oracle=HOSTILE, verdict="completed", score=0.5),
        Settled(
            task="u",
            oracle=HOSTILE,
            candidate=bad.id,
            attempt=0,
            outcome=Failure(cause=FailureCause.CRASH, message=HOSTILE),
        ),
    ]
    return CampaignView().apply_all(
        Entry(sequence=i, event=event, recorded_at=0.0) for i, event in enumerate(events, 1)
    )


@pytest.mark.parametrize("with_objective", [False, True])
def test_hostile_texts_stay_texts(with_objective: bool) -> None:
    view = hostile_view()
    objective = type(OBJECTIVE)(
        {HOSTILE: DesirabilityTerm(measure=f"{HOSTILE}.{HOSTILE}", above=1.0)}, {}
    )
    html = render_report(
        view,
        ReportContext(
            question=HOSTILE,
            status=HOSTILE,
            objective=objective if with_objective else None,
            depict=svg,
            workers={HOSTILE: 1},
            budget={HOSTILE: HOSTILE},
            commands=[(HOSTILE, HOSTILE)],
            campaign_yaml=HOSTILE,
            provenance={HOSTILE: HOSTILE},
            control=view,
            control_name=HOSTILE,
        ),
    )
    page = Page(html)
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert tag != "img" or (attributes["src"] or "").startswith("data:image/svg+xml;base64,")
    text = "".join(page.text)
    assert text.count(HOSTILE) > 15  # shown as what it is
    assert "&lt;" not in text  # and escaped once, not twice


def test_an_empty_and_a_fruitless_campaign_have_a_report_too() -> None:
    html = render_report(CampaignView(), ReportContext(question="", status="running"))
    Page(html)
    assert "No candidate has been measured yet." in html
    view = CampaignView()
    failed = Failure(cause=FailureCause.TIMEOUT, message="too slow")
    view.apply(
        Entry(
            sequence=1,
            event=Settled(task="t", oracle="xtb", candidate="c", attempt=0, outcome=failed),
            recorded_at=0.0,
        )
    )
    assert "1 of them failures" in answer(view)
    Page(render_report(view, ReportContext(question="why", status="paused")))


def test_a_picture_that_cannot_be_drawn_costs_only_itself() -> None:
    best = VIEW.best
    assert best is not None

    def depict(text: str) -> str:
        if text == best.candidate.text:
            raise ValueError("no picture")
        return svg("fine")

    html = render_report(VIEW, ReportContext(question="?", depict=depict))
    assert best.candidate.text in html
    assert html.count("<img") == 49


def test_it_is_written_whole(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("old")
    write_report(file, VIEW, ReportContext(question="?"))
    assert file.read_text(encoding="utf-8").endswith("</html>\n")
    assert list(tmp_path.iterdir()) == [file]


def test_the_chart_compares_with_the_control_arm() -> None:
    control = CampaignView().apply_all(synthetic_entries(120, seed=2))
    alone = convergence_chart(VIEW)
    both = convergence_chart(VIEW, control=control, control_name="random samples")
    assert 'class="control"' not in alone
    assert 'class="control"' in both
    assert "best of random samples" in both
    assert alone.count("<circle") == VIEW.completed
    assert convergence_chart(CampaignView()) == ""


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.0, 524.0, [0.0, 200.0, 400.0]),
        (0.0, 0.007, [0.0, 0.002, 0.004, 0.006]),
        (1.0, 1.0, [1.0]),
    ],
)
def test_axis_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "uncertainty", "unit", "expected"),
    [
        (2.9132, None, "eV", "2.913 eV"),
        (0.74213, 0.0213, "angstrom", "0.742 ± 0.021 Å"),
        (-12.5, 3.0, "kcal/mol", "−12 ± 3 kcal/mol"),
        (0.5, None, "1", "0.5"),
    ],
)
def test_measurements_read_well(
    value: float, uncertainty: float | None, unit: str, expected: str
) -> None:
    assert measured(Measurement(value=value, unit=unit, uncertainty=uncertainty)) == expected


def test_numbers_and_wishes_read_well() -> None:
    assert [number(x) for x in (None, 0.0, 12345.0, 0.000123456, 123456.7, -2.5)] == [
        "–",
        "0",
        "12,345",
        "0.0001235",
        "123,457",
        "−2.5",
    ]
    assert wish(DesirabilityTerm(measure="a.b", between=(1, 2)), "eV") == "1 to 2 eV"
    assert wish(DesirabilityTerm(measure="a.b", above=3), "1") == "above 3"
