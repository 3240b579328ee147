"""Pictures that strangers send: told apart by their bytes, measured before they are decoded."""

import io
import warnings

import numpy as np
from PIL import Image

from mmfuse_utils.data import pictures

KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif",
         "BMP": "image/bmp", "TIFF": "image/tiff"}


class PictureError(ValueError):
    """A picture is refused; `status` says how, as a code of HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def media_type(data: bytes) -> str | None:
    """The type of a picture by its first bytes, None for any that is not served here.

    >>> media_type(b"GIF89a"), media_type(b"%PDF-1.7")
    ('image/gif', None)
    """
    heads = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF87a": "GIF",
             b"GIF89a": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF"}
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return KINDS["WEBP"]
    return next((KINDS[kind] for head, kind in heads.items() if data.startswith(head)), None)


def open_picture(data: bytes, most_pixels: int) -> np.ndarray:
    """The pixels of a picture, upright, on white: (height, width, 3), uint8.

    An animation is its first frame. Raises `PictureError` for what is no picture of a known kind,
    has too many pixels by its own header, which is read first, or cannot be decoded.

    >>> open_picture(b"%PDF-1.7", 100)
    Traceback (most recent call last):
    mmfuse_utils.service.received.PictureError: This is no PNG, JPEG, WebP, GIF, BMP or TIFF ...
    """
    if media_type(data) is None:
        raise PictureError(415, "This is no PNG, JPEG, WebP, GIF, BMP or TIFF picture, whatever "
                                "its name or content type says.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=list(KINDS)) as picture:
                width, height = picture.size
            if width * height > most_pixels:
                raise PictureError(413, f"The picture has {width:,} by {height:,} pixels; "
                                        f"{most_pixels:,} in all are the most.")
            return pictures.on_white(pictures._decode(io.BytesIO(data)))
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(413, f"The picture has more than {most_pixels:,} pixels.") from error
    except Exception as error:  # on damaged files, decoders raise any type, MemoryError too
        raise PictureError(422, "The picture is damaged or cut short, or of a kind that is not "
                                "decoded here.") from error
