"""Links from outside go on leading somewhere: listed places stay, and what moved is led on."""

import re
import sys

import anchors
import pytest
import yaml
from conftest import ROOT

sys.path.append(str(ROOT / "book" / "_ext"))
import mmfuse_edition


@pytest.fixture
def small_site(tmp_path):
    """A project whose site has a page with each kind of place, and a page that moved."""
    folder = tmp_path / anchors.SITE
    (folder / "notebooks").mkdir(parents=True)
    (tmp_path / "book").mkdir()
    (folder / "index.html").write_text(
        '<section class="tex" id="first"><h1>First</h1><figure class="f" id="figure-a"></figure>'
        '<span class="mmfuse-result" id="a.b"></span><div class="c" id="claim-a-1"></div>'
        '<dt id="term-word">word</dt><p id="passing">no place of ours</p></section>')
    (folder / "notebooks" / "a.html").write_text('<body><section id="there"></section></body>')
    (folder / "old.html").write_text("<p>moved</p>")
    (folder / "search.html").write_text('<section id="search"></section>')
    (tmp_path / "book" / "moved.yml").write_text("old: index\n")
    (tmp_path / "book" / "anchors.txt").write_text("index#first\n")
    return tmp_path


def run(monkeypatch, root, *options):
    monkeypatch.setattr("sys.argv", ["anchors.py", "--root", str(root), *options])
    anchors.main()


@pytest.mark.book
def test_no_listed_place_is_lost(site):
    assert len(anchors.listed(ROOT)) > 2000
    assert anchors.find_lost(ROOT) == []


@pytest.mark.book
def test_the_list_knows_each_page_and_kind_of_place(site):
    listed = anchors.listed(ROOT)
    assert listed == sorted(set(listed))
    for kind in ("notebooks/07_fusion", "glossary#term-embedding",
                 "notebooks/07_fusion#figure-", "notebooks/07_fusion#fusion.",
                 "notebooks/07_fusion#claim-", "notebooks/07_fusion#exercises"):
        assert any(place.startswith(kind) for place in listed), kind


def test_new_places_are_told_and_added(small_site, monkeypatch, capsys):
    run(monkeypatch, small_site)
    assert capsys.readouterr().out == "1 places are listed; 7 more are new; 0 are lost.\n"
    run(monkeypatch, small_site, "--add")
    assert anchors.listed(small_site) == [
        "index", "index#a.b", "index#claim-a-1", "index#figure-a", "index#first",
        "index#term-word", "notebooks/a", "notebooks/a#there"]
    capsys.readouterr()
    run(monkeypatch, small_site)
    assert capsys.readouterr().out == "8 places are listed; 0 more are new; 0 are lost.\n"


@pytest.mark.parametrize(("place", "moved", "lost"), [
    ("index#passing", "", False), ("index#gone", "", True), ("gone", "", True),
    ("old", "", False), ("old#first", "", False), ("old#gone", "", True),
    ("index#gone", "index#gone: notebooks/a#there", False),
    ("index#gone", "index#gone: notebooks/a#nowhere", True),
    ("older#gone", "older: old\nindex#gone: index#first", False)])
def test_a_place_is_lost_unless_it_is_led_on(small_site, place, moved, lost, monkeypatch, capsys):
    (small_site / "book" / "anchors.txt").write_text(f"{place}\n")
    with open(small_site / "book" / "moved.yml", "a") as file:
        file.write(moved)
    assert anchors.find_lost(small_site) == ([place] if lost else [])
    if lost:
        with pytest.raises(SystemExit, match="moved.yml"):
            run(monkeypatch, small_site, "--add")
        assert f"lost: {place}\n" in capsys.readouterr().out
        assert place in anchors.listed(small_site)      # a lost place is never forgotten


def test_a_renamed_place_keeps_its_old_anchor():
    page = '<body><p>a</p>\n<section class="tex" id="new"><h2>New</h2></section></body>'
    kept = mmfuse_edition.keep_anchor(page, "old", "new")
    assert kept == page.replace("<section", '<span id="old"></span><section')
    with pytest.raises(ValueError, match="#old to #gone"):
        mmfuse_edition.keep_anchor(page, "old", "gone")


@pytest.mark.book
def test_moved_pages_and_places_lead_on_from_a_file(site, open_page, tmp_path):
    """In a browser, as a reader has it who opens the unpacked site without a server."""
    moved = yaml.safe_load((ROOT / "book" / "moved.yml").read_text(encoding="utf8"))
    for old, new in [pair for pair in moved.items() if "#" not in pair[0]][:2]:
        page = open_page(f"{(site / old).as_uri()}.html#exercises")
        page.wait_for_url(f"**/{new}.html#exercises")
        assert page.locator("section#exercises").count() == 1
    (tmp_path / "notebooks").mkdir()
    target = ('<!DOCTYPE html><html><head><title>A</title></head><body><p style="height: 3000px">'
              '<h2 id="there">Here</h2></body></html>')
    (tmp_path / "target.html").write_text(target)
    source = mmfuse_edition.lead_on(
        target, "gone", f"{mmfuse_edition.relative_address('notebooks/a', 'target')}#there")
    (tmp_path / "notebooks" / "a.html").write_text(source)
    page = open_page(f"{(tmp_path / 'notebooks' / 'a.html').as_uri()}#gone")
    page.wait_for_url(re.compile(r"/target\.html#there$"))
    page = open_page(f"{(tmp_path / 'notebooks' / 'a.html').as_uri()}#there")
    assert page.url.endswith("notebooks/a.html#there")
