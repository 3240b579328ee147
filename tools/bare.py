"""Make a notebook run where the book is not installed: in Colab, on Binder, in any Jupyter.

The first cell of each notebook runs this, in the notebook's own process. What is there and fits
the ranges of pyproject.toml stays as it is, since a place like Colab depends on its own versions;
what is missing is installed with the book's pins. Jupyter itself is left alone: it is running.
"""

import importlib
import os
import platform
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parent.parent
JUPYTER = {"ipykernel", "jupyterlab"}
WIDGETS = "ipywidgets"      # any version will do: it goes with the Jupyter that runs


def installed(name):
    """Version of an installed package, None where it is missing."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def find_missing(dependencies):
    """Those ranges that no installed package fits, of what the notebooks import."""
    ranges = [Requirement(line) for line in dependencies]
    return [wanted for wanted in ranges if wanted.name not in JUPYTER and not fits(wanted)]


def fits(wanted):
    """Whether a package is installed, in a version of the range."""
    version = installed(wanted.name)
    return version is not None and (wanted.name == WIDGETS or
                                    wanted.specifier.contains(version, prereleases=True))


def choose_pins(lines, missing):
    """The pins of what is to be installed; those of other installed packages do not count."""
    names = {wanted.name for wanted in missing}
    pins = [Requirement(line) for line in lines if line and line[0] not in "#-"]
    return [pin for pin in pins if pin.name in names or installed(pin.name) is None]


def install(missing, pins):
    """Install packages with pip; leave with a sentence when that fails."""
    print(f"Installing {len(missing)} packages and what they need. On Linux this may be several "
          "GB, and takes minutes …", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "pins.txt")
        constraints.write_text("\n".join(map(str, pins)), encoding="utf8")
        command = [sys.executable, "-m", "pip", "install", "--quiet",
                   "--disable-pip-version-check", "--constraint", str(constraints)]
        if subprocess.run([*command, *map(str, missing)]).returncode:
            sys.exit("The packages could not be installed; the reason is above. Run this cell "
                     "again when that is mended: what is there is kept.")


def find_replaced(before):
    """Loaded packages that have another version now than before.

    Hooks that start with Python, such as _distutils_hack, are not the packages that bring them.
    """
    importlib.invalidate_caches()
    return sorted({name for module, names in metadata.packages_distributions().items()
                   for name in names if module in sys.modules and module[0] != "_"
                   and before.get(name, installed(name)) != installed(name)})


def enter(root):
    """Let this process, and those that it starts, find the package and the records beside it."""
    paths = [str(root), os.environ.get("PYTHONPATH")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    sys.path.insert(0, str(root))
    os.chdir(root / "notebooks")


def main(root=ROOT):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf8"))["project"]
    if platform.python_version() not in SpecifierSet(project["requires-python"]):
        sys.exit(f"This notebook needs Python {project['requires-python']}, and runs on "
                 f"{platform.python_version()}. Please choose a kernel with such a Python.")
    missing = find_missing(project["dependencies"])
    if missing:
        pins = (root / "requirements.txt").read_text(encoding="utf8").splitlines()
        before = {package.name: package.version for package in metadata.distributions()}
        install(missing, choose_pins(pins, missing))
        replaced = find_replaced(before)
        if replaced:
            sys.exit(f"There are new versions now of what was loaded before: "
                     f"{', '.join(replaced)}. Please restart the kernel, and run all cells.")
    enter(root)


if __name__ == "__main__":
    main()
