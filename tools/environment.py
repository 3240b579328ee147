"""Make the virtual environment `.venv`, or bring it up to date when the pins or its place changed.

Runs on whatever Python the reader starts it with, so it looks for a fitting one where that one
is too old or too new, and says clearly what to do when there is none. pip's own settings
(PIP_INDEX_URL and the like) apply as ever.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = (3, 11), (3, 13)
PINS = ("requirements.txt", "requirements-dev.txt", "pyproject.toml")
MISLEADING = ("JUPYTER_PATH", "PIP_PREFIX", "PIP_TARGET")
# The start of a script that pip installed: the interpreter's path, which belongs to one place.
SHEBANG = re.compile(rb"\A#!(/bin/sh\n'''exec' [^\n]*\n' '''|[^\n]*python[^\n]*)\n")
LAUNCHER = re.compile(rb'#!("?)[A-Za-z]:[^"\r\n]*\\python\.exe\1(?=\r?\n)')     # on Windows
ACTIVATE = """
import sys, venv
builder = venv.EnvBuilder()
builder.setup_scripts(builder.ensure_directories(sys.argv[1]))
"""
UV_INSTALLER = {"posix": "curl -LsSf https://astral.sh/uv/install.sh | sh",
                "nt": "winget install --id=astral-sh.uv -e"}


def venv_python(root=ROOT):
    """Path of the environment's interpreter, whether or not it is there yet."""
    folder, name = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return Path(root) / ".venv" / folder / name


def ask(*command):
    """The last line that a program prints, or None when it does not start, fails or is silent."""
    try:
        result = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, universal_newlines=True,
                                errors="surrogateescape")
    except OSError:
        return None
    lines = result.stdout.strip().splitlines()
    return lines[-1] if result.returncode == 0 and lines else None


def python_version(python):
    """(major, minor) of an interpreter, or None when it does not start or cannot make venvs."""
    answer = ask(python, "-c", "import sys, venv, ensurepip; print(*sys.version_info[:2])")
    return tuple(int(part) for part in answer.split()) if answer else None


def fits(python):
    """Whether an interpreter starts, can make environments and has one of the right versions."""
    version = python_version(python)
    return version is not None and OLDEST <= version <= NEWEST


def pythons():
    """Interpreters at hand, the one that runs this first; last, one that uv fetches."""
    yield sys.executable
    versions = ["3.%d" % minor for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    for version in versions:
        yield shutil.which("python" + version)
    for version in versions if os.name == "nt" else []:
        yield ask("py", "-" + version, "-c", "import sys; print(sys.executable)")
    for uv in (["uv"], [str(Path.home() / ".local" / "bin" / "uv")], [sys.executable, "-m", "uv"]):
        if ask(*uv, "--version"):
            for version in versions:
                yield ask(*uv, "python", "find", "--system", version)
            print("No fitting Python is here; uv fetches Python {} …".format(versions[0]),
                  flush=True)
            subprocess.run([*uv, "python", "install", versions[0]])
            yield ask(*uv, "python", "find", "--system", versions[0])
            break


def find_python():
    """An interpreter that fits: the one that runs this, or another of this machine or of uv."""
    for candidate in filter(None, pythons()):
        if fits(candidate):
            return candidate
    sys.exit("This project needs Python 3.11, 3.12 or 3.13 with its venv and ensurepip modules; "
             "{} is Python {}.{}, and no other fits. The program uv fetches one that stays apart "
             "from your system's. Install it by this command, and run yours again:\n\n    {}\n\n"
             "Or install a fitting Python yourself (on Debian and Ubuntu also its package "
             "python3-venv), and name it: `make PYTHON=python3.12 book`, or the same script with "
             "that Python.".format(sys.executable, *sys.version_info[:2], UV_INSTALLER[os.name]))


def keep_apart(root=ROOT):
    """Let what is started from here find the environment's packages and kernels, and no others.

    The reader's PYTHONPATH, another active environment or the user's own packages would be
    mixed into it otherwise, in kernels too.
    """
    for name in [*MISLEADING, *(name for name in os.environ if name.startswith("PYTHON"))]:
        os.environ.pop(name, None)
    os.environ.update(VIRTUAL_ENV=str(Path(root) / ".venv"), PYTHONNOUSERSITE="1", PIP_USER="0",
                      JUPYTER_PREFER_ENV_PATH="1")


def stamp_lines(root=ROOT):
    """What the stamp says when all is well: the state of the pins, and the folder."""
    digest = hashlib.sha256()
    for name in PINS:
        digest.update((Path(root) / name).read_bytes())
    return [digest.hexdigest(), os.path.abspath(str(root))]


def read_stamp(root=ROOT):
    """The lines of the environment's stamp; empty when it is not there or does not start."""
    stamp = Path(root) / ".venv" / "installed-pins"
    if not stamp.exists() or not fits(venv_python(root)):
        return []
    return stamp.read_text(encoding="utf8").splitlines()


def write_stamp(root=ROOT):
    """Note what was installed and where, in one step, after everything else went well."""
    stamp = Path(root) / ".venv" / "installed-pins"
    replace(stamp, "\n".join(stamp_lines(root)).encode("utf8"))


def replace(path, content):
    """Write a file in one step; a hard-linked copy of the old one stays as it was."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_bytes(content)
    if path.exists():
        shutil.copymode(str(path), str(temporary))
    os.replace(str(temporary), str(path))


def install(root=ROOT):
    """Make the environment unless a fitting one is there, and install the pinned packages."""
    python = venv_python(root)
    if not fits(python):
        base = find_python()
        print("Making the virtual environment .venv …", flush=True)
        if subprocess.run([base, "-m", "venv", "--clear", str(python.parent.parent)]).returncode:
            sys.exit("{} could not make the virtual environment .venv; its own message is "
                     "above.".format(base))
    print("Installing the pinned packages (several GB on Linux the first time) …", flush=True)
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    if subprocess.run([*command, "-r", "requirements-dev.txt"], cwd=str(root)).returncode:
        sys.exit("pip could not install the pinned packages; its own message is above. Run "
                 "the same command again when that is mended: what is there is kept.")


def settle(root=ROOT):
    """Lead the environment's paths to the folder in which it lies now.

    The package is found by a path relative to the environment, so that a copy uses its own even
    before it is settled. The scripts beside the interpreter name it by its full path.
    """
    python = venv_python(root)
    packages = ask(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    replace(Path(packages) / "mmfuse_utils.pth", os.path.relpath(str(root), packages).encode())
    for script in python.parent.glob("[Aa]ctivate*"):
        script.unlink()
    subprocess.run([str(python), "-c", ACTIVATE, str(python.parent.parent)], check=True)
    for script in python.parent.iterdir():
        if script.is_file() and not script.name.startswith(python.stem):
            mend_script(script, python)


def mend_script(script, python):
    """Let one installed script, or launcher on Windows, start the given interpreter."""
    content = script.read_bytes()
    # By way of the shell, since a path with blanks or a long one cannot stand behind "#!".
    shebang = "#!/bin/sh\n'''exec' {} \"$0\" \"$@\"\n' '''\n".format(shlex.quote(str(python)))
    launcher = '#!"{}"'.format(python)
    mended = SHEBANG.sub(lambda match: os.fsencode(shebang), content)
    if script.suffix == ".exe":
        mended = LAUNCHER.sub(lambda match: os.fsencode(launcher), content, count=1)
    if mended != content:
        replace(script, mended)


def set_up(root=ROOT):
    """Bring `.venv` up to date and return its interpreter."""
    if os.pathsep in str(root):
        sys.exit("The project lies in {}. No environment can be made there, since {!r} in its "
                 "path separates paths for the system; rename the folder."
                 .format(root, os.pathsep))
    keep_apart(root)
    stamp, wanted = read_stamp(root), stamp_lines(root)
    if stamp != wanted:
        if stamp[:1] != wanted[:1]:
            install(root)
        settle(root)
        write_stamp(root)
    return venv_python(root)


if __name__ == "__main__":
    set_up()
