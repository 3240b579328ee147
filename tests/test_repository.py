"""The files around the code: do they parse, agree with each other, and keep their promises?"""

import doctest
import itertools
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from mmfuse_utils.data.sources import SOURCES

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = {"linux": ("posix", "Linux"), "darwin": ("posix", "Darwin"), "win32": ("nt", "Windows")}


def read(name):
    return (ROOT / name).read_text(encoding="utf8")


@pytest.fixture(scope="module")
def project():
    return tomllib.loads(read("pyproject.toml"))["project"]


def git(*arguments):
    """What git prints about this project's own repository; skips the test where there is none."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("optional: this copy has no git history, or git is not here")
    command = ["git", "-c", "safe.directory=*", f"--git-dir={ROOT / '.git'}", *arguments]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True,
                          encoding="utf8").stdout


def tracked_texts():
    """(name, text) of every text file that is or will be committed."""
    listing = git("ls-files", "--cached", "--others", "--exclude-standard", "-z")
    for name in sorted(set(filter(None, listing.split("\0")))):
        content = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b"\0"
        if b"\0" not in content:
            yield name, content.decode("utf8")


def targets():
    return re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE)


def notebooks():
    return sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))


def run_tool(*arguments):
    """Run a linter that pip installed beside this Python; returns the finished process."""
    tool = shutil.which(arguments[0], path=sysconfig.get_path("scripts"))
    assert tool, f"{arguments[0]} is missing; it is in pyproject's extra `test`."
    return subprocess.run([tool, *map(str, arguments[1:])], cwd=ROOT, encoding="utf8",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


# Installing

def test_environment_yml_is_thin_and_fits_pyproject(project):
    environment = yaml.safe_load(read("environment.yml"))
    *conda, pip = environment["dependencies"]
    python = next(entry for entry in conda if entry.startswith("python="))
    assert python.removeprefix("python=") + ".0" in SpecifierSet(project["requires-python"])
    assert "pip" in conda
    assert pip == {"pip": ["-r requirements.txt"]}
    assert (ROOT / "requirements.txt").is_file()


def pins(*names):
    lines = [line for name in names for line in read(name).splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def environments():
    """Marker environments of every Python and system that the book supports."""
    for python, (platform, (os_name, system)) in itertools.product(PYTHONS, PLATFORMS.items()):
        yield {"python_version": python, "python_full_version": f"{python}.9", "os_name": os_name,
               "sys_platform": platform, "platform_system": system,
               "platform_machine": "x86_64", "implementation_name": "cpython",
               "platform_python_implementation": "CPython", "extra": ""}


@pytest.mark.parametrize(("extras", "files"), [
    ((), ("requirements.txt",)),
    (("book", "classroom", "scale", "service", "test"),
     ("requirements.txt", "requirements-dev.txt")),
])
def test_pins_satisfy_the_ranges_everywhere(project, extras, files):
    ranges = [*project["dependencies"],
              *(line for extra in extras for line in project["optional-dependencies"][extra])]
    for environment in environments():
        pinned = {}
        for pin in pins(*files):
            if pin.marker is None or pin.marker.evaluate(environment):
                (version,) = [spec.version for spec in pin.specifier]
                assert pinned.setdefault(pin.name, version) == version, (
                    f"{pin.name} has two pins for {environment}")
        for wanted in map(Requirement, ranges):
            assert wanted.name in pinned, f"{wanted} has no pin in {' or '.join(files)}"
            assert wanted.specifier.contains(pinned[wanted.name], prereleases=True), (
                f"{wanted} against the pin {pinned[wanted.name]}")


def test_pythons_of_the_workflows_are_those_of_pyproject(project):
    matrix = yaml.safe_load(read(".github/workflows/tests.yml"))["jobs"]["package"]["strategy"]
    assert tuple(matrix["matrix"]["python"]) == PYTHONS
    allowed = SpecifierSet(project["requires-python"])
    assert [f"3.{minor}" for minor in range(30) if f"3.{minor}.0" in allowed] == list(PYTHONS)


# The README and its neighbors

def test_readme_and_makefile_name_the_same_targets():
    readme = read("README.md")
    assert set(re.findall(r"\bmake ([a-z]+)`", readme)) == set(targets())
    for target in targets():
        assert f"`python3 tools/make.py {target}`" in readme


def test_readme_says_what_it_costs_before_the_first_command():
    readme = read("README.md")
    first_command = readme.index("```bash")
    data = f"{10 * round(sum(source.size for source in SOURCES.values()) / 1e7)} MB"
    for fact in ("3 GB", "7 GB", data, "https://pytorch.org/get-started/locally/"):
        assert fact in readme[:first_command]


def test_every_notebook_is_in_the_readme_and_on_the_first_page():
    for page in ("README.md", "book/index.md"):
        linked = re.findall(r"notebooks/(\d\d_\w+\.ipynb)", read(page))
        assert sorted(set(linked)) == notebooks()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_to_files_of_this_repository_resolve(name):
    for link in re.findall(r"\]\(([^)#]+)", read(name)):
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_citation_is_valid_and_has_the_version_of_pyproject(project):
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["version"] == project["version"]
    assert f"## [{project['version']}] - {citation['date-released']}" in read("CHANGELOG.md")
    checked = run_tool("check-jsonschema", "--builtin-schema", "vendor.citation-file-format",
                       "CITATION.cff")
    assert checked.returncode == 0, checked.stdout


def test_both_licenses_are_there():
    assert read("LICENSE").startswith("MIT License")
    assert "https://creativecommons.org/licenses/by/4.0/legalcode" in read("LICENSE-prose")


def test_no_file_names_a_machine_or_a_registry():
    machine = re.compile(r"(?<![\w.~$}:-])/(?:work|root|opt|mnt|home/\w+|Users/\w+)/\w"
                         r"|[A-Z]:\\Users\\\w")
    registry = re.compile(r"registry\.npmjs|npmjs\.(?:com|org)|pypi\.org|python[h]osted\.org"
                          r"|download\.pytorch|conda\.anaconda")
    found = [f"{name}: {match[0]}" for name, text in tracked_texts()
             for pattern in (machine, registry) for match in pattern.finditer(text)]
    assert not found


# Pages

def test_examples_of_the_refresher_print_what_it_says():
    blocks = re.findall(r"```pycon\n(.*?)```", read("book/refresher.md"), re.DOTALL)
    assert len(blocks) == 11
    assert [line for block in blocks for line in block.splitlines() if len(line) > 79] == []
    parser, report = doctest.DocTestParser(), []
    test = parser.get_doctest("\n\n".join(blocks), {}, "refresher", "refresher.md", 0)
    result = doctest.DocTestRunner().run(test, out=report.append)
    assert result.failed == 0, "".join(report)


def test_names_in_the_notation_table_exist_in_the_package():
    source = "\n".join(path.read_text(encoding="utf8")
                       for path in (ROOT / "mmfuse_utils").rglob("*.py"))
    known = set(re.findall(r"\w+", source))
    rows = [line for line in read("book/notation.md").splitlines() if line.startswith("| $")]
    for row in rows:
        for span in re.findall(r"`([^`]+)`", row.rstrip("|").rpartition("|")[2]):
            missing = set(re.findall(r"[A-Za-z_]\w*", span)) - known
            assert not missing, f"{missing} in the row {row}"


def test_glossary_is_sorted_and_defines_each_term_once():
    """An entry stands at the place of its first term; other forms of it follow, one a line."""
    lines = read("book/glossary.md").partition("```{glossary}")[2].splitlines()
    terms = [line for line in lines if line and not line.startswith((" ", "```"))]
    first = [line for before, line in itertools.pairwise(lines) if line in terms and not before]
    assert len(first) >= 40
    assert len({term.lower() for term in terms}) == len(terms)
    assert first == sorted(first, key=str.lower)


# Workflows

def test_workflows_follow_the_schema():
    assert len(WORKFLOWS) == 3
    for schema in ("vendor.github-workflows", "custom.github-workflows-require-timeout"):
        checked = run_tool("check-jsonschema", "--builtin-schema", schema, *WORKFLOWS)
        assert checked.returncode == 0, checked.stdout


def test_workflows_have_no_security_findings():
    checked = run_tool("zizmor", "--offline", "--no-progress", *WORKFLOWS)
    assert checked.returncode == 0, checked.stdout


def test_the_workflow_linters_find_what_is_wrong(tmp_path):
    bad = read(".github/workflows/publish.yml")
    bad = re.sub(r"@[0-9a-f]{40} # v[\d.]+", "@v1", bad).replace("runs-on:", "run-on:")
    path = tmp_path / "bad.yml"
    path.write_text(bad, encoding="utf8")
    schema = run_tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", path)
    assert schema.returncode == 1 and "runs-on" in schema.stdout
    path.write_text(bad.replace("run-on:", "runs-on:"), encoding="utf8")
    security = run_tool("zizmor", "--offline", "--no-progress", path)
    assert security.returncode not in (0, 1) and "unpinned-uses" in security.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_give_no_more_rights_than_needed(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf8"))
    assert workflow["permissions"] == {}
    assert "concurrency" in workflow
    writing = {right for job in workflow["jobs"].values()
               for right, level in job["permissions"].items() if level == "write"}
    assert writing == {"tests.yml": set(), "weekly.yml": {"contents", "issues"},
                       "publish.yml": {"pages", "id-token"}}[path.name]


def test_scripts_that_workflows_and_readme_call_exist():
    called = {name for file in ("README.md", "CONTRIBUTING.md", *WORKFLOWS)
              for name in re.findall(r"\btools/[\w/]+\.py", read(file))}
    assert called and all((ROOT / name).is_file() for name in called)


def test_the_script_of_continuous_integration_may_be_run():
    mode, *_ = git("ls-files", "--stage", ".ci/run").split()
    assert mode == "100755"


SKIPPING = """
import pytest
def test_with_a_reason_of_its_own():
    pytest.skip("optional: not here")
def test_without():
    pytest.skip("no time")
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "two processes"])
@pytest.mark.parametrize(("allowed", "status"), [("0", 0), ("1", 1)])
def test_a_skip_without_need_fails_where_none_is_allowed(workers, allowed, status, tmp_path):
    shutil.copyfile(ROOT / "tests" / "conftest.py", tmp_path / "conftest.py")
    (tmp_path / "test_skipping.py").write_text(SKIPPING)
    done = subprocess.run([sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir",
                           str(tmp_path), *workers, str(tmp_path)], cwd=tmp_path, text=True,
                          stdout=subprocess.PIPE, env={**os.environ, "MMFUSE_NO_SKIPS": allowed,
                                                    "PYTEST_ADDOPTS": ""})
    assert done.returncode == status, done.stdout
    assert ("test_without: Skipped: no time" in done.stdout) is bool(status)
