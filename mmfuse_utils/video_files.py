"""Video files: written from frames, and read back as frames evenly spaced in time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps

from mmfuse_utils.cache import write_then_rename
from mmfuse_utils.data.clips import N_FRAMES, PIXELS

CODECS = {".mp4": "libx264", ".webm": "libvpx-vp9", ".gif": "gif"}


def write_video(path: str | Path, frames: np.ndarray, rate: int = 8) -> None:
    """Write frames to a video file; the name's ending says which kind: .mp4, .webm or .gif.

    frames : (n_frames, height, width, 3), uint8, height and width even. rate : frames a second.

    All three kinds lose something: MP4 and WebM keep color at half the resolution, GIF keeps
    256 colors. Raises ValueError for another ending, shape or type.
    """
    path = Path(path)
    if path.suffix not in CODECS:
        raise ValueError(f"{path.name} should end in one of {', '.join(CODECS)}.")
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or any(
            side % 2 for side in frames.shape[1:3]):
        raise ValueError("Expected frames as uint8 of shape (n_frames, height, width, 3), height "
                         f"and width even; got {frames.dtype} of shape {frames.shape}.")
    if path.suffix == ".gif":  # Pillow chooses each frame's 256 colors well
        first, *rest = (Image.fromarray(frame).quantize(256) for frame in frames)
        with write_then_rename(path) as temporary:
            first.save(temporary, save_all=True, append_images=rest, duration=1000 / rate,
                       disposal=2)
        return
    with write_then_rename(path) as temporary, av.open(temporary, "w") as container:
        stream = container.add_stream(CODECS[path.suffix], rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())


def load_videos(paths: Sequence[str | Path], size: int = PIXELS, start: float = 0.0,
                end: float | None = None) -> np.ndarray:
    """Eight frames of each video file: (n_paths, 8, size, size, 3), uint8.

    The frames are those on show at eight evenly spaced times between the first and the last
    frame, whatever the frame rate, even or not. Phones' rotation marks are obeyed; the shorter
    side is resized to `size` and the middle is cut out.

    start, end : read only this part of every video, in seconds from its beginning.

    Raises ValueError naming all files that are missing, broken, without a picture track or with
    fewer than two frames in that part.

    >>> load_videos([]).shape
    (0, 8, 96, 96, 3)
    """
    clips, problems = np.empty((len(paths), N_FRAMES, size, size, 3), np.uint8), []
    for row, path in enumerate(paths):
        try:
            clips[row] = _read(path, size, start, end)
        except (OSError, ValueError, av.FFmpegError) as error:
            problems.append(f"{path}: {getattr(error, 'strerror', None) or error}")
    if problems:
        raise ValueError(f"{len(problems)} of {len(paths)} videos cannot be used; mend them or "
                         "leave them out:\n" + "\n".join(problems))
    return clips


def _read(path: str | Path, size: int, start: float, end: float | None) -> np.ndarray:
    """Two passes, so that a long video never lies in memory: first the times, then the frames."""
    times = np.array([time for time, _ in _decode(path, start, end)])
    if len(times) < 2:
        raise ValueError(f"holds {len(times)} frames in this part; a clip needs two or more")
    wanted = np.linspace(times[0], times[-1], N_FRAMES)
    shown = np.searchsorted(times, wanted + 1e-6, side="right") - 1
    frames, needed = {}, set(shown.tolist())
    for number, (_, frame) in enumerate(_decode(path, start, end)):
        if number in needed:
            frames[number] = _upright(frame, size)
    return np.stack([frames[number] for number in shown.tolist()])


def _decode(path: str | Path, start: float,
            end: float | None) -> Iterator[tuple[float, av.VideoFrame]]:
    """Pairs of time in seconds and frame, in the order of show."""
    with av.open(path) as container:
        if not container.streams.video:
            raise ValueError("has no picture track")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise ValueError("is of a kind that cannot be decoded")
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"err_detect": "explode"}
        first, time = None, 0.0
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise ValueError(f"is broken at {frame.time:.2f} s")
            first = frame.time if first is None else first
            time = frame.time - first
            if end is not None and time > end:
                return
            if time >= start:
                yield time, frame
        _check_whole(path, container, time)


def _check_whole(path: str | Path, container: av.container.InputContainer, last: float) -> None:
    """Raise ValueError when a file ends before the time it promises; some kinds promise none."""
    if container.format.name == "gif":
        whole = Path(path).read_bytes()[-64:].rstrip(b"\0").endswith(b";")  # a GIF's last byte
    else:
        stream = container.streams.video[0]
        hours, minutes, seconds = stream.metadata.get("DURATION", "0:0:0").split(":")
        promised = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
        rate = float(stream.average_rate or 1)
        whole = last + 2 / rate > promised
    if not whole:
        raise ValueError(f"is cut short: it ends at {last:.2f} s")


def _upright(frame: av.VideoFrame, size: int) -> np.ndarray:
    image = Image.fromarray(np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90))
    return np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC))
