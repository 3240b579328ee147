"""Start a Jupyter kernel that has given up its rights: runs inside the sandbox, before any answer.

Arguments: connection file, working folder, bytes of memory for each process, and the number of the
user to become where this one is root (0: none).
"""

import contextlib
import os
import sys
import tempfile
from importlib.abc import MetaPathFinder
from pathlib import Path

PRINTED = 2**20     # characters
PROCESSES = 16      # with the kernel's own threads
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# What an assignment asks students to write themselves; they have NumPy for it.
LEFT_OUT = frozenset("faiss gensim jax lightning mmfuse_utils pandas pytorch_lightning ranx scipy "
                     "sklearn tensorflow torch torchmetrics torchvision".split())


class LeaveOut(MetaPathFinder):
    """Says clearly that a package is not there while work is graded."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in LEFT_OUT:
            raise ModuleNotFoundError(f"{name} is not available when work is graded: an "
                                      "assignment is written with NumPy alone", name=name)


def give_up_rights(user):
    """Become the user, where this one is root; nothing leads back."""
    if user and os.getuid() == 0:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)


def set_limits(memory, processes=None):
    """Limit the memory of each process, and the number of processes, where the system can."""
    if sys.platform == "linux":
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        if processes:
            resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))


def die_first():
    """When memory runs out, let the system end this process and its children before others."""
    if sys.platform == "linux":
        Path("/proc/self/oom_score_adj").write_text("1000")


def cap_output(shell, most):
    """Drop what is printed beyond a number of characters, before it fills the kernel's memory."""
    from ipykernel.iostream import OutStream
    write, left = OutStream.write, most

    def write_some(self, string):
        nonlocal left
        left -= len(string)
        return write(self, string) if left >= 0 else len(string)

    OutStream.write = write_some
    # IPython keeps a copy of all that is printed, for a history that nobody reads here.
    shell._tee = lambda channel: contextlib.nullcontext()


def forbid_files():
    """From now on nothing can be written to a file; sockets and pipes are not concerned."""
    if sys.platform != "win32":
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def main():
    connection, work, memory, user = sys.argv[1:]
    text = Path(connection).read_text()             # as its owner
    die_first()
    give_up_rights(int(user))
    os.chdir(work)
    sys.path[0] = work          # in place of the folder of this script
    home = tempfile.mkdtemp()
    os.environ.update(dict.fromkeys(THREADS, "1"), HOME=home, IPYTHONDIR=home, MPLCONFIGDIR=home)
    sys.dont_write_bytecode = True
    mine = Path(home, "connection.json")
    mine.write_text(text)
    from ipykernel.kernelapp import IPKernelApp
    import matplotlib.font_manager  # noqa: F401  (makes its list of fonts while it still can)
    # Outside of the sandbox a limit would count all processes of this user.
    set_limits(int(memory), PROCESSES if int(user) else None)
    sys.meta_path.insert(0, LeaveOut())
    application = IPKernelApp.instance()
    application.initialize(["-f", str(mine), "--HistoryManager.enabled=False",
                            "--IPKernelApp.log_level=ERROR"])
    cap_output(application.shell, PRINTED)
    forbid_files()
    application.start()


if __name__ == "__main__":
    main()
