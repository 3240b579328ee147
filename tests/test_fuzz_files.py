"""Damaged files of every kind that can be written here: read all the same, or refused by name.

One minute by default, half for pictures and half for videos; `pytest --fuzz-seconds=3600
tests/test_fuzz_files.py` goes on for an hour. The number in a failure's message makes the same
damage again.
"""

import io
import itertools
import time

import av
import numpy as np
import pytest
from PIL import Image

from mmfuse_utils.data.clips import N_FRAMES
from mmfuse_utils.data.pictures import file_digests, load_images, read_pictures
from mmfuse_utils.video_files import load_videos

pytestmark = pytest.mark.filterwarnings("ignore")    # Pillow has much to say about such files
NOISE = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 4), dtype=np.uint8)
MODES = ("RGB", "RGBA", "L", "LA", "P", "1", "I;16", "I", "F", "CMYK", "LAB", "YCbCr")
# Pillow reads these kinds and does not write them; how they begin leads into their readers.
BEGINNINGS = {
    "CUR": b"\0\0\2\0\1\0", "DCX": b"\xb1\x68\xde\x3a\x10\0\0\0\0\0\0\0\x0a\5\1\x08",
    "FITS": b"SIMPLE  =" + b"T".rjust(21) + b" " * 50,
    "FLI": b"\0\1\0\0\x11\xaf\2\0\x40\0\x40\0\x08\0",
    "FTEX": b"FTEX\0\0\1\0\x40\0\0\0\x40\0\0\0",
    "GBR": b"\0\0\0\x20\0\0\0\2\0\0\0\x08\0\0\0\x08\0\0\0\4",
    "IMT": b"width 8\nheight 8\n\x0c", "IPTC": b"\x1c\3\x3c\0\2\1\0\x1c\3\x14\0\1\x40",
    "MCIDAS": b"\0\0\0\0\0\0\0\4" + b"\0\0\0\1" * 8, "MPEG": b"\0\0\1\xb3\4\0\x40",
    "PCD": b"\0" * 2048 + b"PCD_OPA", "PIXAR": b"\200\350\0\0",
    "PSD": b"8BPS\0\1\0\0\0\0\0\0\0\3\0\0",
    "SUN": b"\x59\xa6\x6a\x95\0\0\0\x08\0\0\0\x08\0\0\0\x18",
    "WMF": b"\xd7\xcd\xc6\x9a\0\0",
    "XPM": b"/* XPM */\nstatic char *a[] = {\n\"2 2 1 1\",\n\"a c #ff0000\",\n\"aa\",\n\"aa\"};",
    "XVTHUMB": b"P7 332\n#END_OF_COMMENTS\n8 8 255\n"}


def picture(kind, mode):
    """A picture file of a kind and mode, as bytes."""
    content = io.BytesIO()
    first, second = (Image.fromarray(pixels).convert("RGB").convert("L" if mode[0] in "I1F" else
                                                                    "RGB") for pixels in NOISE[:2])
    more = {"save_all": True, "append_images": [second]} if mode == "RGBA" else {}
    first.convert(mode).save(content, kind, **more)
    return content.getvalue()


def video(kind, codec):
    """Four frames in a container, in its own codec if none is given, as bytes."""
    if av.ContainerFormat(kind, "w").no_file:
        raise ValueError(f"{kind} would write to other files, to devices or into the network")
    content = io.BytesIO()
    with av.open(content, "w", format=kind) as container:
        stream = container.add_stream(codec or container.default_video_codec, rate=25)
        stream.width = stream.height = 64
        formats = [one.name for one in stream.codec_context.codec.video_formats or []]
        stream.pix_fmt = formats[0] if formats and "yuv420p" not in formats else "yuv420p"
        for frame in NOISE:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgba")))
        container.mux(stream.encode())
    return content.getvalue()


def whole_files(make, combinations, load):
    """What can be written and read here, by kind."""
    files = {}
    for combination in combinations:
        try:
            content = make(*combination)
            load(io.BytesIO(content))
        except Exception:       # this library cannot write or read it: nothing to damage
            continue
        files[combination] = content
    return files


@pytest.fixture(scope="module")
def pictures():
    Image.init()
    files = whole_files(picture, itertools.product(sorted(Image.SAVE), MODES),
                        lambda content: Image.open(content).load())
    return files | {(kind, "start"): start + NOISE.tobytes() for kind, start in BEGINNINGS.items()}


@pytest.fixture(scope="module")
def videos():
    def load(content):
        with av.open(content) as container:
            assert list(container.decode(video=0))

    own = [(kind, None) for kind in sorted(av.formats_available)]
    others = itertools.product(("matroska", "nut", "mov", "avi"), sorted(av.codecs_available))
    return whole_files(video, [*own, *others], load)


def damaged(files, number):
    """One of the files with damage of a kind drawn by the number; the name of the kind."""
    rng, names = np.random.default_rng(number), list(files)
    name = names[number % len(names)]
    content = np.frombuffer(files[name], np.uint8).copy()
    places = np.sort(rng.integers(0, min(len(content), rng.choice([80, 600, 10**9])), 2))
    how = rng.integers(6)
    if how == 0:
        return content[:places[1]].tobytes(), name                          # cut short
    if how == 1:
        return np.delete(content, np.r_[places[0]:places[1]]).tobytes(), name   # a hole
    if how == 2:
        content[places[0]:places[1]] = rng.choice([0, 255])                 # a blank stretch
    elif how == 3:                                                          # another file's end
        other = np.frombuffer(files[names[rng.integers(len(names))]], np.uint8)
        content = np.concatenate([content[:places[1]], other[places[1]:]])
    else:                                                                   # some bytes changed
        some = rng.integers(0, places[1] + 1, rng.integers(1, 20))
        content[some] = rng.integers(0, 256, len(some))
    return content.tobytes(), name


def fuzz(files, seconds, path, read):
    """Damage and read for so long, and each kind at least twice; how many files were refused."""
    end, refused = time.monotonic() + seconds, 0
    for number in itertools.count():
        if number >= 2 * len(files) and time.monotonic() > end:
            return refused, number
        content, name = damaged(files, number)
        path.write_bytes(content)
        try:
            read([path])
        except ValueError as error:
            assert str(error).startswith("1 of 1 ") and str(path) in str(error), (number, name)
            refused += 1
        except Exception as error:
            raise AssertionError(f"damage {number} of {name}: {error!r}") from error


def test_damaged_pictures_are_read_or_named(pictures, fuzz_seconds, tmp_path):
    assert {"PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"} <= {kind for kind, _ in pictures}

    def read(paths):
        assert load_images(paths, size=16).shape == (1, 16, 16, 3)
        assert read_pictures(paths)[0].mode == "RGBA" and file_digests(paths)

    refused, number = fuzz(pictures, fuzz_seconds / 2, tmp_path / "a picture", read)
    assert 0 < refused < number


def test_damaged_videos_are_read_or_named(videos, fuzz_seconds, tmp_path):
    kinds = {kind for kind, _ in videos}
    assert {"mp4", "webm", "gif", "avi", "mov", "matroska", "mpegts"} <= kinds

    def read(paths):
        assert load_videos(paths, size=16).shape == (1, N_FRAMES, 16, 16, 3)

    refused, number = fuzz(videos, fuzz_seconds / 2, tmp_path / "a video", read)
    assert 0 < refused < number
