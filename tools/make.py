"""The project's commands, for machines with `make` and without: `python tools/make.py book`.

book         set up, fetch data, run the changed notebooks, build the site; prints its first page
test         the same, then all tests, some at once (PYTEST_ADDOPTS adds options to pytest)
lab          open JupyterLab on the notebooks
data         fetch and verify the data packages, and list them
serve        search emoji, or your own pictures (PICTURES=folder CAPTIONS=file; LEAVE_OUT=1 passes
             over broken ones), in your browser
assignments  make the assignments of a course (COURSE=name) for students and instructor
grade        grade a folder of submissions (SUBMISSIONS=dir, COURSE=name; the book's page for
             instructors has the others: AGAIN, ROSTER, COLUMN, LATE, JOBS)
clean        remove what was built; the environment, the data and courses with their solutions stay

Variables follow the target: `python tools/make.py grade SUBMISSIONS=week1 COURSE=vision101-2027`.
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
    "test": (*NOTEBOOKS_TO_SITE, ["tools/classroom/assignments.py"],
             ["-m", "pytest", "-n", "auto", "--maxprocesses=4", "--dist", "loadfile",
              "--no-loadscope-reorder"]),
    "lab": (["-m", "jupyterlab", "--ServerApp.root_dir=.",
             "--LabApp.default_url=/lab/tree/notebooks"],),
    "data": (["-m", "mmfuse_utils.data"],),
    "serve": (["-m", "mmfuse_utils.service"],),
    "assignments": (["-m", "mmfuse_utils.prepare"], ["tools/classroom/assignments.py"]),
    "grade": (["tools/classroom/grade.py"],),
}


def run_steps(target):
    """Run the steps of a target in the environment; leave with the first failure's status."""
    python = set_up()
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
    settings = dict(os.environ, PATH=path, PYTHONUTF8="1", PYTHONUNBUFFERED="1")
    for step in STEPS[target]:
        status = run([str(python), *step], cwd=str(ROOT), env=settings)
        if status != 0:
            sys.exit(status)


def run(command, **options):
    """Run a command and return its status. Ctrl-C reaches it, too; it ends in its own way."""
    process = subprocess.Popen(command, **options)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            pass


def clean():
    """Remove what was built, but for courses: what students have can only be graded with those."""
    built = ROOT / "_build"
    for path in built.iterdir() if built.is_dir() else ():
        if path.name != "courses":
            shutil.rmtree(str(path), ignore_errors=True)
            if path.is_file() or path.is_symlink():
                path.unlink()
    courses = built / "courses"
    kept = f", and the courses in {courses}" if courses.is_dir() else ""
    print("Removed what was built. The environment (.venv) and the data in the user's cache are "
          f"kept{kept}.")


def main():
    target, settings = sys.argv[1:2], [word.partition("=") for word in sys.argv[2:]]
    known = target and target[0] in [*STEPS, "clean"]
    if not known or not all(sign for _, sign, _ in settings):
        sys.exit(__doc__)
    os.environ.update((name, value) for name, _, value in settings)
    for name in ("MMFUSE_CACHE", "SUBMISSIONS", "ROSTER", "PICTURES", "CAPTIONS"):
        if os.environ.get(name):        # relative to where the reader stands
            place = os.path.abspath(os.path.expanduser(os.environ[name]))
            if name != "CAPTIONS" or os.path.exists(place):     # else it is in the folder
                os.environ[name] = place
    if sys.argv[1] == "clean":
        clean()
    else:
        run_steps(sys.argv[1])


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
