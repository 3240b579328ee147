"""`python -m mmfuse_utils.data`: verify the data packages, fetch what is not whole, list."""

import argparse
import sys
from pathlib import Path

from mmfuse_utils.cache import CacheError, break_seal, cache_dir, find_damage
from mmfuse_utils.data.sources import SOURCES, FetchError, Source, install_tarball, package_path


def folder_size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def describe(source: Source) -> str:
    """One line of the list: package, what it is, its licence, and whether it is there."""
    damage = find_damage(source.folder) if source.folder.exists() else "missing"
    state = damage or f"here, {folder_size(source.folder) / 1e6:.0f} MB"
    return (f"{source.spec:38} {source.size / 1e6:5.1f} MB  {source.licence:13} {state:13} "
            f"{source.what}")


def fetch_all() -> None:
    """Compare every byte of every package with its seal, and fetch what is not whole."""
    for name, source in SOURCES.items():
        damage = find_damage(source.folder) if source.folder.exists() else None
        if damage:
            print(f"{source.spec} {damage}; it is fetched again.")
            break_seal(source.folder)
        package_path(name)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status, 1 when something could not be fetched."""
    parser = argparse.ArgumentParser(prog="python -m mmfuse_utils.data", description=__doc__)
    parser.add_argument("--list", action="store_true", help="only list, fetch nothing")
    parser.add_argument("--from", dest="files", nargs="+", type=Path, default=[], metavar="FILE",
                        help="package files that you brought from another machine")
    options = parser.parse_args(arguments)
    try:
        for file in options.files:
            print(f"Verified and kept {install_tarball(file).spec}.")
        if not options.list:
            fetch_all()
    except (FetchError, CacheError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Data packages in {cache_dir()}:")
    for source in SOURCES.values():
        print(describe(source))
    return 0


if __name__ == "__main__":
    sys.exit(main())
