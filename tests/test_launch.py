"""Notebooks anywhere: the cell that makes them run, the buttons that launch them, editions."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import bare
import build
import edition
import environment
import launch
import pytest
import yaml
from bs4 import BeautifulSoup
from conftest import ROOT, site_pages
from keys import list_notebooks

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="optional: git is not here")
URL = "https://github.com/someone/book"
INSTALLED = "the book is installed"


def cell_of(path):
    """The cell below a notebook's title."""
    return json.loads(path.read_text(encoding="utf8"))["cells"][1]


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """An interpreter that has all packages of this one but ours, as a path that is not followed
    by those in files, and that installs into an environment of its own."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run([python, "-c", ask], stdout=subprocess.PIPE, check=True, text=True)
    with open(os.path.join(packages.stdout.strip(), "others.pth"), "w", encoding="utf8") as file:
        file.write(sysconfig.get_path("purelib"))
    return python


def run_cell(python, folder, source, more="", **settings):
    """Run the cell in a folder as a notebook would, then some more; returns what was printed."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}      # IPython follows the latter
    code = f"{source}\n{more or f'import mmfuse_utils; print({INSTALLED!r})'}\n"
    (folder / "cell.ipy").write_text(code, encoding="utf8")
    done = subprocess.run(
        [python, "-m", "IPython", "--no-banner", "--colors=NoColor", "cell.ipy"], cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf8",
        env={**kept, "PYTHONUTF8": "1", "IPYTHONDIR": str(folder / "ipython"), **settings})
    return done.stdout


def make_wheel(folder, name, version):
    """A package of one line, as pip installs it."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        wheel.writestr(f"{info}/METADATA",
                       f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\n"
                                        "Root-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def project(tmp_path):
    """A small project with one dependency, pinned to a version that is not the newest."""
    for name in ("tools", "notebooks", "mmfuse_utils", "wheels"):
        (tmp_path / name).mkdir()
    shutil.copyfile(ROOT / "tools" / "bare.py", tmp_path / "tools" / "bare.py")
    (tmp_path / "mmfuse_utils" / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nrequires-python = ">=3.11"\ndependencies = ["tiny-thing>=1", "jupyterlab>=99"]')
    (tmp_path / "requirements.txt").write_text("# pins\ntiny-thing==1.5\nnumpy==0.1\n")
    for version in ("0.5", "1.5", "2.0"):
        make_wheel(tmp_path / "wheels", "tiny_thing", version)
    return tmp_path


def offline(project):
    """Settings with which pip finds the project's wheels and nothing else."""
    return {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(project / "wheels")}


# The cell

@pytest.mark.parametrize("path", list_notebooks(ROOT), ids=lambda path: path.stem)
def test_every_notebook_has_the_same_cell_below_its_title(path):
    source = "".join(cell_of(list_notebooks(ROOT)[0])["source"])
    address = launch.ADDRESS.search(source)[1]
    assert address == "" or re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address)
    assert cell_of(path) == launch.make_cell(address)


def test_the_cell_is_put_once_and_keeps_its_address():
    notebook = {"cells": [{"id": "title"}, {"id": "imports"}]}
    launch.put_cell(notebook, URL)
    assert [cell["id"] for cell in notebook["cells"]] == ["title", "install", "imports"]
    assert f'BOOK = "{URL}"  #' in "".join(notebook["cells"][1]["source"])
    before = json.dumps(notebook)
    launch.put_cell(notebook, "")
    assert json.dumps(notebook) == before
    launch.put_cell(notebook, f"{URL}2")
    assert json.dumps(notebook) == before.replace(URL, f"{URL}2")


def test_a_copy_for_the_site_carries_the_address():
    text = json.dumps({"cells": [{"source": launch.CELL}]})
    filled = json.loads(launch.fill_address(text, URL))["cells"][0]["source"]
    assert filled == launch.CELL.replace('BOOK = ""', f'BOOK = "{URL}"') != launch.CELL
    assert launch.fill_address(text, None) == text


def test_nothing_happens_where_the_book_is_installed(tmp_path):
    more = "import os; print(os.getcwd(), [name for name in ('folder', 'Path') if name in dir()])"
    printed = run_cell(sys.executable, tmp_path, launch.CELL, more, PYTHONPATH=str(ROOT))
    assert printed.splitlines() == [f"{tmp_path.resolve()} []"]


@pytest.mark.parametrize("settings, threads", [
    ({"OMP_NUM_THREADS": "2"}, 1), ({"OPENBLAS_NUM_THREADS": "2"}, 2)], ids=["default", "asked"])
def test_numpy_keeps_to_one_thread_unless_the_reader_asks_for_more(tmp_path, settings, threads):
    more = ("import numpy; from threadpoolctl import threadpool_info as pools\n"
            "print(environ['OPENBLAS_NUM_THREADS'], "
            "*[pool['num_threads'] for pool in pools() if pool['user_api'] == 'blas'])")
    printed = run_cell(sys.executable, tmp_path, launch.CELL, more, PYTHONPATH=str(ROOT), **settings)
    assert set(printed.split()) == {str(threads)}


def test_without_the_rest_of_the_book_it_says_what_to_do(bare_python, tmp_path):
    printed = run_cell(bare_python, tmp_path, launch.CELL)
    assert "Download the whole book" in printed and INSTALLED not in printed
    assert "Traceback" not in printed
    missing = (tmp_path / "not there.git").as_uri()
    printed = run_cell(bare_python, tmp_path, launch.CELL.replace('""', f'"{missing}"', 1))
    assert "Fetching the book" in printed and "Download the whole book" in printed


def test_in_a_copy_of_the_book_it_finds_the_package(bare_python, tmp_path):
    for name in ("tools", "mmfuse_utils", "notebooks"):
        (tmp_path / name).mkdir()
    for name in ("tools/bare.py", "mmfuse_utils/__init__.py", "pyproject.toml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    more = ("import subprocess, sys, mmfuse_utils\nprint(mmfuse_utils.__file__)\n"
            "import os; print(os.getcwd())\n"
            "print(subprocess.run([sys.executable, '-c', 'import mmfuse_utils']).returncode)")
    printed = run_cell(bare_python, tmp_path / "notebooks", launch.CELL, more).splitlines()
    assert printed == [str(tmp_path.resolve() / "mmfuse_utils" / "__init__.py"),
                       str(tmp_path.resolve() / "notebooks"), "0"]


@needs_git
def test_a_notebook_alone_fetches_the_book(bare_python, project, tmp_path_factory):
    alone = tmp_path_factory.mktemp("elsewhere")
    (project / "pyproject.toml").write_text(
        '[project]\nrequires-python = ">=3.11"\ndependencies = ["numpy"]')
    (project / "notebooks" / "a.ipynb").write_text("{}")
    git = ["git", "-C", str(project), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *arguments], check=True)
    source = launch.CELL.replace('""', f'"{project.as_uri()}"', 1)
    for expected in ("Fetching the book …\n", ""):      # the second time it is there
        assert run_cell(bare_python, alone, source) == f"{expected}{INSTALLED}\n"
    assert (alone / "words-meet-pixels" / "notebooks" / "a.ipynb").exists()


def test_what_is_missing_comes_with_its_pin(bare_python, project):
    source, more = launch.CELL, "import tiny_thing; print(tiny_thing.VERSION)"
    printed = run_cell(bare_python, project / "notebooks", source, more, **offline(project))
    assert printed.startswith("Installing 1 packages") and printed.endswith("\n1.5\n")
    assert run_cell(bare_python, project / "notebooks", source, more) == "1.5\n"
    requirements = project / "requirements.txt"         # what is there and fits stays
    requirements.write_text("tiny-thing==2.0\n")
    assert run_cell(bare_python, project / "notebooks", source, more) == "1.5\n"
    (project / "pyproject.toml").write_text(
        '[project]\nrequires-python = ">=3.11"\ndependencies = ["tiny-thing>=2"]')
    printed = run_cell(bare_python, project / "notebooks", f"import tiny_thing\n{source}",
                       **offline(project))
    assert "tiny_thing. Please restart the kernel" in printed and INSTALLED not in printed
    requirements.write_text("tiny-thing==3.0\n")
    (project / "pyproject.toml").write_text(
        '[project]\nrequires-python = ">=3.11"\ndependencies = ["tiny-thing>=3"]')
    printed = run_cell(bare_python, project / "notebooks", source, **offline(project))
    assert "could not be installed; the reason is above" in printed
    assert "ResolutionImpossible" in printed and INSTALLED not in printed


def test_another_python_is_said_kindly(bare_python, project):
    (project / "pyproject.toml").write_text(
        '[project]\nrequires-python = "<3.9"\ndependencies = []')
    printed = run_cell(bare_python, project / "notebooks", launch.CELL)
    assert "needs Python <3.9" in printed and "choose a kernel" in printed
    assert INSTALLED not in printed


def test_everything_that_notebooks_import_is_there():
    project = bare.tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    assert bare.find_missing(project["dependencies"]) == []
    gone = bare.find_missing(["numpy>=999", "no-such-thing>=0", "jupyterlab>=999",
                              "ipywidgets>=999"])
    assert [wanted.name for wanted in gone] == ["numpy", "no-such-thing"]


# Buttons and editions

def staged_config(folder, remote):
    """The configuration that the build writes for a repository with a remote, or with none."""
    root, source = folder / "root", folder / "source"
    (root / "book").mkdir(parents=True)
    source.mkdir()
    for name in ("book/_config.yml", "pyproject.toml", "CITATION.cff"):
        shutil.copyfile(ROOT / name, root / name)
    if remote:
        subprocess.run(["git", "init", "-q", str(root)], check=True)
        subprocess.run(["git", "-C", str(root), "remote", "add", "origin", remote], check=True)
    build.stage_config(root, source)
    return yaml.safe_load((source / "_config.yml").read_text(encoding="utf8"))


CONF = """
import sys
sys.path.insert(0, {ext!r})
from jupyter_book.config import yaml_to_sphinx
import yaml
made, own, _ = yaml_to_sphinx(yaml.safe_load(open({config!r}, encoding="utf8")))
extensions = ["myst_nb", "sphinx_book_theme", "mmfuse_edition"]
html_theme, html_theme_options = "sphinx_book_theme", made["html_theme_options"]
mmfuse_edition, mmfuse_repository = own["mmfuse_edition"], own["mmfuse_repository"]
nb_execution_mode = "off"
"""


def build_pages(folder, remote):
    """A site of two pages with the staged configuration: its first page and its notebook."""
    staged_config(folder, remote)
    source = folder / "source"
    (source / "notebooks").mkdir()
    cells = [{"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# A"},
             {**launch.make_cell(""), "outputs": []},
             {"cell_type": "code", "id": "b", "metadata": {}, "outputs": [],
              "execution_count": 1, "source": "shown = 1"}]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    (source / "notebooks" / "a.ipynb").write_text(json.dumps(
        {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    (source / "index.md").write_text("# First\n\n```{toctree}\nnotebooks/a\n```\n")
    (source / "moved.yml").write_text("index#old: index#first\nnotebooks/a#gone: index#first\n")
    (source / "conf.py").write_text(CONF.format(ext=str(ROOT / "book" / "_ext"),
                                                config=str(source / "_config.yml")))
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-b", "html", source, folder / "site"],
                   check=True)
    return [BeautifulSoup((folder / "site" / name).read_text(encoding="utf8"), "html.parser")
            for name in ("index.html", "notebooks/a.html")]


@needs_git
@pytest.mark.book
def test_a_known_repository_gives_buttons_and_a_link_to_report(tmp_path):
    first, notebook = build_pages(tmp_path, f"{URL}.git")
    links = {link["href"] for link in notebook.select("a[href]")}
    assert {"https://mybinder.org/v2/gh/someone/book/main?urlpath=lab/tree/notebooks/a.ipynb",
            "https://colab.research.google.com/github/someone/book/blob/main/notebooks/a.ipynb",
            URL} <= links
    assert first.select('a[href*="mybinder"], a[href*="colab"]') == []
    report = notebook.select_one("a.mmfuse-report")["href"]
    query = dict(pair.split("=") for pair in report.partition("?")[2].split("&"))
    assert report.startswith(f"{URL}/issues/new?")
    assert query["title"] == "Problem+on+the+page+notebooks%2Fa"
    assert re.match(r"Page%3A\+notebooks%2Fa%0AVersion\+\d", query["body"])
    code = [pre.get_text() for pre in notebook.select("div.cell_input pre")]
    assert code == ["shown = 1\n"]          # the cell of the bare start is on no page
    assert first.select_one("section#first").find_previous_sibling("span")["id"] == "old"
    assert 'location.replace("../index.html#first")' in str(notebook)


@pytest.mark.book
def test_without_a_repository_no_address_is_made_up(site):
    addresses = re.compile(r"mybinder|colab\.research|issues/new")
    known = edition.repository_url(ROOT) is not None
    for name in site_pages():
        text = (site / name).read_text(encoding="utf8")
        assert known or not addresses.search(text), name


@pytest.mark.book
def test_every_page_says_of_which_edition_it_is(site):
    said = set()
    moved = yaml.safe_load((ROOT / "book" / "moved.yml").read_text(encoding="utf8"))
    for name in {name.removesuffix(".html") for name in site_pages()} - set(moved):
        text = (site / f"{name}.html").read_text(encoding="utf8")
        foot, = re.findall(r'<p class="mmfuse-edition">(.*?)</p>', text)
        said.add(foot.partition(". ")[0])
        assert "Last updated on" not in text        # the theme's line, from the clock
        assert 'class="mmfuse-report"' in foot or f"<code>{name}</code>" in foot
    version, = said
    assert re.fullmatch(r"Version \d+\.\d+\.\d+(,| of) (built from commit [0-9a-f]{7} of )?"
                        r"\d{4}-\d\d-\d\d(, with changes since)?", version)


@needs_git
def test_the_edition_is_told_by_git_and_not_by_the_clock(tmp_path):
    for name in ("pyproject.toml", "CITATION.cff"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    released = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf8"))["date-released"]
    version = edition.describe_edition(tmp_path).split()[1]
    assert edition.describe_edition(tmp_path) == f"Version {version} of {released}."
    git = ["git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert edition.describe_edition(tmp_path) == f"Version {version} of {released}."
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True,
                   env={**os.environ, "GIT_COMMITTER_DATE": "2001-02-03T04:05:06+00:00"})
    commit = subprocess.run([*git, "rev-parse", "HEAD"], stdout=subprocess.PIPE, text=True)
    said = f"Version {version}, built from commit {commit.stdout[:7]} of 2001-02-03"
    assert edition.describe_edition(tmp_path) == f"{said}."
    (tmp_path / "more.txt").touch()
    assert edition.describe_edition(tmp_path) == f"{said}, with changes since."


# Environments

def test_the_container_installs_what_the_book_needs():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf8"))
    assert set(container) <= {"name", "image", "hostRequirements", "postCreateCommand",
                              "forwardPorts", "portsAttributes", "customizations"}
    version = re.fullmatch(r"mcr\.microsoft\.com/devcontainers/python:3\.(\d+)",
                           container["image"])[1]
    assert environment.OLDEST <= (3, int(version)) <= environment.NEWEST
    python, script = container["postCreateCommand"].split()
    assert python == "python3" and (ROOT / script).is_file()
    assert set(container["hostRequirements"]) <= {"cpus", "memory", "storage", "gpu"}
    interpreter = container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert interpreter == "${containerWorkspaceFolder}/.venv/bin/python"


def test_the_commands_for_conda_and_uv_name_what_is_there():
    readme = (ROOT / "README.md").read_text(encoding="utf8")
    for name in re.findall(r"pip install -r ([\w.-]+)", readme) + ["environment.yml"]:
        assert (ROOT / name).is_file()
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf8"))
    assert f"conda activate {conda['name']}\n" in readme
    version = re.search(r"uv venv --seed --python 3\.(\d+)\n", readme)[1]
    assert environment.OLDEST <= (3, int(version)) <= environment.NEWEST
