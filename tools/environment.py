"""Make the virtual environment `.venv`, or bring it up to date when the pins changed.

Runs on whatever Python the reader starts it with, so it says clearly when that one is too old,
and takes a fitting one if there is one beside it. pip's own settings (PIP_INDEX_URL and the
like) apply as ever.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = (3, 11), (3, 13)
PINS = ("requirements.txt", "requirements-dev.txt", "pyproject.toml")


def venv_python(root=ROOT):
    """Path of the environment's interpreter, whether or not it is there yet."""
    folder, name = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return Path(root) / ".venv" / folder / name


def python_version(python):
    """(major, minor) of an interpreter, or None when it does not start or cannot make venvs."""
    code = "import sys, venv, ensurepip; print(*sys.version_info[:2])"
    try:
        result = subprocess.run([str(python), "-c", code], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL)
    except OSError:
        return None
    if result.returncode != 0:
        return None
    return tuple(int(part) for part in result.stdout.split())


def find_python():
    """An interpreter that fits: the one that runs this, or one of its kind on the PATH."""
    names = ["python3.%d" % minor for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    for candidate in [sys.executable, *filter(None, map(shutil.which, names))]:
        version = python_version(candidate)
        if version is not None and OLDEST <= version <= NEWEST:
            return candidate
    sys.exit("This project needs Python 3.11, 3.12 or 3.13 with its venv and ensurepip modules; "
             "{} is Python {}.{}, and no other fits. Install one (on Debian and Ubuntu also the "
             "package python3-venv), then run `make PYTHON=python3.12 book`, or the same script "
             "with that Python.".format(sys.executable, *sys.version_info[:2]))


def pins_hash(root=ROOT):
    """Short name of the state of all files that decide what is installed."""
    digest = hashlib.sha256()
    for name in PINS:
        digest.update((Path(root) / name).read_bytes())
    return digest.hexdigest()


def is_current(root=ROOT):
    """True when the environment starts and was installed from the present pins."""
    stamp = Path(root) / ".venv" / "installed-pins"
    return (stamp.exists() and stamp.read_text() == pins_hash(root)
            and python_version(venv_python(root)) is not None)


def set_up(root=ROOT):
    """Bring `.venv` up to date and return its interpreter."""
    python = venv_python(root)
    if is_current(root):
        return python
    version = python_version(python)
    if version is None or not OLDEST <= version <= NEWEST:
        base = find_python()
        print("Making the virtual environment .venv …", flush=True)
        subprocess.run([base, "-m", "venv", "--clear", str(python.parent.parent)], check=True)
    print("Installing the pinned packages (several GB on Linux the first time) …", flush=True)
    install = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    editable = ["--no-deps", "--no-build-isolation", "-e", "."]
    for arguments in (["-r", "requirements-dev.txt"], editable):
        if subprocess.run([*install, *arguments], cwd=str(root)).returncode != 0:
            sys.exit("pip could not install the pinned packages; its own message is above. Run "
                     "the same command again when that is mended: what is there is kept.")
    write_stamp(root)
    return python


def write_stamp(root):
    """Note what was installed, in one step, after everything else went well."""
    stamp = Path(root) / ".venv" / "installed-pins"
    temporary = stamp.with_name("installed-pins.new")
    temporary.write_text(pins_hash(root))
    os.replace(str(temporary), str(stamp))


if __name__ == "__main__":
    set_up()
