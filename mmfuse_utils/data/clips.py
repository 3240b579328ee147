"""Clips: an emoji moves over a textured ground; frames are drawn when they are asked for.

Where a subject starts, how large it is and what lies behind it are drawn by hash, whatever the
motion, so that no first frame gives its motion away.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mmfuse_utils.data.collection import Collection, read_picture

N_FRAMES, PIXELS = 8, 96
STYLES_PER_SUBJECT = 3
GROUPS = ("animals-nature", "food-drink", "travel-places", "activities", "objects")


@dataclass(frozen=True)
class Pose:
    """Where a subject is: shift in pixels (right, down), scale, clockwise degrees, opacity."""

    right: float = 0.0
    down: float = 0.0
    scale: float = 1.0
    turn: float = 0.0
    opacity: float = 1.0


DISTANCE = 24  # pixels that a subject travels
# What each motion does at time u, from 0 (first frame) to 1 (last frame). At 0, all are at rest.
MOTIONS: dict[str, Callable[[float], Pose]] = {
    "rise": lambda u: Pose(down=-DISTANCE * u),
    "fall": lambda u: Pose(down=DISTANCE * u * u),
    "left": lambda u: Pose(right=-DISTANCE * u),
    "right": lambda u: Pose(right=DISTANCE * u),
    "grow": lambda u: Pose(scale=1 + 0.9 * u),
    "shrink": lambda u: Pose(scale=1 - 0.6 * u),
    "clockwise": lambda u: Pose(turn=315 * u),
    "counterclockwise": lambda u: Pose(turn=-315 * u),
    "jump": lambda u: Pose(down=-DISTANCE * np.sin(np.pi * u)),
    "shake": lambda u: Pose(right=0.5 * DISTANCE * np.sin(4 * np.pi * u)),
    "circle": lambda u: Pose(right=0.45 * DISTANCE * np.sin(2 * np.pi * u),
                             down=0.45 * DISTANCE * (1 - np.cos(2 * np.pi * u))),
    "fade": lambda u: Pose(opacity=1 - 0.85 * u),
}
PHRASES = {
    "rise": ("rises", "floats up"), "fall": ("falls", "drops down"),
    "left": ("moves to the left", "slides left"), "right": ("moves to the right", "slides right"),
    "grow": ("grows", "gets bigger"), "shrink": ("shrinks", "gets smaller"),
    "clockwise": ("spins clockwise", "turns clockwise"),
    "counterclockwise": ("spins counterclockwise", "turns counterclockwise"),
    "jump": ("jumps", "hops up and down"), "shake": ("shakes", "trembles from side to side"),
    "circle": ("circles", "goes round in a loop"), "fade": ("fades", "slowly disappears"),
}


@dataclass(frozen=True)
class ClipTable:
    """One row a clip: the concept it shows, its motion, art style and English caption."""

    subject_row: np.ndarray
    motion: tuple[str, ...]
    style: tuple[str, ...]
    caption: tuple[str, ...]
    picture: tuple[str, ...]
    key: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.motion)

    def load_frames(self, rows: Sequence[int]) -> np.ndarray:
        """Frames of clip rows: (n, 8, 96, 96, 3), uint8; drawn now, always the same."""
        return np.stack([self._frames(row) for row in rows])

    def _frames(self, row: int) -> np.ndarray:
        rng = _rng("look", self.key[row])
        sprite = read_picture(self.picture[row])
        center, size = rng.uniform(36, 60, 2), rng.uniform(26, 38)
        return draw_clip(sprite, MOTIONS[self.motion[row]], ground(rng), center, size)


def _rng(*parts: str) -> np.random.Generator:
    digest = hashlib.sha256(":".join(parts).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def ground(rng: np.random.Generator) -> Image.Image:
    """A pale, softly mottled background of 96 by 96 pixels."""
    base = rng.uniform(190, 250, 3)
    mottle = np.clip(base + rng.normal(0, 14, (7, 7, 3)), 0, 255).astype(np.uint8)
    return Image.fromarray(mottle).resize((PIXELS, PIXELS), Image.Resampling.BICUBIC)


def draw_clip(sprite: Image.Image, motion: Callable[[float], Pose], background: Image.Image,
              center: Sequence[float], size: float) -> np.ndarray:
    """Frames of one motion: (8, 96, 96, 3), uint8.

    sprite : transparent picture of the subject. motion : time in 0..1 to `Pose`.
    background : 96 by 96 pixels. center : where the subject starts, (right, down) in pixels.
    size : side of the subject's square at the start, in pixels.
    """
    frames = []
    for u in np.linspace(0, 1, N_FRAMES):
        pose = motion(u)
        side = max(1, round(size * pose.scale))
        subject = sprite.resize((side, side), Image.Resampling.BILINEAR)
        subject = subject.rotate(-pose.turn, Image.Resampling.BILINEAR)
        alpha = subject.getchannel("A").point(lambda a, opacity=pose.opacity: int(a * opacity))
        frame = background.copy()
        corner = (center[0] + pose.right - side / 2, center[1] + pose.down - side / 2)
        frame.paste(subject, (round(corner[0]), round(corner[1])), alpha)
        frames.append(np.asarray(frame))
    return np.stack(frames)


def with_article(name: str) -> str | None:
    """A name with "a" or "an"; None for a plural or a name that takes no article.

    >>> with_article("umbrella"), with_article("unicorn"), with_article("grapes")
    ('an umbrella', 'a unicorn', None)
    """
    if re.search(r"(?<![siu])s$|\bskis$|[^\w \-]", name):
        return None
    vowel = re.match(r"[aeiou]|hour|x-", name) and not re.match(r"uni|eu|ew|one|uk", name)
    return f"{'an' if vowel else 'a'} {name}"


def load_clips(collection: Collection) -> ClipTable:
    """Clips of a collection's concepts: three art styles a subject, each with its own motion.

    Subjects are things with a singular English name; faces are left out.
    """
    names = list(MOTIONS)
    table = []
    for concept, group in enumerate(collection.groups):
        subject = with_article(collection.names["en"][concept][0])
        if group not in GROUPS or subject is None:
            continue
        rng = _rng("clip", collection.ids[concept])
        rows = np.flatnonzero(collection.pictures.concept_row == concept)
        rows = rng.permutation(rows)[:STYLES_PER_SUBJECT]
        for row, motion in zip(rows, rng.permutation(names)[:len(rows)], strict=True):
            style = str(collection.pictures.style[row])
            caption = f"{subject} {rng.choice(PHRASES[motion])}"
            table.append((concept, str(motion), style, caption, collection.pictures.path[row],
                          f"{collection.ids[concept]}:{style}"))
    concepts, *columns = zip(*table, strict=True)
    return ClipTable(np.array(concepts), *columns)
