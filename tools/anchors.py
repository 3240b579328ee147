"""The places to which links from outside may lead: book/anchors.txt lists those that must stay.

`python tools/anchors.py` tells what the built site has lost and what is new in it; with `--add` it
writes the new places down. A place is a page, or page#anchor of a heading, a figure, a claim, a
term of the glossary or a number of the ledger. One that got a new name, or went to another page,
is led there by book/moved.yml.
"""

import argparse
import re
import sys
from pathlib import Path

import yaml
from build import SITE
from execute import ROOT

LIST = Path("book", "anchors.txt")
# Pages that Sphinx makes for itself.
OWN = {"genindex", "search"}
ANCHOR = re.compile(r'<(?:section|figure|dt)\b[^<>]*\sid="([^"]+)"'
                    r'|<span class="mmfuse-result" id="([^"]+)"|<div\b[^<>]*\sid="(claim-[^"]+)"')
ANY = re.compile(r'<[^<>]+\sid="([^"]+)"')


def page_names(root):
    """Names of the built pages, such as notebooks/07_fusion, without those that only lead on."""
    site = root / SITE
    moved = yaml.safe_load((root / "book" / "moved.yml").read_text(encoding="utf8"))
    names = {path.relative_to(site).with_suffix("").as_posix() for path in site.rglob("*.html")}
    return {name for name in names if not name.startswith("_")} - set(moved) - OWN


def places(root, pattern=ANCHOR):
    """All places of the built site: its pages, and page#anchor for each anchor in them."""
    found = set()
    for name in page_names(root):
        page = (root / SITE / f"{name}.html").read_text(encoding="utf8")
        anchors = {next(filter(None, match.groups())) for match in pattern.finditer(page)}
        found |= {name} | {f"{name}#{anchor}" for anchor in anchors}
    return found


def listed(root):
    """The places that must stay."""
    return (root / LIST).read_text(encoding="utf8").split()


def find_lost(root):
    """Listed places to which no link leads any more, in the order of the list.

    A page that moved takes its anchors along.
    """
    present = places(root, ANY)
    moved = yaml.safe_load((root / "book" / "moved.yml").read_text(encoding="utf8"))
    return [place for place in listed(root)
            if follow(place, moved) not in present and place not in present]


def follow(place, moved):
    """Where a place is now, by moved.yml: the place itself, or else its page, was renamed."""
    while True:
        page, sign, anchor = place.partition("#")
        target = moved.get(place) or (f"{moved[page]}{sign}{anchor}" if page in moved else None)
        if target is None:
            return place
        place = target


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the project")
    parser.add_argument("--add", action="store_true", help="write the new places down")
    options = parser.parse_args()
    root = options.root.resolve()
    lost, new = find_lost(root), sorted(places(root) - set(listed(root)))
    print("".join(f"lost: {place}\n" for place in lost), end="")
    if options.add:
        text = "\n".join(sorted({*listed(root), *new})) + "\n"
        (root / LIST).write_text(text, encoding="utf8", newline="\n")
    print(f"{len(listed(root))} places are listed; {len(new)} "
          f"{'were added' if options.add else 'more are new'}; {len(lost)} are lost.")
    if lost:
        sys.exit("Let book/moved.yml lead from each place that is lost to where it is now.")


if __name__ == "__main__":
    main()
