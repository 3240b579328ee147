"""A filter that Linux lays around a kernel: calls that no answer needs, and that lead outside.

Written as the 50 or so instructions of BPF that `man 2 seccomp` explains, for the two processors
that computers of a classroom have, since libseccomp and its Python part are not everywhere. It
holds for the process and all that it starts, and cannot be taken off.
"""

import ctypes
import platform
import struct
import sys

# By name, the numbers of calls on x86-64 and on ARM-64.
CALLS = {
    # reach into another process of the sandbox, such as its first, which ends all others
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438), "kcmp": (312, 272),
    # keep something where the next kernel finds it, or where no limit counts it
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    # make a sandbox within the sandbox, in which more is allowed
    "unshare": (272, 97), "setns": (308, 268),
    # large parts of the system in which holes were found
    "bpf": (321, 280), "userfaultfd": (323, 282), "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425),
    # open what sandbox_kernel.py has closed: folders and limits
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "setrlimit": (160, 164),
}
CLONE, CLONE3, SOCKET, PRLIMIT = (56, 220), (435, 435), (41, 198), (302, 261)
SECCOMP = (317, 277)
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}      # column, audit's number
OTHER_TABLE = 0x4000_0000       # from here on, a second table of calls on x86-64
NEW_USER = 0x1000_0000          # flag of clone: a user namespace
FAMILIES = (1, 2, 10)           # sockets of the machine itself (Unix), IPv4 and IPv6
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, ERROR = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
NUMBER, MACHINE, FIRST, THIRD = 0, 4, 16, 32    # places of the call's number and arguments
NO_NEW_PRIVILEGES, SET_FILTER, ALL_THREADS = 38, 1, 1


def instructions(machine):
    """The filter as rows (code, jump if true, jump if false, constant)."""
    column, audit = MACHINES[machine]
    clone, clone3, socket, prlimit = (call[column] for call in (CLONE, CLONE3, SOCKET, PRLIMIT))
    refuse, again = (RETURN, 0, 0, ERROR | EPERM), (LOAD, 0, 0, NUMBER)
    rows = [(LOAD, 0, 0, MACHINE), (EQUAL, 1, 0, audit), (RETURN, 0, 0, KILL),
            again, (AT_LEAST, 0, 1, OTHER_TABLE), refuse]
    for call in CALLS.values():
        if call[column] is not None:
            rows += [(EQUAL, 0, 1, call[column]), refuse]
    # Flags of clone3 lie in memory, where a filter cannot look; C libraries then take clone.
    rows += [(EQUAL, 0, 1, clone3), (RETURN, 0, 0, ERROR | ENOSYS)]
    rows += [(EQUAL, 0, 4, clone), (LOAD, 0, 0, FIRST), (ANY_BIT, 0, 1, NEW_USER), refuse, again]
    # Limits may be asked for, not set: the third argument, the new limit, must be a null pointer.
    rows += [(EQUAL, 0, 6, prlimit), (LOAD, 0, 0, THIRD), (EQUAL, 0, 2, 0),
             (LOAD, 0, 0, THIRD + 4), (EQUAL, 1, 0, 0), refuse, again]
    n = len(FAMILIES)
    rows += [(EQUAL, 0, n + 2, socket), (LOAD, 0, 0, FIRST),
             *((EQUAL, n - i, 0, family) for i, family in enumerate(FAMILIES)),
             (RETURN, 0, 0, ERROR | EAFNOSUPPORT)]
    return [*rows, (RETURN, 0, 0, ALLOW)]


def install():
    """Lay the filter around this process; returns whether the machine can."""
    if sys.platform != "linux" or platform.machine() not in MACHINES:
        return False
    rows = instructions(platform.machine())
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *row) for row in rows))
    program = struct.pack("@HP", len(rows), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False
    call = SECCOMP[MACHINES[platform.machine()][0]]
    return libc.syscall(call, SET_FILTER, ALL_THREADS, program) == 0


if __name__ == "__main__":      # says whether this machine can
    sys.exit(not install())
