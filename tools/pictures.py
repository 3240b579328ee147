"""Pictures of the built pages: files of their own, in a small format, loaded when they come near.

A picture that stands in a page as base64 is a third larger there, holds the text up, and cannot be
kept by the browser. Here it becomes a file in `_images/`, named by its content; every picture gets
its size, so that nothing moves when it arrives.
"""

import base64
import hashlib
import html
import io
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from PIL import Image

INLINE = re.compile(r'((?:src|href)=")data:image/([\w+]+);base64,([\w+/=\s]+)(?=")')
TAG = re.compile(r"<img\b[^>]*>")
LOSSLESS_AT_MOST = 60_000       # bytes; what is larger without loss is a photograph
QUALITY = 90


def place_pictures(site, pages):
    """The pages, texts by name, with their pictures in files, sized and loaded late."""
    return {name: size_pictures(site, name, move_pictures(site, name, text))
            for name, text in pages.items()}


def move_pictures(site, name, text):
    """A page with each base64 picture moved into a file."""
    def move(found):
        content, kind = smaller(base64.b64decode(found[3]), found[2].removesuffix("+xml"))
        file = keep_picture(site, content, kind)
        return f"{found[1]}{'../' * name.count('/')}{file}"

    return INLINE.sub(move, text)


def keep_picture(site, content, kind):
    """Write a picture under the name of its content; its address from the site's first page."""
    file = f"_images/{hashlib.sha256(content).hexdigest()[:20]}.{kind}"
    (site / "_images").mkdir(exist_ok=True)
    (site / file).write_bytes(content)
    return file


def smaller(content, kind):
    """A PNG as WebP where that is smaller: without loss, but for what is large and a photograph.

    Other pictures stay as they are.
    """
    if kind != "png":
        return content, kind
    picture, made = Image.open(io.BytesIO(content)), [(content, kind)]
    for settings in ({"lossless": True}, {"quality": QUALITY}):
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", method=6, **settings)
        made.append((buffer.getvalue(), "webp"))
        if len(buffer.getvalue()) <= LOSSLESS_AT_MOST:
            break
    return min(made, key=lambda made: len(made[0]))


def size_pictures(site, name, text):
    """A page whose pictures have their size; all but the first are loaded when they come near."""
    lazy = False

    def finish(found):
        nonlocal lazy
        tag, late = found[0], lazy
        source = re.search(r'\bsrc="([^"]+)"', tag)
        if source is None or urlsplit(source[1]).scheme:
            return tag
        tag = tag.replace(source[1], as_webp(site, name, source[1]))
        if "logo__image" not in tag:
            lazy = True
        return add_attributes(tag, picture_size(path_of(site, name, source[1])), late)

    return TAG.sub(finish, text)


def as_webp(site, name, address):
    """Address of a page's picture, as WebP where it is a larger PNG."""
    path = path_of(site, name, address)
    if path.suffix != ".png":
        return address
    content, kind = smaller(path.read_bytes(), "png")
    return address if kind == "png" else (
        "../" * name.count("/") + keep_picture(site, content, kind))


def path_of(site, name, address):
    """File of an address that a page names."""
    return (site / name).parent / unquote(urlsplit(html.unescape(address)).path)


def add_attributes(tag, size, late):
    """A picture's tag with its size, decoded beside the text, and loaded late if it may be."""
    wanted = {"width": size[0], "height": size[1]} if "width=" not in tag else {}
    wanted |= {"decoding": "async"} | ({"loading": "lazy"} if late else {})
    added = "".join(f' {key}="{value}"' for key, value in wanted.items() if f" {key}=" not in tag)
    return re.sub(r"\s*/?>$", f"{added}>", tag)


def picture_size(path):
    """Width and height of a picture in whole pixels, also of an SVG."""
    if path.suffix != ".svg":
        with Image.open(path) as picture:
            return picture.size
    head = re.search(r"<svg\b[^>]*>", path.read_text(encoding="utf8"))[0]
    box = re.search(r'viewBox="[\d.-]+ [\d.-]+ ([\d.]+) ([\d.]+)"', head)
    return tuple(round(float(number)) for number in box.groups())
