"""The load test: does the load arrive, are its numbers right, and what does the record say?"""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import service as bench
import service_load
from scipy import stats

ROOT = Path(__file__).resolve().parents[2]


class Counting:
    """An HTTP server in a thread that counts requests, and answers as told.

    answer : number of a request -> (status, seconds to wait), or None to hang up.
    """

    def __init__(self, answer=lambda number: (200, 0.0)):
        self.answer, self.seen, self.bodies = answer, Counter(), []
        self.loop, self.ready = asyncio.new_event_loop(), threading.Event()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=[self.serve()])

    async def serve(self):
        self.stop = asyncio.Event()
        server = await asyncio.start_server(self.talk, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.stop.wait()
        server.close()

    async def talk(self, reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b"":
            path = head.split()[1].decode()
            if b"Content-Length" in head:
                self.bodies.append(await reader.readexactly(service_load.content_length(
                    head[:-4])))
            self.seen[path] += 1
            told = self.answer(self.seen.total())
            if told is None:
                break
            await asyncio.sleep(told[1])
            # In two pieces, as answers may come.
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\nhe" % told[0])
            await writer.drain()
            writer.write(b"llo")
        writer.close()

    def __enter__(self):
        self.thread.start()
        self.ready.wait()
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join()


def put(server, requests=None, **plan):
    requests = requests or [bench.text_request(phrase) for phrase in ("a", "b c", "d")]
    return asyncio.run(service_load.put_load({"port": server.port, **plan}, requests))


def test_every_request_arrives_and_every_answer_is_counted():
    with Counting() as server:
        told = put(server, clients=4, count=50)
    assert server.seen.total() >= 50 and set(server.seen) == {
        "/v1/search?q=a&k=10", "/v1/search?q=b+c&k=10", "/v1/search?q=d&k=10"}
    assert len(told["milliseconds"]["200"]) == server.seen.total() <= 53
    assert max(server.seen.values()) - min(server.seen.values()) <= 1 and told["broken"] == 0


def test_times_are_those_of_the_answers_and_clients_ask_at_once():
    with Counting(lambda number: (200, 0.05)) as server:
        told = put(server, clients=3, seconds=0.4)
    times = np.array(told["milliseconds"]["200"])
    assert times.min() >= 49 and np.median(times) < 200
    assert 4 <= len(times) <= 27 and 0.4 <= told["seconds"] < 2


def test_who_is_refused_waits_and_who_is_cut_off_is_counted():
    with Counting(lambda number: (503, 0.0)) as server:
        told = put(server, clients=2, seconds=0.5, pause=0.2)
    assert 3 <= len(told["milliseconds"]["503"]) <= 8
    with Counting(lambda number: None if number == 3 else (200, 0.0)) as server:
        told = put(server, clients=1, count=10)
    assert told["broken"] == 1 and len(told["milliseconds"]["200"]) == 2


def test_an_open_load_comes_at_its_rate_whether_or_not_it_is_answered():
    with Counting() as server:
        told = put(server, clients=4, seconds=1.0, rate=100)
    assert len(told["milliseconds"]["200"]) + told["unsent"] == 100 and told["unsent"] < 80
    assert 0.9 < told["seconds"] < 4
    with Counting(lambda number: (200, 0.3)) as server:
        told = put(server, clients=2, seconds=0.6, rate=100)
    assert told["unsent"] > 40 and len(told["milliseconds"]["200"]) <= 8


def test_pictures_arrive_as_they_are(tmp_path):
    pictures = [bytes(range(256)) * 40, b"short"]
    bench.write_requests(tmp_path / "file", list(map(bench.picture_request, pictures)))
    with Counting() as server:
        plan = {"port": server.port, "clients": 1, "count": 4, "requests": str(tmp_path / "file")}
        result = subprocess.run([sys.executable, service_load.__file__], check=True,
                                input=json.dumps(plan) + "\n", encoding="utf8",
                                stdout=subprocess.PIPE)
    assert server.bodies == pictures * 2
    assert len(json.loads(result.stdout)["milliseconds"]["200"]) == 4


def test_the_fixed_answer_is_an_application():
    said = []

    async def ask():
        async def send(message):
            said.append(message)
        await bench.fixed_answer(b"hello")({"type": "http"}, None, send)

    asyncio.run(ask())
    assert said[0]["status"] == 200 and said[1]["body"] == b"hello"


# Numbers

def cell(cost, rate=1000.0):
    return {"rate": rate, "ratio": 0.9, "cost_ratio": cost, "p50": 1.0, "p95": 2.0, "p99": 3.0,
            "cpu_milliseconds": 0.2, "load_cpu_milliseconds": 0.03, "refused": 1}


def made_up_rounds(costs):
    """Rounds in which the given cost ratios were seen: {clients: a number a round}."""
    def ratio(n, i):
        return costs.get(n, [0.1] * 100)[i]
    rounds = []
    for i in range(len(next(iter(costs.values())))):
        cells = {("usual", n): cell(ratio(n, i)) for n in bench.CLIENTS}
        cells |= {("alone", n): cell(ratio(n, i) / 2) for n in bench.ALONE["text"]}
        cells |= {("fixed", n): cell(1) | {"cpu_milliseconds": 0.05} for n in (1, 8)}
        rounds.append(cells | {"bare": cell(1) | {
            "cpu_milliseconds": 0.1, "together_cpu_milliseconds": 0.06}})
    return rounds


def test_an_interval_is_students():
    numbers = [0.7, 0.8, 0.75, 0.9]
    told = bench.summary(numbers)
    expected = stats.t.interval(0.95, 3, np.mean(numbers), stats.sem(numbers))
    assert told["interval"] == pytest.approx(expected)
    assert told["mean"] == pytest.approx(0.7875) and told["rounds"] == numbers
    ratios = bench.geometric([0.5, 2.0, 1.0])
    expected = stats.t.interval(0.95, 2, 0, stats.sem(np.log([0.5, 2.0, 1.0])))
    assert np.log(ratios["interval"]) == pytest.approx(expected) and ratios["mean"] == 1.0


def test_the_number_of_clients_is_chosen_by_all_rounds_and_judged_by_others():
    assert bench.best_clients({8: [0.9, 0.5, 0.9], 16: [0.8, 0.99, 0.7], 32: [0.1] * 3}) == 16
    told = bench.judge(Stub(), 16, 3)
    assert told["rate_ratio"]["clients"] == 16 and told["rate_ratio"]["rounds"] == [0.8] * 3
    assert told["rate_ratio"]["value"] == pytest.approx(0.8)
    assert told["p99_milliseconds"]["value"] == pytest.approx(3.0)


def test_parts_add_up_to_the_whole_and_batching_is_a_ratio_of_costs():
    rounds = made_up_rounds({8: [0.8, 0.9]})
    told = bench.split(rounds, 8, {"answer": 0.01})
    assert sum(part["milliseconds"]["mean"] for part in told["parts"]) == pytest.approx(0.2)
    assert sum(part["share"] for part in told["parts"]) == pytest.approx(1)
    assert told["parts"][0]["milliseconds"]["mean"] == pytest.approx(0.06)     # searched together
    assert bench.split(rounds, 1, {"answer": 0.01})["parts"][0]["share"] == pytest.approx(0.5)
    gains = {one["clients"]: one["gain"]["mean"]
             for one in bench.describe(rounds, "text")["batching"]}
    assert gains[8] == pytest.approx(2)


class Stub:
    """A bench whose service is as quick, and grows as much, as is said."""

    def __init__(self, growth=0.0):
        self.growth, self.done, self.service = growth, 0, self

    def ask(self, question):
        return {"megabytes": 100 + self.growth * self.done, "cpu_seconds": time.process_time()}

    def ask_bare(self, kind, count):
        return {"rate": 2000.0, "cpu_milliseconds": 0.1}

    def ask_service(self, kind, way="usual", clients=1, count=0, rate=0, seconds=0):
        self.done += count
        answered, refused = (count or 1000, 0) if not rate else (int(rate), int(rate))
        return cell(1) | {"rate": 1600.0, "answered": answered, "refused": refused, "unsent": 0,
                          "seconds": seconds or 1.0, "cpu_milliseconds": 0.125,
                          "refusals": {"p99": 1.0},
                          "megabytes": self.ask("")["megabytes"]}


def test_a_leak_is_seen(monkeypatch):
    monkeypatch.setitem(bench.MEMORY, "text", (1000, 50, 4))
    steady, leaking = (bench.watch_memory(Stub(growth), "text") for growth in (0.0, 0.001))
    assert steady["slope_bytes_per_request"]["mean"] == 0 and steady["requests"] == 1000
    assert leaking["slope_bytes_per_request"]["mean"] == pytest.approx(1000)
    assert leaking["grown_mb"] == pytest.approx(1)


def test_ratios_are_to_the_bare_loop_around():
    cells = bench.one_round(Stub(), "text", [("usual", 4), ("fixed", 1)])
    assert cells["usual", 4]["ratio"] == pytest.approx(0.8)
    assert cells["usual", 4]["cost_ratio"] == pytest.approx(0.8)
    told = bench.overload(Stub(), "text", 4)
    assert told["capacity"] == 1600 and told["refused"] == 3200 and told["p99_served"] == 3.0


# The record

@pytest.fixture(scope="module")
def record():
    return json.loads((ROOT / "benchmarks" / "service.json").read_text(encoding="utf8"))


def test_the_verdict_follows_from_the_rounds(record):
    told = record["rate_ratio"]
    again = bench.geometric(told["rounds"])
    assert told["value"] == pytest.approx(again["mean"], abs=1e-4)
    assert told["interval"] == pytest.approx(again["interval"], abs=1e-3)
    assert told["goal"] == 0.8
    assert record["verdict"]["outcome"] == bench.outcome(told["interval"], 0.8)
    assert record["verdict"]["wall_outcome"] == bench.outcome(
        told["wall_ratio"]["interval"], 0.8)
    ratios = {one["clients"]: one["cost_ratio"]["rounds"] for one in record["served"]["text"]}
    assert bench.best_clients(ratios) == told["clients"] == record["best"]["text"]["clients"]
    late = record["p99_milliseconds"]
    assert late["clients"] == told["clients"]
    assert late["value"] == pytest.approx(np.mean(late["rounds"]), rel=1e-3)


def test_the_record_is_whole(record):
    assert len(record["date"]) == 10 and record["settings"]["cores"] >= 2
    for kind in ("text", "picture"):
        assert [one["clients"] for one in record["served"][kind]] == list(bench.CLIENTS)
        for one in record["served"][kind]:
            assert len(one["ratio"]["rounds"]) == record["settings"]["rounds"][kind] >= 4
            low, high = one["cost_ratio"]["interval"]
            assert low <= one["cost_ratio"]["mean"] <= high
        memory = record["memory"][kind]
        assert len(memory["rss_mb"]) == len(memory["requests_done"])
    for split in record["split"]:
        assert sum(part["share"] for part in split["parts"]) == pytest.approx(1)
    for told in record["overload"]:
        assert told["offered"] > 1.5 * told["capacity"] and told["refused"] > 0


def test_the_record_is_a_full_one(record):
    assert record["settings"]["rounds"] == bench.ROUNDS
    assert len(record["rate_ratio"]["rounds"]) == bench.JUDGED
    assert record["memory"]["text"]["requests"] >= 20_000
    assert record["memory"]["picture"]["requests"] >= 500
