"""Build the site from the book's pages and the executed notebooks; nothing changed, nothing done.

The sources are staged in `_build/source/`: `book/` at its top, the executed notebooks below
`notebooks/`, and the scripts that a page needs to work without a network. Links between the two
are written as they are in the repository (`../notebooks/…`, `../book/…`) and follow the move. The
picture on the first page is drawn anew by `tools/hero.py`.
"""

import argparse
import hashlib
import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import plotly
import yaml
from collect import RESULTS
from environment import ask
from execute import EXECUTED, ROOT
from keys import list_notebooks

from mmfuse_utils.data.sources import SOURCES, package_path

SOURCE, SITE, STAMP = (Path("_build", name) for name in ("source", "html", "site-key"))
MATHJAX_PARTS = ("tex-mml-chtml.js", "output/chtml/fonts", "input/tex/extensions", "a11y", "sre")
HERO = Path(__file__).resolve().parent / "hero.py"
PLOTLY_MIME = "application/vnd.plotly.v1+json"


def site_key(root):
    """Hash of everything that the site is made from."""
    inputs = [path for path in (root / "book").rglob("*")
              if path.is_file() and "__pycache__" not in path.parts]
    inputs += [root / EXECUTED / path.name for path in list_notebooks(root)]
    inputs += [root / RESULTS, root / "requirements-dev.txt", Path(__file__).resolve(), HERO,
               root / "mmfuse_utils" / "data" / "sources.py"]
    digest = hashlib.sha256(str(repository_url(root)).encode())
    for path in sorted(inputs):
        digest.update(path.as_posix().encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def repository_url(root):
    """Address for the repository buttons: a GitHub remote's https address, else None.

    Only the project's own repository counts, not one that its folder happens to lie in.
    """
    remote = ask("git", f"--git-dir={root / '.git'}", "remote", "get-url", "origin") or ""
    found = re.fullmatch(r"(https://github\.com/[\w.-]+/[\w.-]+?)(\.git)?/?", remote)
    return found[1] if found else None


def stage_config(root, source):
    """Write the staged configuration, with repository and launch buttons where they lead."""
    config = yaml.safe_load((root / "book" / "_config.yml").read_text(encoding="utf8"))
    url = repository_url(root)
    if url:
        config["repository"] = {"url": url, "branch": "main"}
        config["html"].update(use_repository_button=True, use_issues_button=True)
        config["launch_buttons"] = {"colab_url": "https://colab.research.google.com"}
    (source / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf8")


def plotly_html(figure):
    """An interactive figure that loads plotly from the site itself."""
    label = figure["layout"].get("title", {}).get("text") or "Interactive figure"
    digest = hashlib.sha256(json.dumps(figure, sort_keys=True).encode()).hexdigest()[:12]
    data = json.dumps([figure["data"], figure["layout"]]).replace("</", "<\\/")
    return (f'<div id="plotly-{digest}" class="mmfuse-plotly" role="img" '
            f'aria-label="{html.escape(label, quote=True)}"></div>'
            '<script src="../_static/plotly/plotly.min.js"></script>'
            f'<script>Plotly.newPlot("plotly-{digest}", ...{data}, {{responsive: true}})</script>')


def stage_notebook(text):
    """An executed notebook as the book shows it: links moved, plotly from the site."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = "".join(cell["source"]).replace("../book/", "../")
        for output in cell.get("outputs", []):
            if PLOTLY_MIME in output.get("data", {}):
                output["data"] = {"text/html": plotly_html(output["data"][PLOTLY_MIME])}
    return json.dumps(notebook, indent=1)


def stage(root):
    """Lay out the tree that Sphinx reads, from nothing."""
    source = root / SOURCE
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(root / "book", source, ignore=shutil.ignore_patterns("__pycache__"))
    for page in source.rglob("*.md"):
        text = page.read_text(encoding="utf8")
        page.write_text(text.replace("../notebooks/", "notebooks/"), encoding="utf8")
    (source / "notebooks").mkdir()
    for path in list_notebooks(root):
        text = (root / EXECUTED / path.name).read_text(encoding="utf8")
        (source / "notebooks" / path.name).write_text(stage_notebook(text), encoding="utf8")
    shutil.copyfile(root / RESULTS, source / "results.json")
    subprocess.run([sys.executable, str(HERO), str(source / "_static" / "hero.png")], check=True)
    stage_config(root, source)
    stage_scripts(source / "_vendor")


def stage_scripts(folder):
    """Copy the scripts that pages load: MathJax from its package, plotly from its wheel."""
    mathjax = package_path("mathjax")
    # An npm tarball holds one folder called package.
    es5 = next(path for path in (mathjax / "es5", mathjax / "package" / "es5") if path.exists())
    for part in MATHJAX_PARTS:
        target = folder / "mathjax" / part
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (es5 / part).is_dir() else shutil.copyfile
        copy(es5 / part, target)
    (folder / "plotly").mkdir()
    script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    shutil.copyfile(script, folder / "plotly" / "plotly.min.js")


def run_sphinx(root):
    """Build the staged tree; leave with a message when there were warnings."""
    for folder in (root / SITE, root / "_build" / ".doctrees"):
        shutil.rmtree(folder, ignore_errors=True)
    source = root / SOURCE
    status = subprocess.run(
        [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build",
         str(source), "--path-output", str(root), "--config", str(source / "_config.yml"),
         "--toc", str(source / "_toc.yml"), "-W", "--keep-going", "-q"], cwd=root).returncode
    if status != 0:
        sys.exit("The book was not built: Sphinx warned, and warnings count as errors here. "
                 "Each is shown above with its page and line.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the project")
    root = parser.parse_args().root.resolve()
    first, stamp, key = root / SITE / "index.html", root / STAMP, site_key(root)
    if first.exists() and stamp.exists() and stamp.read_text() == key:
        print("Book: nothing changed since it was built.")
    else:
        print("Book: building the pages …", flush=True)
        stamp.unlink(missing_ok=True)
        stage(root)
        run_sphinx(root)
        stamp.write_text(key)
    print(f"The book begins here: {first}")


if __name__ == "__main__":
    main()
