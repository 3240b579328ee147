"""How well the page "Draw or drop a picture" sees, and whether it sees what PyTorch sees.

`python benchmarks/draw.py` writes draw.json beside it, and needs the built site with that page; a
browser opens it from the disk. What it finds, the page quotes as recorded.

Quality: a drawing of each of two hundred concepts is left out, then shown, as it is and as an
outline; the map has learned the other drawings of the concept. Agreement: a hundred pictures go
through the page, and through Python.
"""

import argparse
import json
import platform
import shutil
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import skimage
import torch
from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import drawing  # noqa: E402
import network  # noqa: E402
from javascript import run_node  # noqa: E402

from mmfuse_utils import text, vision  # noqa: E402
from mmfuse_utils.cache import write_then_rename  # noqa: E402
from mmfuse_utils.data.pictures import PIXELS, load_images  # noqa: E402
from mmfuse_utils.ledger import result  # noqa: E402
from mmfuse_utils.metrics import bootstrap_interval, ranks  # noqa: E402
from mmfuse_utils.retrieval import unit_rows  # noqa: E402

OUTPUT = Path(__file__).with_suffix(".json")
PAGE = ROOT / "_build" / "html" / "draw.html"
N_WORDS, N_EMOJI = 8, 9        # as many as the page shows
N_DRAWN, N_OUTLINED, SIZES = 40, 40, (96, 128, 181, 300)
PHOTOGRAPHS = ("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png",
               "clock_motion.png", "coffee.png", "coins.png", "color.png", "grass.png",
               "gravel.png", "horse.png", "hubble_deep_field.jpg", "ihc.png", "moon.png",
               "motorcycle_left.png", "motorcycle_right.png", "page.png", "retina.jpg",
               "rocket.jpg")
RUN = """
const ort = require("onnxruntime-web"), fs = require("fs");
const [model, pixels, target, size] = process.argv.slice(2);
(async () => {
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(fs.readFileSync(model),
    { executionProviders: ["wasm"] });
  const all = new Float32Array(fs.readFileSync(pixels).buffer), step = 3 * size * size;
  const out = fs.openSync(target, "w");
  for (let i = 0; i < all.length; i += step) {
    const pictures = new ort.Tensor("float32", all.slice(i, i + step), [1, 3, +size, +size]);
    fs.writeSync(out, Buffer.from((await session.run({ pictures })).features.data.buffer));
  }
})();
"""


def right_words(space, pairs, queries, concepts):
    """1 where a word of the concept's name or keywords is among the first `N_WORDS`: (n,)."""
    told = text.concept_tokens(pairs.emoji)
    first = np.argsort(-(queries @ space.word_rows.T), axis=1)[:, :N_WORDS]
    return np.array([any(space.words[row] in told[concept] for row in rows)
                     for rows, concept in zip(first, concepts, strict=True)], float)


def right_emoji(table, queries, concepts):
    """1 where the concept is among the first `N_EMOJI`: (n,)."""
    return (ranks(queries @ table.T, concepts) <= N_EMOJI).astype(float)


def without_map(pairs, rows, queries):
    """Means of the features of each concept, and the queries, beside which no map is needed."""
    seen = np.sqrt(np.maximum(pairs.features, 0))
    middle = seen[rows].mean(axis=0)
    sums = np.zeros((len(pairs.emoji), seen.shape[1]))
    np.add.at(sums, pairs.concept[rows], unit_rows(seen[rows] - middle))
    return unit_rows(sums), unit_rows(np.sqrt(np.maximum(queries, 0)) - middle)


def measure(pairs):
    """All shares of the ledger as rows of 0 and 1, a column a query; and the queries' concepts."""
    split = pairs.emoji.split(0, strict=True)
    concepts, left_out = split.test, pairs.emoji.gallery(split.test, 0)
    rows = np.setdiff1d(np.arange(len(pairs.features)), left_out)
    outlines = np.flatnonzero(~np.isin(pairs.outlined, left_out))
    space = drawing.learn(pairs, rows, outlines)
    plain = drawing.learn(pairs, rows, np.arange(0))
    order = np.random.default_rng(0).permutation(len(pairs.texts))
    shuffled = drawing.learn(pairs, rows, outlines, pairs.texts[order])
    shown = {"picture": pairs.features[left_out], "outline": drawing.outline_features(
        [pairs.emoji.pictures.path[row] for row in left_out])}
    found = {}
    for kind, features in shown.items():
        for name, which in (("", space), (".random", shuffled), (".unpracticed", plain)):
            queries = which.place(features, "drawing")
            found[f"draw.{kind}.words{name}"] = right_words(which, pairs, queries, concepts)
            found[f"draw.{kind}.emoji{name}"] = right_emoji(which.emoji_rows, queries, concepts)
        table, queries = without_map(pairs, rows, features)
        found[f"draw.{kind}.emoji.features"] = right_emoji(table, queries, concepts)
        del found[f"draw.{kind}.emoji.random"]      # any map keeps pictures near their like
    return found, concepts


def quality(pairs, date):
    """Entries of the ledger: share and interval over subgroups."""
    found, concepts = measure(pairs)
    entries = []
    for key, values in found.items():
        emoji = ".emoji" in key
        control = (None if key.count(".") > 2 else f"{key}.random" if not emoji else
                   "the features alone, without a map, under .features")
        entries.append(result(
            key, values.mean(), bootstrap_interval(values, pairs.emoji.clusters[concepts]),
            recorded=date, control=control,
            chance=N_EMOJI / len(pairs.emoji) if emoji else None))
    return entries


def test_pictures(pairs, folder):
    """A hundred picture files: drawings and outlines of many sizes, and photographs."""
    rng, table, made = np.random.default_rng(0), pairs.emoji.pictures.path, []
    for i, row in enumerate(rng.permutation(len(table))[:N_DRAWN + N_OUTLINED]):
        size = SIZES[i % len(SIZES)]
        if i < N_DRAWN:
            picture = Image.open(table[row]).convert("RGBA").resize((size, size))
        else:
            picture = Image.fromarray(drawing.outline(load_images([table[row]], size)[0]))
        made.append(folder / f"{i:03d}.png")
        picture.save(made[-1])
    return made + [Path(skimage.__file__).parent / "data" / name for name in PHOTOGRAPHS]


def kind_of(number):
    """How the page should look at a picture of `test_pictures`."""
    return "drawing" if number < N_DRAWN + N_OUTLINED else "photograph"


def first_words(space, features, kinds):
    """The word that Python finds nearest to each picture."""
    return [space.words[int((space.place(row[None], kind) @ space.word_rows.T).argmax())]
            for row, kind in zip(features, kinds, strict=True)]


def after_a_look(tab, act):
    """Do something that makes the page look, and wait until it has."""
    seen = tab.evaluate("() => document.querySelector('.draw').dataset.looks")
    act()
    tab.wait_for_function("seen => document.querySelector('.draw').dataset.looks !== seen",
                          arg=seen)


def ask_page(tab, path, kind):
    """Put a picture file on the page's sheet: the words that it lists."""
    after_a_look(tab, lambda: tab.set_input_files(".draw input[type=file]", path))
    if kind == "drawing":       # what is chosen counts as a photograph at first
        after_a_look(tab, lambda: tab.check("input[value=drawing]"))
    return tab.locator(".draw-words li span:first-child").all_inner_texts()


def open_page(playwright, page):
    """The page from the disk in a browser, its network loaded."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    tab = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"]).new_page()
    tab.goto(page.absolute().as_uri())
    tab.click(".draw-load")
    tab.wait_for_selector(".draw-loader", state="detached", timeout=120_000)
    return tab


def words_of_page(page, paths, kinds):
    """The word that the page names first for each picture."""
    with sync_playwright() as playwright:
        tab = open_page(playwright, page)
        return [ask_page(tab, path, kind)[0] for path, kind in zip(paths, kinds, strict=True)]


@torch.inference_mode()
def run_exported(images, precision, folder):
    """What the exported network makes of pictures (n, size, size, 3), in Node: (n, dim)."""
    backbone = vision.load_backbone()
    pixels = backbone.preprocess(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    (folder / "pixels").write_bytes(pixels.astype("<f4").tobytes())
    (folder / "model").write_bytes(network.export(backbone, precision, PIXELS))
    (folder / "run.cjs").write_text(RUN, encoding="utf8")
    run_node(folder / "run.cjs", folder / "model", folder / "pixels", folder / "features", PIXELS)
    return np.fromfile(folder / "features", "<f4").reshape(len(images), -1)


def agreement(space, page):
    """By way, the share of a hundred pictures for which it names the same word as PyTorch."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = test_pictures(drawing.load_pairs(), folder)
        images, kinds = load_images(paths), [kind_of(i) for i in range(len(paths))]
        expected = first_words(space, vision.extract_features(images), kinds)
        found = {precision: first_words(space, run_exported(images, precision, folder), kinds)
                 for precision in network.PRECISIONS}
        found["page"] = words_of_page(page, paths, kinds)
    return len(paths), {way: float(np.mean([a == b for a, b in zip(expected, words, strict=True)]))
                        for way, words in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to ask")
    page = parser.parse_args().page
    date, pairs = time.strftime("%Y-%m-%d"), drawing.load_pairs()
    entries = quality(pairs, date)
    n_pictures, shares = agreement(drawing.learn(pairs), page)
    entries += [result(f"draw.agreement.{way}", share, recorded=date,
                       exact=f"counted on {n_pictures} pictures")
                for way, share in shares.items()]
    about = {"date": date, "python": platform.python_version(),
             **{name: version(name) for name in ("numpy", "torch", "onnx")},
             "pictures": n_pictures, "ledger": entries}
    with write_then_rename(OUTPUT) as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n", encoding="utf8")
    for entry in entries:
        print(entry["key"], round(entry["value"], 4), entry["interval"] or "")


if __name__ == "__main__":
    main()
