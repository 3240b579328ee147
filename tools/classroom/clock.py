"""How long a student's code has been at work, and its end where that is too long.

What counts is the time in which the machine lets a kernel run: on a busy one, its wait for a turn
is not held against it, but what its own processes take together is. Everything here looks at the
processes from outside of the sandbox.
"""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import psutil

CELL_SECONDS, SECONDS = 30, 120
LONGEST = 480           # seconds by the clock on the wall, whatever the machine does
TIMES = 10              # that a cell is told to stop before its kernel is ended, a second apart
MEMORY = 6 * 2**30      # bytes that all processes of a kernel may have together
TICK = 0.3
ROUNDS = 4              # in which new children are looked for


class Processes:
    """The processes of one sandbox, from the one that was started here."""

    def __init__(self, pid):
        self.outer = psutil.Process(pid)
        # In the sandbox come bubblewrap's process 1 and the kernel; without one, it is the kernel.
        inside = self.outer.children(recursive=True)[:2] or [self.outer]
        self.first, self.kernel = inside[0], inside[-1]

    def others(self):
        """What the kernel has started, also what it disowned."""
        try:
            return [process for process in self.first.children(recursive=True)
                    if process != self.kernel]
        except psutil.Error:            # all have ended
            return []

    def waited(self):
        """Seconds for which the kernel was ready to run while other programs ran."""
        try:
            told = Path(f"/proc/{self.kernel.pid}/schedstat").read_text()
            return int(told.split()[1]) / 1e9
        except (OSError, IndexError):   # it has ended, or this is another system
            return 0.0

    def taken(self):
        """(seconds of processor time, bytes of memory) of all processes together."""
        seconds = size = 0
        for process in [self.kernel, *self.others()]:
            with contextlib.suppress(psutil.Error):
                seconds += sum(process.cpu_times()[:4])
                size += process.memory_info().rss
        return seconds, size

    def interrupt(self):
        """Ask the cell to stop, and end what it has started, also what it starts meanwhile.

        Asked once, a cell that forks may not hear: Python drops what is raised in its hooks
        around a fork. A kernel whose cell has ended does not mind being asked again.
        """
        for _ in range(ROUNDS):
            self.end_others(signal.SIGINT)
            time.sleep(TICK)

    def end_others(self, kind):
        """End all but the kernel, which gets a signal. They stand still before the first is ended,
        so that none can take its place."""
        if os.name == "posix":
            kill(self.kernel, signal.SIGSTOP)
            standing = set()
            for _ in range(ROUNDS):
                new = set(self.others()) - standing
                for process in new:
                    kill(process, signal.SIGSTOP)
                standing |= new
        for process in self.others():
            kill(process)
        if os.name == "posix":
            kill(self.kernel, kind)
            kill(self.kernel, signal.SIGCONT)

    def end(self):
        """End them all: with a sandbox's process 1 goes whatever runs in it."""
        others = self.others() if self.first == self.outer else []
        for process in [*others, self.first, self.outer]:
            kill(process)


def kill(process, kind=None):
    """End a process, or send it a signal, unless it has ended by itself."""
    with contextlib.suppress(psutil.Error):
        process.kill() if kind is None else process.send_signal(kind)


class Clock(threading.Thread):
    """Looks at a kernel a few times a second while it runs cells."""

    def __init__(self, processes):
        super().__init__(daemon=True)
        self.processes, self.lock, self.over = processes, threading.Lock(), threading.Event()
        self.started, self.spent, self.stopped, self.late = time.monotonic(), 0, "", set()
        self.cell = None
        self.start()

    def begin(self, cell, what, counts):
        """A cell starts. what : its place in words. counts : whether its time adds to the sum."""
        with self.lock:
            self.cell, self.what, self.counts, self.told = cell, what, counts, 0
            self.marks = (time.monotonic(), self.processes.waited(), self.processes.taken()[0])

    def done(self):
        """The cell has ended."""
        with self.lock:
            self.spent += self.used() if self.counts else 0
            self.cell = None

    def used(self):
        """Seconds that count of the present cell's time."""
        began, waited, seconds = self.marks
        own = time.monotonic() - began - (self.processes.waited() - waited)
        return max(own, self.processes.taken()[0] - seconds)

    def stop(self, why):
        """End the kernel and all that it started."""
        self.stopped = self.stopped or why
        self.processes.end()

    def tell_to_stop(self):
        """How often counts, not how long: on a busy machine a cell may not have heard yet."""
        self.told += 1
        self.late.add(self.cell)
        self.processes.interrupt()

    def look(self):
        """End what is over a limit."""
        used, sum_of_all = self.used(), self.spent
        if self.told == 0 and used > CELL_SECONDS:
            self.tell_to_stop()
        elif self.told == TIMES:
            self.stop(f"Your code ran longer than {CELL_SECONDS} seconds in {self.what}, and did "
                      "not stop when it was told to")
        elif self.counts and sum_of_all + used > SECONDS:
            self.stop(f"Your code ran longer than {SECONDS} seconds in all, and was ended in "
                      f"{self.what}")
        elif self.processes.taken()[1] > MEMORY:
            self.stop(f"Your code took more than {MEMORY // 2**30} gigabytes of memory in "
                      f"{self.what}")
        elif self.told:
            self.tell_to_stop()

    def run(self):
        while not self.over.wait(TICK):
            with self.lock:
                if time.monotonic() - self.started > LONGEST:
                    self.stop(f"Your notebook took more than {LONGEST // 60} minutes")
                elif self.cell is not None:
                    self.look()
