"""Clips: an emoji moves among small shapes over a textured ground while the camera drifts.

Frames are drawn when they are asked for. Where a subject starts, how large it is, how fast it
moves, what lies behind it, where the shapes go and how the camera drifts are drawn by hash,
whatever the motion, so that no first frame gives its motion away.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from PIL import Image, ImageDraw

from mmfuse_utils.cache import content_key
from mmfuse_utils.data.collection import Collection
from mmfuse_utils.data.pictures import file_digests, read_pictures

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

    def times(self, speed: float) -> "Pose":
        """The pose of something that got `speed` times as far in the same time.

        >>> Pose(right=10.0, scale=2.0).times(0.5).right
        5.0
        """
        return Pose(self.right * speed, self.down * speed, self.scale ** speed,
                    self.turn * speed, self.opacity ** speed)


DISTANCE = 24  # pixels that a subject travels at speed 1
DRIFT, CAMERA, N_SHAPES = 14, 3, 2  # farthest shift of a shape and of the camera in a clip, pixels
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

    def content_key(self) -> str:
        """Cache key of the frames: which clips, of which pictures, and how the first is drawn.

        Raises ValueError naming all pictures that cannot be opened.
        """
        return content_key(self.key, self.motion, file_digests(self.picture),
                           self.load_frames(range(min(1, len(self)))))

    def load_frames(self, rows: Sequence[int]) -> np.ndarray:
        """Frames of clip rows: (n, 8, 96, 96, 3), uint8; drawn now, always the same.

        Raises ValueError naming all pictures that cannot be used.
        """
        sprites = read_pictures(self.picture[row] for row in rows)
        if not sprites:
            return np.empty((0, N_FRAMES, PIXELS, PIXELS, 3), np.uint8)
        return np.stack([self._draw(*clip) for clip in zip(rows, sprites, strict=True)])

    def _draw(self, row: int, sprite: Image.Image) -> np.ndarray:
        rng = _rng("look", self.key[row])
        center, size, speed = rng.uniform(36, 60, 2), rng.uniform(38, 52), rng.uniform(0.6, 1.3)
        shapes = [(_shape(rng), rng.uniform(0, PIXELS, 2), rng.uniform(-DRIFT, DRIFT, 2))
                  for _ in range(N_SHAPES)]
        return draw_clip(sprite, MOTIONS[self.motion[row]], ground(rng), center, size, speed,
                         rng.uniform(-CAMERA, CAMERA, 2), shapes)


def _rng(*parts: str) -> np.random.Generator:
    digest = hashlib.sha256(":".join(parts).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def ground(rng: np.random.Generator) -> Image.Image:
    """A textured background, mottled at three scales, with a margin for the camera to drift."""
    side = PIXELS + 2 * CAMERA
    pixels = np.broadcast_to(rng.uniform(170, 240, 3), (side, side, 3)).copy()
    for cells, contrast in ((5, 16), (16, 10), (40, 7)):
        light, tint = rng.normal(size=(cells, cells, 1)), rng.normal(size=(cells, cells, 3))
        mottle = (128 + contrast * (0.8 * light + 0.4 * tint)).clip(0, 255).astype(np.uint8)
        smooth = Image.fromarray(mottle).resize((side, side), Image.Resampling.BICUBIC)
        pixels += np.asarray(smooth, dtype=float) - 128
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _shape(rng: np.random.Generator) -> Image.Image:
    """A small disc, square or triangle of any color, which has nothing to do with the subject."""
    side, color = int(rng.integers(9, 17)), tuple(rng.integers(0, 256, 3).tolist())
    shape = Image.new("RGBA", (4 * side, 4 * side))
    n_sides = int(rng.choice([3, 4, 60]))
    ImageDraw.Draw(shape).regular_polygon((2 * side, 2 * side, 2 * side), n_sides, fill=color)
    return shape.resize((side, side), Image.Resampling.BILINEAR)


Shape = tuple[Image.Image, np.ndarray, np.ndarray]


def draw_clip(sprite: Image.Image, motion: Callable[[float], Pose], background: Image.Image,
              center: Sequence[float], size: float, speed: float = 1.0,
              camera: Sequence[float] = (0, 0), shapes: Sequence[Shape] = ()) -> np.ndarray:
    """Frames of one motion: (8, 96, 96, 3), uint8.

    sprite : transparent picture of the subject. motion : time in 0..1 to `Pose`.
    background : 96 by 96 pixels or more; its middle is seen first.
    center : where the subject starts, (right, down) in pixels.
    size : side of the subject's square at the start, in pixels.
    speed : how far the motion goes; 1 is as `MOTIONS` has it.
    camera : how far the camera drifts in all, (right, down) in pixels.
    shapes : things that drift behind the subject: picture, first center, shift in all.
    """
    frames, margin = [], (background.width - PIXELS) // 2
    for u in np.linspace(0, 1, N_FRAMES):
        pose, shift = motion(u).times(speed), np.multiply(camera, u)
        left, top = (margin + np.rint(shift).astype(int)).tolist()
        frame = background.crop((left, top, left + PIXELS, top + PIXELS))
        for shape, first, drift in shapes:
            _paste(frame, shape, first + drift * u - shift)
        side = max(1, round(size * pose.scale))
        subject = sprite.resize((side, side), Image.Resampling.BILINEAR)
        subject = subject.rotate(-pose.turn, Image.Resampling.BILINEAR)
        _paste(frame, subject, np.add(center, (pose.right, pose.down)) - shift, pose.opacity)
        frames.append(np.asarray(frame))
    return np.stack(frames)


def _paste(frame: Image.Image, picture: Image.Image, center: np.ndarray,
           opacity: float = 1.0) -> None:
    alpha = picture.getchannel("A")
    if opacity < 1:
        alpha = alpha.point(lambda value: int(value * opacity))
    left, top = np.rint(center - np.array(picture.size) / 2).astype(int).tolist()
    frame.paste(picture, (left, top), alpha)


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

    Subjects are things with a singular English name; faces are left out, and so are subjects
    without a picture. There may be no clip at all.
    """
    table = []
    for concept, subject in _subjects(collection):
        rng = _rng("clip", collection.ids[concept])
        rows = np.flatnonzero(collection.pictures.concept_row == concept)
        rows = rng.permutation(rows)[:STYLES_PER_SUBJECT]
        for row, motion in zip(rows, rng.permutation(list(MOTIONS))[:len(rows)], strict=True):
            table.append(_row(collection, concept, subject, row, str(motion), rng))
    return _table(table)


def load_every_motion(collection: Collection, concepts: Sequence[int]) -> ClipTable:
    """Each subject among `concepts` in every motion, the style of each clip drawn by hash.

    In such a gallery neither half of a caption is enough: each subject occurs twelve times, and
    each motion as often as there are subjects. Clips of one subject in one style differ in
    nothing but the motion. Subjects without a picture are left out.
    """
    table, wanted = [], set(np.asarray(concepts).tolist())
    for concept, subject in _subjects(collection):
        rows = np.flatnonzero(collection.pictures.concept_row == concept)
        for motion in MOTIONS if concept in wanted and len(rows) else ():
            rng = _rng("every motion", collection.ids[concept], motion)
            table.append(_row(collection, concept, subject, rng.choice(rows), motion, rng))
    return _table(table)


def _subjects(collection: Collection) -> list[tuple[int, str]]:
    """Concepts that can be a clip's subject, each with its name and article."""
    names = [with_article(texts[0]) if texts else None for texts in collection.names["en"]]
    return [(concept, name) for concept, (name, group)
            in enumerate(zip(names, collection.groups, strict=True)) if group in GROUPS and name]


def _row(collection: Collection, concept: int, subject: str, row: int, motion: str,
         rng: np.random.Generator) -> tuple:
    style = str(collection.pictures.style[row])
    return (concept, motion, style, f"{subject} {rng.choice(PHRASES[motion])}",
            collection.pictures.path[row], f"{collection.ids[concept]}:{style}")


def _table(rows: list[tuple]) -> ClipTable:
    concepts, *columns = zip(*rows, strict=True) if rows else [()] * len(fields(ClipTable))
    return ClipTable(np.array(concepts, int), *columns)
