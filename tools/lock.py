"""Pin every package once: requirements.txt for readers, requirements-dev.txt for builders.

The ranges live in pyproject.toml. This script resolves them for all supported Pythons
and systems at once and writes the two pin files. Needs `pip install uv`; run it by hand
when a range changes, then commit both files.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# torch names its own exact CUDA libraries on Linux. Pinning them here as well would force
# them on readers who chose the CPU build.
LEFT_TO_TORCH = ("nvidia-", "cuda-", "triton")


def compile_pins(extras, constraints):
    """Return the sorted pin lines for the project with the given extras."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "-q", "pyproject.toml",
               "--universal", "--python-version", "3.11", "--no-header", "--no-annotate"]
    for extra in extras:
        command += ["--extra", extra]
    for constraint in constraints:
        command += ["-c", constraint]
    result = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return [line for line in result.stdout.splitlines()
            if line and not line.startswith(LEFT_TO_TORCH)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-c", "--constraint", action="append", default=[],
                        help="a file of extra constraints, for instance an older torch pair")
    constraints = parser.parse_args().constraint
    everything = compile_pins(["book", "classroom", "scale", "service", "test"], constraints)
    pinned = ROOT / "requirements-dev.txt"
    pinned.write_text("\n".join(everything) + "\n")
    readers = compile_pins([], [*constraints, str(pinned)])
    head = "# Written by tools/lock.py from the ranges in pyproject.toml.\n"
    (ROOT / "requirements.txt").write_text(head + "\n".join(readers) + "\n")
    rest = [line for line in everything if line not in set(readers)]
    pinned.write_text(head + "-r requirements.txt\n" + "\n".join(rest) + "\n")


if __name__ == "__main__":
    main()
