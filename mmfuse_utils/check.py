"""`python -m mmfuse_utils.check`: is this machine ready? Versions, disk, one picture, the cache.

Every byte of what the cache keeps is compared with its seal; what is damaged is marked, so that
the next use makes it again.
"""

import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np

from mmfuse_utils.cache import (CacheError, break_seal, cache_dir, find_damage, is_intact,
                                list_kept, write_then_rename)
from mmfuse_utils.data.sources import SOURCES
from mmfuse_utils.vision import extract_features, load_backbone

NEEDED_GB = 1.0  # packages, pictures, features and word vectors together


def existing_parent(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def checks() -> Iterator[tuple[bool, str]]:
    """Each check as (passed, sentence), in the order of what fails first."""
    python = sys.version_info[:3]
    yield (3, 11) <= python[:2] <= (3, 13), f"Python {'.'.join(map(str, python))} (3.11 to 3.13)"
    names = ("numpy", "scipy", "scikit-learn", "gensim", "torch", "torchvision")
    yield True, ", ".join(f"{name} {version(name)}" for name in names)
    free = shutil.disk_usage(existing_parent(cache_dir())).free / 1e9
    yield free >= NEEDED_GB, f"{free:.1f} GB free for the cache ({NEEDED_GB:.0f} GB needed)"
    probe = cache_dir() / "probe"
    try:
        with write_then_rename(probe) as temporary:
            temporary.touch()
        probe.unlink()
        yield True, f"the cache folder {cache_dir()} can be written"
    except CacheError as error:
        yield False, str(error)
    yield from cache_checks()
    there = sum(is_intact(source.folder) for source in SOURCES.values())
    yield True, f"{there} of {len(SOURCES)} data packages are here whole (the rest on first use)"
    features = extract_features(np.zeros((1, 64, 64, 3), np.uint8), load_backbone())
    yield bool(np.isfinite(features).all()), f"one picture gave {features.shape[1]} features"


def cache_checks() -> Iterator[tuple[bool, str]]:
    """One check for each damaged thing in the cache, then one for all that is whole."""
    kept, n_damaged = list_kept(), 0
    for path in kept:
        damage = find_damage(path)
        if damage:
            n_damaged += 1
            break_seal(path)
            yield False, (f"{path.relative_to(cache_dir())} in the cache {damage}; the next use, "
                          "or python -m mmfuse_utils.prepare, makes it again")
    yield True, f"{len(kept) - n_damaged} things kept in the cache are whole, every byte compared"


def main() -> int:
    """Print every check and a verdict; returns 0 when the machine is ready, 1 otherwise."""
    ready = True
    for passed, sentence in checks():
        print(f"{'ok  ' if passed else 'FAIL'}  {sentence}")
        ready = ready and passed
    print("This machine is ready." if ready else "Not ready yet: see the lines marked FAIL.")
    return 0 if ready else 1


if __name__ == "__main__":
    sys.exit(main())
