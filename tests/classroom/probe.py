"""Run code in a kernel of the sandbox, as whoever starts this; for tests.

Reads a line of JSON with code, writes one with what it printed and the error that it ended with.
The first line written tells the numbers of the sandbox's process 1 and of the kernel.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "tools" / part)
                for part in ("classroom", "")]

from clock import Processes  # noqa: E402
from grade_one import add_kernel  # noqa: E402
from jupyter_client.manager import KernelManager  # noqa: E402
from sandbox import claim_user, die_first  # noqa: E402


def start_kernel(folder, user):
    """(manager, client) of a kernel with an empty folder of work."""
    (folder / "source" / "a0").mkdir(parents=True)
    connection = add_kernel(folder, "a0", "bubblewrap", user)
    manager = KernelManager(kernel_name="sandbox", transport="ipc",
                            connection_file=str(connection))
    with die_first():
        manager.start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=120)
    shutil.rmtree(connection.parent)
    return manager, client


def run(client, code):
    """What a cell printed, and the error that it ended with."""
    printed = []

    def hear(message):
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    reply = client.execute_interactive(code, timeout=120, output_hook=hear)["content"]
    error = f"{reply['ename']}: {reply['evalue']}" if reply["status"] == "error" else ""
    return {"printed": "".join(printed), "error": error}


def main():
    user, claim = claim_user()
    with claim, tempfile.TemporaryDirectory(prefix="mmfuse-") as folder:
        manager, client = start_kernel(Path(folder).resolve(), user)
        processes = Processes(manager.provisioner.process.pid)
        print(json.dumps([processes.first.pid, processes.kernel.pid]), flush=True)
        try:
            for line in sys.stdin:
                print(json.dumps(run(client, json.loads(line))), flush=True)
        finally:
            client.stop_channels()
            processes.end()


if __name__ == "__main__":
    main()
