"""Start a Jupyter kernel that has given up its rights: runs inside the sandbox, before any answer.

Arguments: connection file, working folder, bytes of memory, and the number of the user to become
where this one is root.
"""

import os
import sys
import tempfile
from importlib.abc import MetaPathFinder
from pathlib import Path

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
    """Become the user, where this one is root and may change; nothing leads back."""
    if os.name == "posix" and os.getuid() == 0:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)


def set_limits(memory):
    """Limit memory and processes, where the system can."""
    if os.name == "posix":
        import resource
        for limit, value in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0),
                             (resource.RLIMIT_NPROC, 32)):
            resource.setrlimit(limit, (value, value))


def forbid_files():
    """From now on nothing can be written to a file; sockets and pipes are not concerned."""
    if os.name == "posix":
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def main():
    connection, work, memory, user = sys.argv[1:]
    text = Path(connection).read_text()             # as its owner
    give_up_rights(int(user))
    os.chdir(work)
    home = tempfile.mkdtemp()
    os.environ.update(dict.fromkeys(THREADS, "1"), HOME=home, IPYTHONDIR=home, MPLCONFIGDIR=home,
                      PYTHONDONTWRITEBYTECODE="1")
    mine = Path(home, "connection.json")
    mine.write_text(text)
    from ipykernel.kernelapp import IPKernelApp
    import matplotlib.font_manager  # noqa: F401  (makes its list of fonts while it still can)
    set_limits(int(memory))
    sys.meta_path.insert(0, LeaveOut())
    application = IPKernelApp.instance()
    application.initialize(["-f", str(mine), "--HistoryManager.enabled=False",
                            "--IPKernelApp.log_level=ERROR"])
    forbid_files()
    application.start()


if __name__ == "__main__":
    main()
