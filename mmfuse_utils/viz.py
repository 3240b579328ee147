"""What a page shows: figures with captions, pictures in rows, and sentences with numbers.

A chapter keeps the words of its figures and messages in one cell, a dictionary by name, so that
they can be translated in one place; `show` and `say` put the numbers in.
"""

import base64
import hashlib
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML, Markdown, display
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from mmfuse_utils.data.sources import SOURCES

# Okabe and Ito's colors, distinct for color-blind readers; the same meaning in every chapter.
COLORS = {"text": "#0072B2", "image": "#D55E00", "video": "#009E73", "control": "#7F7F7F"}
INK = "#23262B"             # becomes the page's own text color, light or dark
STYLE = {"font.size": 10, "axes.labelsize": 10, "axes.titlesize": 10, "xtick.labelsize": 10,
         "ytick.labelsize": 10, "legend.fontsize": 10, "legend.frameon": False,
         "figure.figsize": (5, 3), "axes.spines.top": False, "axes.spines.right": False,
         "figure.facecolor": "none", "axes.facecolor": "none", "svg.fonttype": "none",
         **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color",
                          "ytick.color", "patch.edgecolor", "lines.color"), INK)}
PIXELS_PER_INCH, PHONE, SMALLEST = 100, 336, 9      # pixels: width of a figure, size of type


def show(parts: Figure | str | Sequence[Figure | str], words: Mapping[str, str],
         styles: Iterable[str] = (), **numbers: object) -> None:
    """Display a figure with its caption, in JupyterLab and in the book, and close it.

    Arguments and errors as in `figure`.
    """
    display(HTML(figure(parts, words, styles, **numbers)))


def figure(parts: Figure | str | Sequence[Figure | str], words: Mapping[str, str],
           styles: Iterable[str] = (), **numbers: object) -> str:
    """A figure with its caption as a piece of a page; figures of matplotlib are closed.

    parts : a figure of matplotlib, drawn with `STYLE`, or pictures from `image_grid`; several
        stand side by side where there is room, and below one another on a phone.
    words : "caption", what to see, and "alt", what is in it for who cannot see; both are
        filled with `numbers` by `str.format`.
    styles : art styles of the drawings in it; their artists and licenses stand below.

    Raises ValueError without a caption or alt text, for an unfilled place in them, and for type
    that would be smaller than 9 pixels on a phone.
    """
    parts = [parts] if isinstance(parts, Figure | str) else list(parts)
    art = credit(styles)
    alt, caption = (_fill(words.get(name, ""), numbers).strip() for name in ("alt", "caption"))
    if not alt or not caption:
        raise ValueError("A figure needs a caption that says what to see, and alt text that says "
                         f"what it shows; got caption {caption!r} and alt text {alt!r}.")
    panels = "".join(_svg(part, f"{alt}{i}") if isinstance(part, Figure) else part
                     for i, part in enumerate(parts))
    credits = f' <small class="mmfuse-art">{html.escape(art)}</small>' if art else ""
    return (f'<figure class="mmfuse-figure"><div class="mmfuse-panels" role="img" '
            f'aria-label="{html.escape(alt, quote=True)}" style="display:flex;flex-wrap:wrap;'
            f'gap:1rem;justify-content:center">{panels}</div>'
            f"<figcaption>{html.escape(caption)}{credits}</figcaption></figure>")


def say(sentence: str, **numbers: object) -> None:
    """Display a sentence in Markdown, its places filled with numbers by `str.format`.

    Raises ValueError for a place without a number.
    """
    display(Markdown(_fill(sentence, numbers)))


def share(value: Real, interval: tuple[Real, Real] | None = None) -> str:
    """A share of one in percent, with its interval if it has one.

    >>> share(0.4625, (0.41, 0.52))
    '46.2% (41.0% to 52.0%)'
    """
    ends = "" if interval is None else f" ({interval[0]:.1%} to {interval[1]:.1%})"
    return f"{value:.1%}{ends}"


def points(value: Real, interval: tuple[Real, Real] | None = None) -> str:
    """A difference of shares in points, signed, with its interval if it has one.

    >>> points(0.0213, (-0.0001, 0.038))
    '+2.1 points (0.0 to +3.8)'
    """
    first, *ends = (f"{round(1000 * x) / 10 + 0.0:+.1f}".replace("+0.0", "0.0")
                    for x in (value, *(() if interval is None else interval)))
    return f"{first} points" + (f" ({ends[0]} to {ends[1]})" if ends else "")


def credit(styles: Iterable[str]) -> str:
    """Artists and licenses of art styles, each once; an empty text for no styles.

    Raises TypeError for one style in place of a list, KeyError for an unknown one.

    >>> credit(["noto", "noto"])
    'Art: noto (Google, Apache-2.0)'
    """
    if isinstance(styles, str):
        raise TypeError(f"Expected a list of art styles; got one text, {styles!r}. Put it into "
                        "square brackets.")
    sources = [f"{style} ({SOURCES[style].attribution}, {SOURCES[style].licence})"
               for style in sorted(set(map(str, styles)))]
    return f"Art: {', '.join(sources)}" if sources else ""


def image_grid(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[Sequence[str]] | None = None,
               labels: Sequence[str] | None = None, hits: np.ndarray | None = None,
               size: int = 84, wrap: bool = True) -> str:
    """Pictures in rows, as a piece of a page for `show`, with real text that stays readable.

    rows : lists of (height, width, 3) uint8 pictures. titles : one text a picture, below it.
    labels : one text a row, at the left. hits : bool of the same layout, true gets a frame.
    size : largest width of a picture in pixels. wrap : whether a row that is too long for the
        window goes on below; otherwise its pictures shrink.

    Raises ValueError without a picture, and unless there is a label, a list of titles and a list
    of hits for every row.
    """
    titles, labels, hits = ([] if part is None else list(part) for part in (titles, labels, hits))
    longest = max((len(row) for row in rows), default=0)
    if not longest or any(len(part) not in (0, len(rows)) for part in (titles, labels, hits)):
        raise ValueError("Expected rows of pictures, with a label, titles and hits for each or "
                         f"none; got {len(rows)} rows of up to {longest} pictures, "
                         f"{len(labels)} labels, {len(titles)} rows of titles and "
                         f"{len(hits)} of hits.")
    columns = (f"repeat(auto-fill,minmax({round(0.76 * size)}px,1fr))" if wrap else
               f"repeat({longest},minmax(0,1fr))")
    lines = []
    for i, row in enumerate(rows):
        label = (f'<div class="mmfuse-label" style="flex:0 0 7rem">{html.escape(labels[i])}</div>'
                 if labels else "")
        tiles = [_tile(picture, titles[i][j] if titles else "", bool(hits and hits[i][j]), size)
                 for j, picture in enumerate(row)]
        lines.append(f'<div class="mmfuse-row" style="display:flex;flex-wrap:wrap;gap:4px 12px;'
                     f'margin:8px 0;text-align:left">{label}<div style="flex:1 1 16rem;'
                     f'display:grid;gap:8px;grid-template-columns:{columns}">{"".join(tiles)}'
                     "</div></div>")
    return f'<div class="mmfuse-grid" style="width:100%">{"".join(lines)}</div>'


def film_strip(clips: Sequence[np.ndarray], labels: Sequence[str] | None = None) -> str:
    """Clips as rows of their frames for `show`, time from left to right.

    clips : arrays (n_frames, height, width, 3), uint8. labels : one text a clip, at the left.
    """
    return image_grid([list(clip) for clip in clips], labels=labels, size=64, wrap=False)


def _fill(template: str, numbers: Mapping[str, object]) -> str:
    try:
        return template.format(**numbers)
    except (KeyError, IndexError) as error:
        raise ValueError(f"A place in the words was not filled: {error} in {template!r}; given "
                         f"were {', '.join(numbers) or 'no numbers'}.") from None


def _tile(picture: np.ndarray, title: str, hit: bool, size: int) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(picture, np.uint8)).save(buffer, "WEBP", quality=90)
    data = base64.b64encode(buffer.getvalue()).decode()
    frame = "outline:3px solid currentColor;outline-offset:1px;" if hit else ""
    below = (f'<div class="mmfuse-title" style="font-size:12px;line-height:1.25;text-align:center;'
             f'overflow-wrap:anywhere">{html.escape(title)}</div>' if title else "")
    return (f'<div class="mmfuse-tile{" mmfuse-hit" if hit else ""}" style="max-width:{size}px">'
            f'<img alt="" style="width:100%;border-radius:6px;{frame}" '
            f'src="data:image/webp;base64,{data}">{below}</div>')


def _svg(fig: Figure, salt: str) -> str:
    """A figure as an SVG whose ink is the page's, with identifiers of its own."""
    buffer = io.StringIO()
    name = hashlib.sha256(salt.encode()).hexdigest()[:8]
    with plt.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        fig.savefig(buffer, format="svg", dpi=144, bbox_inches="tight", transparent=True,
                    metadata={"Date": None})
    # Only now do the axes have their tick labels.
    smallest = min((text.get_fontsize() for text in fig.findobj(Text)
                    if text.get_visible() and text.get_text().strip()), default=10)
    plt.close(fig)
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg"):]
    points_wide, points_high = map(float, re.search(
        r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawing).groups())
    width = points_wide / 72 * PIXELS_PER_INCH
    size = smallest * min(PIXELS_PER_INCH / 72, PHONE / points_wide)
    if size < SMALLEST:
        raise ValueError(f"The smallest type of this figure would have {size:.1f} pixels on a "
                         f"phone, fewer than {SMALLEST}: it is {width:.0f} pixels wide. Make it "
                         "narrower, its type larger, or show its panels as figures of their own.")
    drawing = re.sub(r'<metadata>.*?</metadata>|<style.*?</style>|(?<=<g) id="[^"]*"', "",
                     drawing, flags=re.DOTALL)
    drawing = re.sub(rf"{INK}|#000000", "currentColor", drawing, flags=re.IGNORECASE)
    return re.sub(r"<svg [^>]*?>", f'<svg viewBox="0 0 {points_wide} {points_high}" '
                  f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                  f'class="mmfuse-drawing" style="width:{width:.0f}px;max-width:100%;'
                  'height:auto;fill:currentColor">', drawing, count=1)
