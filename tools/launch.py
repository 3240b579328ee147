"""Give each notebook the cell that makes it run anywhere, with the address of the repository.

`python tools/launch.py` writes the cell below the title of every notebook. Where the git remote
is a GitHub repository, the cell gets its address, since Colab opens a notebook without the rest.
"""

import json
import re

from edition import repository_url
from execute import ROOT
from keys import list_notebooks

CELL = '''\
# Where the book is not installed, as in Colab, this gets the rest of it and
# the packages that are missing.
from importlib.util import find_spec
from os import environ

BOOK = ""  # the address of the book's repository

# On small products NumPy's second thread only waits for the first.
environ.setdefault("OPENBLAS_NUM_THREADS", "1")

if find_spec("mmfuse_utils") is None:
    from pathlib import Path
    from runpy import run_path

    around = Path("../tools/bare.py").exists()
    folder = Path(".." if around else "words-meet-pixels")
    if BOOK and not folder.exists():
        print("Fetching the book …")
        !git clone --quiet --depth 1 {BOOK} {folder}
    if not folder.exists():
        raise SystemExit(
            "This notebook needs the rest of the book. Download the whole "
            "book and open the notebook there, or write the address of its "
            "repository above, as BOOK, and run this cell again.")
    run_path(f"{folder}/tools/bare.py", run_name="__main__")
'''
# It is empty until the book is published.
ADDRESS = re.compile(r'(?m)^BOOK = "([^"]*)"')


def make_cell(address):
    """The cell as it stands in a notebook; no page shows it."""
    source = ADDRESS.sub(lambda match: f'BOOK = "{address}"', CELL).rstrip("\n")
    return {"cell_type": "code", "execution_count": None, "id": "install",
            "metadata": {"jupyter": {"source_hidden": True}, "tags": ["remove-cell"]},
            "outputs": [], "source": source.splitlines(keepends=True)}


def fill_address(text, address):
    """A notebook's text, with an address of the book where it has none yet."""
    return text.replace(r'BOOK = \"\"', rf'BOOK = \"{address}\"') if address else text


def put_cell(notebook, address):
    """Put the cell below the title, or renew it; without an address the present one stays."""
    present = [cell for cell in notebook["cells"] if cell["id"] == "install"]
    if present and not address:
        address = ADDRESS.search("".join(present[0]["source"]))[1]
    others = [cell for cell in notebook["cells"] if cell["id"] != "install"]
    notebook["cells"] = [others[0], make_cell(address), *others[1:]]


def main():
    address = repository_url(ROOT) or ""
    for path in list_notebooks(ROOT):
        notebook = json.loads(path.read_text(encoding="utf8"))
        put_cell(notebook, address)
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf8", newline="\n")
    print(f"The notebooks name {address or 'no address of the book'}.")


if __name__ == "__main__":
    main()
