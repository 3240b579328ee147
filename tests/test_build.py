"""The site's builder: buttons and staging."""

import json
import re
import shutil
import subprocess

import build
import pytest
from pages import PLOTLY_MIME, make_page

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="optional: git is not here")


def make_repository(folder, remote):
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run(["git", "remote", "add", "origin", remote], cwd=folder, check=True)


@needs_git
@pytest.mark.parametrize("remote, url", [
    ("https://github.com/someone/some-book.git", "https://github.com/someone/some-book"),
    ("https://github.com/someone/some-book", "https://github.com/someone/some-book"),
    ("git@github.com:someone/some-book.git", "https://github.com/someone/some-book"),
    ("ssh://git@github.com/someone/some-book", "https://github.com/someone/some-book"),
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


def test_pages_move_links_and_load_plotly_from_the_site():
    figure = {"data": [{"y": ["</script>"]}], "layout": {"title": {"text": 'A "title"'}}}
    notebook = {"cells": [
        {"cell_type": "markdown", "metadata": {},
         "source": ["# A title\n", "See [it](../book/glossary.md)."]},
        {"cell_type": "code", "metadata": {}, "source": "", "outputs": [
            {"data": {PLOTLY_MIME: figure, "text/html": "asks another site"}}]}]}
    staged = json.loads(make_page(json.dumps(notebook), 1, 2.0))["cells"]
    assert staged[0]["source"].endswith("\nSee [it](../glossary.md).")
    page = staged[1]["outputs"][0]["data"]["text/html"]
    assert "A &quot;title&quot;" in page and "another site" not in page
    assert page.count("</script>") == 1
    assert json.loads(re.search(r'<script type="application/json">(.*?)</script>', page)[1]) == [
        figure["data"], figure["layout"]]
