"""Data of the page "Draw or drop a picture": the runtime, the network, words and emoji.

All that is loaded only when asked for lies in one compressed stream, cut into scripts of about a
megabyte so that a page can tell how far it is; `draw.js` tells their sizes, and holds the
pictures to try. It is made once and kept in the reader's cache.
"""

import base64
import gzip
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import skimage
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import drawing  # noqa: E402
import network  # noqa: E402
from javascript import NODE, node_modules, write_data  # noqa: E402

from mmfuse_utils import vision  # noqa: E402
from mmfuse_utils.cache import cache_dir, keep  # noqa: E402
from mmfuse_utils.data.pictures import PIXELS, load_images, read_pictures  # noqa: E402
from mmfuse_utils.service.build import TEMPERATURE, credit  # noqa: E402
from mmfuse_utils.service.kept import recipe_key  # noqa: E402

PIECE = 1_000_000           # bytes of a script's content
SIDE, STYLE = 64, "noto"    # of the small pictures
EXAMPLE = 256               # pixels, of the pictures to try
# Photographs that scikit-image ships, free for any use; emoji whose outlines stand for drawings,
# none of them among the outlines that were learned.
PHOTOGRAPHS = {"a cat": ("chelsea.png", "photograph by Stéfan van der Walt, CC0"),
               "a cup of coffee": ("coffee.png", "photograph by Rachel Michetti, CC0")}
DRAWINGS = {"an umbrella": "2602", "a guitar": "1F3B8", "a bicycle": "1F6B2", "a fish": "1F41F"}


def webp(picture, quality=80):
    """A picture as bytes of a WebP file."""
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=quality, method=6)
    return buffer.getvalue()


def numbers(space):
    """Everything that a page computes with, as 16-bit numbers: names and shapes, and bytes."""
    tables = {"map": space.ridge.coef_, "middle": space.ridge.image_mean_[None],
              "classNames": space.names.label_vectors_,
              "namesMean": space.names.image_mean_[None], "words": space.word_rows,
              "emoji": space.emoji_rows}
    content = b"".join(np.ascontiguousarray(table, "<f2").tobytes() for table in tables.values())
    return {name: table.shape for name, table in tables.items()}, content


def small_pictures(emoji):
    """One drawing of each emoji, and who drew it: WebP files."""
    rows = emoji.gallery(range(len(emoji)), styles=[STYLE])
    pictures = read_pictures([emoji.pictures.path[row] for row in rows])
    return [webp(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)) for picture in pictures]


def examples(emoji):
    """Pictures to try: name, kind, credit and the picture."""
    found = []
    for name, (file, by) in PHOTOGRAPHS.items():
        path = Path(skimage.__file__).parent / "data" / file
        content = webp(Image.fromarray(load_images([path], EXAMPLE)[0]))
        found.append({"name": name, "kind": "photograph", "credit": by,
                      "picture": base64.b64encode(content).decode()})
    for name, code in DRAWINGS.items():
        [row] = emoji.gallery([emoji.ids.index(code)], styles=[STYLE])
        drawn = drawing.outline(load_images([emoji.pictures.path[row]], PIXELS)[0])
        buffer = io.BytesIO()
        Image.fromarray(drawn).convert("1").save(buffer, "PNG", optimize=True)
        found.append({"name": name, "kind": "drawing", "credit": f"outline of {credit(STYLE)}",
                      "picture": base64.b64encode(buffer.getvalue()).decode()})
    return found


def stream(space, emoji):
    """All parts one after the other, and what a page needs to know to take them apart."""
    runtime = node_modules() / "onnxruntime-web" / "dist" / "ort-wasm-simd-threaded.wasm"
    shapes, table = numbers(space)
    small = small_pictures(emoji)
    names = {"words": space.words, "labels": vision.imagenet_labels(), "shapes": shapes,
             "emoji": [[code, name[0]] for code, name in zip(emoji.ids, emoji.names["en"],
                                                             strict=True)],
             "pictures": [len(picture) for picture in small], "credit": credit(STYLE),
             "size": PIXELS, "temperature": TEMPERATURE, "weights": drawing.NAMES_WEIGHT}
    parts = {"runtime": runtime.read_bytes(),
             "network": network.export(vision.load_backbone(), network.CHOSEN, PIXELS),
             "numbers": table, "names": json.dumps(names, ensure_ascii=False).encode(),
             "pictures": b"".join(small)}
    return {name: len(part) for name, part in parts.items()}, b"".join(parts.values())


def make(folder):
    """Write all scripts into a new folder."""
    pairs = drawing.load_pairs()
    sizes, content = stream(drawing.learn(pairs), pairs.emoji)
    packed = gzip.compress(content, 9, mtime=0)
    pieces = []
    for start in range(0, len(packed), PIECE):
        name = f"draw-{len(pieces):02d}"
        write_data(folder / f"{name}.js", name, packed[start:start + PIECE])
        pieces.append({"name": name, "bytes": (folder / f"{name}.js").stat().st_size})
    facts = {"pieces": pieces, "parts": sizes, "examples": examples(pairs.emoji)}
    write_data(folder / "draw.js", "draw", json.dumps(facts, ensure_ascii=False).encode())


def main():
    tools = Path(__file__).resolve().parent.parent
    recipe = [Path(path).read_text(encoding="utf8") for path in (
        __file__, tools / "drawing.py", tools / "network.py", NODE / "package-lock.json")]
    key = recipe_key("draw", recipe, onnx.__version__)
    made = keep(cache_dir() / "live" / f"draw-{key}", make)
    shutil.copytree(made, sys.argv[1], dirs_exist_ok=True)


if __name__ == "__main__":
    main()
