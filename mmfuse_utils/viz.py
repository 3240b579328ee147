"""The figures that recur: one palette, alt text with every figure, grids of pictures."""

import base64
import html
import io
import textwrap
from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML, display
from matplotlib.figure import Figure

from mmfuse_utils.data.sources import SOURCES

# Okabe and Ito's colors, distinct for color-blind readers; the same meaning in every chapter.
COLORS = {"text": "#0072B2", "image": "#D55E00", "video": "#009E73", "control": "#7F7F7F"}


def show(fig: Figure, alt: str, styles: Iterable[str] = ()) -> None:
    """Display a figure with alt text, in JupyterLab and in the book, and close it.

    alt : what the figure shows, in a sentence or two; ValueError when it is empty.
    styles : art styles of the drawings in it; their artists and licenses stand below.
    """
    art = credit(styles)
    if not alt.strip():
        raise ValueError("A figure needs alt text that says what it shows; got none.")
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=144, bbox_inches="tight", facecolor="white")
    width = round(fig.get_figwidth() * 100)
    plt.close(fig)
    data = base64.b64encode(buffer.getvalue()).decode()
    caption = f"<figcaption>{html.escape(art)}</figcaption>" if art else ""
    display(HTML(f'<figure class="mmfuse-figure"><img alt="{html.escape(alt, quote=True)}" '
                 f'style="max-width:100%" width="{width}" src="data:image/png;base64,{data}">'
                 f"{caption}</figure>"))


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
               size: float = 1.0) -> Figure:
    """Pictures in rows, optionally with a query's text at the left and hits framed.

    rows : lists of (height, width, 3) uint8 pictures. titles : one text a picture, above it.
    labels : one text a row, at the left. hits : bool of the same layout, true gets a frame.
    size : side of a picture in inches.

    Raises ValueError without a picture, and unless there is a label, a list of titles and a list
    of hits for every row.
    """
    titles, labels, hits = ([] if part is None else list(part) for part in (titles, labels, hits))
    n_columns = max((len(row) for row in rows), default=0)
    if not n_columns or any(len(part) not in (0, len(rows)) for part in (titles, labels, hits)):
        raise ValueError("Expected rows of pictures, with a label, titles and hits for each or "
                         f"none; got {len(rows)} rows of up to {n_columns} pictures, "
                         f"{len(labels)} labels, {len(titles)} rows of titles and "
                         f"{len(hits)} of hits.")
    margin = 1.9 if labels else 0
    fig, axes = plt.subplots(len(rows), n_columns, squeeze=False,
                             figsize=(margin + size * n_columns, 1.25 * size * len(rows)))
    for i, row in enumerate(rows):
        for j, ax in enumerate(axes[i]):
            ax.set(xticks=[], yticks=[])
            framed = bool(hits) and j < len(row) and bool(hits[i][j])
            for spine in ax.spines.values():
                spine.set(visible=framed, color=COLORS["video"], linewidth=2.5)
            if j < len(row):
                ax.imshow(row[j])
                if titles:
                    ax.set_title(textwrap.fill(titles[i][j], 16), fontsize=7)
        if labels:
            axes[i, 0].set_ylabel(labels[i], rotation=0, ha="right", va="center", fontsize=9,
                                  labelpad=8, wrap=True)
    fig.tight_layout(pad=0.4)
    return fig


def film_strip(clips: Sequence[np.ndarray], labels: Sequence[str] | None = None) -> Figure:
    """Clips as rows of their frames, time from left to right.

    clips : arrays (n_frames, height, width, 3), uint8. labels : one text a clip, at the left.
    """
    return image_grid([list(clip) for clip in clips], labels=labels, size=0.8)
