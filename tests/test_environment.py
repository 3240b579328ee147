"""The environment knows its place: moved, copied, started by any Python, and kept to itself."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from unittest import mock

import environment
import pytest
from conftest import ROOT
from pip._vendor.distlib.scripts import ScriptMaker

posix = pytest.mark.skipif(os.name == "nt", reason="optional: uses scripts of the shell")

# Stands for the step of `make data`: says which packages it and a kernel of it use.
STEP = """
import sys
from jupyter_client.manager import start_new_kernel
CODE = "import sys, numpy, mmfuse_utils; print(sys.prefix, numpy.__file__, mmfuse_utils.__file__)"
exec(CODE)
manager, client = start_new_kernel(kernel_name="python3")
client.execute_interactive(CODE, timeout=60)
client.stop_channels()
manager.shutdown_kernel(now=True)
"""
KERNEL = '{"argv": ["false"], "display_name": "other", "language": "python"}'


@pytest.fixture(autouse=True)
def settings():
    """Every test has environment variables of its own, since `set_up` changes them."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture
def project(tmp_path):
    """A small project with an environment that sees the packages of this one."""
    root = tmp_path / "project"
    shutil.copytree(ROOT / "tools", root / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "mmfuse_utils" / "data").mkdir(parents=True)
    (root / "mmfuse_utils" / "__init__.py").touch()
    (root / "mmfuse_utils" / "data" / "__main__.py").write_text(STEP)
    for name in environment.PINS:
        (root / name).write_text(name)
    venv.create(root / ".venv", symlinks=os.name != "nt")
    packages(root).joinpath("these.pth").write_text(sysconfig.get_path("purelib"))
    maker = ScriptMaker(None, str(environment.venv_python(root).parent))
    maker.executable = str(environment.venv_python(root))
    maker.make("where = mmfuse_utils.where:main")
    (root / "mmfuse_utils" / "where.py").write_text(
        'import sys\ndef main():\n    print(sys.prefix, __file__, *sys.argv[1:], sep="\\n")\n')
    environment.settle(root)
    environment.write_stamp(root)
    return root


def packages(root):
    """Where the environment of a project keeps its packages."""
    python = environment.venv_python(root)
    return Path(environment.ask(python, "-c", "import site; print(site.getsitepackages()[0])"))


def run(*command, **settings):
    """The lines that a program prints, started in another folder."""
    done = subprocess.run(list(map(str, command)), cwd=os.path.abspath(os.sep), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, **settings})
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


def carry(way, project, target):
    """Bring a project to another place."""
    if way == "moved":
        project.rename(target)
    else:
        link = {"copy_function": os.link} if way == "copied by hard links" else {}
        shutil.copytree(project, target, symlinks=True, **link)


@posix
@pytest.mark.parametrize("way", ["moved", "copied", "copied by hard links"])
@pytest.mark.parametrize("name", ["elsewhere", "it's [1] what? & süß", "deep/" * 40])
def test_an_environment_at_another_place_uses_that_places_package(way, name, project, tmp_path):
    target = tmp_path / "other" / name
    target.parent.mkdir(parents=True)
    scripts = {path: path.read_bytes() for path in (project / ".venv" / "bin").glob("*")
               if path.suffix != ".pyc" and path.is_file()}
    carry(way, project, target)
    python = environment.venv_python(target)
    ask = (python, "-c", "import mmfuse_utils; print(mmfuse_utils.__file__)")
    own = str(target / "mmfuse_utils" / "__init__.py")
    assert run(*ask) == [own], "even before anything is mended"

    environment.set_up(target)
    assert run(*ask) == [own]
    assert run(target / ".venv" / "bin" / "where", "a b", "$c") == [
        str(target / ".venv"), str(target / "mmfuse_utils" / "where.py"), "a b", "$c"]
    activated = run("sh", "-c", '. "$0/bin/activate"; echo "$VIRTUAL_ENV"; command -v where',
                    target / ".venv")
    assert activated == [str(target / ".venv"), str(target / ".venv" / "bin" / "where")]
    assert environment.read_stamp(target) == environment.stamp_lines(target)
    if way != "moved":
        assert {path: path.read_bytes() for path in scripts} == scripts


def test_what_did_not_move_is_left_alone(project, monkeypatch):
    monkeypatch.setattr(environment, "install", lambda root: pytest.fail("installed again"))
    monkeypatch.setattr(environment, "settle", lambda root: pytest.fail("settled again"))
    environment.set_up(project)


def test_a_path_in_which_no_environment_can_be_made_is_refused(tmp_path):
    with pytest.raises(SystemExit, match=f"{os.pathsep!r} in its path.*rename the folder"):
        environment.set_up(tmp_path / f"words{os.pathsep}pixels")


@pytest.mark.parametrize("name", environment.PINS)
def test_changed_pins_are_installed(name, project, monkeypatch):
    installed = []
    monkeypatch.setattr(environment, "install", installed.append)
    (project / name).write_text("changed")
    environment.set_up(project)
    environment.set_up(project)
    assert installed == [project]


@posix
@pytest.mark.parametrize("damage", ["no start", "no modes", "old stamp", "no stamp"])
def test_an_environment_that_is_not_whole_is_installed_again(damage, project):
    python = environment.venv_python(project)
    stamp = project / ".venv" / "installed-pins"
    if damage == "old stamp":
        stamp.write_text(environment.stamp_lines(project)[0][::-1])
    elif damage == "no stamp":
        stamp.unlink()
    else:       # as after unpacking an archive that keeps no links and no modes
        python.unlink()
        python.write_text("/usr/bin/python3" if damage == "no modes" else "")
    assert environment.read_stamp(project)[:1] != environment.stamp_lines(project)[:1]


@posix
def test_an_environment_out_of_an_archive_is_made_anew(project):
    for name in environment.PINS:
        (project / name).write_text("")         # nothing to install
    for path in (project / ".venv" / "bin").iterdir():
        path.unlink()
        path.write_text("no link any more")
    lines = run(sys.executable, project / "tools" / "environment.py", PIP_USER="1",
                PYTHONPATH=str(project))
    assert lines[0] == "Making the virtual environment .venv …"
    code = "import sys, mmfuse_utils; print(sys.prefix, mmfuse_utils.__file__)"
    assert run(environment.venv_python(project), "-c", code) == [
        f"{project / '.venv'} {project / 'mmfuse_utils' / '__init__.py'}"]


def test_the_steps_and_their_kernels_use_the_environment_alone(project, tmp_path):
    other = tmp_path / "other"
    (other / "numpy").mkdir(parents=True)
    (other / "numpy" / "__init__.py").write_text("raise ImportError('another NumPy')")
    (other / "kernels" / "python3").mkdir(parents=True)
    (other / "kernels" / "python3" / "kernel.json").write_text(KERNEL)
    lines = run(sys.executable, project / "tools" / "make.py", "data", PYTHONPATH=str(other),
                VIRTUAL_ENV=str(other), JUPYTER_PATH=str(other),
                PATH=os.pathsep.join([str(other), os.environ["PATH"]]))
    numpy = Path(sysconfig.get_path("purelib"), "numpy", "__init__.py")
    used = f"{project / '.venv'} {numpy} {project / 'mmfuse_utils' / '__init__.py'}"
    assert [line for line in lines if "numpy" in line] == [used, used], lines


# Finding a Python

def fake(path, *lines):
    """A program of the shell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def too_new(tmp_path, monkeypatch):
    """A machine with nothing but a Python 3.14; returns the folder of its programs."""
    python = fake(tmp_path / "python3.14", '[ "$1" = -c ] && echo "3 14"')
    monkeypatch.setattr(sys, "executable", python)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "bin"


@posix
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_another_python_on_the_path_is_taken(version, too_new):
    fake(too_new / "python3.10", 'echo "3 10"')
    fitting = fake(too_new / f"python{version}", f'echo "{version.replace(".", " ")}"')
    assert environment.find_python() == fitting


@posix
@pytest.mark.parametrize("place", ["bin/uv", ".local/bin/uv"])
@pytest.mark.parametrize("fetched", [False, True])
def test_uv_finds_a_python_or_fetches_one(place, fetched, too_new, capfd):
    fitting = fake(too_new.parent / "apart" / "python", 'echo "3 13"')
    there = too_new.parent / "there"
    if not fetched:
        there.mkdir()
    fake(too_new.parent / place, 'case "$1 $2" in', "--version*) echo uv 1 ;;",
         f'"python install") /bin/mkdir "{there}" ;;',
         f'"python find") [ -d "{there}" ] && [ "$4" = 3.13 ] && echo "{fitting}" ;;', "esac")
    assert environment.find_python() == fitting
    assert ("uv fetches Python 3.13" in capfd.readouterr().out) is fetched


@posix
def test_without_any_fitting_python_one_command_is_named(too_new):
    with pytest.raises(SystemExit, match="3.11, 3.12 or 3.13") as error:
        environment.find_python()
    assert environment.UV_INSTALLER[os.name] in str(error.value)
    for page in ("README.md", "book/troubleshooting.md"):
        for command in environment.UV_INSTALLER.values():
            assert command in (ROOT / page).read_text(encoding="utf8")


def test_a_python_that_does_not_start_has_no_version(tmp_path):
    assert environment.python_version(tmp_path / "python") is None
    assert environment.python_version(sys.executable) == sys.version_info[:2]


def test_tools_run_on_the_pythons_we_say():
    declared = re.search(r'requires-python = ">=(\d+)\.(\d+),<(\d+)\.(\d+)"',
                         (ROOT / "pyproject.toml").read_text())
    oldest, beyond = tuple(map(int, declared.groups()[:2])), tuple(map(int, declared.groups()[2:]))
    assert environment.OLDEST == oldest
    assert (environment.NEWEST[0], environment.NEWEST[1] + 1) == beyond


# Launchers on Windows: a program, a line that names the interpreter, and a zip archive

@pytest.mark.parametrize("quote", ["", '"'])
def test_a_launcher_of_windows_is_led_to_its_new_place(quote, tmp_path):
    launcher = tmp_path / "where.exe"
    start = b"MZ\x90 #! no line\r\n"
    launcher.write_bytes(start + rf"#!{quote}C:\old place\.venv\Scripts\python.exe{quote}".encode()
                         + b"\r\n")
    with zipfile.ZipFile(launcher, "a") as archive:
        archive.writestr("__main__.py", "print('#!C:\\x\\python.exe')")
    environment.mend_script(launcher, r"D:\new place\.venv\Scripts\python.exe")
    content = launcher.read_bytes()
    assert content.startswith(start + b'#!"D:\\new place\\.venv\\Scripts\\python.exe"\r\nPK')
    assert zipfile.ZipFile(launcher).read("__main__.py") == b"print('#!C:\\x\\python.exe')"


@pytest.mark.parametrize("content", [b"#!/bin/sh\necho python\n", b"\x7fELF python\n", b"",
                                     b"print(1)\n#!/old/bin/python\n"])
def test_other_programs_are_left_alone(content, tmp_path):
    path = tmp_path / "program"
    path.write_bytes(content)
    environment.mend_script(path, Path("/new/bin/python"))
    assert path.read_bytes() == content
