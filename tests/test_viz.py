"""Every figure is shown with alt text and a caption, safely; grids have the layout asked for."""

import base64
import io
import re

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from mmfuse_utils import viz
from mmfuse_utils.viz import COLORS, film_strip, image_grid, points, say, share, show

matplotlib.use("Agg")
WORDS = {"alt": "A line rises from 0 to 1.", "caption": "The line rises, as it should."}


@pytest.fixture(autouse=True)
def style_of_the_book():
    with plt.style.context(viz.STYLE):
        yield
    plt.close("all")


@pytest.fixture
def shown(monkeypatch):
    """The figure that `show` displays, parsed."""
    pages = []
    monkeypatch.setattr(viz, "display", lambda html: pages.append(html.data))

    def look():
        assert len(pages) == 1
        return BeautifulSoup(pages[0], "html.parser").figure

    return look


def line(size=(4, 2), **text):
    fig, ax = plt.subplots(figsize=size)
    ax.plot([0, 1])
    ax.set(**text)
    return fig


def picture(side: int = 4) -> np.ndarray:
    return np.full((side, side, 3), 100, np.uint8)


@pytest.mark.parametrize("text", ["A line rises.", 'It says "5 < 6 & 7 > 6".', "it's 木 <b>",
                                  '"><script>alert(1)</script>'])
def test_alt_text_and_caption_arrive_unchanged_and_harmless(shown, text):
    fig = line()
    show(fig, {"alt": text, "caption": text})
    figure = shown()
    assert figure.select_one("[role=img]")["aria-label"] == text
    assert figure.figcaption.get_text() == text and not figure.find("script")
    assert not plt.fignum_exists(fig.number)


def test_numbers_are_put_into_the_words(shown):
    show(line(), {"alt": "{n} lines.", "caption": "Up by {gain:.1%}."}, n=2, gain=0.25)
    assert shown().figcaption.get_text() == "Up by 25.0%."


@pytest.mark.parametrize("words", [{}, {"alt": "A line."}, {"caption": "See."},
                                   {"alt": " ", "caption": "See."}])
def test_a_figure_without_alt_text_or_caption_is_refused(shown, words):
    with pytest.raises(ValueError, match="needs a caption"):
        show(line(), words)


def test_a_place_that_was_not_filled_is_named(shown):
    with pytest.raises(ValueError, match="not filled: 'gain'"):
        show(line(), {"alt": "A line.", "caption": "Up by {gain}."}, other=1)
    with pytest.raises(ValueError, match="not filled"):
        say("{} of them")


def test_the_drawing_has_text_the_ink_of_the_page_and_no_ground(shown):
    show(line(xlabel="number of pairs"), WORDS)
    drawing = shown().svg
    assert "number of pairs" in drawing.get_text()
    assert "currentColor" in str(drawing) and viz.INK.lower() not in str(drawing).lower()
    assert not re.search("#ffffff|white", str(drawing))
    assert 350 < float(re.search(r"width:([\d.]+)px", drawing["style"])[1]) < 450


def test_drawings_on_one_page_share_no_identifier(monkeypatch):
    pages = []
    monkeypatch.setattr(viz, "display", lambda html: pages.append(html.data))
    for alt in ("One line.", "Another line."):
        show([line(), line()], {**WORDS, "alt": alt})
    panels = [re.findall(r' id="([^"]+)"', str(svg)) for page in pages
              for svg in BeautifulSoup(page, "html.parser").find_all("svg")]
    names = [name for panel in panels for name in panel]
    assert len(panels) == 4 and names and len(names) == len(set(names))
    for page in pages:
        assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page)) <= {
            (name, "") for name in names} | {("", name) for name in names}


def test_the_same_figure_gives_the_same_page(monkeypatch):
    pages = []
    monkeypatch.setattr(viz, "display", lambda html: pages.append(html.data))
    for _ in range(2):
        show(line(), WORDS)
    assert pages[0] == pages[1]


@pytest.mark.parametrize(("size", "fontsize", "fits"), [
    ((4.5, 3), 10, True), ((8, 3), 10, False), ((8, 3), 16, True), ((3.4, 2), 6, False)])
def test_type_that_would_be_too_small_on_a_phone_is_refused(shown, size, fontsize, fits):
    fig = line(size)
    fig.axes[0].tick_params(labelsize=fontsize)
    if fits:
        show(fig, WORDS)
    else:
        with pytest.raises(ValueError, match="pixels on a phone"):
            show(fig, WORDS)


def test_artists_and_licenses_stand_below_each_once(shown):
    show(line(), WORDS, styles=np.array(["openmoji", "noto", "noto"]))
    caption = shown().figcaption.get_text()
    assert caption.count("Google, Apache-2.0") == 1
    assert caption.count("OpenMoji, CC-BY-SA-4.0") == 1
    with pytest.raises(KeyError):
        show(line(), WORDS, styles=["crayon"])


def test_one_style_is_not_a_list_of_letters(shown):
    for use in (viz.credit, lambda styles: show(line(), WORDS, styles)):
        with pytest.raises(TypeError, match="list of art styles; got one text, 'noto'"):
            use("noto")
    assert viz.credit([]) == "" and "noto" in viz.credit(style for style in ("noto", "noto"))


def test_the_palette():
    assert set(COLORS) == {"text", "image", "video", "control"}
    assert all(re.fullmatch("#[0-9A-F]{6}", color) for color in COLORS.values())
    assert len(set(COLORS.values())) == 4


@pytest.mark.parametrize(("value", "interval", "text"), [
    (0.0213, None, "+2.1 points"), (-0.0004, None, "0.0 points"),
    (-0.013, (-0.0301, 0.00049), "-1.3 points (-3.0 to 0.0)")])
def test_differences_in_words(value, interval, text):
    assert points(value, interval) == text


def test_shares_in_words():
    assert share(0.365) == "36.5%" and share(0.5, (0.41, 0.6)) == "50.0% (41.0% to 60.0%)"


@pytest.mark.parametrize("lengths", [(3, 3), (1,), (4, 2, 3)])
def test_a_grid_has_a_row_a_list(lengths):
    grid = BeautifulSoup(image_grid([[picture()] * n for n in lengths]), "html.parser")
    assert [len(row.find_all("img")) for row in grid.select(".mmfuse-row")] == list(lengths)


def test_titles_labels_and_frames_are_where_they_belong():
    for hits in (np.array([[True, False], [False, True]]), [(1, 0), (0, 1)]):
        page = image_grid(np.stack([[picture()] * 2] * 2), hits=hits, labels=np.array(["x", "y"]),
                          titles=np.array([["a", "b"], ["c", "<d>"]]))
        grid = BeautifulSoup(page, "html.parser")
        assert [tag.get_text() for tag in grid.select(".mmfuse-title")] == ["a", "b", "c", "<d>"]
        assert [tag.get_text() for tag in grid.select(".mmfuse-label")] == ["x", "y"]
        assert ["mmfuse-hit" in tag["class"] for tag in grid.select(".mmfuse-tile")] == [
            True, False, False, True]


def test_a_long_file_name_breaks_in_place_of_reaching_into_the_next_picture():
    tag = BeautifulSoup(image_grid([[picture()]], [["old/a_very_long_name (2).webp"]]),
                        "html.parser").select_one(".mmfuse-title")
    assert "overflow-wrap:anywhere" in tag["style"]


@pytest.mark.parametrize(("rows", "parts"), [
    ([], {}), ([[]], {}), ([[picture()]], {"labels": ["a", "b"]}),
    ([[picture()]] * 2, {"labels": "a"}), ([[picture()]] * 2, {"titles": [["a"]]}),
    ([[picture()]] * 2, {"hits": np.array([[True]])})])
def test_a_grid_without_pictures_or_of_another_layout_is_refused(rows, parts):
    with pytest.raises(ValueError, match=rf"got {len(rows)} rows of up to \d pictures, "):
        image_grid(rows, **parts)


def test_a_film_strip_shows_all_frames_in_order():
    clips = np.arange(2 * 8).repeat(4 * 4 * 3).reshape(2, 8, 4, 4, 3).astype(np.uint8) * 10
    strip = BeautifulSoup(film_strip(clips, labels=["one", "two"]), "html.parser")
    frames = [Image.open(io.BytesIO(base64.b64decode(tag["src"].partition(",")[2])))
              for tag in strip.find_all("img")]
    levels = [frame.convert("L").getpixel((1, 1)) for frame in frames]
    assert np.allclose(levels, np.arange(16) * 10, atol=4)
    assert [tag.get_text() for tag in strip.select(".mmfuse-label")] == ["one", "two"]
