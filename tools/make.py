"""The project's commands, for machines with `make` and without: `python tools/make.py book`.

book    set up, fetch data, run the changed notebooks, build the site; prints its first page
test    the same, then all tests (PYTEST_ADDOPTS adds options to pytest)
lab     open JupyterLab on the notebooks
data    fetch and verify the data packages, and list them
clean   remove everything that was built; the environment and the data stay
"""

import os
import shutil
import subprocess
import sys

from environment import ROOT, set_up

NOTEBOOKS_TO_SITE = (["-m", "mmfuse_utils.prepare"], ["tools/execute.py"],
                     ["tools/collect.py"], ["tools/build.py"])
STEPS = {
    "book": NOTEBOOKS_TO_SITE,
    "test": (*NOTEBOOKS_TO_SITE, ["-m", "pytest"]),
    "lab": (["-m", "jupyterlab", "--ServerApp.root_dir=.",
             "--LabApp.default_url=/lab/tree/notebooks"],),
    "data": (["-m", "mmfuse_utils.data"],),
}


def run_steps(target):
    """Run the steps of a target in the environment; leave with the first failure's status."""
    python = set_up()
    settings = dict(os.environ, PYTHONUTF8="1", PYTHONUNBUFFERED="1")
    for step in STEPS[target]:
        status = subprocess.run([str(python), *step], cwd=str(ROOT), env=settings).returncode
        if status != 0:
            sys.exit(status)


def clean():
    """Remove what was built."""
    shutil.rmtree(str(ROOT / "_build"), ignore_errors=True)
    print("Removed _build. The environment (.venv) and the data in the user's cache are kept.")


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in [*STEPS, "clean"]:
        sys.exit(__doc__)
    if sys.argv[1] == "clean":
        clean()
    else:
        run_steps(sys.argv[1])


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
