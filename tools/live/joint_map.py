"""Data of the page "A map of the joint space": places, neighbors, measures, and still pictures.

Usage: python tools/live/joint_map.py DATA_FOLDER
"""

import io
import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from javascript import write_data  # noqa: E402
from joint_plane import AROUND, NEAREST, Shown, lay_out_all, make_spaces, measure  # noqa: E402
from joint_plane import neighbors  # noqa: E402

from mmfuse_utils import text, viz  # noqa: E402
from mmfuse_utils.data.pictures import read_pictures  # noqa: E402
from mmfuse_utils.protocol import load_protocol  # noqa: E402

SPACES = {"before": "Before fusion", "joined": "Joined", "shuffled": "Shuffled pairs"}
GRID = 4095             # places in the plane are whole numbers from 0 to this
SIDE, COLUMNS = 44, 24  # of the pictures in their sheets

WORDS = {
    "told": {
        "before": "Side by side, a vector for texts and one for pictures, zeros for what is "
                  "missing.",
        "joined": "The ridge map has moved the pictures among the texts.",
        "shuffled": "A control: a ridge map fitted to texts and pictures dealt at random."},
    "still": {
        "alt": "Two maps of points. Before fusion, texts and pictures lie in two separate clouds. "
               "Joined, they lie among one another in many small clusters.",
        "caption": "Texts (blue) and pictures (orange) of {held} held-out concepts before fusion "
                   "and joined. The centers are {before:.2f} apart before ({before_none:.2f} is "
                   "expected with no gap), and {joined:.2f} after ({joined_none:.2f}). Lines join "
                   "{pairs} texts with their pictures."},
    "columns": ("Measure", "Before fusion", "Joined", "Shuffled pairs"),
    "rows": (("Gap between the centers", "{gap:.2f}"),
             ("Gap expected where there is none", "{no_gap:.2f}"),
             ("Texts that find their picture among the first ten", "{found:.1%}"),
             ("… 95 % interval", "{interval[0]:.1%} to {interval[1]:.1%}"),
             ("Trustworthiness of the map", "{map[trust]:.2f}"),
             ("… of a random projection", "{projection[trust]:.2f}"),
             ("… of places dealt at random", "{dealt[trust]:.2f}"),
             ("Neighbors kept by the map", "{map[kept]:.1%}"),
             ("… by a random projection", "{projection[kept]:.1%}"),
             ("… by places dealt at random", "{dealt[kept]:.1%}")),
    "caption": "Gap and search on the {test} test concepts, where guessing finds {chance:.1%}; "
               "the maps are judged by the {around} nearest neighbors of {items:,} points."}


def on_grid(plane):
    """Places as whole numbers from 0 to GRID, the plane's middle in the middle."""
    plane = (plane - (plane.max(axis=0) + plane.min(axis=0)) / 2) * [1, -1]    # a page's y falls
    return np.rint((plane / np.abs(plane).max() + 1) * GRID / 2).astype(int)


def sheet(paths):
    """Pictures side by side, transparent, as the bytes of a WebP file."""
    lines = -(-len(paths) // COLUMNS)
    whole = Image.new("RGBA", (SIDE * COLUMNS, SIDE * lines))
    for i, picture in enumerate(read_pictures(paths)):
        small = picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        whole.paste(small, (SIDE * (i % COLUMNS), SIDE * (i // COLUMNS)))
    buffer = io.BytesIO()
    whole.save(buffer, "WEBP", quality=50, alpha_quality=50, method=6)
    return buffer.getvalue()


def draw_still(shown, planes):
    """The held-out texts and pictures before and after, a few pairs joined by lines."""
    n, held = len(shown.concepts), len(shown.parts["test"]) + len(shown.parts["validation"])
    figures, pairs = [], range(0, held, 60)
    for space in ("before", "joined"):
        fig, ax = plt.subplots(figsize=(3.4, 3.0), layout="constrained")
        for start, kind in ((0, "text"), (n, "image")):
            ax.scatter(*planes[space][start:start + held].T, s=8, linewidth=0,
                       color=viz.COLORS[kind])
        for i in pairs:
            ax.plot(*planes[space][[i, n + i]].T, color=viz.INK, linewidth=0.8)
            ax.annotate(shown.names[i], planes[space][i], ha="center", va="bottom")
        ax.set(title=SPACES[space])
        ax.axis("off")
        figures.append(fig)
    return figures, len(pairs)


def write_still(path, shown, planes, said):
    """The still pictures as a piece of the page."""
    with plt.rc_context(viz.STYLE):
        figures, pairs = draw_still(shown, planes)
        page = viz.figure(figures, WORDS["still"], pairs=pairs,
                          held=len(shown.parts["test"]) + len(shown.parts["validation"]),
                          **{name: said[name]["gap"] for name in ("before", "joined")},
                          **{f"{name}_none": said[name]["no_gap"]
                             for name in ("before", "joined")})
    path.write_text(page, encoding="utf8")


def write_numbers(path, protocol, shown, said):
    """The measures of all spaces as a table, a piece of the page."""
    head = "".join(f'<th scope="col">{column}</th>' for column in WORDS["columns"])
    rows = "".join("<tr>" + f'<th scope="row">{name}</th>' + "".join(
        f"<td>{form.format(**said[space])}</td>" for space in SPACES) + "</tr>"
        for name, form in WORDS["rows"])
    items = 2 * len(shown.concepts) + len(shown.words)
    caption = WORDS["caption"].format(test=len(protocol.split.test), chance=protocol.chance,
                                      around=AROUND, items=items)
    path.write_text(f'<table class="table"><caption>{caption}</caption><thead><tr>{head}</tr>'
                    f"</thead><tbody>{rows}</tbody></table>", encoding="utf8")


def check_page(said, chance):
    """Leave where the numbers no longer bear what the page says of them."""
    assert said["before"]["gap"] > 5 * said["before"]["no_gap"]
    for space in ("joined", "shuffled"):
        assert said[space]["gap"] < 1.5 * said[space]["no_gap"]
    assert said["before"]["found"] == 0
    assert said["joined"]["interval"][0] > 2 * said["shuffled"]["interval"][1]
    assert said["shuffled"]["interval"][0] < chance < said["shuffled"]["interval"][1]
    for space in said.values():
        assert space["map"]["trust"] > space["projection"]["trust"] + 0.2
        assert 0.2 < space["map"]["kept"] < 0.6 and space["projection"]["kept"] < 0.1


def describe(shown, planes, said):
    """All that the map needs at once, as JSON."""
    groups, styles = sorted(set(shown.groups)), sorted(set(shown.styles))
    told = {name: {key: round(said[name][key], 4) for key in ("gap", "no_gap", "found")}
            | {"told": WORDS["told"][name], "places": on_grid(planes[name]).ravel().tolist()}
            for name in ("before", "joined", "shuffled")}
    return json.dumps({
        "names": shown.names, "words": shown.words, "kinds": list(shown.kinds),
        "parts": {name: len(rows) for name, rows in shown.parts.items()},
        "group_names": [group.replace("-", " and ") for group in groups],
        "groups": [groups.index(group) for group in shown.groups],
        "styles": styles, "style": [styles.index(style) for style in shown.styles],
        "sheet": {"side": SIDE, "columns": COLUMNS}, "nearest": NEAREST,
        "credit": viz.credit(styles), "spaces": told}, separators=(",", ":")).encode()


def main(folder):
    """Write the data of the map, and the pieces that the page shows without scripts."""
    protocol = load_protocol()
    shown, embed = Shown(protocol, text.load_word_vectors()), make_spaces(protocol)
    rows = {name: shown.arrange(*embed[name](shown.texts, shown.features)) for name in SPACES}
    planes = lay_out_all(shown, rows)
    said = {name: measure(protocol, shown, embed[name], rows[name], planes[name])
            for name in SPACES}
    check_page(said, protocol.chance)
    told = [neighbors(shown, rows[name]) for name in SPACES]
    near = np.concatenate([np.hstack([partner[:, None], items.reshape(len(items), -1)])
                           for items, partner in told])
    held = len(shown.parts["test"]) + len(shown.parts["validation"])
    parts = {"joint_map": describe(shown, planes, said), "joint_map_near": near.tobytes(),
             "joint_map_held": sheet(shown.paths[:held]),
             "joint_map_training": sheet(shown.paths[held:])}
    for name, content in parts.items():
        write_data(folder / f"{name}.js", name, content)
    write_still(folder / "joint_map_still.html", shown, planes, said)
    write_numbers(folder / "joint_map_numbers.html", protocol, shown, said)


if __name__ == "__main__":
    with threadpool_limits(1):      # t-SNE's threads wait for one another on a busy machine
        main(Path(sys.argv[1]))
