"""From an executed notebook to a page: what reads well in JupyterLab is arranged for reading here.

Adds what only the build knows (reading time, running time, numbers of figures), gathers the
ledger's entries of a section in one folded line, names what is folded, and moves links.
"""

import html
import itertools
import json
import re

from mmfuse_utils.ledger import MIME, VERDICT_MIME

PLOTLY_MIME = "application/vnd.plotly.v1+json"
FIGURE = '<figure class="mmfuse-figure">'
WORDS_PER_MINUTE, LINES_PER_MINUTE = 200, 15


def numbered_files(toc):
    """The number of each chapter by its file, counted through the parts that are numbered."""
    files = [chapter["file"] for part in toc["parts"] if part.get("numbered")
             for chapter in part["chapters"]]
    return {file: number for number, file in enumerate(files, start=1)}


def make_page(text, number, seconds):
    """An executed notebook as the book shows it.

    number : of the chapter, for its figures. seconds : what its cells took.
    """
    notebook = json.loads(text)
    cells = [{**cell, "source": "".join(cell["source"])} for cell in notebook["cells"]]
    minutes = reading_minutes(cells)
    figures = 0
    for cell in cells:
        if cell["cell_type"] == "markdown":
            cell["source"] = cell["source"].replace("../book/", "../")
            continue
        name_folds(cell)
        name_verdicts(cell)
        cell["outputs"] = join_streams(cell["outputs"])
        for output in cell["outputs"]:
            figures = arrange_output(output, number, figures)
        name_figures(cell)
    add_times(cells[0], minutes, seconds)
    notebook["cells"] = fold_deeper(gather_entries(cells))
    for position, cell in enumerate(notebook["cells"]):
        cell.setdefault("id", f"built-{position}")
    return json.dumps(notebook, indent=1)


def reading_minutes(cells):
    """Minutes to read a chapter once: its words, and the lines of code that are not folded."""
    words = sum(len(re.sub(r"(?s)<details>.*?</details>", "", cell["source"]).split())
                for cell in cells if cell["cell_type"] == "markdown" and not is_folded(cell))
    lines = sum(len(cell["source"].splitlines()) for cell in cells
                if cell["cell_type"] == "code" and not is_folded(cell))
    return words / WORDS_PER_MINUTE + lines / LINES_PER_MINUTE


def is_folded(cell):
    """Whether the page folds a cell's code away."""
    return bool({"hide-input", "hide-cell", "remove-cell", "deeper"} & set(tags(cell)))


def add_times(cell, minutes, seconds):
    """Put the line on reading and running time below the title."""
    title, rest = cell["source"].split("\n", 1)
    line = (f'<p class="mmfuse-times">Reading: about {5 * max(1, round(minutes / 5))} minutes. '
            f"Running all cells took {seconds:.0f} seconds when this page was built.</p>")
    cell["source"] = f"{title}\n\n{line}\n{rest}"


def name_folds(cell):
    """Say what is behind a fold: a solution, the chapter's words, or the code of what is shown."""
    name = ("Solution" if "hide-cell" in tags(cell) else
            "Words of the figures and messages" if "words" in tags(cell) else "Code")
    cell["metadata"]["mystnb"] = {"code_prompt_show": name, "code_prompt_hide": name}


def verdict_places(cell):
    """(place, output) of each verdict of a cell, where the place is its anchor on the page: it
    stays as long as the cell keeps its name and its order of verdicts, whatever their words."""
    verdicts = [output for output in cell.get("outputs", [])
                if VERDICT_MIME in output.get("data", {})]
    return [(f"claim-{cell['id']}-{number}", output)
            for number, output in enumerate(verdicts, start=1)]


def name_verdicts(cell):
    """Give each verdict of a cell its place, to which the page of all claims leads."""
    for place, output in verdict_places(cell):
        box = "".join(output["data"]["text/markdown"])
        output["data"]["text/markdown"] = box.replace("<div ", f'<div id="{place}" ', 1)


def join_streams(outputs):
    """Outputs, with what was printed in several pieces as one: a line may have been cut in two."""
    joined = []
    for output in outputs:
        same = joined and output.get("name") == joined[-1].get("name") is not None
        if same:
            joined[-1]["text"] += "".join(output["text"])
        else:
            joined.append({**output, "text": "".join(output["text"])} if "text" in output
                          else output)
    return joined


def arrange_output(output, number, figures):
    """Number a figure, let plotly load from the site, move links; returns how many figures there
    are so far."""
    data = output.get("data", {})
    if "text/markdown" in data:
        data["text/markdown"] = "".join(data["text/markdown"]).replace("../book/", "../")
    if PLOTLY_MIME in data:
        output["data"] = data = {"text/html": plotly_html(data[PLOTLY_MIME])}
    page = "".join(data.get("text/html", ""))
    if FIGURE in page:
        figures += 1
        name = f"{number}.{figures}"
        data["text/html"] = page.replace(
            "<figcaption>", f'<figcaption><b class="caption-number">Figure {name}</b> ')
    return figures


def name_figures(cell):
    """Give each figure of a cell its place: the cell's name stays when the numbers change."""
    drawn = [output["data"] for output in cell["outputs"]
             if FIGURE in "".join(output.get("data", {}).get("text/html", ""))]
    for number, data in enumerate(drawn, start=1):
        name = cell["id"].removesuffix("-figure") + (f"-{number}" if number > 1 else "")
        data["text/html"] = "".join(data["text/html"]).replace(
            FIGURE, f'{FIGURE[:-1]} id="figure-{name}">')


def plotly_html(figure):
    """An interactive figure; book.js draws it, with plotly from the site, when it comes near."""
    label = figure["layout"].get("title", {}).get("text") or "Interactive figure"
    data = json.dumps([figure["data"], figure["layout"]]).replace("</", "<\\/")
    return (f'<div class="mmfuse-plotly" role="img" aria-label="{html.escape(label, quote=True)}">'
            '<p>This figure is drawn by a script, as soon as you scroll to it.</p>'
            f'<script type="application/json">{data}</script></div>')


def gather_entries(cells):
    """The cells, with the ledger's entries of each section in one folded line at its end."""
    arranged, entries = [], []
    for cell in cells:
        if cell["cell_type"] == "markdown" and re.match(r"## ", cell["source"]):
            arranged += fold_entries(entries)
            entries = []
        if cell["cell_type"] == "code":
            entries += [output["data"]["text/html"] for output in cell["outputs"]
                        if MIME in output.get("data", {})]
            cell["outputs"] = [output for output in cell["outputs"]
                               if MIME not in output.get("data", {})]
        arranged.append(cell)
    return arranged + fold_entries(entries)


def fold_entries(entries):
    """A cell that shows a section's entries once it is opened; no cell for none."""
    if not entries:
        return []
    what = "One number" if len(entries) == 1 else f"{len(entries)} numbers"
    source = (f'<details class="mmfuse-entries"><summary>{what} of this section in the ledger'
              f"</summary>{' '.join(map(''.join, entries))}</details>")
    return [html_cell(source)]


def fold_deeper(cells):
    """The cells, with each run of those tagged "deeper" folded under its first line.

    That line is bold; there are no headings among the cells of a run.
    """
    arranged = []
    for deeper, run in itertools.groupby(cells, key=lambda cell: "deeper" in tags(cell)):
        run = list(run)
        if deeper:
            title, _, rest = run[0]["source"].partition("\n")
            summary = html.escape(title.strip("*. "))
            run[0]["source"] = rest
            run = [html_cell(f'<details class="mmfuse-deeper"><summary>{summary}</summary>'),
                   *run, html_cell("</details>")]
        arranged += run
    return arranged


def tags(cell):
    return cell["metadata"].get("tags", [])


def html_cell(source):
    """A cell that puts a piece of HTML on the page."""
    return {"cell_type": "markdown", "metadata": {}, "source": source}
