"""Build the site from the book's pages and the executed notebooks; nothing changed, nothing done.

The sources are staged in `_build/source/`: `book/` at its top, the executed notebooks below
`notebooks/`, and the scripts that a page needs to work without a network. Links between the two
are written as they are in the repository (`../notebooks/…`, `../book/…`) and follow the move. The
picture on the first page is drawn anew by `tools/hero.py`; the interactive parts are bundled from
`book/_live/`, and their data made by the scripts in `tools/live/`. What Sphinx writes is made light
by `tools/lighten.py`.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from collect import COSTS, RESULTS, collect_verdicts
from edition import describe_edition, repository_url
from execute import EXECUTED, ROOT, write_json
from javascript import NODE, bundle, node_modules
from keys import list_notebooks
from launch import fill_address
from lighten import lighten
from pages import make_page, numbered_files

SOURCE, SITE, STAMP = (Path("_build", name) for name in ("source", "html", "site-key"))
HERO = Path(__file__).resolve().parent / "hero.py"
LIVE_DATA = HERO.with_name("live")      # a script for each set of data that a page loads


def site_key(root):
    """Hash of everything that the site is made from."""
    inputs = [path for path in (root / "book").rglob("*")
              if path.is_file() and "__pycache__" not in path.parts]
    inputs += [root / EXECUTED / path.name for path in list_notebooks(root)]
    tools = Path(__file__).resolve().parent
    inputs += [root / RESULTS, root / COSTS, root / "requirements-dev.txt", HERO,
               root / "mmfuse_utils" / "data" / "sources.py", *tools.glob("*.py"),
               NODE / "package-lock.json", *NODE.glob("*.js"), *LIVE_DATA.glob("*.py")]
    digest = hashlib.sha256(str(repository_url(root)).encode())
    for path in sorted(inputs):
        digest.update(path.as_posix().encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def stage_config(root, source):
    """Write the staged configuration: the edition, and buttons where the repository is known.

    Binder clones the repository. Colab opens the notebook alone, which has the address in its
    first cell; see launch.py.
    """
    config = yaml.safe_load((root / "book" / "_config.yml").read_text(encoding="utf8"))
    url = repository_url(root)
    if url:
        config["repository"] = {"url": url, "branch": "main"}
        config["html"]["use_repository_button"] = True
        config["launch_buttons"] = {"colab_url": "https://colab.research.google.com",
                                    "binderhub_url": "https://mybinder.org",
                                    "notebook_interface": "jupyterlab"}
    config["sphinx"]["config"].update(mmfuse_edition=describe_edition(root),
                                      mmfuse_repository=url or "")
    (source / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf8")


def stage(root):
    """Lay out the tree that Sphinx reads, from nothing."""
    source = root / SOURCE
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(root / "book", source, ignore=shutil.ignore_patterns("__pycache__"))
    for page in source.rglob("*.md"):
        text = page.read_text(encoding="utf8")
        page.write_text(text.replace("../notebooks/", "notebooks/"), encoding="utf8")
    (source / "notebooks").mkdir()
    shutil.copyfile(root / RESULTS, source / "results.json")
    shutil.copyfile(root / COSTS, source / "costs.json")
    stage_notebooks(root, source)
    subprocess.run([sys.executable, str(HERO), str(source / "_static")], check=True)
    stage_config(root, source)
    stage_scripts(source / "_vendor")
    stage_live(source)


def stage_notebooks(root, source):
    """Write each executed notebook as the page that the book shows, and the verdicts of all."""
    numbers = numbered_files(yaml.safe_load((source / "_toc.yml").read_text(encoding="utf8")))
    results = json.loads((source / "results.json").read_text(encoding="utf8"))
    texts = {path.stem: (root / EXECUTED / path.name).read_text(encoding="utf8")
             for path in list_notebooks(root)}
    for name, text in texts.items():
        page = make_page(text, numbers[f"notebooks/{name}"], results[f"time.{name}"]["value"])
        page = fill_address(page, repository_url(root))
        (source / "notebooks" / f"{name}.ipynb").write_text(page, encoding="utf8")
    write_json(source / "verdicts.json", collect_verdicts(
        {name: json.loads(text) for name, text in texts.items()}))


def stage_scripts(folder):
    """Copy the script that draws interactive plots; book.js loads it when one comes near."""
    (folder / "plotly").mkdir(parents=True)
    script = node_modules() / "plotly.js-basic-dist-min" / "plotly-basic.min.js"
    shutil.copyfile(script, folder / "plotly" / "plotly.min.js")


def stage_live(source):
    """Bundle the interactive parts and make their data, for `_static/live/` of the site."""
    target = source / "_vendor" / "live"
    bundle(source / "_live", target)
    shutil.rmtree(source / "_live")
    for script in sorted(LIVE_DATA.glob("*.py")):
        subprocess.run([sys.executable, str(script), str(target / "data")], check=True)


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
        lighten(root / SITE)
        stamp.write_text(key)
    print(f"The book begins here: {first}")


if __name__ == "__main__":
    main()
