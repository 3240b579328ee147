"""Video files: written from frames, and read back as frames evenly spaced in time."""

import contextlib
import io
import math
import mmap
import types
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from numbers import Real
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps

from mmfuse_utils.cache import write_then_rename
from mmfuse_utils.data.clips import N_FRAMES, PIXELS
from mmfuse_utils.data.lengths import promised_length
from mmfuse_utils.data.pictures import MAX_PIXELS, Paths, check_side, on_white, read_each

CODECS = {".mp4": "libx264", ".webm": "libvpx-vp9", ".gif": "gif"}
SLOWEST = {".mp4": 0.001, ".webm": 0.001, ".gif": 0.002}  # frames a second; in a GIF, a frame
FASTEST = {".mp4": 1000, ".webm": 1000, ".gif": 100}       # lasts 655.35 seconds at most
WITH_OPACITY = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders leave it out
GAP = 10.0  # seconds; a recording that goes on after more is another one, put behind the first
LATE = 32  # frames; none is that far from its place, so that after so many no earlier one comes


def write_video(path: str | Path, frames: np.ndarray, rate: float | Fraction = 8) -> None:
    """Write frames to a video file; the name's ending says which kind: .mp4, .webm or .gif.

    frames : (n_frames, height, width, 3), uint8, height and width even. rate : frames a second,
        such as 8, 29.97 or Fraction(30000, 1001); from 0.002 to 100 in a GIF, which counts time
        in hundredths of a second, from 0.001 to 1000 in the other kinds.

    All three kinds lose something: MP4 and WebM keep color at half the resolution, GIF keeps
    256 colors. Raises ValueError for another ending, shape, type or rate, and `WriteError` for
    a folder that cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_video(Path(folder, "a.mp4"), np.zeros((9, 32, 32, 3), np.uint8), rate=29.97)
    ...     load_videos([Path(folder, "a.mp4")], size=16).shape
    (1, 8, 16, 16, 3)
    """
    path = Path(path)
    if path.suffix not in CODECS:
        raise ValueError(f"{path.name} should end in one of {', '.join(CODECS)}.")
    frames = _stacked(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or any(
            side % 2 for side in frames.shape[1:3]) or frames.size == 0:
        raise ValueError("Expected frames as uint8 of shape (n_frames, height, width, 3), height "
                         f"and width even; got {frames.dtype} of shape {frames.shape}.")
    is_gif = path.suffix == ".gif"
    slowest, fastest = SLOWEST[path.suffix], FASTEST[path.suffix]
    if not _is_number(rate) or not slowest <= rate <= fastest:
        raise ValueError(f"Expected from {slowest} to {fastest} frames a second in a "
                         f"{path.suffix} file; got {rate!r}.")
    with (write_then_rename(path) as temporary, open(temporary, "wb") as file,
          av.open(file, "w", format=path.suffix[1:]) as container):
        # Each frame of a GIF is stored whole: FFmpeg takes equal numbers for equal colors,
        # although each frame has colors of its own.
        exact = Fraction(float(rate)).limit_denominator(1001)
        stream = container.add_stream(CODECS[path.suffix], exact,
                                      options={"gifflags": "0"} if is_gif else {})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "pal8" if is_gif else "yuv420p"
        for frame in frames:
            picture = _with_palette(frame) if is_gif else av.VideoFrame.from_ndarray(frame)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _stacked(frames: np.ndarray) -> np.ndarray:
    """Frames, which may come as a list, as one array; ValueError when their sizes differ."""
    shapes = {np.shape(frame) for frame in frames} if isinstance(frames, (list, tuple)) else ()
    if len(shapes) > 1:
        raise ValueError("Expected frames of one size; got frames of shapes "
                         f"{', '.join(map(str, sorted(shapes)))}.")
    return np.ascontiguousarray(frames)


def _is_number(value: object) -> bool:
    return isinstance(value, (Real, Decimal)) and not math.isnan(value)


def _with_palette(frame: np.ndarray) -> av.VideoFrame:
    """A frame in the 256 colors that suit it best, which Pillow chooses well."""
    picture = Image.fromarray(frame).quantize(256)
    colors = np.array(picture.getpalette(), np.uint8).reshape(-1, 3)
    palette = np.full((256, 4), 255, np.uint8)      # opacity, red, green, blue
    palette[:len(colors), 1:] = colors
    return av.VideoFrame.from_ndarray((np.asarray(picture), palette), "pal8")


def load_videos(paths: Paths, size: int = PIXELS, start: float = 0.0,
                end: float | None = None) -> np.ndarray:
    """Eight frames of each video file: (n_paths, 8, size, size, 3), uint8.

    The frames are those on show at eight evenly spaced times between the first and the last
    frame, whatever the frame rate, even or not, and in the order of show, whatever the times in
    the file. Recordings joined into one file follow each other. Frames look as a player shows
    them: rotation and mirror marks are obeyed, pixels that are not square made so, transparent
    parts are white. Then the shorter side is resized to `size` and the middle is cut out.

    start, end : read only this part of every video, in seconds from its beginning. Of several
        picture tracks, the one marked as default is read.

    Raises TypeError for one path in place of a list, ValueError for a size, start or end that
    makes no sense, and ValueError naming all files that are missing, broken, cut short (where
    their kind tells), without a picture track, larger than `MAX_PIXELS` or with fewer than two
    frames in that part.

    >>> load_videos([]).shape
    (0, 8, 96, 96, 3)
    """
    check_side(size)
    last = math.inf if end is None else end
    if not (_is_number(start) and _is_number(last) and 0 <= start < last):
        raise ValueError("Expected a start of 0 seconds or more, and an end after it or None; got "
                         f"start={start!r}, end={end!r}.")
    clips = read_each(lambda path: _read(path, size, float(start), float(last)), paths, "videos")
    return np.fromiter(clips, np.dtype((np.uint8, (N_FRAMES, size, size, 3))))


def _read(path: str, size: int, start: float, end: float) -> np.ndarray:
    """Two passes, so that a long video never lies in memory: first the times, then the frames."""
    times, trifle = _times(path, end)
    part = times[(times >= start - trifle) & (times <= end + trifle)]
    if len(part) < 2:
        raise ValueError(f"holds {len(part)} frames in this part; a clip needs two or more")
    wanted = np.linspace(part[0], part[-1], N_FRAMES)
    shown = (np.searchsorted(times, wanted + trifle, side="right") - 1).tolist()
    frames = {}
    with _opened(path) as (_, container, stream):
        for number, frame in enumerate(_decode(container, stream)):
            if number in shown:
                frames[number] = _upright(frame, stream.sample_aspect_ratio or 1, size)
            if number == shown[-1]:
                break
    return np.stack([frames[number] for number in shown])


def _times(path: str, end: float) -> tuple[np.ndarray, float]:
    """Seconds from the first frame at which each frame is shown, until well after `end`.

    Decoders give frames in the order of show. Their times may be missing (H.264 without a
    container) or those of the order of storage (in AVI), and are sorted, therefore.

    The second result is by how much rounding may move them: by a tick of the file's clock, which
    is a hundredth of a second in a GIF, but by less than the distance of frames.
    """
    times, late = [], 0
    with _opened(path) as (file, container, stream):
        step = 1 / float(stream.guessed_rate or 25)
        for frame in _decode(container, stream):
            known = frame.time is not None
            times.append(frame.time if known else times[-1] + step if times else 0.0)
            late += times[-1] - min(times[:LATE]) > end
            if late > LATE:
                break
        else:
            _check_whole(file, container.format.name)
        tick = float(stream.time_base)
    times = np.sort(times) - min(times, default=0)
    return times, min(tick, times[-1] / 4 / len(times)) if len(times) else tick


@contextlib.contextmanager
def _opened(path: str) -> Iterator[tuple]:
    """A file, its container and its picture track.

    FFmpeg gets no name: it takes some for addresses ("talk: part 1.mp4") or for patterns of many
    files ("100%d.gif"). It may open no other file either, which playlists ask for.
    """
    with open(path, "rb") as file:
        source = types.SimpleNamespace(read=file.read, seek=file.seek, tell=file.tell)
        with av.open(source, container_options={"protocol_whitelist": ""}) as container:
            tracks = [stream for stream in container.streams.video
                      if not stream.disposition & av.stream.Disposition.attached_pic]
            if not tracks:
                raise ValueError("has no picture track")
            track = max(tracks, key=lambda stream: bool(
                stream.disposition & av.stream.Disposition.default))    # else the first
            if track.codec_context is None:
                raise ValueError("is of a kind that cannot be decoded")
            yield file, container, track


def _decode(container: av.container.InputContainer,
            stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    """Frames in the order of show."""
    decoder = stream.codec_context
    if stream.metadata.get("alpha_mode") == "1" and decoder.name in WITH_OPACITY:
        decoder = av.CodecContext.create(WITH_OPACITY[decoder.name], "r")
    decoder.thread_type = "AUTO"
    decoder.options = {"err_detect": "explode", "max_pixels": str(MAX_PIXELS)}
    for packet in _one_after_another(container, stream):
        for frame in decoder.decode(packet):
            if frame.is_corrupt:
                raise ValueError("is broken" if frame.time is None else
                                 f"is broken at {frame.time:.2f} s")
            yield frame


def _one_after_another(container: av.container.InputContainer,
                       stream: av.VideoStream) -> Iterator[av.Packet]:
    """Packets of one or more recordings; where one begins anew, its times go on from the last."""
    last, step, shift = None, 0, 0
    jumps = container.format.flags & av.format.Flags.ts_discont.value
    for packet in container.demux(stream):
        if packet.dts is not None:
            ahead = packet.dts + shift - (packet.dts if last is None else last)
            if ahead < 0 or (jumps and ahead * packet.time_base > GAP):
                shift, ahead = shift + step - ahead, step
            last, step = packet.dts + shift, ahead or step
            packet.dts += shift
            if packet.pts is not None:
                packet.pts += shift
        yield packet


def _check_whole(file: io.BufferedReader, kind: str) -> None:
    """Raise ValueError when a file ends before it says so; FFmpeg notices it in most kinds."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if len(content) < promised_length(content, kind):
            raise ValueError(f"is cut short after {len(content):,} bytes")


def _upright(frame: av.VideoFrame, aspect: Fraction, size: int) -> np.ndarray:
    """A frame as a player shows it. aspect : a pixel's width divided by its height."""
    if frame.format.has_palette or any(part.is_alpha for part in frame.format.components):
        pixels = on_white(Image.fromarray(frame.to_ndarray(format="rgba")))
    else:
        pixels = frame.to_ndarray(format="rgb24")
    height, width = pixels.shape[:2]
    picture = Image.fromarray(pixels)
    if aspect != 1:
        if width * height * max(aspect, 1 / aspect) > MAX_PIXELS:
            raise ValueError(f"has pixels of {aspect} times their height")
        picture = picture.resize((round(width * max(aspect, 1)),
                                  round(height * max(1 / aspect, 1))), Image.Resampling.BICUBIC)
    picture = Image.fromarray(_turned(np.asarray(picture), frame))
    return np.asarray(ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC))


def _turned(pixels: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """Pixels (height, width, 3) turned and mirrored as the frame's display matrix says.

    Column p and row q go to column a * p + c * q and row b * p + d * q.
    """
    marks = [data for data in frame.side_data if data.type.name == "DISPLAYMATRIX"]
    if not marks:
        return pixels
    a, b, _, c, d = np.frombuffer(bytes(marks[0]), np.int32)[:5]
    if abs(int(b)) > abs(int(a)):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return pixels[::-1 if d < 0 else 1, ::-1 if a < 0 else 1]
