"""`python -m mmfuse_utils.prepare`: everything slow, computed once before the notebooks.

Each step keeps its result in the cache, so that a second run has nothing to do and an
interrupted one goes on where it stopped. A notebook opened alone computes the same lazily.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from mmfuse_utils.cache import CacheError
from mmfuse_utils.data import Collection, load_clips, load_emoji
from mmfuse_utils.data.clips import ClipTable, load_every_motion
from mmfuse_utils.data.emoji import LANGUAGES
from mmfuse_utils.data.sources import SOURCES, FetchError, package_path
from mmfuse_utils.ladder import three_networks
from mmfuse_utils.text import load_word_vectors
from mmfuse_utils.video import (clip_difference_pictures, clip_features, clip_frame_features,
                                clip_subject_features)
from mmfuse_utils.vision import load_backbone, picture_features
from mmfuse_utils.word2vec import load_wide_vectors

STEPS = {
    "data packages": lambda: [package_path(name) for name in SOURCES],
    "pictures": lambda: load_emoji(LANGUAGES),
    "picture features": lambda: _picture_features(load_emoji()),
    "clip features": lambda: _clip_features(load_clips(load_emoji())),
    "clips in every motion": lambda: [_gallery_features(part) for part in ("validation", "test")],
    "word vectors": lambda: _word_vectors(),
}


def _picture_features(emoji: Collection) -> None:
    three_networks(emoji)
    picture_features(emoji, load_backbone("random"))  # the control of images


def _clip_features(clips: ClipTable) -> None:
    for compute in (clip_frame_features, clip_features, clip_difference_pictures):
        compute(clips)


def _gallery_features(part: str) -> None:
    emoji = load_emoji()
    clips = load_every_motion(emoji, getattr(emoji.split(), part))
    clip_subject_features(clips)
    clip_difference_pictures(clips)


def _word_vectors() -> None:
    # Each training uses one core alone, so the two share out the machine.
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda load: load(), (load_word_vectors, load_wide_vectors)))


def main() -> int:
    """Run all steps, saying how long each took; returns the exit status."""
    for number, (name, step) in enumerate(STEPS.items(), start=1):
        print(f"[{number}/{len(STEPS)}] {name} …", flush=True)
        start = time.perf_counter()
        try:
            step()
        except (FetchError, CacheError) as error:
            print(f"\n{error}", file=sys.stderr)
            return 1
        print(f"[{number}/{len(STEPS)}] {name}: {time.perf_counter() - start:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
