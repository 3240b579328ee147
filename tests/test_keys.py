"""What makes a notebook stale: what it imports and reads, the pins and the data, nothing else."""

import sys
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT
from keys import dependencies, list_notebooks, notebook_keys

PACKAGE = {
    "__init__.py": "",
    "deep.py": "A = 1",
    "middle.py": "def f():\n    from mmfuse_utils.deep import A\n    return A",
    "words.py": "from . import middle",
    "pictures.py": "import numpy\nfrom mmfuse_utils.data import load",
    "unused.py": "from mmfuse_utils import words, pictures",
    "data/__init__.py": "from mmfuse_utils.data.emoji import load",
    "data/emoji.py": "def load(): pass",
    "data/sources.py": "PIN = 'sha512-one'",
    "data/unused.py": "import mmfuse_utils.deep",
}
NOTEBOOKS = {
    "01_words": ["%matplotlib inline\nfrom mmfuse_utils import words\n!ls",
                 "open('benchmarks/speed.json')"],
    "02_pictures": ["%%time\nimport mmfuse_utils.pictures as p, json", "# mmfuse_utils.unused"],
    "03_nothing": ["from pathlib import Path\nimport benchmarks, tools, book", "x = !ls\n1 + 1"],
}
ALL = set(NOTEBOOKS)


@pytest.fixture
def project(tmp_path):
    """A small project with a package, pins, recorded benchmarks and three notebooks."""
    for name, text in PACKAGE.items():
        write(tmp_path / "mmfuse_utils" / name, text)
    for name in ("requirements.txt", "benchmarks/speed.json", "benchmarks/other.json",
                 "tools/a.py", "book/b.py"):
        write(tmp_path / name, "{}")
    for name, cells in NOTEBOOKS.items():
        write_notebook(tmp_path / "notebooks" / f"{name}.ipynb", *cells)
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf8")


def write_notebook(path, *sources, prose="Prose about mmfuse_utils.unused and benchmarks/x.json"):
    cells = [nbformat.v4.new_markdown_cell(prose), *map(nbformat.v4.new_code_cell, sources)]
    write(path, nbformat.writes(nbformat.v4.new_notebook(cells=cells)))


def stale_after(project, change):
    """The notebooks whose keys a change moves."""
    before = notebook_keys(project)
    change()
    after = notebook_keys(project)
    return {Path(name).stem for name in after if after[name] != before[name]}


@pytest.mark.parametrize(("changed", "stale"), [
    ("mmfuse_utils/deep.py", {"01_words"}),
    ("mmfuse_utils/middle.py", {"01_words"}),
    ("mmfuse_utils/pictures.py", {"02_pictures"}),
    ("mmfuse_utils/data/emoji.py", {"02_pictures"}),
    ("mmfuse_utils/data/__init__.py", {"02_pictures"}),
    ("mmfuse_utils/__init__.py", {"01_words", "02_pictures"}),
    ("mmfuse_utils/table.csv", {"01_words", "02_pictures"}),
    ("mmfuse_utils/data/sources.py", ALL),
    ("requirements.txt", ALL),
    ("benchmarks/speed.json", {"01_words"}),
    ("notebooks/03_nothing.ipynb", {"03_nothing"}),     # no longer a notebook at all
    *((name, set()) for name in (
        "mmfuse_utils/unused.py", "mmfuse_utils/data/unused.py", "mmfuse_utils/new.py",
        "benchmarks/other.json", "benchmarks/speed.py", "benchmarks/new.json", "tools/a.py",
        "mmfuse_utils/__pycache__/deep.pyc", "requirements-dev.txt", "README.md", "book/b.py")),
])
def test_what_makes_a_notebook_stale(project, changed, stale):
    assert stale_after(project, lambda: write(project / changed, "A = 'changed'")) == stale


@pytest.mark.parametrize("code", [
    "from mmfuse_utils import deep", "from mmfuse_utils import words, deep as d",
    "from mmfuse_utils.deep import A", "import mmfuse_utils.deep", "import mmfuse_utils.deep as d",
    "import json, mmfuse_utils.deep",
    "if True:\n    from mmfuse_utils import (\n        deep)",
    "def f():\n    import mmfuse_utils.deep", "import mmfuse_utils.middle",
    "%load_ext autoreload\nimport mmfuse_utils.deep", "%%time\nimport mmfuse_utils.deep",
    "%time import mmfuse_utils.deep", "!python -m mmfuse_utils.deep",
    "%%bash\npython -m mmfuse_utils.deep; echo done", "x = !ls\nimport mmfuse_utils.deep",
    "import importlib\nimportlib.import_module('mmfuse_utils.deep')",
])
def test_every_way_of_importing_is_seen(project, code):
    write_notebook(project / "notebooks" / "04_new.ipynb", "1 +", code, "2 + 2")
    change = project / "mmfuse_utils" / "deep.py"
    assert stale_after(project, lambda: write(change, "A = 2")) == {"01_words", "04_new"}


@pytest.mark.parametrize(("code", "reads"), [
    ("Path('..', 'benchmarks', 'speed.json').read_text()", {"speed.json"}),
    ("folder = '../benchmarks'\nopen(f'{folder}/speed.json')", {"speed.json"}),
    ("folder / 'benchmarks' / f'{name}.json'", {"speed.json", "other.json"}),
    ("Path('benchmarks').glob('*.json')", {"speed.json", "other.json"}),
    ("Path('benchmarks', 'speed').with_suffix('.json')", {"speed.json", "other.json"}),
    ("open('speed.json')  # of another folder", set()),
    ("# benchmarks/speed.json", set()),
])
def test_which_benchmarks_a_notebook_reads(project, code, reads):
    path = project / "notebooks" / "04_new.ipynb"
    write_notebook(path, code)
    assert {file.name for file in dependencies(project, path)} == reads


@pytest.mark.parametrize("broken", ["words.py", "deep.py"])
def test_a_package_that_does_not_parse_makes_its_users_stale(project, broken):
    path = project / "mmfuse_utils" / broken
    assert "01_words" in stale_after(project, lambda: write(path, "def"))
    unused = project / "mmfuse_utils" / "unused.py"
    assert "01_words" in stale_after(project, lambda: write(unused, "B = 2"))


def test_a_folder_without_init_is_no_blind_spot(project):
    write(project / "mmfuse_utils" / "loose" / "inner.py", "C = 1")
    write_notebook(project / "notebooks" / "04_new.ipynb", "from mmfuse_utils.loose import inner")
    change = project / "mmfuse_utils" / "loose" / "inner.py"
    assert stale_after(project, lambda: write(change, "C = 2")) == {"04_new"}


def test_keys_follow_a_project_to_another_place_and_know_the_python(project, monkeypatch):
    before = notebook_keys(project)
    moved = project.rename(project.with_name("else [where]"))
    assert notebook_keys(moved) == before
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    assert not set(notebook_keys(moved).values()) & set(before.values())


def test_the_books_own_notebooks_are_understood():
    used = {path.stem: {file.relative_to(ROOT).as_posix() for file in dependencies(ROOT, path)}
            for path in list_notebooks(ROOT)}
    for files in used.values():
        assert {"mmfuse_utils/ledger.py", "mmfuse_utils/viz.py"} <= files
        assert not {"mmfuse_utils/prepare.py", "mmfuse_utils/check.py"} & files
    recorded = {stem: {Path(name).stem for name in files if name.endswith(".json")}
                for stem, files in used.items()}
    assert recorded["11_ladder"] == {"fusion", "word2vec_settings"}
    assert recorded["03_word2vec_gensim"] == {"gensim_study"}
    assert recorded["07_fusion"] == set()
