"""The page of all claims: each verdict of each chapter once, as the chapter shows it."""

import json
import sys
from collections import Counter

import pytest
from bs4 import BeautifulSoup
from collect import collect_verdicts
from conftest import ROOT
from execute import EXECUTED
from pages import name_verdicts, verdict_places

from mmfuse_utils.ledger import OUTCOMES, VERDICT_MIME, _Verdict, above

sys.path.append(str(ROOT / "book" / "_ext"))
import mmfuse_claims

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def verdict_output(claim="It helps.", state=None, evidence="We *tried*."):
    """What a notebook holds after a call of `verdict` with one number, in the state asked for."""
    part = above("a gain", 0.02, (0.01, 0.03), unit="points")
    verdict = _Verdict({"claim": claim, "outcome": "holds", "evidence": evidence, "parts": [
        {**vars(part), "state": state or part.state}]}, [str(part)])
    return {"output_type": "display_data", "metadata": {}, "data": verdict._repr_mimebundle_()}


def notebook(*outputs):
    other = {"output_type": "display_data", "metadata": {}, "data": {"text/plain": "7"}}
    return {"cells": [{"cell_type": "markdown", "id": "title", "source": "# A title\n\nText."},
                      {"cell_type": "code", "id": "look", "outputs": [other, *outputs]}]}


def test_verdicts_are_collected_in_order_with_their_places():
    notebooks = {"01_one": notebook(verdict_output("A."), verdict_output("B.")),
                 "02_two": notebook(), "03_three": notebook(verdict_output("C."))}
    assert [(found["notebook"], found["title"], found["place"], found["claim"])
            for found in collect_verdicts(notebooks)] == [
        ("01_one", "A title", "claim-look-1", "A."), ("01_one", "A title", "claim-look-2", "B."),
        ("03_three", "A title", "claim-look-1", "C.")]


def test_a_verdict_on_a_page_has_its_place():
    cell = notebook(verdict_output(), verdict_output())["cells"][1]
    name_verdicts(cell)
    for place, output in verdict_places(cell):
        assert output["data"]["text/markdown"].startswith(f'<div id="{place}" class="mmfuse-verd')


def test_a_claim_leads_where_its_chapter_leads():
    evidence = "See [a](08_joint_spaces.ipynb), [b](../book/ledger.md#row.a) and\n[c](#here)."
    (verdict,) = collect_verdicts({"07_fusion": notebook(verdict_output(evidence=evidence))})
    lines = mmfuse_claims.claim_lines(verdict)
    assert ("See [a](notebooks/08_joint_spaces.ipynb), [b](ledger.md#row.a) and "
            "[c](notebooks/07_fusion.ipynb#here).") in lines
    assert 'href="notebooks/07_fusion.html#claim-look-1"' in lines[-4]


def test_the_state_of_a_number_is_the_chapters():
    """A chapter may be stricter than the number: one that it calls open stays open."""
    for state in ("shown", "open"):
        (verdict,) = collect_verdicts({"a": notebook(verdict_output(state=state))})
        line = mmfuse_claims.part_line(verdict["parts"][0])
        assert line == ("a gain: **+2.0** (+1.0 to +3.0) points. Claimed: above 0.0. "
                        f"*{state.capitalize()}.*")


# The built page

def said(tag):
    """The text of a piece of a page, whatever the spaces in it."""
    return " ".join(tag.get_text().split())


def parse(path):
    return BeautifulSoup(path.read_text(encoding="utf8"), "html.parser")


@pytest.fixture(scope="module")
def page(site):
    return parse(site / "claims.html")


@pytest.fixture(scope="module")
def verdicts():
    """Every verdict that the executed notebooks hold: (notebook, payload), in order."""
    found = []
    for path in NOTEBOOKS:
        cells = json.loads((ROOT / EXECUTED / path.name).read_text(encoding="utf8"))["cells"]
        found += [(path.stem, output["data"][VERDICT_MIME]) for cell in cells
                  for output in cell.get("outputs", [])
                  if VERDICT_MIME in output.get("data", {})]
    assert {name for name, _ in found} == {path.stem for path in NOTEBOOKS}
    return found


@pytest.mark.book
def test_every_verdict_is_on_the_page_once_with_its_outcome(page, verdicts):
    shown = [(claim.select_one(".mmfuse-where a")["href"].split("#")[0],
              said(claim.select_one(".mmfuse-outcome")), len(claim.select("ul > li")))
             for claim in page.select(".mmfuse-claim")]
    assert shown == [(f"notebooks/{name}.html", verdict["outcome"], len(verdict["parts"]))
                     for name, verdict in verdicts]
    classes = [set(claim["class"]) & set(map(mmfuse_claims.css_class, OUTCOMES))
               for claim in page.select(".mmfuse-claim")]
    assert classes == [{mmfuse_claims.css_class(outcome)} for _, outcome, _ in shown]


@pytest.mark.book
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_claim_reads_as_in_its_chapter(path, page, site):
    chapter = parse(site / "notebooks" / f"{path.stem}.html")
    claims = [claim for claim in page.select(".mmfuse-claim")
              if claim["id"].startswith(f"{path.stem}.")]
    boxes = chapter.select(".mmfuse-verdict")
    assert [claim["id"].split(".")[1] for claim in claims] == [box["id"] for box in boxes]
    for claim, box in zip(claims, boxes, strict=True):
        first, second = box.find_all("p", recursive=False)[:2]
        outcome = said(claim.select_one(".mmfuse-outcome"))
        assert f"Claim. {said(claim.p).removeprefix(outcome).strip()}" == said(first)
        assert (f"Verdict: {outcome}. {said(claim.select_one('.mmfuse-evidence p'))}"
                == said(second))
        assert list(map(said, claim.select("ul > li"))) == list(map(said, box.select("ul > li")))


@pytest.mark.book
def test_the_counts_are_those_of_the_claims(page, verdicts):
    counted = Counter(verdict["outcome"] for _, verdict in verdicts)
    labels = [said(label) for label in page.select(".mmfuse-choice label")]
    assert labels == [f"all {len(verdicts)}", *(
        f"{counted[outcome]} {mmfuse_claims.SHOWN[outcome]}" for outcome in OUTCOMES)]
    widths = [int(span["style"].split(":")[1]) for span in page.select(".mmfuse-tally span")]
    assert widths == [counted[outcome] for outcome in OUTCOMES]


@pytest.mark.book
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_one_outcome_is_chosen_by_keyboard(scripts, address, open_page, verdicts):
    tab = open_page(f"{address}/claims.html", java_script_enabled=scripts)
    counted = Counter(verdict["outcome"] for _, verdict in verdicts)
    tab.locator(".mmfuse-choice input").first.focus()
    for outcome in OUTCOMES:
        tab.keyboard.press("ArrowRight")
        visible = tab.locator(".mmfuse-claim:visible")
        assert visible.count() == counted[outcome]
        assert set(tab.locator(".mmfuse-outcome:visible").all_text_contents()) == {outcome}
        sections = tab.locator("section:has(> section):visible, section section:visible")
        assert all(section.locator(".mmfuse-claim:visible").count() for section in sections.all())
    tab.keyboard.press("ArrowRight")
    assert tab.locator(".mmfuse-claim:visible").count() == len(verdicts)
