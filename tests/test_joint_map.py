"""The map of the joint space: its data against plain computations, and its page in a browser."""

import gzip
import json

import numpy as np
import pytest
from conftest import ROOT, SITE
from javascript import node
from joint_plane import judge_plane, measure_gap, near_in, share_kept

from mmfuse_utils import fusion
from mmfuse_utils.ladder import PENALTIES
from mmfuse_utils.protocol import load_protocol

DATA = SITE / "_static" / "live" / "data"
STILL = {"reduced_motion": "reduce"}
PAGE = "joint_map.html"
# Mean place of the pixels that have a color, and how many there are.
CENTER = """([red, green, blue]) => {
  const canvas = document.querySelector("canvas"), wide = canvas.width;
  const { data } = canvas.getContext("2d").getImageData(0, 0, wide, canvas.height);
  let sum = 0, count = 0;
  for (let i = 0; i < data.length; i += 4) {
    const far = Math.abs(data[i] - red) + Math.abs(data[i + 1] - green)
      + Math.abs(data[i + 2] - blue);
    if (data[i + 3] > 200 && far < 12) { sum += (i / 4) % wide / wide; count += 1; }
  }
  return [sum / count, count];
}"""
BLUE, ORANGE = (0, 114, 178), (213, 94, 0)


# The measures

def test_the_gap_is_the_distance_of_the_centers():
    texts, pictures = np.array([[1.0, 0], [0, 1]]), np.array([[-1.0, 0], [0, -1]])
    found = measure_gap(texts, pictures)
    assert found["gap"] == pytest.approx(np.sqrt(2))
    # Each row lies the root of 1/2 from its center, so both spreads are 1/2.
    assert found["no_gap"] == pytest.approx(np.sqrt(0.5))


def test_neighbors_kept_are_counted_one_by_one():
    rng = np.random.default_rng(0)
    rows, plane = rng.normal(size=(40, 5)), rng.normal(size=(40, 2))
    near = near_in(rows, 3)[0]
    kept = 0
    for i in range(40):
        by_distance = sorted((j for j in range(40) if j != i),
                             key=lambda j, i=i: np.linalg.norm(plane[i] - plane[j]))
        kept += len(set(near[i]) & set(by_distance[:3]))
    assert share_kept(near, plane) == pytest.approx(kept / 120)


def test_a_plane_that_is_the_space_is_trusted_and_places_dealt_at_random_are_not():
    rows = np.random.default_rng(0).normal(size=(300, 2))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    judged = judge_plane(rows, rows)
    assert judged["map"]["trust"] == pytest.approx(1) and judged["map"]["kept"] > 0.99
    assert judged["dealt"]["trust"] < 0.6 and judged["dealt"]["kept"] < 0.1


def test_names_do_not_lie_over_one_another(tmp_path):
    module = tmp_path / "labels.mjs"
    module.write_text((ROOT / "book/_live/joint_map/labels.js").read_text(encoding="utf8"))
    script = tmp_path / "try.mjs"
    script.write_text("""
        import { Room } from "./labels.mjs";
        const room = new Room(), taken = [];
        for (let i = 0; i < 2000; i++) {
          const x = i * 7919 % 700, y = i * 104729 % 500, box = [x, y, x + 90, y + 18];
          if (room.take(box)) taken.push(box);
        }
        console.log(JSON.stringify(taken));""")
    result = node([str(script)], return_completed_process=True, capture_output=True, text=True)
    boxes = np.array(json.loads(result.stdout))
    assert len(boxes) > 50
    for i, (left, top, right, bottom) in enumerate(boxes):
        rest = np.delete(boxes, i, axis=0)
        assert not ((rest[:, 0] < right) & (left < rest[:, 2])
                    & (rest[:, 1] < bottom) & (top < rest[:, 3])).any()


# The page

@pytest.fixture(scope="module")
def protocol():
    return load_protocol()


def open_map(open_page, address, **settings):
    tab = open_page(f"{address}/{PAGE}", **{**STILL, **settings})
    tab.wait_for_selector(".joint-list li")
    tab.wait_for_function("document.documentElement.style.getPropertyValue('--joint-held')")
    return tab


def choose(tab, name, kind):
    """Find an entry by its name, and choose it by the keyboard alone."""
    tab.locator(".joint-search input").focus()
    tab.keyboard.press("Control+A")
    tab.keyboard.type(name)
    for _ in range(20):
        tab.keyboard.press("ArrowDown")
        focused = tab.evaluate("""() => [".joint-name", ".joint-kind"].map(
            part => document.activeElement.querySelector(part)?.textContent)""")
        if focused == [name, kind]:
            break
    assert focused == [name, kind]
    tab.keyboard.press("Enter")
    tab.wait_for_function("([name, kind]) => document.querySelector('.joint-detail h2')"
                          "?.textContent === `${name} (${kind})`", arg=[name, kind])


def told(tab, kind):
    """Names and cosines of one kind of neighbors, as the page tells them."""
    rows = tab.locator(f'.joint-near[data-kind="{kind}"] li')
    return [(row.locator(".joint-name").inner_text(),
             float(row.locator(".joint-cosine").inner_text())) for row in rows.all()]


def ask_python(protocol, models, concept, kind):
    """The five texts and the five pictures nearest to an item of the map, one by one."""
    split, names = protocol.split, protocol.emoji.names["en"]
    shown = np.concatenate([split.test, split.validation, split.train])
    gallery = dict(zip(shown, protocol.emoji.gallery(shown), strict=True))
    vectors = {"text": {row: models.embed_text(protocol.texts[[row]])[0] for row in shown},
               "picture": {row: models.embed_image(protocol.features[[gallery[row]]])[0]
                           for row in shown}}
    own = vectors[kind][concept]
    found = {}
    for other, rows in vectors.items():
        near = sorted(((float(own @ row), names[i][0]) for i, row in rows.items()
                       if (other, i) != (kind, concept)), reverse=True)[:5]
        found[f"{other}s"] = [(name, cosine) for cosine, name in near]
    return found


@pytest.mark.book
def test_the_list_tells_the_neighbors_that_python_finds(protocol, address, open_page):
    tab = open_map(open_page, address)
    model = protocol.choose(fusion.RidgeMap(alpha, "image_to_text").fit(*protocol.pairs())
                            for alpha in PENALTIES)
    for concept, kind in zip(protocol.split.test[::50], ("text", "picture") * 2, strict=True):
        name = protocol.emoji.names["en"][concept][0]
        choose(tab, name, kind)
        for row, expected in ask_python(protocol, model, concept, kind).items():
            found = told(tab, row)
            assert [entry[0] for entry in found] == [entry[0] for entry in expected]
            assert np.allclose([entry[1] for entry in found], [entry[1] for entry in expected],
                               atol=0.00501)


@pytest.mark.book
def test_before_fusion_no_picture_is_nearest_to_a_text(protocol, address, open_page):
    tab = open_map(open_page, address)
    name = protocol.emoji.names["en"][protocol.split.test[0]][0]
    choose(tab, name, "text")
    assert len(told(tab, "pictures")) == 5
    tab.get_by_role("radio", name="Before fusion").check(force=True)
    assert told(tab, "pictures") == [] and len(told(tab, "texts")) == 5
    assert "none of them is the nearest" in tab.locator(".joint-detail").inner_text()


@pytest.mark.book
def test_the_switch_moves_the_points_and_says_the_gap(protocol, address, open_page):
    tab, apart = open_map(open_page, address), {}
    for name in ("Joined", "Before fusion", "Shuffled pairs"):
        tab.get_by_role("radio", name=name).check(force=True)
        (left, blue), (right, orange) = (tab.evaluate(CENTER, color) for color in (BLUE, ORANGE))
        assert blue > 100 and orange > 100
        apart[name] = right - left
    assert apart["Before fusion"] > 0.2
    assert max(abs(apart["Joined"]), abs(apart["Shuffled pairs"])) < 0.15
    tab.get_by_role("radio", name="Joined").check(force=True)
    model = protocol.choose(fusion.RidgeMap(alpha, "image_to_text").fit(*protocol.pairs())
                            for alpha in PENALTIES)
    text, image = protocol.test()
    gap = np.linalg.norm(np.mean(model.embed_text(text), axis=0)
                         - np.mean(model.embed_image(image), axis=0))
    assert f"{gap:.2f} apart" in tab.locator(".joint-said").inner_text()


@pytest.mark.book
def test_filters_show_what_they_say(protocol, address, open_page):
    tab = open_map(open_page, address)
    groups, split = np.array(protocol.emoji.groups), protocol.split
    held = np.concatenate([split.test, split.validation])

    def count():
        return int(tab.locator(".joint-count").inner_text().split()[2])

    assert count() == 2 * len(held)
    tab.get_by_label("Group").select_option(label="food and drink")
    assert count() == 2 * (groups[held] == "food-drink").sum()
    tab.get_by_role("checkbox", name="Pictures").uncheck()
    assert count() == (groups[held] == "food-drink").sum()
    tab.get_by_role("checkbox", name="Training").check()
    both = np.concatenate([held, split.train])
    assert count() == (groups[both] == "food-drink").sum()
    tab.get_by_label("Group").select_option(label="All groups")
    tab.get_by_role("checkbox", name="Single words").check()
    assert count() > len(both)


@pytest.mark.book
def test_a_point_is_chosen_by_a_click_and_the_map_is_pinched(protocol, address, open_page):
    tab = open_map(open_page, address, has_touch=True)
    name = protocol.emoji.names["en"][protocol.split.test[0]][0]
    choose(tab, name, "text")           # which brings it to the middle of the map
    heading, plane = tab.locator(".joint-detail h2"), tab.locator("canvas")
    tab.locator(".joint-near li button").first.click()
    tab.wait_for_function("name => !document.querySelector('.joint-detail h2').textContent"
                          ".startsWith(`${name} (text`)", arg=name)
    plane.click()
    tab.wait_for_function("name => document.querySelector('.joint-detail h2').textContent"
                          ".startsWith(name)", arg=name)
    assert heading.inner_text() == f"{name} (text)"
    tab.get_by_role("button", name="Show the whole map").click()
    before = plane.screenshot()
    box = plane.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = tab.context.new_cdp_session(tab)
    for kind, width in (("touchStart", 20), ("touchMove", 60), ("touchMove", 120)):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [
            {"x": middle[0] + side * width, "y": middle[1], "id": i}
            for i, side in enumerate((-1, 1))]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    tab.wait_for_function("getComputedStyle(document.querySelector('canvas')).touchAction"
                          " === 'none'")         # it does so while the map is zoomed in
    assert plane.screenshot() != before


@pytest.mark.book
def test_the_map_works_from_the_disk_and_in_the_dark(open_page):
    tab = open_page((SITE / PAGE).as_uri(), color_scheme="dark", **STILL)
    tab.wait_for_selector(".joint-list li")
    assert tab.evaluate(CENTER, BLUE)[1] > 100
    choose(tab, tab.locator(".joint-list .joint-name").first.inner_text(), "text")


@pytest.mark.book
def test_without_scripts_the_still_pictures_are_shown(address, browser):
    tab = browser.new_context(java_script_enabled=False).new_page()
    tab.goto(f"{address}/{PAGE}")
    figure = tab.locator('[data-live="joint_map"] figure')
    assert figure.is_visible() and figure.locator("svg").count() == 2
    assert "centers" in figure.locator("figcaption").inner_text()
    assert tab.locator("canvas").count() == 0
    tab.context.close()


@pytest.mark.book
@pytest.mark.parametrize("missing", ["2d", "webgl"])
def test_what_a_browser_lacks_is_done_without(missing, address, browser):
    tab = browser.new_context(**STILL).new_page()
    tab.add_init_script(f"""const get = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {{
            return kind.startsWith("{missing}") ? null : get.call(this, kind, ...rest); }};""")
    tab.goto(f"{address}/{PAGE}")
    tab.wait_for_selector(".joint-list li")
    drawn = missing == "webgl"
    assert tab.locator(".joint-stage figure").count() == (0 if drawn else 1)
    if drawn:
        assert tab.evaluate(CENTER, BLUE)[1] > 100
    tab.locator(".joint-list li button").first.click()
    tab.wait_for_selector(".joint-near")
    tab.context.close()


@pytest.mark.book
def test_without_its_data_the_map_says_so_and_the_still_pictures_stay(address, browser):
    tab = browser.new_context().new_page()
    tab.route("**/data/joint_map.js", lambda route: route.abort())
    tab.goto(f"{address}/{PAGE}")
    tab.get_by_text("did not load").wait_for()
    assert tab.locator('[data-live="joint_map"] figure').is_visible()
    tab.context.close()


@pytest.mark.book
def test_what_does_not_load_is_said_and_can_be_tried_again(address, browser):
    tab = browser.new_context(**STILL).new_page()
    tab.route("**/data/joint_map_near.js", lambda route: route.abort(), times=1)
    tab.goto(f"{address}/{PAGE}")
    first = tab.locator(".joint-list li button").first
    first.click()
    tab.locator(".joint-detail").get_by_text("did not load").wait_for()
    first.click()
    tab.wait_for_selector(".joint-near")
    tab.context.close()


@pytest.mark.book
def test_what_is_loaded_at_first_is_small_and_the_rest_comes_on_demand(address, open_page):
    files = [SITE / "_static/live/joint_map.js", DATA / "joint_map.js", DATA / "joint_map_held.js"]
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < 250_000
    tab = open_map(open_page, address)

    def loaded():
        return tab.evaluate("""performance.getEntriesByType("resource").map(
            entry => entry.name.split("/").pop()).filter(name => name.startsWith("joint_map"))""")

    assert set(loaded()) == {path.name for path in files}
    tab.get_by_role("checkbox", name="Training").check()
    tab.wait_for_function("""() => performance.getEntriesByType("resource").some(
        entry => entry.name.endsWith("joint_map_training.js"))""")
    assert "joint_map_near.js" not in loaded()
