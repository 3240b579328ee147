"""The page "Draw or drop a picture": from the disk and served, and what Python sees."""

import json
import re

import draw as measured
import drawing
import network
import numpy as np
import pytest
from conftest import ROOT, SITE
from draw import after_a_look, ask_page, first_words, kind_of
from javascript import node_modules, run_node
from PIL import Image

from mmfuse_utils import vision
from mmfuse_utils.data import load_emoji
from mmfuse_utils.data.pictures import PIXELS, load_images

DATA = SITE / "_static" / "live" / "data"
RECORDED = json.loads((ROOT / "benchmarks" / "draw.json").read_text(encoding="utf8"))
LEDGER = {entry["key"]: entry for entry in RECORDED["ledger"]}
FIT = """
import { fit } from "PIXELS";
const [width, height, size] = process.argv.slice(3).map(Number);
const data = require("fs").readFileSync(process.argv[2]);
require("fs").writeFileSync(process.argv[2], fit({ width, height, data }, size));
"""


def load_network(tab):
    tab.click(".draw-load")
    tab.wait_for_selector(".draw-loader", state="detached", timeout=120_000)


def draw_line(tab, *points):
    """Draw with the mouse; points in shares of the sheet's side."""
    tab.locator(".draw-sheet").scroll_into_view_if_needed()
    box = tab.locator(".draw-sheet").bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    tab.mouse.move(*at[0])
    tab.mouse.down()
    for x, y in at[1:]:
        tab.mouse.move(x, y, steps=3)
    tab.mouse.up()


def has_ink(tab):
    return tab.evaluate("""() => { const sheet = document.querySelector(".draw-sheet");
      return sheet.getContext("2d").getImageData(0, 0, sheet.width, sheet.height).data
        .some((value) => value < 200); }""")


@pytest.mark.parametrize(("width", "height", "size"), [(128, 128, 128), (300, 181, 128),
                                                       (61, 90, 128), (1000, 777, 128),
                                                       (7, 3, 5)])
def test_pixels_are_brought_to_size_as_pillow_does(tmp_path, width, height, size):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    source, script, data = tmp_path / "fit.js", tmp_path / "fit.cjs", tmp_path / "data"
    place = ROOT / "book" / "_live" / "lib" / "draw" / "pixels.js"
    source.write_text(FIT.replace("PIXELS", place.as_posix()), encoding="utf8")
    run_node(node_modules() / "esbuild" / "bin" / "esbuild", source, "--bundle",
             "--platform=node", "--log-level=error", f"--outfile={script}")
    data.write_bytes(pixels.tobytes())
    run_node(script, data, width, height, size)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    [expected] = load_images([tmp_path / "picture.png"], size).astype(int)
    found = np.fromfile(data, np.uint8).reshape(size, size, 3)
    assert np.abs(found - expected).max() <= 1      # Pillow's weights are whole numbers
    assert (found == expected).mean() > 0.99


@pytest.mark.parametrize(("precision", "most"), [("float16", 0.01), ("int8", 0.5)])
def test_the_exported_network_is_the_network(tmp_path, precision, most):
    """Weights of fewer bits move the features a little; a wrong node would move them a lot."""
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    images = images.repeat(PIXELS // 16, axis=1).repeat(PIXELS // 16, axis=2)
    found = measured.run_exported(images, precision, tmp_path)
    expected = vision.extract_features(images)
    assert np.linalg.norm(found - expected) < most * np.linalg.norm(expected)


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="float16.*int4"):
        network.export(vision.load_backbone(), "int4", PIXELS)


def test_an_outline_is_black_on_white_where_colors_change():
    picture = np.full((32, 32, 3), 255, np.uint8)
    picture[8:24, 8:24] = 200, 30, 30
    drawn = drawing.outline(picture)
    assert drawn[16, 8].max() == 0 and drawn[16, 16].min() == 255 and drawn[2, 2].min() == 255


def test_the_outlines_to_try_were_not_learned():
    script = (ROOT / "tools" / "live" / "draw.py").read_text(encoding="utf8")
    [codes] = re.findall(r"^DRAWINGS = (\{.*\})$", script, re.MULTILINE)
    emoji = load_emoji()
    concepts = [emoji.ids.index(code) for code in json.loads(codes).values()]
    shown = emoji.gallery(concepts, styles=["noto"])
    learned = emoji.gallery(range(len(emoji)), drawing.SALT)
    assert len(shown) == 4 and not set(shown) & set(learned)


def test_the_choice_of_half_precision_follows_from_what_was_recorded():
    share = {name: LEDGER[f"draw.agreement.{name}"]["value"] for name in network.PRECISIONS}
    assert max(share, key=share.get) == network.CHOSEN
    assert RECORDED["pictures"] == 100 and LEDGER["draw.agreement.page"]["value"] >= 0.95


@pytest.mark.parametrize("kind", ["picture", "outline"])
def test_what_the_page_says_of_its_quality_was_recorded(kind):
    """A word is found by what was learned; outlines are found better by who has seen some."""
    low = LEDGER[f"draw.{kind}.words"]["interval"][0]
    assert low > LEDGER[f"draw.{kind}.words.random"]["interval"][1]
    assert LEDGER[f"draw.{kind}.emoji"]["interval"][0] > LEDGER[f"draw.{kind}.emoji"]["chance"]
    assert LEDGER["draw.outline.emoji"]["value"] > (
        LEDGER["draw.outline.emoji.unpracticed"]["value"])


@pytest.mark.book
def test_nothing_is_loaded_before_it_is_asked_for_and_its_size_is_said(address, open_page):
    asked = []
    tab = open_page(f"{address}/draw.html")
    tab.on("request", lambda request: asked.append(request.url))
    tab.reload()
    button = tab.locator(".draw-load")
    button.wait_for()
    draw_line(tab, (0.2, 0.2), (0.8, 0.8))
    assert not any("draw-" in url or "draw_network" in url for url in asked)
    files = sorted(DATA.glob("draw-*.js"))
    size = sum(path.stat().st_size for path in files)
    assert button.inner_text() == f"Load the network ({size / 1e6:.1f} MB)"
    assert size < 21e6 and (DATA / "draw.js").stat().st_size < 60e3
    load_network(tab)
    come = {url.rsplit("/", 1)[1] for url in asked}
    assert {path.name for path in files} | {"draw_network.js"} <= come
    assert tab.evaluate("document.activeElement.value") == "drawing"    # not lost with the button


@pytest.fixture(scope="module")
def page(browser, site):
    """The page, opened from the disk, its network loaded; each test puts something else on it."""
    context, complaints = browser.new_context(), []
    tab = context.new_page()
    tab.on("console", lambda message: complaints.append(message.text)
           if message.type == "error" else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto((site / "draw.html").as_uri())
    load_network(tab)
    yield tab
    context.close()
    assert complaints == []


@pytest.mark.book
def test_a_drawing_is_named_undone_and_cleared(page):
    after_a_look(page, lambda: draw_line(page, (0.2, 0.5), (0.5, 0.2), (0.8, 0.5), (0.2, 0.5)))
    assert page.is_checked("input[value=drawing]") and has_ink(page)
    assert page.locator(".draw-words li").count() == measured.N_WORDS
    assert page.locator(".draw-emoji li").count() == measured.N_EMOJI
    first = page.locator(".draw-words li span").first.inner_text()
    assert page.inner_text(".draw-status").startswith(f"Nearest words: {first},")
    after_a_look(page, lambda: page.get_by_role("button", name="Clear").press("Enter"))
    assert "empty" in page.inner_text(".draw-status") and not has_ink(page)
    assert page.locator(".draw-results li").count() == 0
    after_a_look(page, lambda: page.get_by_role("button", name="Undo").press("Enter"))
    assert page.locator(".draw-words li span").first.inner_text() == first and has_ink(page)


@pytest.mark.book
def test_examples_and_the_switch_work_from_the_keyboard(page):
    after_a_look(page, lambda: page.get_by_role("button", name="Try a cat").press("Enter"))
    assert page.is_checked("input[value=photograph]")
    words = page.locator(".draw-words li span:first-child").all_inner_texts()
    assert "cat" in words or "feline" in words
    after_a_look(page, lambda: page.locator("input[value=photograph]").press("ArrowUp"))
    assert page.is_checked("input[value=drawing]")
    assert page.locator(".draw-words li span:first-child").all_inner_texts() != words
    after_a_look(page, lambda: page.get_by_role("button", name="Try a fish").press(" "))
    assert page.is_checked("input[value=drawing]")


@pytest.mark.book
def test_page_and_python_name_the_same_word_first(page, tmp_path):
    pairs = drawing.load_pairs()
    paths = measured.test_pictures(pairs, tmp_path)
    chosen = [*range(0, 100, 12), 84, 86, 99]       # photographs begin at 80
    features = vision.extract_features(load_images([paths[i] for i in chosen]))
    kinds = [kind_of(i) for i in chosen]
    expected = first_words(drawing.learn(pairs), features, kinds)
    found = [ask_page(page, paths[i], kind)[0] for i, kind in zip(chosen, kinds, strict=True)]
    assert sum(a == b for a, b in zip(expected, found, strict=True)) >= len(chosen) - 1


@pytest.mark.book
def test_a_picture_can_be_dropped_and_what_is_none_is_refused(page):
    drop = """([kind, name]) => new Promise((done) => {
      document.createElement("canvas").toBlob((blob) => {
        const data = new DataTransfer();
        data.items.add(new File([blob], name, { type: kind }));
        document.querySelector(".draw").dispatchEvent(
          new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        done();
      });
    })"""
    after_a_look(page, lambda: page.evaluate(drop, ["image/png", "white.png"]))
    assert page.is_checked("input[value=photograph]")
    page.evaluate(drop, ["text/plain", "words.txt"])
    assert "no picture" in page.inner_text(".draw-status")


@pytest.mark.book
def test_a_file_that_does_not_come_is_told_and_asked_for_again(browser, address):
    context = browser.new_context()
    tab = context.new_page()
    tab.route("**/draw-01.js", lambda route: route.abort())
    tab.goto(f"{address}/draw.html")
    tab.click(".draw-load")
    tab.wait_for_function("document.querySelector('.draw-status').textContent.includes('01.js')")
    assert tab.is_enabled(".draw-load")
    tab.unroute("**/draw-01.js")
    load_network(tab)
    context.close()


@pytest.mark.book
def test_a_finger_draws_and_does_not_scroll(open_page, site):
    tab = open_page((site / "draw.html").as_uri(), width=390, has_touch=True)
    tab.locator(".draw-sheet").scroll_into_view_if_needed()
    box = tab.locator(".draw-sheet").bounding_box()
    tab.touchscreen.tap(box["x"] + 100, box["y"] + 100)
    assert has_ink(tab)
    assert tab.evaluate("getComputedStyle(document.querySelector('.draw-sheet')).touchAction"
                        ) == "none"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
