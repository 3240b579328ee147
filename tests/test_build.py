"""The site's builder: buttons, staging, and what is kept between two builds."""

import json
import shutil
import subprocess

import build
import nbformat
import pytest
from conftest import ROOT

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="optional: git is not here")


def make_repository(folder, remote):
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run(["git", "remote", "add", "origin", remote], cwd=folder, check=True)


@needs_git
@pytest.mark.parametrize("remote, url", [
    ("https://github.com/someone/some-book.git", "https://github.com/someone/some-book"),
    ("https://github.com/someone/some-book", "https://github.com/someone/some-book"),
    ("https://user:secret@github.com/someone/some-book.git", None),
    ("/srv/git/book.git", None), ("https://git.example.org/a/b.git", None)])
def test_buttons_need_a_known_remote(tmp_path, remote, url):
    assert build.repository_url(tmp_path) is None
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert build.repository_url(tmp_path) is None
    subprocess.run(["git", "remote", "add", "origin", remote], cwd=tmp_path, check=True)
    assert build.repository_url(tmp_path) == url


@needs_git
def test_buttons_lead_to_the_projects_own_repository(tmp_path, monkeypatch):
    outer, inner = tmp_path / "outer", tmp_path / "outer" / "papers" / "book"
    make_repository(outer, "https://github.com/someone/thesis")
    inner.mkdir(parents=True)
    assert build.repository_url(inner) is None
    with monkeypatch.context() as hook:
        hook.setenv("GIT_DIR", str(outer / ".git"))     # as in a hook of that repository
        assert build.repository_url(inner) is None
    make_repository(inner, "https://github.com/someone/book")
    assert build.repository_url(inner) == "https://github.com/someone/book"


def test_git_is_not_needed(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build.repository_url(tmp_path) is None


# A small book with the real book's configuration: pages that depend on each other in all ways.
PAGES = {
    "_toc.yml": "format: jb-book\nroot: index\nchapters:\n- file: one\n- file: two\n"
                "- file: notebooks/three\n",
    "index.md": "# Start\n\n{doc}`one`, {ref}`place`, {term}`word`\n",
    "one.md": "# One\n\n(place)=\n## A place\n\n{result}`a.b:.0%` of it\n",
    "two.md": "# Two\n\n```{glossary}\nword\n  What is said.\n```\n\n"
              "```{index} single: said\n```\n",
    "results.json": '{"a.b": {"value": 0.25, "interval": null, "notebook": "three"}}',
}


def small_book(root):
    """Write a small book into a project's folder, as it is before any edit."""
    source = root / "_build" / "source.new"
    (source / "notebooks").mkdir(parents=True)
    for name, text in PAGES.items():
        (source / name).write_text(text, encoding="utf8")
    for name in ("_config.yml", "references.bib"):
        shutil.copyfile(ROOT / "book" / name, source / name)
    for name in ("_ext", "_static"):
        shutil.copytree(ROOT / "book" / name, source / name)
    (source / "_vendor").mkdir()
    cells = [nbformat.v4.new_markdown_cell("# Three\n\nSee {ref}`place`.", id="prose"),
             nbformat.v4.new_code_cell("1 + 1", id="sum")]
    metadata = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.write(notebook, source / "notebooks" / "three.ipynb")
    return source


def built(root, afresh, edits):
    """A small book's pages and scripts by name, after edits given as (name, old, new)."""
    source = small_book(root)
    for name, old, new in edits:
        text = (source / name).read_text(encoding="utf8")
        assert old in text
        (source / name).write_text(text.replace(old, new), encoding="utf8")
    build.take_over(source, root / "_build" / "source")
    build.run_sphinx(root, afresh)
    site = root / "_build" / "html"
    return {path.relative_to(site).as_posix(): path.read_bytes() for path in site.rglob("*")
            if path.suffix in (".html", ".js")}


def read_times(root):
    """When Sphinx last read each page."""
    return {path.stem: path.stat().st_mtime_ns
            for path in (root / "_build" / ".doctrees").rglob("*.doctree")}


def test_a_site_built_upon_the_last_one_equals_one_built_afresh(tmp_path):
    root, heading = tmp_path / "small", ("one.md", "A place", "Another place")
    edits = [heading, ("one.md", "# One", "# The first"), ("two.md", "word", "Word"),
             ("index.md", "word", "Word"), ("index.md", "# Start", "# Home"),
             ("notebooks/three.ipynb", "# Three", "# The third"),
             ("notebooks/three.ipynb", "1 + 1", "2 + 2"), ("results.json", "0.25", "0.75")]
    built(root, True, [])
    before = read_times(root)
    other = built(root, False, [heading])["notebooks/three.html"]
    assert b"Another place" in other, "a page that refers to the changed one is written anew"
    assert {name for name, time in read_times(root).items() if time != before[name]} == {"one"}
    upon_the_last = built(root, False, edits)
    shutil.rmtree(root)
    assert upon_the_last == built(root, True, edits)


def test_what_is_kept_between_builds(tmp_path):
    """A page's text changes the second key alone; what shapes all pages changes both."""
    for name in ("book/index.md", "book/_toc.yml", "book/_static/a.css", "requirements-dev.txt",
                 "mmfuse_utils/data/sources.py", "_build/results.json", "notebooks/01_a.ipynb",
                 "_build/executed/notebooks/01_a.ipynb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("old")

    def changed_by(name, text="new"):
        before = build.site_keys(tmp_path)
        (tmp_path / name).write_text(text)
        return [new != old for new, old in zip(build.site_keys(tmp_path), before, strict=True)]

    for name in ("book/index.md", "_build/results.json", "_build/executed/notebooks/01_a.ipynb"):
        assert changed_by(name) == [False, True]
    for name in ("book/_toc.yml", "book/_static/a.css", "requirements-dev.txt", "book/new.md"):
        assert changed_by(name) == [True, True]
    assert changed_by("README.md") == [False, False]


def test_staging_moves_links_and_plotly():
    figure = {"data": [{"y": ["</script>"]}], "layout": {"title": {"text": 'A "title"'}}}
    notebook = {"cells": [
        {"cell_type": "markdown", "source": ["See [it](../book/glossary.md)."]},
        {"cell_type": "code", "source": "", "outputs": [
            {"data": {build.PLOTLY_MIME: figure, "text/html": "asks another site"}}]}]}
    staged = json.loads(build.stage_notebook(json.dumps(notebook)))["cells"]
    assert staged[0]["source"] == "See [it](../glossary.md)."
    page = staged[1]["outputs"][0]["data"]["text/html"]
    assert "A &quot;title&quot;" in page and "another site" not in page
    assert page.count("</script>") == 2
