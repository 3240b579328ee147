"""What code in the sandbox reaches, where the grader is root and where it is an ordinary user."""

import contextlib
import functools
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import attacks
import psutil
import pytest
import sandbox
from clock import CELL_SECONDS, LONGEST, MEMORY, SECONDS, TIMES, Clock, Processes
from conftest import ROOT
from handed_in import OPEN_FILES, as_ordinary_user
from sandbox import bubblewrap_works, isolate
from syscall_filter import CALLS, MACHINES, OTHER_TABLE, instructions

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="optional: Linux alone has it")
SECRET = "planted-secret-1234"


@pytest.fixture(scope="module", params=["root", "user"])
def kernel(request, tmp_path_factory):
    """A kernel in the sandbox of one who grades: .run(code) gives its prints and its error."""
    if request.param == "root" and os.getuid() != 0:
        pytest.skip("optional: only root can try what root's sandbox does")
    if not bubblewrap_works():
        pytest.skip("bubblewrap does not work here")
    folder = tmp_path_factory.mktemp(request.param)
    command = [sys.executable, str(Path(__file__).with_name("probe.py"))]
    if request.param == "user":
        command = as_ordinary_user(command, folder)
    probe = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             text=True, env=dict(os.environ, CANVAS_TOKEN=SECRET, HOME=str(folder),
                                                 TMPDIR=str(folder)))

    def run(code):
        probe.stdin.write(json.dumps(code) + "\n")
        probe.stdin.flush()
        return SimpleNamespace(**json.loads(probe.stdout.readline()))

    first, number = json.loads(probe.stdout.readline())
    first, number = psutil.Process(first), psutil.Process(number)
    yield SimpleNamespace(run=run, first=first, kernel=number, folder=folder)
    probe.stdin.close()
    assert probe.wait(60) == 0
    assert not alive(first) and not alive(number), "a part of the sandbox outlives its grader"


def alive(process):
    """Whether a process runs; who has ended may wait for somebody to note it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


ASKS = """
import glob, os
told = repr(dict(os.environ))
paths = [*glob.glob("/proc/*/environ"), *glob.glob("/proc/*/task/*/environ"), "/proc/1/cmdline"]
for path in paths:
    try:
        told += open(path).read()
    except OSError:
        pass
for folder in ("/proc/1/cwd", "/proc/1/root", "/tmp", "/home", "/root", "/run", "/var", "/mnt"):
    for where, _, files in os.walk(folder, onerror=None):
        told += " ".join(files) if where.count("/") < 4 else ""
print(told)
"""


def test_the_environment_of_whoever_grades_is_nowhere(kernel):
    told = kernel.run(ASKS).printed
    assert "HOME" in told, "the question itself failed"
    assert SECRET not in told and "CANVAS" not in told


@pytest.mark.parametrize("attack", ["TRACE", "SHARED_MEMORY", "GOES_LAST", "LINKS", "LEAVES_KEY",
                                    "NESTED", "ODD_SOCKETS"])
def test_a_hole_is_closed(attack, kernel):
    told = kernel.run(getattr(attacks, attack))
    assert told.error == "", told


def test_no_file_of_the_grader_is_open(kernel):
    assert kernel.run(OPEN_FILES).error == ""
    told = kernel.run("import os\nprint([os.readlink(f'/proc/1/fd/{fd}') for fd in "
                      "os.listdir('/proc/1/fd')])")
    assert ".txt" not in told.printed and str(kernel.folder) not in told.printed


def test_no_other_process_is_seen(kernel):
    told = kernel.run("import os\nprint(len([name for name in os.listdir('/proc') "
                      "if name.isdigit()]), os.getuid(), os.path.exists('/etc/passwd'))").printed
    seen, user, users = told.split()
    assert int(seen) <= 4 and user != "0" and users == "False"      # 4: attacks leave a child


def test_the_filter_lies_around_every_thread(kernel):
    told = kernel.run("import glob\nfor path in glob.glob('/proc/self/task/*/status'):\n"
                      "    text = open(path).read()\n"
                      "    print(text.partition('Seccomp:')[2].split()[0], "
                      "text.partition('NoNewPrivs:')[2].split()[0])").printed.splitlines()
    assert len(told) > 1 and set(told) == {"2 1"}, told


def test_honest_code_goes_on_as_before(kernel):
    told = kernel.run("""
import contextlib, os, subprocess, tempfile, threading
import matplotlib.pyplot as plt
import numpy as np
with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
    print("nobody")
seen = []
threading.Thread(target=seen.append, args=(1,)).start()
print(subprocess.run(["sh", "-c", "echo shell > /dev/null && echo fine"], capture_output=True,
                     text=True).stdout.strip(), np.linalg.inv(np.eye(3)).sum(), seen)
plt.plot([1, 2])
""")
    assert (told.error, told.printed) == ("", "fine 3.0 [1]\n")
    assert kernel.run("!echo bang").printed.split() == ["bang"]


def test_nothing_can_be_written_or_made(kernel):
    told = kernel.run("""
import os
for folder in ("/", "/tmp", "/dev", "/dev/shm", "/proc/self", os.environ["HOME"], os.getcwd()):
    for act in (lambda: open(f"{folder}/new", "w"), lambda: os.mkdir(f"{folder}/new"),
                lambda: os.chmod(folder, 0o777), lambda: os.symlink("/", f"{folder}/new")):
        try:
            act()
            print(folder)
        except OSError:
            pass
""")
    assert (told.error, told.printed) == ("", "")


def test_processes_are_counted_for_this_sandbox_alone(kernel):
    count = """
import os, time
made = 0
try:
    while made < 64:
        if os.fork() == 0:
            time.sleep(2)
            os._exit(0)
        made += 1
except OSError:
    pass
print(made)
"""
    assert 1 <= int(kernel.run(count).printed) <= 16


def test_it_is_first_to_go_when_memory_runs_out(kernel):
    for process in (kernel.first, kernel.kernel):
        assert Path(f"/proc/{process.pid}/oom_score_adj").read_text() == "1000\n"


@pytest.mark.parametrize("attack", ["SHARED_MEMORY", "ODD_SOCKETS", "GOES_LAST"])
def test_the_attacks_get_somewhere_where_nothing_stops_them(attack):
    """A control: in a plain process the same code meets no wall."""
    told = subprocess.run([sys.executable, "-c", getattr(attacks, attack)], capture_output=True,
                          text=True)
    assert told.returncode != 0 and "AssertionError" in told.stderr, told


def answer(machine, number, *arguments, audit=None):
    """What the kernel would do with a call, by the rules of `man 2 seccomp`."""
    words = {0: number, 4: MACHINES[machine][1] if audit is None else audit}
    for i, value in enumerate([*arguments, 0, 0, 0, 0][:4]):
        words |= {16 + 8 * i: value % 2**32, 20 + 8 * i: value >> 32}
    rows, at, held = instructions(machine), 0, 0
    while rows[at][0] != 0x06:
        code, yes, no, constant = rows[at]
        if code == 0x20:
            held, at = words[constant], at + 1
        else:
            true = {0x15: held == constant, 0x35: held >= constant,
                    0x45: bool(held & constant)}[code]
            at += 1 + (yes if true else no)
    return rows[at][3]


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_refuses_what_it_lists_and_allows_the_rest(machine):
    ask, column = functools.partial(answer, machine), MACHINES[machine][0]
    allow, refuse = 0x7FFF0000, 0x00050001
    listed = {call[column] for call in CALLS.values() if call[column] is not None}
    clone, clone3, socket, prlimit = ((56, 435, 41, 302), (220, 435, 198, 261))[column]
    assert {ask(number) for number in listed} == {refuse}
    assert {ask(number) for number in set(range(500)) - listed - {clone3, socket}} == {allow}
    assert ask(clone, 0x10000000 | 17) == refuse and ask(clone, 0x01200011) == allow
    assert ask(clone3) == 0x00050000 | 38
    assert [ask(socket, family) for family in (1, 2, 10)] == [allow] * 3
    assert {ask(socket, family) for family in (0, 16, 17, 38, 40)} == {0x00050000 | 97}
    assert ask(prlimit, 0, 4, 0) == allow
    assert ask(prlimit, 0, 4, 8) == ask(prlimit, 0, 4, 2**40) == refuse
    assert ask(OTHER_TABLE + 39) == refuse and ask(39, audit=3) == 0x80000000


def test_what_remains_of_a_sandbox_is_ended_from_outside():
    """As if process 1 had forgotten that it should go with the grader."""
    if not bubblewrap_works():
        pytest.skip("bubblewrap does not work here")
    command = [part for part in isolate(["sh", "-c", "sleep 77 & sleep 77"])
               if part != "--die-with-parent"]
    with subprocess.Popen(command) as outer:
        while len(psutil.Process(outer.pid).children(recursive=True)) < 3:
            time.sleep(0.05)
        processes = Processes(outer.pid)
        everything = [processes.first, *processes.first.children(recursive=True)]
        processes.outer.kill()
        assert processes.first.is_running()
        processes.end()
    psutil.wait_procs(everything, timeout=20)
    assert not any(map(alive, everything))


FORKS = f"""
import os, sys, time
sys.path.insert(0, {str(Path(sandbox.KERNEL).parent)!r})
from sandbox_kernel import set_limits
os.getuid() or os.setuid(60999)
set_limits(2**31, 12)
until = time.time() + 60
while time.time() < until:
    try:
        os.fork()
    except OSError:
        pass
"""


def test_what_a_cell_has_started_ends_with_it_however_fast_it_multiplies():
    if not bubblewrap_works():
        pytest.skip("bubblewrap does not work here")
    with subprocess.Popen(isolate([sys.executable, "-c", FORKS]),
                          stderr=subprocess.DEVNULL) as outer:
        while len(psutil.Process(outer.pid).children(recursive=True)) < 8:
            time.sleep(0.05)
        processes = Processes(outer.pid)
        processes.interrupt()
        everything = [*processes.others(), processes.kernel, processes.first]
        psutil.wait_procs(everything, timeout=20)
    assert not any(map(alive, everything))


def test_a_grading_process_ends_with_whoever_started_it(tmp_path):
    child = ("import os, sandbox, time; sandbox.die_with_parent(); print(os.getpid(), flush=True);"
             "time.sleep(99)")
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True,
                          env=dict(os.environ, PYTHONPATH=str(Path(sandbox.__file__).parent))
                          ) as grader:
        process = psutil.Process(int(grader.stdout.readline()))
        grader.kill()
    psutil.wait_procs([process], timeout=20)
    assert not alive(process)


def test_a_grading_process_whose_starter_has_ended_already_does_not_begin():
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    code = f"import sandbox; sandbox.die_with_parent({ended.pid}); print('goes on')"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                           env=dict(os.environ, PYTHONPATH=str(Path(sandbox.__file__).parent)))
    assert child.returncode == 1 and child.stdout == ""
    assert "Whoever started the grading has ended." in child.stderr


def spin(seconds):
    return f"import time\nuntil = time.time() + {seconds}\nwhile time.time() < until: pass"


def test_a_wait_for_the_processor_is_not_held_against_a_kernel():
    neighbors = [subprocess.Popen([sys.executable, "-c", spin(7)])
                 for _ in range(4 * os.cpu_count())]
    try:
        with subprocess.Popen([sys.executable, "-c", spin(60)]) as slow:
            clock = Clock(Processes(slow.pid))
            clock.begin(0, "a cell", counts=True)
            time.sleep(4)
            used, wall = clock.used(), 4
            clock.over.set()
            slow.kill()
    finally:
        for neighbor in neighbors:
            neighbor.kill()
            neighbor.wait()
    assert 0 < used < 0.6 * wall


def test_sleep_and_the_work_of_children_count():
    with subprocess.Popen(["sleep", "60"]) as asleep:
        clock = Clock(Processes(asleep.pid))
        time.sleep(0.5)             # until it sleeps
        clock.begin(0, "a cell", counts=True)
        began = time.monotonic()
        time.sleep(1)
        assert 0.9 < clock.used() < time.monotonic() - began + 0.1
        clock.over.set()
        clock.processes.taken = lambda: (100, 0)
        assert clock.used() > 99
        asleep.kill()


@pytest.mark.parametrize(("used", "spent", "size", "times", "said"), [
    (CELL_SECONDS - 1, 0, 0, 0, ""), (CELL_SECONDS + 1, 0, 0, 0, "interrupted"),
    (5, 0, 0, TIMES - 1, "interrupted"),
    (CELL_SECONDS + 1, 0, 0, TIMES, "longer than 30 seconds in your cell for task 2, and"),
    (5, SECONDS - 4, 0, 0, "longer than 120 seconds in all, and was ended in your cell"),
    (5, 0, MEMORY + 1, 0, "more than 6 gigabytes of memory in your cell for task 2")])
def test_each_limit_is_said_in_plain_words(used, spent, size, times, said, monkeypatch):
    ended = []
    processes = SimpleNamespace(waited=lambda: 0.0, taken=lambda: (0.0, size),
                                interrupt=lambda: ended.append("interrupted"),
                                end=lambda: ended.append("ended"))
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    clock = Clock(processes)
    clock.begin(3, "your cell for task 2", counts=True)
    clock.spent, clock.told = spent, times
    monkeypatch.setattr(clock, "used", lambda: used)
    clock.look()
    assert (said in clock.stopped) if said != "interrupted" else ended == ["interrupted"]
    assert clock.late == ({3} if said == "interrupted" else set())
    assert bool(clock.stopped) == (ended == ["ended"])


def test_the_wall_clock_has_the_last_word():
    with subprocess.Popen(["sleep", "60"]) as asleep:
        clock = Clock(Processes(asleep.pid))
        clock.started -= LONGEST + 1
        assert asleep.wait(10) != 0
        assert clock.stopped == "Your notebook took more than 8 minutes"
        clock.over.set()
