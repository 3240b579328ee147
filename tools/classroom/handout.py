"""What students get beside the notebook's own text: expected pictures, a README, licenses."""

import platform
import re
import string
from base64 import b64decode
from importlib.metadata import version
from pathlib import Path

import nbformat
from cells import grading, is_picture, tags

from mmfuse_utils.data.sources import SOURCES as PACKAGES
from mmfuse_utils.data.sources import package_path

CREDITED = ("noto", "fluent-emoji", "fluent-emoji-flat", "cldr", "emojibase", "wordnet")
README = Path(__file__).resolve().parent / "readme.txt"
EXAMPLE = "example"     # data with other numbers than the course's, and cells that draw them
SWAP, SWAP_BACK = f'course_data, data = data, load("{EXAMPLE}")', "data = course_data"


def draw_examples(notebook):
    """Let each picture of numbers on paper be drawn twice, at first with other numbers.

    Drawn with the course's numbers, the expected picture would tell the results of the task.
    """
    cells = []
    for cell in notebook.cells:
        if "paper" in tags(cell):
            sources = SWAP, cell.source, SWAP_BACK
            cells += [nbformat.v4.new_code_cell(source, metadata={"tags": [EXAMPLE]})
                      for source in sources]
        cells.append(cell)
    notebook.cells = cells


def take_pictures(executed):
    """What students should see, as PNG in base 64 by id of the picture's cell.

    The cells with examples are taken out of the notebook.
    """
    expected, drawn = {}, None
    for cell in executed.cells:
        pngs = [output.data["image/png"] for output in cell.get("outputs", [])
                if "image/png" in output.get("data", {})]
        if is_picture(cell):
            expected[cell.id], drawn = drawn or pngs[0], None
        elif EXAMPLE in tags(cell):
            drawn = (pngs or [drawn])[0]
    executed.cells = [cell for cell in executed.cells if EXAMPLE not in tags(cell)]
    return expected


def add_expected_pictures(notebook, expected, folder):
    """Put before each picture cell what students should see, and the same as a file into a folder:
    not every program shows pictures that lie in a notebook."""
    cells = []
    for cell in notebook.cells:
        if is_picture(cell):
            told = " (drawn with other numbers than yours)" if "paper" in tags(cell) else ""
            text = (f"What you should see{told}:\n\n"
                    f"![{cell.metadata.mmfuse.alt}](attachment:expected.png)")
            # An id of its own that stays the same from course to course.
            cells.append(nbformat.v4.new_markdown_cell(
                text, id=f"{cell.id}-expected",
                attachments={"expected.png": {"image/png": expected[cell.id]}}))
            file = grading(cell)["grade_id"].replace("picture", "expected.png")
            (folder / file).write_bytes(b64decode(expected[cell.id]))
        cells.append(cell)
    notebook.cells = cells


def chapters(notebook):
    """Titles of the chapters that an assignment belongs to, as its introduction names them."""
    line = next(line for cell in notebook.cells for line in cell.source.splitlines()
                if line.startswith("**Belongs to**"))
    return re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", line)


def readme(name, notebook):
    """What a student reads first: what to install, how to hand in, what is graded."""
    title = notebook.cells[0].source.partition("\n")[0].removeprefix("# ")
    points = dict.fromkeys(("public", "hidden", "written"), 0)
    for cell in notebook.cells:
        if grading(cell).get("grade"):
            points[grading(cell)["grade_id"].split("-")[-1]] += grading(cell)["points"]
    return string.Template(README.read_text(encoding="utf8")).substitute(
        points, name=name, title=title, line="=" * len(title),
        chapters="\n".join(f"  {chapter}" for chapter in chapters(notebook)),
        python=platform.python_version(), numpy=version("numpy"),
        matplotlib=version("matplotlib"))


def credits():
    """Who made what the data are drawn from, with the licenses that have to go with them."""
    parts = ["The data of this assignment are drawn from the following packages."]
    for name in CREDITED:
        source = PACKAGES[name]
        parts.append(f"{source.what}: {source.name} {source.version}, {source.attribution}, "
                     f"{source.licence}")
        parts += [path.read_text(encoding="utf8")
                  for path in package_path(name).glob("package/LICENSE")]
    return "\n\n".join(parts)
