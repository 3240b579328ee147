"""The audit of the site without Lighthouse: which pages it measures, medians, goals, report."""

import gzip
import json
import re
import statistics

import audit
import pytest
from javascript import run_node


def make_site(root):
    """A small project with a site: six chapters, heavier by the number, the first one by a script
    and the second by a picture that it shows twice."""
    site = root / audit.SITE
    (site / "notebooks").mkdir(parents=True)
    (root / "book").mkdir()
    (root / "benchmarks").mkdir()
    (root / "book" / "_toc.yml").write_text(
        "parts:\n- caption: Start here\n  chapters:\n  - file: read\n"
        "- caption: Try it\n  chapters:\n  - file: live\n")
    for name in ("index", "read", "live"):
        (site / f"{name}.html").write_text("<p>page</p>")
    (site / "moved.html").write_text('<meta http-equiv="refresh" content="0">')
    for i in range(1, 7):
        (site / "notebooks" / f"0{i}.html").write_text("x" * 100 * i)
    (site / "a part.js").write_text("y" * 5000)
    (site / "b.png").write_bytes(b"z" * 400)
    (site / "notebooks" / "01.html").write_text('<script src="../a%20part.js?v=1"></script>')
    (site / "notebooks" / "02.html").write_text(2 * '<img src="../b.png"><img src="data:;,x">')
    return site


def run_of(performance, lcp=1000.0, **scores):
    """What measure.cjs prints for one run."""
    return {"scores": {"performance": performance, "accessibility": 100, "best-practices": 100,
                       "seo": 100, **scores}, "lcp_ms": lcp, "tbt_ms": 10, "cls": 0.01,
            "bytes": 2000, "requests": 5, "lost": {"speed-index": performance / 200},
            "lighthouse": "1.2.3", "browser": "Chrome/1", "benchmark_index": 900}


def test_the_first_page_the_live_ones_and_the_three_heaviest_are_named(tmp_path):
    site = make_site(tmp_path)
    assert audit.page_bytes(site, "notebooks/02.html") < 600        # the picture once
    named = audit.named_pages(tmp_path, site)
    assert named == ["index.html", "live.html", "notebooks/01.html", "notebooks/06.html",
                     "notebooks/05.html"]
    assert audit.other_pages(site, named) == ["notebooks/02.html", "notebooks/03.html",
                                              "notebooks/04.html", "read.html"]


def test_each_number_is_the_median_of_its_own():
    found = audit.summarize([run_of(90, 3000.0), run_of(99, 1000.0), run_of(96, 4000.0)])
    assert found["scores"]["performance"] == 96 and found["scores"]["seo"] == 100
    assert found["lcp_ms"] == 3000 and found["performance_of_runs"] == [90, 99, 96]
    assert found["lost"] == {"speed-index": 0.48}


def run_main(monkeypatch, root, performance, *arguments):
    """Run the command over a project where every page has that performance; each page's runs."""
    asked = {}

    def measure(site, page, runs):
        asked[page] = runs
        assert (site / f"{page}.gz").is_file() and (site / f"{page}.br").is_file()
        return [run_of(performance)] * runs

    monkeypatch.setattr(audit, "measure", measure)
    monkeypatch.setattr(audit, "run_node", lambda script, *rest, folder: run_node(script, *rest))
    monkeypatch.setattr("sys.argv", ["audit.py", "--root", str(root), *arguments])
    audit.main()
    return asked


def test_the_report_is_written_and_the_site_is_left_as_it_was(tmp_path, monkeypatch, capsys):
    site = make_site(tmp_path)
    before = sorted(site.rglob("*"))
    asked = run_main(monkeypatch, tmp_path, 97, "--all")
    assert sorted(site.rglob("*")) == before
    assert [runs for runs in asked.values()] == [3] * 5 + [1] * 4
    report = json.loads((tmp_path / audit.REPORT).read_text(encoding="utf8"))
    assert list(report["pages"]) == list(asked)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", report["date"])
    assert report["versions"] == {"lighthouse": "1.2.3", "browser": "Chrome/1",
                                  "http-server": audit.packages()["http-server"]}
    assert report["machine"]["benchmark_index"] == 900
    printed = capsys.readouterr().out
    assert "Every goal was reached." in printed and "speed-index" in printed
    line = next(line for line in printed.splitlines() if line.startswith("06.html"))
    assert line.split() == ["06.html", "97", "100", "100", "100", "1.00", "10", "0.010", "2", "5"]


def test_a_missed_goal_is_named_and_fails(tmp_path, monkeypatch):
    make_site(tmp_path)
    with pytest.raises(SystemExit) as end:
        run_main(monkeypatch, tmp_path, 92, "--all")
    lines = end.value.code.splitlines()
    assert "index.html: performance 92, and the goal is 95" in lines
    assert not any(line.startswith(("read.html", "notebooks/02")) for line in lines)
    assert (tmp_path / audit.REPORT).is_file()      # what was measured is said in any case


def test_pages_that_are_given_are_measured_alone_and_not_reported(tmp_path, monkeypatch):
    make_site(tmp_path)
    assert run_main(monkeypatch, tmp_path, 97, "read.html") == {"read.html": 3}
    assert not (tmp_path / audit.REPORT).exists()
    with pytest.raises(SystemExit, match="There is no nothing.html"):
        run_main(monkeypatch, tmp_path, 97, "nothing.html")


def test_the_committed_report_is_whole():
    report = json.loads((audit.ROOT / audit.REPORT).read_text(encoding="utf8"))
    notebooks = (audit.ROOT / "notebooks").glob("*.ipynb")
    wanted = {"index.html", *(f"notebooks/{path.stem}.html" for path in notebooks)}
    assert wanted <= set(report["pages"])
    for page, found in report["pages"].items():
        performances = found["performance_of_runs"]
        kind = "named" if found["runs"] == audit.RUNS else "other"
        assert found["goal"] == audit.GOALS[kind], page
        assert found["runs"] == len(performances)
        assert found["scores"]["performance"] == statistics.median(performances)
        assert set(found["scores"]) == set(audit.CATEGORIES)


def test_texts_are_compressed_as_a_host_keeps_them(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "page.html").write_text("<p>again</p>" * 1000)
    (tmp_path / "picture.webp").write_bytes(b"RIFF")
    run_node(audit.LIGHTHOUSE / "compress.cjs", tmp_path)
    names = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert names == ["page.html", "page.html.br", "page.html.gz", "picture.webp"]
    packed = tmp_path / "inner" / "page.html.gz"
    assert gzip.decompress(packed.read_bytes()) == packed.with_suffix("").read_bytes()
