"""Packages come whole and verified, or not at all; then never again from the network."""

import base64
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from mmfuse_utils.cache import CacheError, cache_dir
from mmfuse_utils.data import __main__ as listing
from mmfuse_utils.data import load_emoji, sources
from mmfuse_utils.data.emoji import LANGUAGES
from mmfuse_utils.data.sources import SOURCES, FetchError, Source, install_tarball, package_path

FILES = {"package/hello.txt": "hello", "package/deep/more.txt": "more"}
# A child process that fetches the package "local" from a file instead of the registry.
CHILD = """
import shutil, sys, tarfile
from pathlib import Path
from mmfuse_utils.data import sources

def download(source, folder):
    print("downloading", flush=True)
    if sys.argv[3] == "during download":
        sys.stdin.read()
    return Path(shutil.copy(sys.argv[1], folder))

class Blocking(tarfile.TarFile):
    def extractall(self, path, **settings):
        super().extractall(path, **settings)
        print("extracted", flush=True)
        sys.stdin.read()

if sys.argv[3] == "during extraction":
    sources.tarfile.open = Blocking.open
sources._download = download
sources.SOURCES["local"] = sources.Source("local", "1.0.0", sys.argv[2], 1, "MIT", "us", "a test")
print(sources.package_path("local"), flush=True)
"""


def pack(path: Path, files: dict[str, str]) -> str:
    """Write a package file; returns npm's integrity string, made by another route than ours."""
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


@pytest.fixture
def tarball(tmp_path, monkeypatch):
    """A good package file; "local" in SOURCES is pinned to it; the cache is empty."""
    monkeypatch.setenv("MMFUSE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "local-1.0.0.tgz"
    pin(monkeypatch, pack(path, FILES))
    return path


def pin(monkeypatch, integrity: str) -> Source:
    source = Source("local", "1.0.0", integrity, 1, "MIT", "us", "a test")
    monkeypatch.setitem(SOURCES, "local", source)
    return source


@pytest.fixture
def npm(tarball, monkeypatch):
    """In place of npm: copies the package file, or fails with `npm.output`; counts its calls."""

    class Npm:
        calls = 0
        output = ""

        def __call__(self, args, cwd, **settings):
            self.calls += 1
            assert args[:2] == ["pack", "local@1.0.0"] and "--ignore-scripts" in args
            if not self.output:
                (Path(cwd) / tarball.name).write_bytes(tarball.read_bytes())
            return subprocess.CompletedProcess(args, int(bool(self.output)), "", self.output)

    stand_in = Npm()
    monkeypatch.setattr(sources, "npm", stand_in)
    return stand_in


@pytest.fixture
def child(tarball):
    programs = []

    def start(when: str = "") -> subprocess.Popen:
        command = [sys.executable, "-c", CHILD, str(tarball), SOURCES["local"].integrity, when]
        programs.append(subprocess.Popen(command, text=True, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, encoding="utf8",
                                         env={**os.environ, "PYTHONUTF8": "1"}))
        assert "Fetching local@1.0.0" in programs[-1].stdout.readline()
        return programs[-1]

    yield start
    for program in programs:
        program.kill()
        program.communicate()


def installed() -> list[str]:
    """What lies under packages/; temporary leftovers of killed processes start with a dot."""
    folder = cache_dir() / "packages"
    return sorted(p.name for p in folder.glob("[!.]*") if p.suffix != ".seal")


def assert_good(folder: Path) -> None:
    found = {p.relative_to(folder).as_posix(): p.read_text()
             for p in folder.rglob("*") if p.is_file()}
    assert found == FILES


def one_paragraph(error: BaseException) -> str:
    message = str(error)
    assert "\n" not in message
    assert not re.search(r"https?://|\d+\.\d+\.\d+\.\d+|registry\.", message), "no address"
    return message


@pytest.mark.parametrize("name", list(SOURCES))
def test_every_source_is_pinned_and_credited(name):
    source = SOURCES[name]
    algorithm, _, digest = source.integrity.partition("-")
    assert algorithm == "sha512" and len(base64.b64decode(digest, validate=True)) == 64
    assert re.fullmatch(r"\d+\.\d+\.\d+", source.version)
    assert 100_000 < source.size < 20_000_000
    assert source.licence and source.attribution and source.what
    assert source.folder.parent == cache_dir() / "packages"


def test_all_sources_are_different():
    for field in ("spec", "integrity", "folder"):
        assert len({getattr(source, field) for source in SOURCES.values()}) == len(SOURCES)


def test_a_fetched_package_is_never_fetched_again(npm, capsys):
    folder = package_path("local")
    assert_good(folder)
    assert "Fetching local@1.0.0" in capsys.readouterr().out
    npm.output = "npm error code ECONNREFUSED"
    assert package_path("local") == folder
    assert npm.calls == 1 and installed() == ["local@1.0.0"]
    assert capsys.readouterr().out == ""


def test_an_unknown_name_is_a_key_error(npm):
    with pytest.raises(KeyError):
        package_path("nonsense")
    assert npm.calls == 0


@pytest.mark.parametrize(("output", "expected"), [
    ("npm error code ECONNREFUSED\nnpm error FetchError: http://10.0.0.1:9/x", "no network"),
    ("npm error code ENOTFOUND\nnpm error network request to https://a.example", "no network"),
    ("npm error code EAI_AGAIN", "no network"),
    ("npm error code ENOSPC\nnpm error nospc No space left on device", "disk is full"),
    ("npm error code E404\nnpm error 404 Not Found - GET https://a.example/x", "E404"),
    ("something unheard of", "npm gave up"),
])
def test_npm_failures_are_said_in_our_words(npm, output, expected):
    npm.output = output
    with pytest.raises(FetchError, match=expected) as caught:
        package_path("local")
    assert "local@1.0.0" in one_paragraph(caught.value) and "again" in str(caught.value)
    assert installed() == []
    npm.output = ""
    assert_good(package_path("local"))


def test_without_a_network(tmp_path):
    """The real npm, pointed at a port where nobody listens."""
    code = ("from mmfuse_utils.data import sources\n"
            "try:\n    sources.package_path('emojione')\n"
            "except sources.FetchError as error:\n    print(error)")
    environment = {**os.environ, "MMFUSE_CACHE": str(tmp_path / "cache"), "PYTHONUTF8": "1",
                   "npm_config_registry": "http://127.0.0.1:9"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, text=True,
                            capture_output=True, check=True, encoding="utf8")
    first, *rest = result.stdout.splitlines()
    assert first.startswith("Fetching") and len(rest) == 1 and result.stderr == ""
    assert "no network" in one_paragraph(Exception(rest[0]))
    kept = [p for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.suffix != ".lock"]
    assert kept == []


def spoil(folder: Path, how: str) -> None:
    """Harm the first file of an installed package."""
    path = folder / sorted(FILES)[0]
    content = path.read_bytes()
    if how == "removed":
        path.unlink()
    else:
        path.write_bytes({"emptied": b"", "one letter": b"?" + content[1:]}[how])


@pytest.mark.parametrize("how", ["removed", "emptied"])
def test_a_package_that_lost_something_is_fetched_again(npm, how):
    folder = package_path("local")
    spoil(folder, how)
    assert_good(package_path("local"))
    assert npm.calls == 2


@pytest.mark.parametrize("how", ["removed", "emptied", "one letter"])
def test_a_file_brought_by_hand_mends_what_is_damaged(tarball, how, capsys):
    install_tarball(tarball)
    spoil(SOURCES["local"].folder, how)
    assert listing.main(["--list", "--from", str(tarball)]) == 0
    assert_good(SOURCES["local"].folder)
    for missing in (tarball.with_name("none.tgz"), tarball.parent):
        assert listing.main(["--list", "--from", str(missing)]) == 1
        assert f"There is no file {missing}." in capsys.readouterr().err


@pytest.mark.parametrize("how", ["removed", "emptied", "one letter"])
def test_the_data_command_compares_every_byte_and_mends(npm, how, monkeypatch, capsys):
    monkeypatch.setattr(listing, "SOURCES", {"local": SOURCES["local"]})
    spoil(package_path("local"), how)
    assert listing.main(["--list"]) == 0
    wrong = "has changed" if how == "one letter" else "is incomplete"
    assert wrong in capsys.readouterr().out and npm.calls == 1
    assert listing.main([]) == 0
    said = capsys.readouterr().out
    assert f"local@1.0.0 {wrong}" in said and "fetched again" in said and "here, 0 MB" in said
    assert_good(SOURCES["local"].folder)
    assert npm.calls == 2 and listing.main([]) == 0 and npm.calls == 2


@pytest.mark.parametrize("damage", ["one bit", "cut short", "empty"])
def test_a_damaged_file_is_refused(npm, tarball, damage):
    whole = tarball.read_bytes()
    broken = {"one bit": bytes([*whole[:-1], whole[-1] ^ 1]), "cut short": whole[:-20],
              "empty": b""}[damage]
    tarball.write_bytes(broken)
    with pytest.raises(FetchError, match="not the file it should be") as caught:
        package_path("local")
    one_paragraph(caught.value)
    with pytest.raises(FetchError, match="not the file it should be"):
        install_tarball(tarball)
    assert installed() == []
    tarball.write_bytes(whole)
    assert_good(package_path("local"))


def test_a_file_brought_by_hand(tarball, monkeypatch):
    monkeypatch.setattr(sources, "npm", None)  # calling it would fail
    assert install_tarball(tarball) == SOURCES["local"]
    assert_good(package_path("local"))
    assert install_tarball(tarball) == SOURCES["local"]  # twice is fine


def test_a_file_of_another_package_is_refused(tmp_path, tarball):
    other = tmp_path / "other-2.0.0.tgz"
    pack(other, FILES)
    with pytest.raises(FetchError, match="none of the pinned packages") as caught:
        install_tarball(other)
    assert all(source.spec in one_paragraph(caught.value) for source in SOURCES.values())
    assert installed() == []


def test_a_scoped_package_has_npms_file_name(tmp_path, monkeypatch):
    monkeypatch.setenv("MMFUSE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "scope-name-1.0.0.tgz"
    source = Source("@scope/name", "1.0.0", pack(path, FILES), 1, "MIT", "us", "a test")
    monkeypatch.setitem(SOURCES, "local", source)
    assert install_tarball(path) == source
    assert_good(source.folder)


@pytest.mark.parametrize("member", ["../evil.txt", "package/../../evil.txt", "link"])
def test_a_package_cannot_write_outside_its_folder(npm, tarball, monkeypatch, member):
    with tarfile.open(tarball, "w:gz") as archive:
        if member == "link":
            link = tarfile.TarInfo("package/link")
            link.type, link.linkname = tarfile.SYMTYPE, "../../../"
            archive.addfile(link)
            member = "package/link/evil.txt"
        info = tarfile.TarInfo(member)
        info.size = 4
        archive.addfile(info, io.BytesIO(b"evil"))
    digest = hashlib.sha512(tarball.read_bytes()).digest()
    pin(monkeypatch, "sha512-" + base64.b64encode(digest).decode())
    with pytest.raises((tarfile.FilterError, FetchError)):
        package_path("local")
    assert installed() == []
    assert list(tarball.parent.rglob("evil.txt")) == []


def test_a_disk_that_fills_up_during_extraction(npm, monkeypatch):
    def extractall(self, path, **settings):
        Path(path).mkdir()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "extractall", extractall)
        with pytest.raises(CacheError, match="disk is full") as caught:
            package_path("local")
        assert "MMFUSE_CACHE" in one_paragraph(caught.value)
    assert list((cache_dir() / "packages").iterdir()) == []
    assert_good(package_path("local"))


@pytest.mark.parametrize("when", ["during download", "during extraction"])
def test_a_fetch_that_is_killed_is_made_again(child, npm, when):
    program = child(when)
    assert program.stdout.readline() == "downloading\n"
    if when == "during extraction":
        assert program.stdout.readline() == "extracted\n"
    program.kill()
    program.wait()
    assert installed() == []
    assert_good(package_path("local"))
    assert npm.calls == 1


def test_two_processes_at_once_fetch_once(child, tarball):
    first = child("during download")
    assert first.stdout.readline() == "downloading\n"
    command = [sys.executable, "-c", CHILD, str(tarball), SOURCES["local"].integrity, ""]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, encoding="utf8",
                          env={**os.environ, "PYTHONUTF8": "1"}) as second:
        assert "waiting" in second.stdout.readline()
        path = first.communicate()[0]
        assert second.communicate()[0] == path == f"{SOURCES['local'].folder}\n"
    assert_good(SOURCES["local"].folder)


def test_everything_is_served_from_the_cache_without_npm():
    load_emoji(LANGUAGES)  # fetches what is not there yet
    package_path("wordnet")
    code = ("from mmfuse_utils.data import sources\n"
            "sources.npm = None\n"
            "from mmfuse_utils.data import load_clips, load_emoji\n"
            "from mmfuse_utils.data.emoji import LANGUAGES, STYLES, icons\n"
            "from mmfuse_utils.data.wordnet import synsets\n"
            "collection = load_emoji(LANGUAGES)\n"
            "collection.load_pictures([0]), load_clips(collection).load_frames([0]), synsets()\n"
            "print(sum(len(icons(style)['icons']) > 1000 for style in STYLES))")
    result = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True)
    assert (result.returncode, result.stdout) == (0, "7\n"), result.stderr
