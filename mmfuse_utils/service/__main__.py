"""`python -m mmfuse_utils.service`: build what is missing, and serve it at a loopback address."""

import argparse
import asyncio
import os
import socket
import sys
from pathlib import Path
from types import FrameType

try:
    import uvicorn
    from mmfuse_utils.service.app import create_app
    from mmfuse_utils.service.limits import Guard
    from mmfuse_utils.service.wire import Wire
except ModuleNotFoundError as error:
    sys.exit(f"The service needs the package {error.name}. It comes with the extra `service`: "
             "python -m pip install -e '.[service]'")
from mmfuse_utils.cache import WriteError
from mmfuse_utils.data.sources import FetchError
from mmfuse_utils.service.artefact import Artefact, ArtefactError, load_artefact, save_artefact
from mmfuse_utils.service.kept import emoji_artefact, own_artefact
from mmfuse_utils.service.searcher import Searcher, fill
from mmfuse_utils.service.settings import Settings
from mmfuse_utils.service.store import Store, StoreError


def main() -> int:
    """Parse the command line and serve until told to stop; returns the exit status."""
    options = _options()
    try:
        place = None if options.build_only else _take_place(options.host, options.port)
        artefact = _artefact(options)
        if place is None:
            return 0
        searcher = Searcher(artefact, _store(options, artefact))
    except (ArtefactError, FetchError, StoreError, WriteError, ValueError, OSError) as error:
        print(str(error).replace("leave_out=True", "--leave-out (or LEAVE_OUT=1)"),
              file=sys.stderr)
        return 1
    server = Server(create_app(searcher, _settings(options)), options.host)
    server.run([place])
    searcher.store.close()
    if not server.desk.sees.is_set():
        os._exit(0)     # the networks are still being loaded, which takes seconds and is of no use
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mmfuse_utils.service",
                                     description="Search emoji, or your own pictures, by phrase "
                                                 "or by picture, on a page of this machine.")
    parser.add_argument("--pictures", metavar="DIR", default=os.environ.get("PICTURES") or None,
                        help="folder of your own pictures (default: emoji; or PICTURES)")
    parser.add_argument("--captions", metavar="FILE", default=os.environ.get("CAPTIONS") or None,
                        help="file of their captions (default: one in the folder; or CAPTIONS)")
    parser.add_argument("--leave-out", action="store_true",
                        default=os.environ.get("LEAVE_OUT", "") not in ("", "0"),
                        help="serve what is sound of the pictures, and print what is not (or "
                             "LEAVE_OUT=1)")
    parser.add_argument("--artefact", metavar="DIR", type=Path,
                        help="serve this artefact; it is built there if it is not there yet "
                             "(default: one in the cache)")
    parser.add_argument("--store", metavar="CONNINFO", default=os.environ.get("STORE") or None,
                        help="keep the index in this PostgreSQL with pgvector, such as "
                             "'host=db user=me' (default: in memory; or STORE)")
    parser.add_argument("--host", default="127.0.0.1",
                        help="address to listen at (default: %(default)s, this machine alone)")
    parser.add_argument("--name", action="append",
                        help="a host name by which it may be called, several times if need be "
                             "(default: those of this machine's loopback, or any with --host)")
    parser.add_argument("--port", type=_port, default=8000, help="(default: %(default)s)")
    parser.add_argument("--build-only", action="store_true", help="build the artefact and end")
    options = parser.parse_args()
    if options.captions and not options.pictures:
        parser.error("--captions needs --pictures")
    return options


def _port(text: str) -> int:
    """A number of a port; 0 for any that is free. A larger one would be cut without a word."""
    port = int(text)
    if not 0 <= port < 2**16:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {port}")
    return port


def _take_place(host: str, port: int) -> socket.socket:
    """A socket at the address, which does not listen yet; found taken before anything is built."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        place = socket.socket(family)
        if os.name == "posix":
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(address)
    except OSError as error:
        raise OSError(f"The service cannot listen at {host}, port {port}: {error.strerror}. "
                      "Choose another one by --port or --host.") from error
    return place


def _store(options: argparse.Namespace, artefact: Artefact) -> Store | None:
    """The database that the options name, with the artefact's rows in it; else memory."""
    if not options.store:
        return None
    from mmfuse_utils.service.postgres import PgStore

    table = "item_" + artefact.facts["checksums"]["vectors.npy"][:16]
    store = PgStore(options.store, artefact.vectors.shape[1], table)
    if store.count() != len(artefact.items):
        fill(store, artefact)
    return store


def _settings(options: argparse.Namespace) -> Settings:
    """Whoever lets other machines in says by which names they may call."""
    if options.name:
        return Settings(hosts=tuple(options.name))
    near = options.host in ("127.0.0.1", "::1", "localhost")
    return Settings() if near else Settings(hosts=("*",))


def _artefact(options: argparse.Namespace) -> Artefact:
    """What the options name, built where it is not there yet."""
    if options.artefact and options.artefact.exists():
        return load_artefact(options.artefact)
    if options.artefact is None:
        return _from_cache(options)
    place = next(folder for folder in options.artefact.absolute().parents if folder.exists())
    if not os.access(place, os.W_OK):
        raise ArtefactError(
            f"There is no artefact in {options.artefact}, and none can be written there. Build "
            "one elsewhere: python -m mmfuse_utils.service --artefact DIR --build-only")
    return load_artefact(save_artefact(_from_cache(options), options.artefact))


def _from_cache(options: argparse.Namespace) -> Artefact:
    if not options.pictures:
        return emoji_artefact()
    return own_artefact(options.pictures, options.captions, options.leave_out)


class Server(uvicorn.Server):
    """uvicorn, told to stop by a signal: finish what was begun, then end with status 0."""

    def __init__(self, app: Guard, host: str) -> None:
        settings = app.desk.settings
        super().__init__(uvicorn.Config(
            app, host=host, http=Wire, ws="none", server_header=False, access_log=False,
            log_level="error", timeout_keep_alive=5,
            timeout_graceful_shutdown=int(settings.stop_seconds)))
        self.desk = app.desk

    async def startup(self, sockets: list | None = None) -> None:
        """Listen, and say where."""
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
            port = self.servers[0].sockets[0].getsockname()[1]
            print(f"Serving {len(self.desk.searcher.artefact.items):,} pictures at "
                  f"http://{host}:{port}/ (Ctrl-C stops it).", flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Say so at /readyz and take no new queries; soon stop to listen, when all is done end.

        A second signal ends the waiting.
        """
        if self.desk.stopping:
            self.force_exit = self.should_exit = True
        self.desk.stopping = True
        self.loop.call_soon_threadsafe(self.loop.call_later, self.desk.settings.leave_seconds,
                                       setattr, self, "should_exit", True)


if __name__ == "__main__":
    sys.exit(main())
