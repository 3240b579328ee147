"""From frames to one vector a clip: what a frame shows, and what changes between frames."""

from collections.abc import Callable
from numbers import Integral

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter
from tqdm import tqdm

from mmfuse_utils.cache import cached_array, content_key
from mmfuse_utils.data.clips import N_FRAMES, ClipTable
from mmfuse_utils.data.pictures import check_side, load_images
from mmfuse_utils.vision import Backbone, extract_features, load_backbone, workers

CLIPS_AT_ONCE = 32
LOOKS, WINDOW, CROP, CROP_PIXELS = (1, 3, 5), 45, 56, 112  # see `moving_crops`
DIFFERENCE_SIZE = 32  # side of a difference picture
MAP_SIZE, THRESHOLD = 24, 10.0  # side of a motion map in cells; gray levels that count as change
_BRIGHTNESS = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


def clip_frame_features(clips: ClipTable, backbone: Backbone | None = None) -> np.ndarray:
    """Features of every frame of every clip: (n_clips, 8, dim), float32, kept in the cache."""
    backbone = backbone or load_backbone()
    key = content_key(backbone.name, backbone.weights, clips.content_key())

    def batch_features(frames: np.ndarray) -> np.ndarray:
        flat = extract_features(frames.reshape(-1, *frames.shape[2:]), backbone)
        return flat.reshape(len(frames), N_FRAMES, flat.shape[1])

    return cached_array("clips", key, lambda: _in_batches(clips, batch_features, "Clip features"))


def clip_subject_features(clips: ClipTable, backbone: Backbone | None = None) -> np.ndarray:
    """Mean features of each clip's `moving_crops`: (n_clips, dim), float32, kept in the cache."""
    backbone = backbone or load_backbone()
    key = content_key("crops", LOOKS, WINDOW, CROP, CROP_PIXELS, backbone.name, backbone.weights,
                      clips.content_key())

    def batch_features(frames: np.ndarray) -> np.ndarray:
        crops = moving_crops(frames)
        flat = extract_features(crops.reshape(-1, *crops.shape[2:]), backbone)
        return flat.reshape(len(frames), len(LOOKS), flat.shape[1]).mean(axis=1)

    return cached_array("clips", key, lambda: _in_batches(clips, batch_features, "Clip subjects"))


def clip_motion_features(clips: ClipTable) -> np.ndarray:
    """`motion_maps` of every clip as rows: (n_clips, 5 * 24 * 24), float32, kept in the cache."""
    key = content_key("motion maps", MAP_SIZE, THRESHOLD, clips.content_key())

    def batch_maps(frames: np.ndarray) -> np.ndarray:
        return motion_maps(frames).reshape(len(frames), 5 * MAP_SIZE ** 2)

    return cached_array("clips", key, lambda: _in_batches(clips, batch_maps, "Clip motion"))


def clip_difference_pictures(clips: ClipTable) -> np.ndarray:
    """`difference_pictures` of every clip: (n_clips, 7, 32, 32), float32, kept in the cache."""
    key = content_key("difference pictures", DIFFERENCE_SIZE, clips.content_key())
    return cached_array("clips", key,
                        lambda: _in_batches(clips, difference_pictures, "Clip differences"))


def clip_features(clips: ClipTable) -> np.ndarray:
    """One vector a clip, for what moves and for how: (n_clips, 1280 + 2880), float32.

    The first 1280 numbers are `clip_subject_features`, which know the subject; the others are
    `clip_motion_features`, which know the motion. Each part has length 1, so that neither
    drowns the other in a dot product.
    """
    parts = clip_subject_features(clips), clip_motion_features(clips)
    lengths = [np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12) for part in parts]
    return np.hstack([part / length for part, length in zip(parts, lengths, strict=True)])


def _in_batches(clips: ClipTable, compute: Callable[[np.ndarray], np.ndarray],
                name: str) -> np.ndarray:
    # Where there are no clips, one batch without any tells the shape.
    starts, rows = range(0, max(1, len(clips)), CLIPS_AT_ONCE), np.arange(len(clips))
    try:
        with workers() as pool:
            batches = pool.map(
                lambda i: compute(clips.load_frames(rows[i:i + CLIPS_AT_ONCE])), starts)
            return np.concatenate(list(tqdm(batches, name, len(starts), unit="batch",
                                            mininterval=1)))
    except ValueError:
        load_images(dict.fromkeys(clips.picture), size=1)  # names all that cannot be used
        raise


def _numbers(frames: np.ndarray, least: int = 1) -> np.ndarray:
    """Features of frames, (n, n_frames, dim), in a type that neither wraps around nor truncates.

    Whole numbers and truth values become float64, float16 becomes float32, others stay.

    Raises ValueError for another shape, for fewer frames than `least` and for no real numbers.
    """
    frames = np.asarray(frames)
    if frames.ndim != 3 or frames.shape[1] < least or frames.dtype.kind not in "fiub":
        raise ValueError("Expected numbers of shape (n, n_frames, dim) with n_frames of "
                         f"{least} or more; got {frames.dtype} of shape {frames.shape}.")
    return frames.astype(np.result_type(frames, np.float32) if frames.dtype.kind == "f"
                         else float, copy=False)


def pool_mean(frames: np.ndarray) -> np.ndarray:
    """Mean over time: (n, n_frames, dim) to (n, dim). Blind to the order of the frames.

    >>> pool_mean(np.array([[[1.0], [2.0], [6.0]]])).tolist()
    [[3.0]]
    """
    return _numbers(frames).mean(axis=1)


def pool_max(frames: np.ndarray) -> np.ndarray:
    """Largest value over time: (n, n_frames, dim) to (n, dim). Blind to the order, too.

    >>> pool_max(np.array([[[1.0], [2.0], [6.0]]])).tolist()
    [[6.0]]
    """
    return _numbers(frames).max(axis=1)


def pool_last_minus_first(frames: np.ndarray) -> np.ndarray:
    """What is different at the end: (n, n_frames, dim) to (n, dim). Changes sign in reverse.

    >>> pool_last_minus_first(np.array([[[1.0], [2.0], [6.0]]])).tolist()
    [[5.0]]
    """
    frames = _numbers(frames, least=2)
    return frames[:, -1] - frames[:, 0]


def pool_difference(frames: np.ndarray) -> np.ndarray:
    """Mean absolute change from frame to frame: (n, n_frames, dim) to (n, dim).

    It tells how much a feature moves, and nothing about the direction of time.

    >>> pool_difference(np.array([[[1.0], [2.0], [6.0]]])).tolist()
    [[2.5]]
    """
    return np.abs(np.diff(_numbers(frames, least=2), axis=1)).mean(axis=1)


def pool_time_weighted(frames: np.ndarray, n_waves: int = 3) -> np.ndarray:
    """Sums over time with cosine weights of rising frequency: (n, n_frames, dim) to
    (n, n_waves * dim).

    Wave k = 1, 2, ... weighs frame t with cos(pi * k * (t + 1/2) / n_frames), as the discrete
    cosine transform does: wave 1 sees a trend, wave 2 a there-and-back, wave 3 a wobble. Odd
    waves change sign when the clip is reversed. The mean is left out: it is wave 0, and would be
    wave 2 * n_frames again, so that more than n_waves / 2 frames are needed.

    >>> pool_time_weighted(np.array([[[1.0], [1.0], [1.0]]])).round(6).tolist()
    [[0.0, 0.0, 0.0]]
    """
    if not isinstance(n_waves, Integral) or n_waves < 1:
        raise ValueError(f"n_waves must be a whole number, 1 or more; got {n_waves!r}.")
    frames = _numbers(frames, least=n_waves // 2 + 1)
    n, n_frames, dim = frames.shape
    time = (np.arange(n_frames) + 0.5) / n_frames
    waves = np.cos(np.pi * np.arange(1, n_waves + 1)[:, None] * time).astype(frames.dtype)
    return np.einsum("kt,ntd->nkd", waves, frames).reshape(n, n_waves * dim) / n_frames


def frame_changes(frames: np.ndarray) -> np.ndarray:
    """Change of brightness between neighboring frames: (n, n_frames - 1, height, width).

    frames : (n, n_frames, height, width, 3), uint8, two frames or more. Changes are in gray
        levels, -255 to 255.

    Raises ValueError for another type or shape.
    """
    return np.diff(_pixels(frames).astype(np.float32) @ _BRIGHTNESS, axis=1)


def _pixels(frames: np.ndarray, least: int = 2, side: int = 1) -> np.ndarray:
    """Frames of `least` or more a clip, as arrays; ValueError for another type or shape."""
    frames = np.asarray(frames)
    if (frames.dtype != np.uint8 or frames.ndim != 5 or frames.shape[1] < least
            or frames.shape[-1] != 3 or min(frames.shape[2:4]) < side):
        raise ValueError("Expected frames as uint8 of shape (n, n_frames, height, width, 3), "
                         f"n_frames {least} or more, height and width {side} or more; got "
                         f"{frames.dtype} of shape {frames.shape}.")
    return frames


def moving_crops(frames: np.ndarray) -> np.ndarray:
    """What moves, cut out and enlarged: (n, 3, 112, 112, 3), uint8.

    frames : (n, n_frames, height, width, 3), uint8, seven frames or more of 56 by 56 pixels or
        more.

    In frames 1, 3 and 5, counted from 0, look where the picture changes most, from the frame
    before and to the frame after, in a window of 45 by 45 pixels; cut out 56 by 56 pixels around
    its center. The square root of the change keeps one hard edge from outweighing a whole subject.

    Raises ValueError for another type or shape.

    >>> moving_crops(np.zeros((2, 8, 96, 96, 3), np.uint8)).shape
    (2, 3, 112, 112, 3)
    """
    frames = _pixels(frames, least=max(LOOKS) + 2, side=CROP)
    change = np.sqrt(np.abs(frame_changes(frames)))
    crops = []
    for clip, changes in zip(frames, change, strict=True):
        for look in LOOKS:
            energy = uniform_filter(changes[look - 1] + changes[look], WINDOW, mode="constant")
            down, right = np.unravel_index(energy.argmax(), energy.shape)
            crops.append(_cut(clip[look], int(right), int(down)))
    return np.array(crops, np.uint8).reshape(
        len(frames), len(LOOKS), CROP_PIXELS, CROP_PIXELS, 3)


def _cut(frame: np.ndarray, right: int, down: int) -> np.ndarray:
    """A square around a center, pushed back into the frame where it would stick out."""
    height, width, _ = frame.shape
    left = min(max(right - CROP // 2, 0), width - CROP)
    top = min(max(down - CROP // 2, 0), height - CROP)
    return np.asarray(Image.fromarray(frame).resize(
        (CROP_PIXELS, CROP_PIXELS), Image.Resampling.BICUBIC,
        box=(left, top, left + CROP, top + CROP)))


def difference_pictures(frames: np.ndarray, size: int = DIFFERENCE_SIZE) -> np.ndarray:
    """`frame_changes` at a lower resolution: (n, n_frames - 1, size, size), in gray levels.

    frames : (n, n_frames, height, width, 3), uint8, square, its side a multiple of size.

    >>> difference_pictures(np.zeros((2, 8, 96, 96, 3), np.uint8)).shape
    (2, 7, 32, 32)
    """
    return _cell_means(frame_changes(frames), size)


def motion_history(changed: np.ndarray) -> np.ndarray:
    """How recently each pixel changed: 1 at the last step, less before, 0 for never.

    changed : (n, n_steps, height, width) bool. Returns (n, height, width), float32.

    Raises ValueError for another type or shape. Source: Bobick and Davis (2001), section 3.2.

    >>> motion_history(np.array([[[[True, False, False]], [[False, True, False]]]])).tolist()
    [[[0.5, 1.0, 0.0]]]
    """
    changed = np.asarray(changed)
    if changed.dtype != bool or changed.ndim != 4 or changed.shape[1] < 1:
        raise ValueError("Expected truth values of shape (n, n_steps, height, width), one step or "
                         f"more; got {changed.dtype} of shape {changed.shape}.")
    n_steps = changed.shape[1]
    time = np.arange(1, n_steps + 1, dtype=np.float32) / n_steps
    return (changed * time[:, None, None]).max(axis=1)


def motion_maps(frames: np.ndarray, size: int = MAP_SIZE) -> np.ndarray:
    """Five maps of where and when a clip changes: (n, 5, size, size), float32.

    frames : (n, n_frames, height, width, 3), uint8, square, its side a multiple of size.

    Maps 0 and 1 are the `motion_history` of pixels that get brighter and darker; maps 2 and 3
    are the same with time counted backwards, so that the first change shows as well as the
    last; map 4 is the absolute change with weights from -1 at the first step to 1 at the last.
    Every clip is shifted so that the center of mass of all its changes is in the middle: what
    moves counts, not where in the picture it does.
    """
    change = frame_changes(frames)
    brighter, darker = change > THRESHOLD, change < -THRESHOLD
    weights = np.linspace(-1, 1, change.shape[1], dtype=np.float32)[:, None, None]
    maps = np.stack([motion_history(brighter), motion_history(darker),
                     motion_history(brighter[:, ::-1]), motion_history(darker[:, ::-1]),
                     (np.abs(change) * weights).sum(axis=1) / 64], axis=1)
    return _cell_means(_centered(maps, np.abs(change).sum(axis=1)), size)


def _centered(maps: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Shift (n, n_maps, height, width) so that each (height, width) mass is in the middle."""
    _, height, width = mass.shape
    total = np.maximum(mass.sum(axis=(1, 2)), 1e-12)
    down = (mass.sum(axis=2) @ np.arange(height)) / total
    right = (mass.sum(axis=1) @ np.arange(width)) / total
    shifts = np.stack([height // 2 - np.rint(down), width // 2 - np.rint(right)], axis=1)
    centered = np.empty_like(maps)
    for row, shift in enumerate(shifts.astype(int).tolist()):
        centered[row] = np.roll(maps[row], shift, axis=(1, 2))
    return centered


def _cell_means(maps: np.ndarray, size: int) -> np.ndarray:
    """Average (..., side, side) over a grid of size by size cells."""
    *_, height, width = maps.shape
    check_side(size, most=height)
    if height != width or height % size:
        raise ValueError("Expected square frames with a side that is a multiple of "
                         f"{size} pixels; got {height} by {width}.")
    cell = height // size
    return maps.reshape(*maps.shape[:-2], size, cell, size, cell).mean(axis=(-3, -1))
