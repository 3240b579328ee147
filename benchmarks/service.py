"""What a web service adds to a search: load on loopback, beside the bare function, in one run.

    python benchmarks/service.py            # a quarter of an hour; writes service.json
    python benchmarks/service.py --quick    # two rounds; writes nothing
    python benchmarks/service.py --judge    # the last rounds anew, into the record that is there

Three processes, each with one BLAS thread. `serve` runs the service with its usual settings, the
same with every query worked on alone, and an application that answers a fixed text of the same
length. `bare` calls the same searcher in a loop, without any web. The load comes from
service_load.py, a process of its own, so that what it costs is not the service's; with two cores
both share the machine, which is said where the numbers are.

Other programs run on the machine, too. So what is claimed is about queries for each second of a
process's own CPU time; rates by the clock stand beside it. The bare loop's CPU time is steady; the
service's moves with how many requests have come together when it is let in, so it varies with the
machine's load, too. It leaves out the time in which a process only waits. Either is divided by what
the bare loop did just before and just after, and intervals are over rounds. The number of clients
is chosen on the rounds in which all are tried; what is claimed about it comes from further rounds
of its own, all of them. On a busy machine rates by the clock may flatter the service: a process
that waits for the network may be let in sooner than one that computes all the time. The number of
clients of pictures serves for the overload alone.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote_plus

import numpy as np
from scipy import stats

OUTPUT = Path(__file__).with_suffix(".json")
CLIENTS, ALONE = (1, 2, 4, 8, 16, 32), {"text": (4, 8, 16, 32), "picture": (4, 8, 16)}
# More pictures at once are refused, by the usual limit of the queue.
ALLOWED = {"text": CLIENTS, "picture": CLIENTS[:-1]}
K, GOAL, PAUSE, N_TEXTS, N_PICTURES = 10, 0.8, 1.0, 1000, 60
ROUNDS = {"text": 12, "picture": 5}
JUDGED = 60         # rounds with the chosen number of clients
COUNT = {"text": 2000, "picture": 32}       # requests of a cell; the bare loop gets half
TOGETHER = 16       # phrases that a call of the bare function gets, to see what that saves
MEMORY = {"text": (20_000, 500, 16), "picture": (500, 20, 8)}   # requests, each sample, clients
OVERLOAD = {"text": {"seconds": 6, "clients": 256}, "picture": {"seconds": 12, "clients": 64}}
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PACKAGES = ("fastapi", "httptools", "numpy", "torch", "uvicorn", "uvloop")


# What is asked

def texts(emoji):
    """Phrases as people might type them: names, and some words of the keywords."""
    draw = random.Random(0)
    phrases = [names[0] for names in emoji.names["en"]]
    phrases += [" ".join(draw.sample(words, min(len(words), draw.randint(1, 4))))
                for words in emoji.keywords["en"]]
    draw.shuffle(phrases)
    return phrases[:N_TEXTS]


def picture_files(emoji):
    """Bytes of drawings, evenly from all concepts and styles."""
    rows = np.linspace(0, len(emoji.pictures.path) - 1, N_PICTURES).astype(int)
    return [Path(emoji.pictures.path[row]).read_bytes() for row in rows]


def text_request(phrase):
    """The bytes of a request for a phrase."""
    return (f"GET /v1/search?q={quote_plus(phrase)}&k={K} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            "\r\n").encode()


def picture_request(data):
    """The bytes of a request with a picture."""
    return (f"POST /v1/search/picture?k={K} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
            f"application/octet-stream\r\nContent-Length: {len(data)}\r\n\r\n").encode() + data


def write_requests(path, requests):
    """A file of requests as service_load.py reads it: their lengths, then they themselves."""
    path.write_bytes(json.dumps([len(one) for one in requests]).encode() + b"\n"
                     + b"".join(requests))


# The processes

def load_searcher():
    """The searcher of the emoji, its networks loaded."""
    from mmfuse_utils.service.kept import emoji_artefact
    from mmfuse_utils.service.searcher import Searcher

    searcher = Searcher(emoji_artefact())
    searcher.by_picture(np.zeros((8, 8, 3), np.uint8))
    return searcher


def run_bare():
    """Search in a loop, so many queries, and print what it took for each line of the input."""
    from mmfuse_utils.data import load_emoji
    from mmfuse_utils.service.received import open_picture
    from mmfuse_utils.service.settings import Settings

    emoji, searcher, most = load_emoji(), load_searcher(), Settings().most_pixels
    phrases = texts(emoji)
    groups = [[(phrase, K, None) for phrase in phrases[i:i + TOGETHER]]
              for i in range(0, len(phrases) - TOGETHER + 1, TOGETHER)]
    ways = {"text": (phrases, lambda phrase: searcher.by_phrase(phrase, K)),
            "together": (groups, searcher.by_phrases),
            "picture": (picture_files(emoji),
                        lambda data: searcher.by_picture(open_picture(data, most), K))}
    at = dict.fromkeys(ways, 0)
    print("{}", flush=True)
    for line in sys.stdin:
        kind, count = json.loads(line)
        queries, search = ways[kind]
        times, cpu, start = [], time.process_time(), time.perf_counter()
        for number in range(at[kind], at[kind] + count):
            before = time.perf_counter()
            search(queries[number % len(queries)])
            times.append(time.perf_counter() - before)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        at[kind] += count
        print(json.dumps({"n": count, "seconds": wall, "cpu_seconds": cpu,
                          "milliseconds": [round(1000 * one, 4) for one in times]}), flush=True)


def fixed_answer(body):
    """An application that always says the same: what HTTP itself costs."""
    head = [(b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode())]

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            for word in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{word}.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    return app


def run_service():
    """Serve until the input ends; the ports are printed first."""
    import uvicorn

    from mmfuse_utils.service.__main__ import Server
    from mmfuse_utils.service.app import create_app
    from mmfuse_utils.service.settings import Settings

    searcher = load_searcher()
    usual = Server(create_app(searcher, Settings()), "127.0.0.1")
    servers = {"usual": usual,
               "alone": Server(create_app(searcher, Settings(phrase_batch=1, picture_batch=1)),
                               "127.0.0.1"),
               "fixed": uvicorn.Server(uvicorn.Config(
                   fixed_answer(b" " * 2100), http=usual.config.http, access_log=False,
                   log_level="warning", ws="none"))}

    async def serve():
        sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in servers}
        tasks = [asyncio.ensure_future(server.serve(sockets=[sockets[name]]))
                 for name, server in servers.items()]
        while not all(server.started for server in servers.values()):
            await asyncio.sleep(0.05)
        print(json.dumps({name: one.getsockname()[1] for name, one in sockets.items()}),
              flush=True)
        await asyncio.to_thread(tell_costs)
        for server in servers.values():
            server.should_exit = True
        await asyncio.gather(*tasks)

    asyncio.Runner(loop_factory=usual.config.get_loop_factory()).run(serve())


def tell_costs():
    """Print the CPU time and the memory of this process for each line of the input."""
    for _ in sys.stdin:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
        kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))
        print(json.dumps({"cpu_seconds": time.process_time(), "megabytes": kilobytes * 1.024e-3}),
              flush=True)


class Child:
    """A process that answers each line with a line of JSON."""

    def __init__(self, *command, log):
        environment, self.log = os.environ | dict.fromkeys(THREADS, "1"), log
        self.process = subprocess.Popen([sys.executable, *map(str, command)], env=environment,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                        encoding="utf8")

    def read(self):
        """The next object that the process prints; what else it prints is for people."""
        while line := self.process.stdout.readline():
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError("a process of this benchmark has ended before it was told to:\n"
                           + Path(self.log.name).read_text(encoding="utf8")[-2000:])

    def ask(self, question):
        """What the process answers."""
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        """End the process by ending its input."""
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Bench:
    """The bare loop, the service and the load, and one measurement of each."""

    def __init__(self, folder, log):
        from mmfuse_utils.data import load_emoji

        emoji, here = load_emoji(), Path(__file__).resolve()
        self.files = {"text": str(folder / "texts"), "picture": str(folder / "pictures")}
        write_requests(Path(self.files["text"]), list(map(text_request, texts(emoji))))
        write_requests(Path(self.files["picture"]), list(map(picture_request,
                                                             picture_files(emoji))))
        self.children = [Child(here, "--bare", log=log), Child(here, "--serve", log=log),
                         Child(here.with_name("service_load.py"), log=log)]
        self.bare, self.service, self.load = self.children
        self.bare.read()
        self.ports = self.service.read()

    def ask_bare(self, kind, count):
        """Rate of the bare loop, its times and its CPU time a query."""
        told = self.bare.ask([kind, count])
        return {"rate": told["n"] / told["seconds"], **quantiles(told["milliseconds"]),
                "cpu_milliseconds": 1000 * told["cpu_seconds"] / told["n"]}

    def ask_service(self, kind, server="usual", **plan):
        """Rate of the service, times of answers, refusals, and its CPU time a request."""
        plan = {"port": self.ports[server], "requests": self.files[kind], "pause": PAUSE} | plan
        before = self.service.ask("costs")
        told = self.load.ask(plan)
        after = self.service.ask("costs")
        cpu = after["cpu_seconds"] - before["cpu_seconds"]
        answered = {int(status): times for status, times in told["milliseconds"].items()}
        good, n = answered.pop(200, []), sum(map(len, told["milliseconds"].values()))
        if told["broken"] or set(answered) - {503}:
            raise RuntimeError(f"unexpected answers: {sorted(answered)}, {told['broken']} broken")
        return {"rate": len(good) / told["seconds"], **quantiles(good), "answered": len(good),
                "refused": len(answered.get(503, [])), "unsent": told["unsent"],
                "seconds": told["seconds"],
                "cpu_milliseconds": 1000 * cpu / max(1, len(good)),
                "refusals": quantiles(answered.get(503, [])), "megabytes": after["megabytes"],
                "load_cpu_milliseconds": 1000 * told["own_cpu_seconds"] / n}

    def close(self):
        """End all processes."""
        for child in self.children:
            child.close()


@contextmanager
def start_bench():
    """Processes that end with the block."""
    with tempfile.TemporaryDirectory() as folder, open(f"{folder}/log", "w") as log:
        bench = Bench(Path(folder), log)
        try:
            yield bench
        finally:
            bench.close()


# Numbers

def quantiles(milliseconds):
    """Median, 95th and 99th percentile of times; none where there are none."""
    if not len(milliseconds):
        return {"p50": None, "p95": None, "p99": None}
    return dict(zip(("p50", "p95", "p99"), map(float, np.percentile(milliseconds, (50, 95, 99))),
                    strict=True))


def summary(rounds):
    """Mean of a number a round, with Student's 95 % interval; and the numbers."""
    rounds = np.asarray(rounds, float)
    half = (stats.t.ppf(0.975, len(rounds) - 1) * rounds.std(ddof=1) / np.sqrt(len(rounds))
            if len(rounds) > 1 else np.inf)
    return {"mean": float(rounds.mean()), "interval": [float(rounds.mean() - half),
                                                       float(rounds.mean() + half)],
            "rounds": [round(float(x), 5) for x in rounds]}


def geometric(rounds):
    """Geometric mean of a ratio a round, with Student's 95 % interval on its logarithm."""
    told = summary(np.log(np.asarray(rounds, float)))
    return {"mean": float(np.exp(told["mean"])), "interval": list(map(float, np.exp(
        told["interval"]))), "rounds": [round(float(x), 5) for x in rounds]}


def outcome(interval, goal):
    """What an interval says of the claim that a number is at least the goal.

    >>> outcome([0.81, 0.9], 0.8), outcome([0.7, 0.79], 0.8), outcome([0.7, 0.9], 0.8)
    ('holds', 'fails', 'not shown')
    """
    low, high = interval
    return "holds" if low >= goal else "fails" if high < goal else "not shown"


def best_clients(ratios):
    """The number of clients with the best mean ratio: {clients: ratios}."""
    return max(ratios, key=lambda clients: np.mean(np.log(ratios[clients])))


# What is measured

def one_round(bench, kind, order):
    """Cells in an order, each between two of the bare loop: (way, clients) to its numbers."""
    count, cells = COUNT[kind], {}
    before = bench.ask_bare(kind, count // 2)
    bare = [before]
    for way, clients in order:
        cell = bench.ask_service(kind, way, clients=clients, count=count)
        after = bench.ask_bare(kind, count // 2)
        cell["ratio"] = 2 * cell["rate"] / (before["rate"] + after["rate"])
        cell["cost_ratio"] = ((before["cpu_milliseconds"] + after["cpu_milliseconds"]) / 2
                              / cell["cpu_milliseconds"])
        cells[way, clients], before = cell, after
        bare.append(after)
    cells["bare"] = {name: float(np.mean([one[name] for one in bare])) for name in before}
    if kind == "text":
        told = bench.ask_bare("together", count // TOGETHER)
        cells["bare"]["together_cpu_milliseconds"] = told["cpu_milliseconds"] / TOGETHER
    return cells


def run_rounds(bench, kind, n_rounds):
    """All cells, in another order each round."""
    cells = [("usual", n) for n in CLIENTS] + [("alone", n) for n in ALONE[kind]]
    if kind == "text":
        cells += [("fixed", 1), ("fixed", 8)]
    bench.ask_bare(kind, COUNT[kind] // 2)
    bench.ask_service(kind, clients=4, count=COUNT[kind])       # nothing is cold after it
    rounds = []
    for number in range(n_rounds):
        order = list(cells)
        random.Random(number).shuffle(order)
        rounds.append(one_round(bench, kind, order))
        print(f"{kind}: round {number + 1} of {n_rounds}", flush=True)
    return rounds


def collect(rounds, key, *names):
    """Summaries of a cell's numbers over rounds, ratios by geometric means."""
    return {name: (geometric if name.endswith("ratio") else summary)(
        [one[key][name] for one in rounds]) for name in names}


def describe(rounds, kind):
    """The tables of bare and served queries, and what batching gains."""
    names = ("rate", "ratio", "cost_ratio", "p50", "p95", "p99", "cpu_milliseconds")
    served = [{"clients": n, **collect(rounds, ("usual", n), *names),
               "refused": sum(one["usual", n]["refused"] for one in rounds)} for n in CLIENTS]
    batching = []
    for n in ALONE[kind]:
        on, off = ([one[way, n] for one in rounds] for way in ("usual", "alone"))
        batching.append({"clients": n, "on": summary([one["rate"] for one in on]),
                         "off": summary([one["rate"] for one in off]),
                         # of costs, each divided by that of the bare loop around it
                         "gain": geometric([a["cost_ratio"] / b["cost_ratio"]
                                            for a, b in zip(on, off, strict=True)])})
    bare = names[:1] + names[3:]
    if kind == "text":
        bare += ("together_cpu_milliseconds",)
    return {"bare": collect(rounds, "bare", *bare),
            "served": served, "batching": batching}


def split(rounds, clients, search):
    """Where the CPU time of a text request goes: the search, HTTP, and all that is between.

    search : CPU time of parts of the bare function, in milliseconds, by name.
    """
    whole = np.array([one["usual", clients]["cpu_milliseconds"] for one in rounds])
    http = np.array([one["fixed", 8 if clients > 1 else 1]["cpu_milliseconds"] for one in rounds])
    alone = "cpu_milliseconds" if clients == 1 else "together_cpu_milliseconds"
    bare = np.array([one["bare"][alone] for one in rounds])
    parts = {"search": bare, "answer (JSON)": np.full(len(rounds), search["answer"]),
             "HTTP": http}
    parts["framework"] = whole - sum(parts.values())
    return {"clients": clients, "whole": summary(whole), "parts": [
        {"part": name, "milliseconds": summary(values),
         "share": float(values.mean() / whole.mean())} for name, values in parts.items()],
        "generator": summary([one["usual", clients]["load_cpu_milliseconds"] for one in rounds])}


def time_answer(n=2000):
    """CPU time of making JSON of an answer, in milliseconds."""
    from mmfuse_utils.data import load_emoji
    from mmfuse_utils.service.answers import Encoder
    from mmfuse_utils.service.kept import emoji_artefact
    from mmfuse_utils.service.searcher import Searcher

    searcher = Searcher(emoji_artefact())
    encoder = Encoder(searcher)
    answers = [searcher.by_phrase(phrase, K) for phrase in texts(load_emoji())[:200]]
    start = time.process_time()
    for i in range(n):
        encoder.encode(answers[i % len(answers)])
    return {"answer": 1000 * (time.process_time() - start) / n}


def watch_memory(bench, kind):
    """Memory of the service while requests come, and its slope over the later half."""
    total, step, clients = MEMORY[kind]
    done, megabytes = [0], [bench.service.ask("costs")["megabytes"]]
    while done[-1] < total:
        told = bench.ask_service(kind, clients=clients, count=step)
        done.append(done[-1] + told["answered"] + told["refused"])
        megabytes.append(told["megabytes"])
    later = np.diff(megabytes[len(megabytes) // 2:])
    slope = summary(1e6 * later / step)
    return {"requests": done[-1], "requests_done": done,
            "rss_mb": [round(one, 2) for one in megabytes],
            "grown_mb": megabytes[-1] - megabytes[0],
            "slope_bytes_per_request": {name: slope[name] for name in ("mean", "interval")}}


def overload(bench, kind, clients):
    """Twice as much as the service can: what is served, how late, and what is refused."""
    quiet = bench.ask_service(kind, clients=clients, count=2 * COUNT[kind])
    plan = OVERLOAD[kind]
    told = bench.ask_service(kind, rate=2 * quiet["rate"], **plan)
    asked = told["answered"] + told["refused"] + told["unsent"]
    return {"kind": kind, "capacity": quiet["rate"], "offered": asked / told["seconds"],
            "served": told["answered"] / told["seconds"], "refused": told["refused"],
            "unsent": told["unsent"], "answered": told["answered"],
            "refused_share": told["refused"] / asked, "p50_served": told["p50"],
            "p99_served": told["p99"], "p99_refused": told["refusals"]["p99"],
            "p99_alone": quiet["p99"]}


def judge(bench, clients, n_rounds):
    """Ratio and p99 of text queries at one number of clients, from rounds of their own."""
    run_round = partial(one_round, bench, "text", [("usual", clients)])
    run_round()         # nothing is cold after it
    found = collect([run_round() for _ in range(n_rounds)], ("usual", clients), "cost_ratio",
                    "ratio", "p99", "cpu_milliseconds")
    value, late = found["cost_ratio"], found["p99"]
    return {"rate_ratio": {"value": value["mean"], "interval": value["interval"], "goal": GOAL,
                           "rounds": value["rounds"], "clients": clients,
                           "wall_ratio": found["ratio"],
                           "cpu_milliseconds": found["cpu_milliseconds"],
                           "load_average": round(os.getloadavg()[2], 1)},
            "p99_milliseconds": {"value": late["mean"], "interval": late["interval"],
                                 "rounds": late["rounds"], "clients": clients},
            "verdict": {"outcome": outcome(value["interval"], GOAL),
                        "wall_outcome": outcome(found["ratio"]["interval"], GOAL)}}


def measure(bench, n_rounds):
    """The whole record, but for its date and versions."""
    json_time = time_answer()
    rounds = {kind: run_rounds(bench, kind, n_rounds[kind]) for kind in n_rounds}
    tables = {kind: describe(rounds[kind], kind) for kind in rounds}
    best = {kind: best_clients({n: [one["usual", n]["cost_ratio"] for one in rounds[kind]]
                                for n in few}) for kind, few in ALLOWED.items()}
    record = {part: {kind: tables[kind][part] for kind in tables}
              for part in ("bare", "served", "batching")}
    record |= {"best": {kind: {"clients": n} for kind, n in best.items()},
               "split": [split(rounds["text"], n, json_time) for n in sorted({1, best["text"]})],
               "fixed": {str(n): collect(rounds["text"], ("fixed", n), "rate", "cpu_milliseconds",
                                         "load_cpu_milliseconds") for n in (1, 8)},
               "overload": [overload(bench, kind, best[kind]) for kind in best],
               "memory": {kind: watch_memory(bench, kind) for kind in ("text", "picture")}}
    return record


def about(rounds):
    """When, where and how the record was made."""
    return {"date": date.today().isoformat(),
            "versions": {"python": platform.python_version()} | {
                name: version(name) for name in PACKAGES},
            "settings": {"cores": os.cpu_count(), "rounds": rounds, "count": COUNT,
                         "together": TOGETHER, "k": K, "clients": CLIENTS, "pause": PAUSE,
                         "store": "ExactStore", "texts": N_TEXTS, "pictures": N_PICTURES,
                         "blas_threads": 1, "load_average": round(os.getloadavg()[2], 1)}}


def main():
    """Measure, and write the record unless told to be quick."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two rounds; write nothing")
    parser.add_argument("--judge", action="store_true", help="the last rounds alone")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare or options.serve:
        return run_bare() if options.bare else run_service()
    rounds, n_judged = (dict.fromkeys(ROUNDS, 2), 3) if options.quick else (ROUNDS, JUDGED)
    if options.quick:
        MEMORY.update(text=(2000, 200, 16), picture=(40, 10, 8))
        COUNT.update(text=400, picture=8)
    with start_bench() as bench:
        record = (json.loads(OUTPUT.read_text(encoding="utf8")) if options.judge
                  else about(rounds) | measure(bench, rounds))
        record |= judge(bench, record["best"]["text"]["clients"], n_judged)
    text = json.dumps(record, indent=1)
    print(text if options.quick else json.dumps(record["rate_ratio"]))
    if not options.quick:
        OUTPUT.write_text(text + "\n", encoding="utf8")
    return None


if __name__ == "__main__":
    sys.exit(main())
