"""The commands behind `make`: environment, execution, collection, staging."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import execute
import make
import nbformat
import pytest
from collect import cell_seconds, collect
from conftest import ROOT

from mmfuse_utils.ledger import MIME, result


@pytest.fixture
def project(tmp_path):
    """A small project with pins and two notebooks, in a folder with signs that mean something."""
    root = tmp_path / ("a [1] place" if os.name == "nt" else "a [1] place?")
    (root / "notebooks").mkdir(parents=True)
    (root / "requirements.txt").write_text("numpy\n")
    write_notebook(root, "01_one", "print(1 + 1)", "import os; print(os.environ['MMFUSE_CACHE'])")
    write_notebook(root, "02_two", "print('two')")
    return root


def write_notebook(root, name, *sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, root / "notebooks" / f"{name}.ipynb")


def run_execute(root):
    command = [sys.executable, str(ROOT / "tools" / "execute.py"), "--root", str(root)]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          cwd=root, env={**os.environ, "MMFUSE_CACHE": "a cache"})


def test_only_changed_notebooks_run_and_a_failure_is_shown(project):
    first = run_execute(project)
    assert first.returncode == 0, first.stdout
    assert "2 to run" in first.stdout
    again = run_execute(project)
    assert again.returncode == 0 and "nothing changed" in again.stdout

    write_notebook(project, "02_two", "zero = 0", "1 / zero  # the culprit")
    broken = run_execute(project)
    assert broken.returncode == 1
    assert "1 to run" in broken.stdout
    for part in ("02_two.ipynb", "the culprit", "ZeroDivisionError"):
        assert part in broken.stdout
    manifest = execute.read_manifest(project)
    assert [manifest[f"{name}.ipynb"]["status"] for name in ("01_one", "02_two")] == [
        "passed", "failed"]
    assert execute.find_stale(project) == ["02_two.ipynb"]
    assert not (project / execute.EXECUTED / "02_two.ipynb").exists()

    executed = json.loads((project / execute.EXECUTED / "01_one.ipynb").read_text())
    assert "".join(executed["cells"][0]["outputs"][0]["text"]) == "2\n"
    assert cell_seconds(executed["cells"][0]) > 0
    cache = "".join(executed["cells"][1]["outputs"][0]["text"]).strip()
    assert cache == str(project / "a cache"), "a relative MMFUSE_CACHE is the same everywhere"


def mark_all_green(root):
    entries = {name: {"key": key, "seconds": 1.0, "status": "passed"}
               for name, key in execute.notebook_keys(root).items()}
    execute.write_json(root / execute.MANIFEST, entries)
    (root / execute.EXECUTED).mkdir(parents=True)
    for name in entries:
        (root / execute.EXECUTED / name).write_text("{}")


def test_a_notebook_without_its_executed_copy_is_stale(project):
    mark_all_green(project)
    (project / execute.EXECUTED / "01_one.ipynb").unlink()
    assert execute.find_stale(project) == ["01_one.ipynb"]


def test_notebooks_that_are_gone_are_forgotten(project):
    mark_all_green(project)
    (project / "notebooks" / "02_two.ipynb").unlink()
    execute.forget(project, [])
    assert list(execute.read_manifest(project)) == ["01_one.ipynb"]
    assert not (project / execute.EXECUTED / "02_two.ipynb").exists()


def cell_with(*outputs, seconds=None):
    execution = {}
    if seconds is not None:
        execution = {"iopub.status.busy": "2026-01-01T00:00:00.000000Z",
                     "shell.execute_reply": f"2026-01-01T00:00:{seconds:09.6f}Z"}
    return {"source": "", "cell_type": "code", "metadata": {"execution": execution},
            "outputs": [{"output_type": "display_data", "data": data} for data in outputs]}


def payload(key, value=0.5, interval=None):
    return {MIME: {"key": key, "value": value, "interval": interval}}


def test_collect_joins_the_ledgers_and_adds_the_seconds():
    notebook = {"cells": [cell_with(payload("a.b", 0.5, [0.4, 0.6]), seconds=1.5),
                          cell_with({"text/plain": "7"}, seconds=2.0), cell_with()]}
    assert collect({"01_one": notebook}) == {
        "a.b": {"key": "a.b", "value": 0.5, "interval": [0.4, 0.6], "notebook": "01_one"},
        "time.01_one": result("time.01_one", 3.5, exact="measured once, when this book was built")
        | {"notebook": "01_one"}}


def test_collect_refuses_a_key_recorded_twice():
    notebook = {"cells": [cell_with(payload("a.b"))]}
    with pytest.raises(ValueError, match="'a.b' is recorded twice: in 01_one and in 02_two"):
        collect({"01_one": notebook, "02_two": notebook})


def test_every_make_target_is_one_line_calling_python():
    text = (ROOT / "Makefile").read_text()
    recipes = dict(re.findall(r"(?m)^(\w+):\n\t(.+)\n", text + "\n"))
    assert set(recipes) == {*make.STEPS, "clean"}
    assert recipes == {name: f"$(PYTHON) tools/make.py {name}" for name in recipes}


def test_a_relative_cache_is_meant_from_where_the_reader_stands(tmp_path, monkeypatch):
    monkeypatch.setenv("MMFUSE_CACHE", "")
    monkeypatch.setattr(make, "run_steps", lambda target: None)
    monkeypatch.setattr(sys, "argv", ["make.py", "book", "MMFUSE_CACHE=here"])
    monkeypatch.chdir(tmp_path)
    make.main()
    assert os.environ["MMFUSE_CACHE"] == str(tmp_path / "here")


@pytest.mark.skipif(os.name == "nt", reason="optional: signals of POSIX")
def test_ctrl_c_lets_a_step_end_in_its_own_way():
    """As in a terminal, both get the signal; the step needs a second to put things in order."""
    step = ("import signal, time; signal.signal(signal.SIGINT, lambda *_: print('told', flush=True)"
            "); print('runs', flush=True); time.sleep(0.2); signal.pause(); time.sleep(1); "
            "print('done', flush=True)")
    code = (f"import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
            f"import make; sys.exit(make.run([sys.executable, '-c', {step!r}]))")
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT / "tools", text=True,
                               stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout.readline() == "runs\n"
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=20)[0] == "told\ndone\n" and process.returncode == 0


def test_clean_keeps_the_courses_that_students_work_with(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(make, "ROOT", tmp_path)
    make.clean()
    for name in ("html/index.html", "courses/spring/course.json", "results.json"):
        (tmp_path / "_build" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "_build" / name).write_text("")
    (tmp_path / "_build" / "link").symlink_to(tmp_path)
    make.clean()
    assert [path.name for path in (tmp_path / "_build").iterdir()] == ["courses"]
    assert (tmp_path / "_build" / "courses" / "spring" / "course.json").exists()
    assert str(tmp_path / "_build" / "courses") in capsys.readouterr().out


def test_unknown_command_shows_the_help():
    result = subprocess.run([sys.executable, str(ROOT / "tools" / "make.py"), "cook"],
                            stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1 and "book         set up" in result.stderr


def test_scripts_are_where_make_looks_for_them():
    for steps in make.STEPS.values():
        for step in steps:
            assert step[0] == "-m" or Path(ROOT, step[0]).is_file()
