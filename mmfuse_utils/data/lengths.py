"""How long a file should be, by what it says itself; where less is there, it was cut short."""

import math
import mmap


def promised_length(content: bytes | mmap.mmap, kind: str) -> float:
    """Bytes that a video file should have at least; infinity where its end is missing.

    content : what is there of it. kind : FFmpeg's name of its kind; 0 comes back for those in
        which FFmpeg notices a cut itself, and for those that promise nothing.

    A GIF and an animated PNG have a mark at their end, behind which anything may follow; an AVI
    and a Matroska or WebM file tell their length at the beginning.

    >>> promised_length(b"RIFF" + bytes([4, 0, 0, 0]) + b"AVI", "avi")
    12
    """
    measure = {"gif": _gif_length, "apng": _png_length, "avi": _avi_length,
               "matroska,webm": _matroska_length}.get(kind, lambda _: 0)
    try:
        return measure(content)
    except IndexError:
        return math.inf


def _gif_length(content: bytes | mmap.mmap) -> int:
    """Bytes up to the mark at the end; IndexError without one. Source: GIF89a specification."""
    def after_colors(at: int) -> int:
        flags = content[at]
        return at + (3 << (flags & 7) + 1 if flags & 128 else 0)

    at = after_colors(10) + 3
    while content[at] != 0x3B:
        if content[at] == 0x2C:         # a picture: place, size, flags, colors, a number
            at = after_colors(at + 9) + 2
        elif content[at] == 0x21:       # an extension
            at += 2
        while content[at]:              # parts, each with its length in front; none is the last
            at += 1 + content[at]
        at += 1
    return at + 1


def _png_length(content: bytes | mmap.mmap) -> int:
    """Bytes up to the last chunk; IndexError without one. Source: PNG specification, section 5."""
    at = 8
    while (name := content[at + 4:at + 8]) != b"IEND":
        if len(name) < 4:
            raise IndexError("no last chunk")
        at += 12 + int.from_bytes(content[at:at + 4])   # a length, a name, the chunk, a checksum
    return at + 12


def _avi_length(content: bytes | mmap.mmap) -> int:
    """Bytes that the first part should have; a live recording tells no length, and 0 is given."""
    number = int.from_bytes(content[4:8], "little")
    return 8 + number if number < 2 ** 32 - 1 else 0


def _matroska_length(head: bytes | mmap.mmap) -> int:
    """Bytes that a file should have: a header, then a segment, each with its length in front.

    Source: RFC 8794, section 6. A live recording tells no length, and 0 is returned.
    """
    def after_number(at: int) -> tuple[int, int]:
        n_bytes = 9 - head[at].bit_length()
        number = int.from_bytes(head[at:at + n_bytes]) & (1 << 7 * n_bytes) - 1
        is_unknown = number == (1 << 7 * n_bytes) - 1
        return at + n_bytes, 0 if is_unknown else number

    start, header = after_number(4)
    start, segment = after_number(start + header + 4)
    return start + segment if segment else 0
