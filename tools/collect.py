"""Collect the ledger: every number that the executed notebooks recorded, by key.

Writes `_build/results.json`: {key: what `record` was given, and "notebook"}. The seconds each
notebook took, from the time stamps of its cells, are entries too: "time.01_skipgram_mathematics".
Pages without a notebook quote what a benchmark recorded: its JSON file has such entries in a list
called "ledger", and they come with "page" in place of "notebook".
The verdicts are collected as well, when `tools/build.py` asks for them.
"""

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path

from execute import EXECUTED, ROOT, find_stale, write_json
from keys import list_notebooks
from pages import verdict_places

from mmfuse_utils.ledger import MIME, VERDICT_MIME, result

RESULTS = Path("_build", "results.json")
COSTS = Path("benchmarks", "costs.json")
PAGES = {"draw": Path("benchmarks", "draw.json"), "costs": COSTS}       # pages without a notebook


def recorded(notebook):
    """The payloads that one executed notebook recorded, in order."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if MIME in output.get("data", {}):
                yield output["data"][MIME]


def cell_seconds(cell):
    """Time between the kernel's busy and reply stamps of a cell; zero for an unstamped one."""
    stamps = cell.get("metadata", {}).get("execution", {})
    ends = [stamps.get("iopub.status.busy"), stamps.get("shell.execute_reply")]
    if None in ends:
        return 0.0
    start, stop = (datetime.fromisoformat(end.replace("Z", "+00:00")) for end in ends)
    return (stop - start).total_seconds()


def collect(notebooks):
    """Join the ledgers of notebooks given as {name: content}.

    Raises ValueError when two places record the same key.
    """
    results = {}
    for name, notebook in notebooks.items():
        for payload in recorded(notebook):
            key = payload["key"]
            if key in results:
                raise ValueError(f"The ledger key {key!r} is recorded twice: in "
                                 f"{results[key]['notebook']} and in {name}. Rename one of them.")
            results[key] = payload | {"notebook": name}
        seconds = sum(map(cell_seconds, notebook["cells"]))
        stamp = result(f"time.{name}", round(seconds, 1),
                       exact="measured once, when this book was built") | {"notebook": name}
        if results.setdefault(f"time.{name}", stamp) is not stamp:
            raise ValueError(f"The ledger keys time.* are kept for the notebooks' own seconds; "
                             f"rename time.{name}.")
    return results


def collect_pages(root, results):
    """Add to the results what pages without a notebook quote.

    Raises ValueError when a key is taken.
    """
    for page, path in PAGES.items():
        for entry in json.loads((root / path).read_text(encoding="utf8"))["ledger"]:
            if entry["key"] in results:
                raise ValueError(f"The ledger key {entry['key']!r} of {path} is taken. Rename it.")
            results[entry["key"]] = entry | {"page": page}


def collect_verdicts(notebooks):
    """What each `verdict` of notebooks given as {name: content} displayed, in order.

    Added are "notebook", the "title" of the chapter, and "place", the anchor on its page.
    """
    verdicts = []
    for name, notebook in notebooks.items():
        title = "".join(notebook["cells"][0]["source"]).split("\n")[0].removeprefix("# ")
        for cell in notebook["cells"]:
            verdicts += [output["data"][VERDICT_MIME]
                         | {"notebook": name, "title": title, "place": place}
                         for place, output in verdict_places(cell)]
    return verdicts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the project")
    root = parser.parse_args().root.resolve()
    stale = find_stale(root)
    if stale:
        sys.exit(f"Not executed yet: {', '.join(stale)}. Run tools/execute.py first.")
    notebooks = {path.stem: json.loads((root / EXECUTED / path.name).read_text(encoding="utf8"))
                 for path in list_notebooks(root)}
    try:
        results = collect(notebooks)
        collect_pages(root, results)
    except ValueError as error:
        sys.exit(str(error))
    write_json(root / RESULTS, results)
    print(f"Ledger: {len(results)} numbers from {len(notebooks)} notebooks.")


if __name__ == "__main__":
    main()
