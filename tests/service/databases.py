"""A server of PostgreSQL for tests: in a folder that its user may enter, gone afterwards."""

import contextlib
import shutil
import tempfile
from pathlib import Path

from mmfuse_utils.service.local_server import local_server


@contextlib.contextmanager
def open_folder():
    """A new folder; the administrator's server runs as "nobody", who may not enter pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="mmfuse-test-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def server():
    """Where a server runs, while the block lasts."""
    with open_folder() as folder, local_server(folder / "data") as conninfo:
        yield conninfo
