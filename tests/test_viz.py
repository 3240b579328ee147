"""Every figure is shown with alt text, safely; grids have the layout that was asked for."""

import base64
import io
import re
from html.parser import HTMLParser

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from mmfuse_utils import viz
from mmfuse_utils.viz import COLORS, film_strip, image_grid, show

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_all():
    yield
    plt.close("all")


@pytest.fixture
def shown(monkeypatch):
    """Attributes of the one img element that `show` displays."""
    pages = []
    monkeypatch.setattr(viz, "display", lambda html: pages.append(html.data))

    def look() -> dict[str, str]:
        found = []

        class Reader(HTMLParser):
            def handle_starttag(self, tag, attrs):
                found.append((tag, dict(attrs)))

        Reader().feed(pages[-1])
        assert [tag for tag, _ in found] == ["figure", "img"] and len(pages) == 1
        return found[1][1]

    return look


def picture(side: int = 4) -> np.ndarray:
    return np.full((side, side, 3), 100, np.uint8)


@pytest.mark.parametrize("alt", ["A line rises.", 'It says "5 < 6 & 7 > 6".', "it's 木 <b>",
                                 '"><script>alert(1)</script>'])
def test_alt_text_arrives_unchanged_and_harmless(shown, alt):
    fig, ax = plt.subplots(figsize=(4, 2))
    ax.plot([0, 1])
    show(fig, alt)
    assert shown()["alt"] == alt
    assert not plt.fignum_exists(fig.number)


def test_the_picture_is_a_png_of_the_figure(shown):
    fig, _ = plt.subplots(figsize=(4, 2))
    show(fig, "An empty plot.")
    kind, _, data = shown()["src"].partition(",")
    with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as image:
        assert kind == "data:image/png;base64" and image.format == "PNG"
        assert 1.5 < image.width / image.height < 2.6
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert shown()["width"] == "400"


@pytest.mark.parametrize("alt", ["", "  \n"])
def test_a_figure_without_alt_text_is_refused(shown, alt):
    with pytest.raises(ValueError, match="alt text"):
        show(plt.figure(), alt)


def test_artists_and_licenses_stand_below_each_once(monkeypatch):
    pages = []
    monkeypatch.setattr(viz, "display", lambda html: pages.append(html.data))
    show(plt.figure(), "Two drawings.", styles=np.array(["openmoji", "noto", "noto"]))
    caption = re.search("<figcaption>(.*)</figcaption>", pages[0]).group(1)
    assert caption.count("Google, Apache-2.0") == 1
    assert caption.count("OpenMoji, CC-BY-SA-4.0") == 1
    with pytest.raises(KeyError):
        show(plt.figure(), "A drawing.", styles=["crayon"])


def test_one_style_is_not_a_list_of_letters(shown):
    for use in (viz.credit, lambda styles: show(plt.figure(), "A drawing.", styles)):
        with pytest.raises(TypeError, match="list of art styles; got one text, 'noto'"):
            use("noto")
    assert viz.credit([]) == "" and "noto" in viz.credit(style for style in ("noto", "noto"))


def test_the_palette():
    assert set(COLORS) == {"text", "image", "video", "control"}
    assert all(re.fullmatch("#[0-9A-F]{6}", color) for color in COLORS.values())
    assert len(set(COLORS.values())) == 4


@pytest.mark.parametrize("lengths", [(3, 3), (1,), (4, 2, 3)])
def test_a_grid_has_a_row_a_list_and_gaps_where_pictures_lack(lengths):
    fig = image_grid([[picture()] * n for n in lengths])
    axes = np.array(fig.axes).reshape(len(lengths), max(lengths))
    assert [[len(ax.images) for ax in row] for row in axes] == [
        [1] * n + [0] * (max(lengths) - n) for n in lengths]


def test_titles_labels_and_frames_are_where_they_belong():
    fig = image_grid([[picture()] * 2] * 2, titles=[["a", "b"], ["c", "d"]], labels=["x", "y"],
                     hits=np.array([[True, False], [False, True]]))
    assert [ax.get_title() for ax in fig.axes] == ["a", "b", "c", "d"]
    assert [ax.get_ylabel() for ax in fig.axes] == ["x", "", "y", ""]
    assert [all(s.get_visible() for s in ax.spines.values()) for ax in fig.axes] == [
        True, False, False, True]
    assert all(len(ax.get_xticks()) == len(ax.get_yticks()) == 0 for ax in fig.axes)


def test_titles_labels_and_hits_come_in_any_sequence():
    fig = image_grid(np.stack([[picture()] * 2] * 2), titles=np.array([["a", "b"], ["c", "d"]]),
                     labels=np.array(["x", "y"]), hits=[(True, False), (False, True)])
    assert [ax.get_title() for ax in fig.axes] == ["a", "b", "c", "d"]
    assert [ax.get_ylabel() for ax in fig.axes] == ["x", "", "y", ""]
    assert [ax.spines["left"].get_visible() for ax in fig.axes] == [True, False, False, True]


@pytest.mark.parametrize(("rows", "parts"), [
    ([], {}), ([[]], {}), ([[picture()]], {"labels": ["a", "b"]}),
    ([[picture()]] * 2, {"labels": "a"}), ([[picture()]] * 2, {"titles": [["a"]]}),
    ([[picture()]] * 2, {"hits": np.array([[True]])})])
def test_a_grid_without_pictures_or_of_another_layout_is_refused(rows, parts):
    with pytest.raises(ValueError, match=rf"got {len(rows)} rows of up to \d pictures, "):
        image_grid(rows, **parts)


def test_a_film_strip_shows_all_frames_in_order():
    clips = np.arange(2 * 8).repeat(4 * 4 * 3).reshape(2, 8, 4, 4, 3).astype(np.uint8)
    fig = film_strip(clips, labels=["one", "two"])
    assert [int(ax.images[0].get_array()[0, 0, 0]) for ax in fig.axes] == list(range(16))
    assert [ax.get_ylabel() for ax in fig.axes[::8]] == ["one", "two"]
