"""The one way in for picture files: decoded, upright, on white; all that cannot be used, named."""

import hashlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from typing import TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

PIXELS = 128  # side of the book's pictures
MAX_PIXELS = 64_000_000  # decoded, such a picture takes a quarter of a gigabyte
MAX_SIDE = 8_000  # a square of so many pixels
UNKNOWN_GRAY = "32-bit gray values have no known brightest value"
BITS_PER_SAMPLE, PHOTOMETRIC, BLACK_IS_HIGHEST = 258, 262, 0  # of the TIFF standard

Paths = Iterable[str | os.PathLike]
Result = TypeVar("Result")


def check_side(size: int, most: int = MAX_SIDE) -> None:
    """Raise ValueError unless a side is a whole number of pixels, from 1 to `most`.

    >>> check_side(128)
    """
    if not isinstance(size, Integral) or not 1 <= size <= most:
        raise ValueError(f"size must be a whole number of pixels, from 1 to {most:,}; "
                         f"got {size!r}.")


def read_each(read: Callable[[str], Result], paths: Paths, kind: str) -> Iterator[Result]:
    """What `read` makes of each file, one after the other.

    kind : what the files are, in the plural, for the message.

    Raises TypeError where one path stands for a list of them, and after the last file a
    ValueError that names every file that cannot be used, each with the reason.

    >>> list(read_each(os.path.basename, ["a/b.png", "c.png"], "pictures"))
    ['b.png', 'c.png']
    """
    if isinstance(paths, str | bytes | os.PathLike):
        raise TypeError(f"Expected a list of paths of {kind}; got one path, {paths!r}. "
                        "Put it into square brackets.")
    n_paths, problems = 0, []
    for n_paths, path in enumerate(paths, start=1):
        try:
            result = read(os.fspath(path))
        except Exception as error:  # on damaged files, decoders raise any type, MemoryError too
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            problems.append(f"{path}: {reason}")
        else:
            yield result
    if problems:
        raise ValueError(f"{len(problems)} of {n_paths} {kind} cannot be used; mend them or "
                         "leave them out:\n" + "\n".join(problems))


def load_images(paths: Paths, size: int = PIXELS) -> np.ndarray:
    """Picture files of any kind as the network expects them: (n_paths, size, size, 3), uint8.

    Cameras' rotation marks are obeyed, transparent parts become white; gray (of up to 16 bits),
    palette and CMYK pictures become red-green-blue, an animation its first frame; then the
    shorter side is resized to `size` and the middle is cut out.

    Raises TypeError for one path in place of a list, ValueError for a size that is not a whole
    number from 1 to `MAX_SIDE`, and ValueError naming all files that are missing, broken, of no
    known format, in 32-bit gray or larger than `MAX_PIXELS`.

    >>> load_images([])
    array([], shape=(0, 128, 128, 3), dtype=uint8)
    """
    check_side(size)

    def fitted(path: str) -> np.ndarray:
        return np.asarray(ImageOps.fit(_on_paper(_decode(path)), (size, size),
                                       Image.Resampling.BICUBIC))

    return np.fromiter(read_each(fitted, paths, "pictures"),
                       np.dtype((np.uint8, (size, size, 3))))


def read_pictures(paths: Paths) -> list[Image.Image]:
    """Picture files, upright, each in its own size and with its transparency ("RGBA").

    Raises what `load_images` raises.

    >>> read_pictures([])
    []
    """
    return list(read_each(_decode, paths, "pictures"))


def file_digests(paths: Paths) -> list[str]:
    """A hash of what each picture file holds, for cache keys.

    Raises TypeError for one path in place of a list, and ValueError naming all files that
    cannot be opened.

    >>> file_digests([])
    []
    """
    return list(read_each(_digest, paths, "pictures"))


def picture_sizes(paths: Paths) -> np.ndarray:
    """Width and height of picture files in pixels, upright: (n_paths, 2), int.

    Only the beginning of each file is read. Raises TypeError for one path in place of a list,
    and ValueError naming all files that cannot be opened.

    >>> picture_sizes([]).shape
    (0, 2)
    """
    return np.array(list(read_each(_size, paths, "pictures")), int).reshape(-1, 2)


def find_unusable(paths: Paths) -> dict[str, str]:
    """Those picture files that `load_images` could not use, each with the reason.

    All are decoded, JPEG at an eighth of their size, which is quick.

    >>> find_unusable(["nowhere.png"])
    {'nowhere.png': 'no such file'}
    """
    paths = [os.fspath(path) for path in paths]
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)     # told below
        reasons = tqdm(pool.map(_fault, paths), total=len(paths), desc="Looking at pictures",
                       unit="picture", delay=1)
        return {path: reason for path, reason in zip(paths, reasons, strict=True) if reason}


def _fault(path: str) -> str | None:
    """Why a picture file cannot be used; None where it can."""
    if not os.path.isfile(path):
        return "no file but something else" if os.path.exists(path) else "no such file"
    if os.path.getsize(path) == 0:
        return "the file is empty"
    try:
        with Image.open(path) as picture:
            _check_size(picture)
            if not _is_deep_gray(picture) and picture.mode in ("F", "I"):
                return UNKNOWN_GRAY
            picture.draft("RGB", (32, 32))
            picture.load()
    except UnidentifiedImageError:
        return "no picture of a kind that can be read"
    except Image.DecompressionBombError:
        return f"its pixels are more than {MAX_PIXELS:,}"
    except Exception as error:  # on damaged files, decoders raise any type, MemoryError too
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    return None


def on_white(picture: Image.Image) -> np.ndarray:
    """Pixels of a transparent picture ("RGBA") laid on white: (height, width, 3), uint8.

    >>> on_white(Image.new("RGBA", (1, 1), (200, 0, 0, 0))).tolist()
    [[[255, 255, 255]]]
    """
    return np.asarray(_on_paper(picture))


def _on_paper(picture: Image.Image) -> Image.Image:
    paper = Image.new("RGB", picture.size, "white")
    paper.paste(picture, mask=picture.getchannel("A"))
    return paper


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(path: str) -> tuple[int, int]:
    with Image.open(path) as picture:
        lies = picture.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        return picture.size[::-1] if lies else picture.size


def _decode(path: str) -> Image.Image:
    with Image.open(path) as picture:
        _check_size(picture)
        picture.filename = ""   # with a name, Pillow mixes up plain TIFFs that lie on their side
        upright = ImageOps.exif_transpose(picture)
        if _is_deep_gray(picture):
            return _from_deep_gray(upright, getattr(picture, "tag_v2", {}))
        if picture.mode in ("F", "I"):
            raise ValueError(UNKNOWN_GRAY)
        return upright.convert("RGBA")


def _check_size(picture: Image.Image) -> None:
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width} by {height} pixels are more than {MAX_PIXELS:,}")


def _is_deep_gray(picture: Image.Image) -> bool:
    # The files of netpbm are the only ones whose 32-bit grays have a known brightest value.
    return picture.mode.startswith("I;16") or (picture.mode, picture.format) == ("I", "PPM")


def _from_deep_gray(picture: Image.Image, tags: dict) -> Image.Image:
    """12 or 16 bits to 8; Pillow's own conversion clips the values and forgets what is clear."""
    values = np.asarray(picture).astype(np.int64)
    brightest = 2 ** tags.get(BITS_PER_SAMPLE, (16,))[0] - 1
    gray = values * 255 // brightest
    if tags.get(PHOTOMETRIC) == BLACK_IS_HIGHEST:
        gray = 255 - gray
    opacity = np.where(values == picture.info.get("transparency"), 0, 255)
    return Image.fromarray(np.stack([gray, opacity], -1).astype(np.uint8)).convert("RGBA")
