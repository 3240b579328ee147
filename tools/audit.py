"""How fast and accessible the built site is on a phone, by Lighthouse: `python tools/audit.py`.

The site is copied to a temporary folder, compressed there as a host keeps it, and served to this
machine alone. Lighthouse (its version and http-server's are pinned in `tools/lighthouse/`) opens
each page on its slow phone several times, and the median of each number counts. Measured are the
first page, the pages to try things on and the three heaviest chapters; with --all every other page
as well, once. The numbers depend on the machine: let nothing else run beside it.

The report is written to `benchmarks/site.json`. The exit status is 1 where a goal is missed: 95 in
every category on the pages that are always measured, 90 on the others.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import unquote

import yaml
from build import SITE
from execute import ROOT
from javascript import run_node

LIGHTHOUSE = Path(__file__).resolve().parent / "lighthouse"
REPORT = Path("benchmarks", "site.json")
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
GOALS = {"named": 95, "other": 90}
RUNS, HEAVIEST, TRIED = 3, 3, "Try it"      # TRIED: the part of the contents with the live pages


def page_bytes(site, page):
    """Bytes of a page and of all that it shows or runs, before compression."""
    path = site / page
    addresses = re.findall(r'\bsrc="([^"#?]+)', path.read_text(encoding="utf8"))
    parts = {(path.parent / unquote(address)).resolve() for address in addresses
             if not address.startswith("data:")}
    return path.stat().st_size + sum(part.stat().st_size for part in parts if part.is_file())


def named_pages(root, site):
    """The pages that are always measured: the first, those to try things on, the heaviest."""
    contents = yaml.safe_load((root / "book" / "_toc.yml").read_text(encoding="utf8"))
    live = [f"{chapter['file']}.html" for part in contents["parts"] if part["caption"] == TRIED
            for chapter in part["chapters"]]
    chapters = [path.relative_to(site).as_posix() for path in (site / "notebooks").glob("*.html")]
    heaviest = sorted(chapters, key=lambda page: (-page_bytes(site, page), page))[:HEAVIEST]
    return ["index.html", *live, *heaviest]


def other_pages(site, named):
    """All other pages of the book, in order; not the pages that only lead to a new address."""
    pages = [*site.glob("*.html"), *(site / "notebooks").glob("*.html")]
    names = sorted(path.relative_to(site).as_posix() for path in pages
                   if 'http-equiv="refresh"' not in path.read_text(encoding="utf8"))
    return [name for name in names if name not in named]


def measure(site, page, runs):
    """What Lighthouse found on a page in each run."""
    return json.loads(run_node(LIGHTHOUSE / "measure.cjs", site, page, runs, folder=LIGHTHOUSE))


def summarize(runs):
    """The median of each number over the runs of a page.

    What lost points is that of the run whose performance is the median, or next above it.
    """
    numbers = [name for name, value in runs[0].items()
               if isinstance(value, int | float) and name != "benchmark_index"]
    middle = sorted(runs, key=lambda run: run["scores"]["performance"])[len(runs) // 2]
    return {"scores": {name: statistics.median(run["scores"][name] for run in runs)
                       for name in CATEGORIES},
            **{name: round(statistics.median(run[name] for run in runs), 4) for name in numbers},
            "performance_of_runs": [run["scores"]["performance"] for run in runs],
            "lost": middle["lost"]}


def audit(site, named, others):
    """Measure pages of a site; the report, ready to be written."""
    pages, seen = {}, []
    for page in (*named, *others):
        kind = "named" if page in named else "other"
        seen += (runs := measure(site, page, RUNS if kind == "named" else 1))
        pages[page] = {"goal": GOALS[kind], "runs": len(runs), **summarize(runs)}
        print(row(page, pages[page]), flush=True)
    return {"date": time.strftime("%Y-%m-%d"),
            "versions": {"lighthouse": seen[0]["lighthouse"], "browser": seen[0]["browser"],
                         "http-server": packages()["http-server"]},
            "machine": {"system": platform.system(), "cores": os.cpu_count(),
                        "benchmark_index": statistics.median(run["benchmark_index"]
                                                             for run in seen)},
            "pages": pages}


def packages():
    """The versions of the packages that the audit is made with."""
    content = (LIGHTHOUSE / "package.json").read_text(encoding="utf8")
    return json.loads(content)["dependencies"]


HEAD = (f"{'page':<36} {'perf':>4} {'a11y':>4} {'best':>4} {'seo':>4} {'LCP s':>6} {'TBT ms':>6} "
        f"{'CLS':>6} {'KB':>6} {'requests':>8}")


def row(page, found):
    """A page's line of the table."""
    scores = " ".join(f"{found['scores'][name]:4.0f}" for name in CATEGORIES)
    return (f"{page.removeprefix('notebooks/'):<36} {scores} {found['lcp_ms'] / 1000:6.2f} "
            f"{found['tbt_ms']:6.0f} {found['cls']:6.3f} {found['bytes'] / 1000:6.0f} "
            f"{found['requests']:8.0f}")


def missed_goals(report):
    """A sentence for each category of a page that is below its goal."""
    return [f"{page}: {name} {found['scores'][name]:.0f}, and the goal is {found['goal']}"
            for page, found in report["pages"].items() for name in CATEGORIES
            if found["scores"][name] < found["goal"]]


def lost_points(report):
    """A line for each page with what lost points there, the weakest first."""
    return [f"{page}: " + ", ".join(f"{name} {score:.2f}" for name, score in
                                    sorted(found["lost"].items(), key=lambda item: item[1]))
            for page, found in report["pages"].items() if found["lost"]]


def check_pages(site, pages):
    """Leave with a message unless the site and each page of it are there."""
    for page in ("index.html", *pages):
        if not (site / page).is_file():
            sys.exit(f"There is no {page} in {site}. Build the book first (`make book`), and give "
                     "pages as they are called there, such as notebooks/07_fusion.html.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", help="measure these alone, and write no report")
    parser.add_argument("--all", action="store_true", help="measure the other pages, too, once")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the project")
    options = parser.parse_args()
    root = options.root.resolve()
    check_pages(root / SITE, options.pages)
    named = options.pages or named_pages(root, root / SITE)
    others = other_pages(root / SITE, named) if options.all else []
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(root / SITE, Path(folder, "site"))
        run_node(LIGHTHOUSE / "compress.cjs", copy, folder=LIGHTHOUSE)
        print(HEAD, flush=True)
        report = audit(copy, named, others)
    if not options.pages:
        (root / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf8")
    print("\nWhat lost points:", *lost_points(report), sep="\n")
    if missed := missed_goals(report):
        sys.exit("\n".join(["\nGoals that were missed:", *missed]))
    print("\nEvery goal was reached.")


if __name__ == "__main__":
    main()
