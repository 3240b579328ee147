"""Run the notebooks that changed, two at a time, and keep their executed copies.

A notebook is run again when its key changed (see keys.py). The copies lie in
`_build/executed/notebooks/`; `_build/manifest.json` says which key each was made with.
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest
from filelock import FileLock
from keys import list_notebooks, notebook_keys

from mmfuse_utils.cache import cache_dir

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = Path("_build", "manifest.json")
EXECUTED = Path("_build", "executed", "notebooks")
CELL_TIMEOUT = 900  # seconds
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
              "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def read_manifest(root):
    """What was executed: file name -> {"key", "seconds", "status"}."""
    path = root / MANIFEST
    return json.loads(path.read_text(encoding="utf8")) if path.exists() else {}


def write_json(path, content):
    """Write a JSON file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf8")
    os.replace(temporary, path)


def find_stale(root):
    """Names of the notebooks without a green entry for their present key, in reading order."""
    manifest = read_manifest(root)
    return [name for name, key in notebook_keys(root).items()
            if manifest.get(name, {}).get("key") != key
            or manifest[name]["status"] != "passed" or not (root / EXECUTED / name).exists()]


class Recorder:
    """pytest plugin: shows progress, keeps each finished notebook, notes it in the manifest."""

    def __init__(self, root, folder, names):
        self.root, self.folder, self.waiting = root, folder, set(names)
        self.total, self.keys = len(names), notebook_keys(root)

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config):
        config.pluginmanager.unregister(name="terminalreporter")

    def pytest_runtest_logstart(self, nodeid, location):
        print(f"  running {Path(nodeid.split('::')[0]).name} …", flush=True)

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.failed:
            self.finish(Path(report.nodeid.split("::")[0]).name, report)

    def pytest_collectreport(self, report):
        if report.failed:
            print(f"FAILED {report.nodeid}\n{plain(report.longreprtext)}", flush=True)

    def finish(self, name, report):
        """Keep the copy of a notebook that passed, show the traceback of one that failed."""
        self.waiting.discard(name)
        entry = {"key": self.keys[name], "seconds": round(report.duration, 1),
                 "status": "passed" if report.passed else "failed"}
        if report.passed:
            target = self.root / EXECUTED / name
            shutil.copyfile(self.folder / name, target.with_suffix(".new"))
            os.replace(target.with_suffix(".new"), target)
        write_json(self.root / MANIFEST, {**read_manifest(self.root), name: entry})
        done = self.total - len(self.waiting)
        print(f"  [{done}/{self.total}] {name} {entry['status']}, {report.duration:.0f} s",
              flush=True)
        if report.failed:
            print(f"FAILED notebooks/{name}\n{plain(report.longreprtext)}", flush=True)


def plain(text):
    """Text without color codes, unless it goes to a terminal."""
    return text if sys.stdout.isatty() else re.sub(r"\x1b\[[\d;]*m", "", text)


def forget(root, names):
    """Drop the named notebooks, and those that are gone, from manifest and executed copies."""
    (root / EXECUTED).mkdir(parents=True, exist_ok=True)
    keep = {path.name for path in list_notebooks(root)} - set(names)
    manifest = {name: entry for name, entry in read_manifest(root).items() if name in keep}
    write_json(root / MANIFEST, manifest)
    for path in (root / EXECUTED).iterdir():
        if path.name not in keep:
            path.unlink()


def run_notebooks(root, names, seconds):
    """Run copies of the named notebooks through nbmake, the slowest of last time first."""
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"), JUPYTER_PREFER_ENV_PATH="1")
    os.environ.pop("PYTEST_ADDOPTS", None)
    cache_dir()     # makes a relative MMFUSE_CACHE absolute: notebooks run in another folder
    forget(root, names)
    # nbmake does not look into folders called _build, so the copies run elsewhere.
    with tempfile.TemporaryDirectory(prefix="mmfuse-") as temporary:
        folder = Path(temporary).resolve()
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "benchmarks").mkdir()
        for path in (root / "benchmarks").glob("*.json"):           # some notebooks read them
            shutil.copyfile(path, folder / "benchmarks" / path.name)
        for name in names:
            shutil.copyfile(root / "notebooks" / name, folder / name)
        order = sorted(names, key=lambda name: -seconds.get(name, 0))
        pytest.main(["--nbmake", "--overwrite", f"--nbmake-timeout={CELL_TIMEOUT}",
                     "-n", str(min(2, len(names))), "--dist", "worksteal", "--rootdir",
                     str(folder), "-c", str(folder / "pytest.ini"), "-p", "no:cacheprovider",
                     *(str(folder / name) for name in order)],
                    plugins=[Recorder(root, folder, names)])


def execute(root):
    """Run what changed; True when every notebook has a green entry afterwards."""
    if not list_notebooks(root):
        sys.exit(f"There are no notebooks in {root / 'notebooks'}.")
    stale, start = find_stale(root), time.monotonic()
    if not stale:
        forget(root, [])
        print("Notebooks: nothing changed since they last ran.")
        return True
    print(f"Notebooks: {len(stale)} to run, two at a time.", flush=True)
    seconds = {name: entry["seconds"] for name, entry in read_manifest(root).items()}
    run_notebooks(root, stale, seconds)
    missing = find_stale(root)
    print(f"Notebooks: ran for {time.monotonic() - start:.0f} s.", flush=True)
    if missing:
        print(f"Without a green run: {', '.join(missing)}. Mend the cell shown above, or open "
              "the notebook in JupyterLab, and run the same command again.", flush=True)
    return not missing


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the project")
    root = parser.parse_args().root.resolve()
    (root / "_build").mkdir(exist_ok=True)
    with FileLock(root / "_build" / "execute.lock"):
        sys.exit(0 if execute(root) else 1)


if __name__ == "__main__":
    main()
