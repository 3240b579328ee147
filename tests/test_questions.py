"""Questions and answers: each answer is short, quotes the ledger, and leads to a chapter."""

import json
import re

import pytest
from bs4 import BeautifulSoup
from collect import RESULTS
from conftest import ROOT

TEXT = (ROOT / "book" / "questions.md").read_text(encoding="utf8")
# What asks for no measurement.
PRACTICAL = {"q-license", "q-prerequisites", "q-teach"}
QUESTIONS = {name: (question, answer) for name, question, answer in re.findall(
    r"\((q-[a-z]+)\)=\n### (.+)\n\n((?:(?!\(q-|## ).*\n)*)", TEXT)}
every_question = pytest.mark.parametrize("name", QUESTIONS)


def test_all_questions_are_seen_and_differ():
    assert len(QUESTIONS) == TEXT.count("\n### ") == len({q for q, _ in QUESTIONS.values()}) >= 25


@every_question
def test_a_question_asks_and_its_answer_is_short(name):
    question, answer = QUESTIONS[name]
    assert question.endswith("?")
    prose = re.sub(r"\{\w+\}`[^`]*`|\]\([^)]*\)", " 0 ", answer)
    sentences = re.findall(r"[^.?!:;]{12,}[.?!](?=\s)", prose)
    assert 1 <= len(sentences) <= 7 and len(prose.split()) <= 150, prose


@every_question
def test_an_answer_has_a_number_and_a_chapter(name):
    _, answer = QUESTIONS[name]
    chapters = re.findall(r"\]\(\.\./notebooks/(\d\d_\w+\.ipynb)\)", answer)
    assert all((ROOT / "notebooks" / chapter).is_file() for chapter in chapters)
    if name in PRACTICAL:
        assert re.search(r"\]\(", answer)
    else:
        assert "{result}`" in answer and chapters


@pytest.mark.book
@every_question
def test_the_chapters_named_are_where_the_numbers_come_from(name):
    results = json.loads((ROOT / RESULTS).read_text(encoding="utf8"))
    _, answer = QUESTIONS[name]
    sources = {results[key]["notebook"] for key in re.findall(r"\{result\}`([^`:]+)", answer)}
    assert sources <= set(re.findall(r"notebooks/(\d\d_\w+)\.ipynb", answer))


@pytest.mark.book
@every_question
def test_a_number_that_has_an_interval_or_a_control_is_not_alone(name):
    """A number without an interval beside it stands near one that has it."""
    results = json.loads((ROOT / RESULTS).read_text(encoding="utf8"))
    _, answer = QUESTIONS[name]
    shown = {key for key in re.findall(r"\{result\}`([^`:]+)", answer)
             if results[key]["interval"]}
    assert not shown or "{interval}`" in answer


@pytest.mark.book
def test_the_built_page_shows_every_number_and_outcome(site):
    page = BeautifulSoup((site / "questions.html").read_text(encoding="utf8"), "html.parser")
    article = page.select_one("article")
    assert article.find_all(string="?") == []
    assert len(article.select(".mmfuse-number")) == len(
        re.findall(r"\{(?:result|interval|recorded)\}`", TEXT))
    assert {tag["id"] for tag in article.select("[id^=q-]")} == set(QUESTIONS)
