"""Where students' code runs while it is graded: a process that can reach next to nothing.

With bubblewrap (Linux) a kernel gets a file system of its own: the system's libraries and this
Python, read-only; the assignment's files; and nothing else of the machine, so neither the home
folder nor other submissions nor the solutions. It has no network, sees no other process, and can
store nothing. When the grader runs as root, the kernel runs as a user without rights. The
environment it starts with is empty, for itself and for bubblewrap, whose it could read. A filter
of system calls (syscall_filter.py) closes what namespaces leave open. Without bubblewrap only the
limits on time, memory, output and processes remain.
"""

import contextlib
import ctypes
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

from sandbox_kernel import LEFT_OUT

KERNEL = Path(__file__).resolve().parent / "sandbox_kernel.py"
FILTER = KERNEL.with_name("syscall_filter.py")
MEMORY = 3 * 2**30      # bytes of address space for each process
DISK = 2**26            # bytes that files in the sandbox's /tmp may take, which lies in memory
PARENT_DEATH_SIGNAL = 1     # in <linux/prctl.h>
FIRST_USER = 60_001     # kernels run as this user and those above it when the grader is root
SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives",
          "/etc/fonts")


def bubblewrap_works():
    """Whether bubblewrap is installed, may make namespaces here, and Python starts inside."""
    if shutil.which("bwrap") is None:
        return False
    return subprocess.run(isolate([sys.executable, "-c", ""]), stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def gaps():
    """What this machine cannot give the sandbox, in sentences for the instructor."""
    told = []
    if subprocess.run(isolate([sys.executable, str(FILTER)]), check=False).returncode != 0:
        told.append("This machine cannot filter system calls, so a submission may look into the "
                    "sandbox's other processes, and take memory that no limit counts.")
    if not bubblewrap_knows("--size"):
        told.append("This bubblewrap cannot limit what lies in a submission's folder /tmp; from "
                    "0.7 on it can.")
    return told


@functools.cache
def bubblewrap_knows(option):
    """Whether this bubblewrap has an option that older ones lack."""
    program = shutil.which("bwrap")
    return program is not None and f" {option} " in subprocess.run(
        [program, "--help"], capture_output=True, check=False, text=True).stdout


def isolate(command, shared=(), files=()):
    """The command inside a sandbox, where its working folder is /tmp.

    shared : folders that it may write to, under the same path inside. files : read-only files
    for its working folder.
    """
    # Inside, bubblewrap is process 1 and shows its environment to all: it gets none either.
    bwrap = ["env", "-i", shutil.which("bwrap") or "bwrap", "--unshare-ipc", "--unshare-pid",
             "--unshare-net", "--unshare-uts", "--hostname", "sandbox", "--die-with-parent",
             "--new-session", "--cap-drop", "ALL"]
    # Root becomes another user inside (see sandbox_kernel.py), and needs the right to do so. In a
    # namespace of users of its own it would stay root to all files that root owns.
    root = os.name == "posix" and os.getuid() == 0
    bwrap += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"] if root else ["--unshare-user"]
    size = ["--size", str(DISK)] if bubblewrap_knows("--size") else []
    bwrap += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", *size, "--tmpfs", "/tmp"]
    bwrap += mounts(shared)
    for file in files:
        bwrap += ["--ro-bind", str(file), f"/tmp/{file.name}"]
    # Through files in /proc a process may reach into another, or change who goes when memory ends.
    for path in ("/proc", "/dev", "/"):
        bwrap += ["--remount-ro", path]
    return [*bwrap, "--setenv", "HOME", "/tmp", *command]


def mounts(shared):
    """Options that show the system, this Python and shared folders, and hide ready answers."""
    python = {Path(sys.prefix), Path(sys.base_prefix), KERNEL, FILTER}
    readable = [*(Path(path) for path in SYSTEM if os.path.lexists(path)), *sorted(python)]
    options = []
    for path in [*readable, *shared]:
        for parent in reversed(path.parents[:-1]):      # bubblewrap would make them private
            options += ["--perms", "0755", "--dir", str(parent)]
        if path.is_symlink():
            options += ["--symlink", os.readlink(path), str(path)]
        else:
            options += ["--bind" if path in shared else "--ro-bind", str(path), str(path)]
    for place in sorted({sysconfig.get_path(part) for part in ("purelib", "platlib")}):
        for package in sorted(LEFT_OUT):
            if Path(place, package).is_dir():
                options += ["--perms", "0000", "--tmpfs", f"{place}/{package}"]
    return options


@contextlib.contextmanager
def die_first():
    """What is started meanwhile goes before other programs when the machine's memory runs out.

    Whoever is started by root cannot undo it, and in the sandbox nobody can (see `isolate`).
    """
    path = Path("/proc/self/oom_score_adj")
    try:
        former = path.read_text()
        path.write_text("1000")
    except OSError:         # another system, or a container that does not allow it
        yield
        return
    try:
        yield
    finally:
        path.write_text(former)


def die_with_parent(parent=0):
    """From now on this process ends when the one that started it does, however that ends.

    parent : its number, since it may have ended before this is called; 0 where nobody told it.
    """
    if sys.platform == "linux":
        parent = parent or os.getppid()
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit("Whoever started the grading has ended.")


def claim_user():
    """A user number that no other kernel on this machine has, and what holds it until closed.

    Processes are counted by user, so kernels that shared one would take each other's. Only root
    chooses users; for others the sandbox is a world of its own, where one number does for all.
    """
    if sys.platform != "linux" or os.getuid() != 0:
        return FIRST_USER, contextlib.nullcontext()
    for user in range(FIRST_USER, FIRST_USER + 1000):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0mmfuse-user-{user}")     # a name of the kernel's, gone with its holder
            return user, claim
        except OSError:
            claim.close()
    raise RuntimeError("A thousand kernels run on this machine; grade again when some have ended.")


def kernel_command(isolation, sockets, work, user):
    """Arguments that start a kernel; "{connection_file}" in them is filled in by Jupyter.

    isolation : "bubblewrap" or "none". sockets : folder that kernel and grader share. work :
    folder with the files beside the notebook. user : the user number that the kernel takes where
    the grader is root.
    """
    command = [sys.executable, str(KERNEL), "{connection_file}"]
    if isolation == "none":
        return [*command, str(work), str(MEMORY), "0"]
    command += ["/tmp", str(MEMORY), str(user)]
    return isolate(command, [sockets], sorted(work.iterdir()))
