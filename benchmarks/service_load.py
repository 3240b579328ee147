"""Ask an HTTP service as fast as it answers, or so many times a second: what a load test sends.

    python benchmarks/service_load.py < PLAN        # prints JSON; used by benchmarks/service.py

PLAN is JSON: "port", "clients", "requests" (files with the bytes of whole HTTP requests, taken in
turn), and either "seconds" or "count" for clients that each wait for an answer before they ask
again (a closed loop), or "seconds" and "rate" for requests that come whether or not the earlier
ones were answered (an open loop; "clients" is then the most connections).

It does as little as it can: the requests are made beforehand, connections stay open, and of an
answer only the status and the length are read. Tests check it against a server that counts.
"""

import asyncio
import json
import sys
import time

END, LENGTH = b"\r\n\r\n", b"\r\ncontent-length:"


class Client(asyncio.Protocol):
    """One connection: sends a request and, when the whole answer is there, says so."""

    def __init__(self, answered, lost):
        self.answered, self.lost = answered, lost
        self.held, self.started, self.asked = b"", 0.0, False
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def send(self, request):
        """Send a request."""
        self.started, self.asked = time.perf_counter(), True
        self.transport.write(request)

    def data_received(self, data):
        self.held = self.held + data if self.held else data
        head = self.held.find(END)
        if head < 0 or len(self.held) < head + len(END) + content_length(self.held[:head]):
            return
        status, self.held, self.asked = int(self.held[9:12]), b"", False
        self.answered(self, status, time.perf_counter() - self.started)

    def connection_lost(self, error):
        self.lost(self)


def content_length(head):
    """The length of the body that the head of an answer announces.

    >>> content_length(b"HTTP/1.1 200 OK\\r\\nContent-Length: 12")
    12
    """
    head = head.lower()
    start = head.index(LENGTH) + len(LENGTH)
    end = head.find(b"\r\n", start)
    return int(head[start:] if end < 0 else head[start:end])


class Load:
    """What was asked and answered: times of each status, in seconds, and broken connections."""

    def __init__(self, plan, requests):
        self.plan, self.requests = plan, requests
        self.asked, self.broken, self.unsent = 0, 0, 0
        self.times = {}
        self.stop_at, self.done = 0.0, asyncio.Event()
        self.waiting, self.open = [], set()

    def next_request(self):
        """The next of the requests, in turn."""
        self.asked += 1
        return self.requests[(self.asked - 1) % len(self.requests)]

    def note(self, status, seconds):
        """Write down an answer."""
        self.times.setdefault(status, []).append(seconds)

    def finished(self):
        """Whether no further request is to be sent."""
        count = self.plan.get("count")
        return self.asked >= count if count else time.perf_counter() >= self.stop_at

    def close(self, client):
        """A client that is done; with the last one, so is the load."""
        self.open.discard(client)
        client.transport.close()
        if not self.open:
            self.done.set()

    def lose(self, client):
        """A connection that the other side closed; between two requests it may."""
        if client in self.open:
            self.broken += client.asked
            self.close(client)

    async def free_connection(self, answered):
        """A connection that waits for nothing, maybe a new one; None if there are too many."""
        while self.waiting:
            client = self.waiting.pop()
            if client in self.open:
                return client
        return await self.connect(answered) if len(self.open) < self.plan["clients"] else None

    async def connect(self, answered):
        """Open one more connection."""
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(lambda: Client(answered, self.lose),
                                                 "127.0.0.1", self.plan["port"])
        self.open.add(client)
        return client


async def closed_loop(load):
    """Every client asks again as soon as it has its answer."""
    def answered(client, status, seconds):
        load.note(status, seconds)
        if status == 503 and not load.finished():
            loop.call_later(load.plan.get("pause", 1), go_on, client)
        else:
            go_on(client)

    def go_on(client):
        if load.finished():
            load.close(client)
        elif client in load.open:
            client.send(load.next_request())

    loop = asyncio.get_running_loop()
    clients = [await load.connect(answered) for _ in range(load.plan["clients"])]
    load.stop_at = time.perf_counter() + load.plan.get("seconds", 0)
    for client in clients:
        client.send(load.next_request())
    await load.done.wait()


async def open_loop(load):
    """Requests come at a steady rate; one that finds no free connection is left out, and counted.

    None waits for the answer to another, so none is sent late because the service is.
    """
    def answered(client, status, seconds):
        load.note(status, seconds)
        load.waiting.append(client)

    start, gap = time.perf_counter(), 1 / load.plan["rate"]
    for number in range(int(load.plan["seconds"] * load.plan["rate"])):
        due = start + number * gap
        if (ahead := due - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        elif number % 8 == 0:
            await asyncio.sleep(0)
        client = await load.free_connection(answered)
        if client is None:
            load.unsent += 1
        else:
            client.send(load.next_request())
    for _ in range(300):            # answers that are still to come; half a minute at most
        if not any(client.asked for client in load.open):
            break
        await asyncio.sleep(0.1)
    for client in list(load.open):
        load.close(client)


async def put_load(plan, requests):
    """Carry out a plan: counts, seconds, and the time of each answer in milliseconds."""
    load = Load(plan, requests)
    wall, cpu = time.perf_counter(), time.process_time()
    await (open_loop if "rate" in plan else closed_loop)(load)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"seconds": wall, "own_cpu_seconds": cpu, "broken": load.broken, "unsent": load.unsent,
            "milliseconds": {str(status): [round(1000 * one, 4) for one in times]
                             for status, times in load.times.items()}}


def main():
    """Read plans, one a line, and print what came of each."""
    try:
        import uvloop
    except ImportError:
        runner = asyncio.Runner()
    else:
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    requests = {}
    with runner:
        for line in sys.stdin:
            plan = json.loads(line)
            name = plan["requests"]
            if name not in requests:
                with open(name, "rb") as file:
                    sizes = json.loads(file.readline())
                    requests[name] = [file.read(size) for size in sizes]
            print(json.dumps(runner.run(put_load(plan, requests[name]))), flush=True)


if __name__ == "__main__":
    main()
