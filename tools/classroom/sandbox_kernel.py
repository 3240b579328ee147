"""Start a Jupyter kernel that has given up its rights: runs inside the sandbox, before any answer.

Arguments: connection file, working folder, bytes of memory for each process, and the number of the
user to become where this one is root (0: there is no sandbox, and nothing to give up).
"""

import contextlib
import os
import sys
import tempfile
from importlib.abc import MetaPathFinder
from pathlib import Path

from syscall_filter import install

PRINTED = 2**20     # characters
PROCESSES = 16      # with the kernel's own threads
OPEN_FILES = 256    # what waits in pipes and sockets takes memory that no other limit counts
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


def give_up_rights(user, work):
    """Become the user, where this one is root; nothing leads back. Returns a folder of its own.

    It is the last one in the working folder, which is closed afterwards.
    """
    root = user and os.getuid() == 0
    if root:
        os.setgroups([])
        os.setgid(user)
        os.seteuid(user)
    home = tempfile.mkdtemp()
    if root:
        os.seteuid(0)
    if user:
        os.chmod(work, 0o555)
    if root:
        os.setuid(user)
    return home


def set_limits(memory, processes=None):
    """Limit the memory of each process, and the number of processes, where the system can."""
    if sys.platform == "linux":
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        if processes:
            resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
            resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
            # With 0, a program that collects crashes would still get the memory's image.
            resource.setrlimit(resource.RLIMIT_CORE, (1, 1))


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


def close_all(home, user):
    """From now on nothing can be written to a file, and in the sandbox no file can be made.

    Sockets and pipes are not concerned. The filter keeps these limits as they are.
    """
    if sys.platform != "win32":
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if user:
        for folder, _, _ in os.walk(home):
            os.chmod(folder, 0o555)
        install()


def main():
    connection, work, memory, user = sys.argv[1:]
    text = Path(connection).read_text()             # as its owner
    home = give_up_rights(int(user), work)
    os.chdir(work)
    sys.path[0] = work          # in place of the folder of this script
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
    close_all(home, int(user))
    application.start()


if __name__ == "__main__":
    main()
