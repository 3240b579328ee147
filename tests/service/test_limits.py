"""What is taken in, over real sockets: bodies, heads, floods, and clients that dawdle or lie."""

import asyncio
import json
import socket
import threading
import time
from dataclasses import replace

import httpx
import pytest
from serving import listening, picture_bytes, problem, tiny_artefact

from mmfuse_utils.service import wire
from mmfuse_utils.service.app import create_app
from mmfuse_utils.service.batches import Batcher
from mmfuse_utils.service.meters import Meters
from mmfuse_utils.service.problems import Problem
from mmfuse_utils.service.searcher import Searcher
from mmfuse_utils.service.settings import Settings

SMALL = Settings(most_body=200_000, body_seconds=1.5, queue_seconds=3.0, picture_queue=4,
                 phrase_queue=8, most_requests=12)


@pytest.fixture(scope="module")
def app():
    return create_app(Searcher(tiny_artefact()), SMALL)


@pytest.fixture(scope="module")
def address(app):
    with listening(app) as address:
        assert app.desk.sees.wait(120)
        yield address


def speak(address, *parts, pause=0.0, seconds=8.0):
    """Send bytes as they are, wait for the answer's end: (status, head and body, seconds)."""
    host, port = address.removeprefix("http://").split(":")
    start = time.perf_counter()
    with socket.create_connection((host, int(port)), timeout=seconds) as line:
        answer = b""
        try:
            for part in parts:
                line.sendall(part)
                time.sleep(pause)
        except OSError:
            pass        # the other side has had enough
        try:
            while chunk := line.recv(65536):
                answer += chunk
        except OSError:
            pass
    head = answer.split(b"\r\n")[0].split()
    return int(head[1]) if len(head) > 1 else None, answer.decode(), time.perf_counter() - start


def post(*headers):
    lines = ["POST /v1/search/picture HTTP/1.1", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode()


def test_a_body_that_says_it_is_too_long_is_not_read(address):
    status, answer, seconds = speak(address, post("Content-Length: 99999999999"))
    assert status == 413 and seconds < 1 and "connection: close" in answer
    assert "application/problem+json" in answer


def test_a_body_that_does_not_say_so_is_cut_off(address):
    """In chunks, without a length, ten times as long as is allowed: a part of it is taken."""
    chunk = b"%x\r\n" % 50_000 + bytes(50_000) + b"\r\n"
    status, answer, seconds = speak(address, post("Transfer-Encoding: chunked"), *[chunk] * 40)
    assert status in (413, None)        # None: it was still sending when the line was cut
    assert seconds < 3
    response = httpx.post(f"{address}/v1/search/picture", content=(bytes(50_000) for _ in "12345"))
    problem(response, 413)


def sent_by(app, messages, *headers):
    """What the service sends where a picture comes in these messages."""
    sent, scope = [], {"type": "http", "method": "POST", "path": "/v1/search/picture",
                       "query_string": b"", "headers": [(b"host", b"localhost"), *headers],
                       "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http",
                       "root_path": "", "raw_path": b"", "server": None, "client": None}

    async def receive():
        return next(messages)

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


def test_no_more_than_the_limit_is_held(app):
    """What is taken from the line is counted: never a part beyond the one that is too much."""
    taken = []

    def endless():
        while True:
            taken.append(40_000)
            yield {"type": "http.request", "body": bytes(40_000), "more_body": True}

    assert sent_by(app, endless())[0]["status"] == 413
    assert sum(taken) <= SMALL.most_body + 40_000
    taken.clear()
    for length in (b"200001", b"9" * 5000):
        assert sent_by(app, endless(), (b"content-length", length))[0]["status"] == 413
    assert taken == []


def test_a_client_that_goes_away_is_no_error(capfd):
    app = create_app(Searcher(tiny_artefact()), SMALL)
    sent_by(app, iter([{"type": "http.request", "body": b"abc", "more_body": True},
                       {"type": "http.disconnect"}]))
    [line] = map(json.loads, capfd.readouterr().err.splitlines())
    assert line["event"] == "request" and line["status"] == 499
    assert app.n_requests == 0 and app.desk._n_pictures == 0


def test_lies_about_the_length(address):
    """Shorter than it says: waited for, then 408. Longer: what follows is no request."""
    body = picture_bytes()
    status, answer, seconds = speak(address, post(f"Content-Length: {len(body) + 9}"), body)
    assert status == 408 and 1.4 < seconds < 5 and "connection: close" in answer
    status, answer, _ = speak(address, post("Content-Length: 4"), body[:4] + b"\x00rest\r\n\r\n")
    assert answer.count("HTTP/1.1") <= 2 and status in (400, 415)
    both = post("Content-Length: 4", "Transfer-Encoding: chunked")
    assert speak(address, both, b"4\r\nabcd\r\n0\r\n\r\n")[0] == 400


def test_a_body_that_drips_is_given_up(address):
    body = picture_bytes()
    status, _, seconds = speak(address, post(f"Content-Length: {len(body)}"),
                               *[body[i:i + 1] for i in range(30)], pause=0.1)
    assert status == 408 or (status is None and seconds < 4)


def test_a_head_that_is_too_long_is_refused(address):
    long = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
    status, answer, _ = speak(address, long + b"x: " + b"a" * 70_000)
    assert status == 431 and "application/problem+json" in answer
    status, _, _ = speak(address, long, *[b"x%d: %s\r\n" % (i, b"a" * 9000) for i in range(50)])
    assert status in (431, None)
    status, _, _ = speak(address, b"GET /v1/search?q=" + b"a" * 70_000)
    assert status == 431
    assert httpx.get(f"{address}/livez", headers={"x": "a" * 20_000}).status_code == 200


def test_a_head_that_does_not_come_is_given_up(address, monkeypatch):
    monkeypatch.setattr(wire, "HEAD_SECONDS", 0.5)
    for start in (b"", b"GET /livez HT", b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"):
        status, _, seconds = speak(address, start)
        assert status == 408 and seconds < 3


def test_what_is_no_http_is_refused(address):
    for noise in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"hello\r\n\r\n",
                  b"GET / HTTP/9.9\r\n\r\n", "GET /é HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
                  b"GET /livez HTTP/1.1\r\nHost: local\x00host\r\n\r\n"):
        status, answer, _ = speak(address, noise)
        assert status == 400 and "application/problem+json" in answer, noise
    two = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert speak(address, two)[0] == 400
    none = b"GET /livez HTTP/1.0\r\n\r\n"
    assert speak(address, none)[0] == 400


def test_too_many_connections_are_refused(address, monkeypatch):
    monkeypatch.setattr(wire, "MOST_CONNECTIONS", 3)
    host, port = address.removeprefix("http://").split(":")
    lines = [socket.create_connection((host, int(port)), timeout=5) for _ in range(6)]
    try:
        time.sleep(0.2)
        answers = []
        for line in lines:
            line.settimeout(0.2)
            try:
                answers.append(line.recv(4096))
            except TimeoutError:
                answers.append(b"")
        refused = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503")]
        assert 2 <= len(refused) < 6 and all(b"retry-after: 1" in answer for answer in refused)
    finally:
        for line in lines:
            line.close()


def test_what_comes_after_an_answer_has_an_end(address, monkeypatch):
    """The rest of a body that nobody reads, or empty lines: they keep no connection."""
    monkeypatch.setattr(wire, "HEAD_SECONDS", 0.5)
    host, port = address.removeprefix("http://").split(":")
    for length, rest in ((1000, b"b"), (0, b"\r\n"), (1, b"b")):
        with socket.create_connection((host, int(port)), timeout=4) as line:
            line.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
                         b"Content-Length: %d\r\n\r\n" % length)
            assert line.recv(65536).startswith(b"HTTP/1.1 200")
            line.sendall(rest)
            assert line.recv(65536) == b""


def test_what_follows_a_body_is_no_longer_than_a_head(address):
    status, answer, seconds = speak(address, post("Transfer-Encoding: chunked"),
                                    b"1\r\nx\r\n0\r\n", b"T: " + b"a" * 70_000, pause=0.1)
    assert status == 431 and seconds < 1.4


def test_answers_that_are_not_read_hold_no_place(monkeypatch):
    monkeypatch.setattr(wire, "READ_SECONDS", 1.0)
    app = create_app(Searcher(tiny_artefact()), SMALL)
    with listening(app, room=4096) as address, socket.socket() as line:
        host, port = address.removeprefix("http://").split(":")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect((host, int(port)))
        line.sendall(b"GET /page/page.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 16)
        time.sleep(0.5)
        assert app.n_requests == 1
        until = time.perf_counter() + 5
        while app.n_requests and time.perf_counter() < until:
            time.sleep(0.05)
        assert app.n_requests == 0


def test_requests_that_wait_on_one_connection_are_few(address):
    one = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
    _, answer, _ = speak(address, (one + b"\r\n") * 10 + one + b"Connection: close\r\n\r\n")
    assert answer.count("HTTP/1.1 200") == 11
    _, answer, _ = speak(address, (one + b"\r\n") * 200)
    assert answer.count("HTTP/1.1 200") < 20 and answer.count("HTTP/1.1 503") <= 1


@pytest.fixture
def slow(app):
    """The service with a search by picture that takes as long as the test likes."""
    go, began, searcher = threading.Event(), [], app.desk.searcher

    def work(asked):
        began.append(len(asked))
        assert go.wait(20)
        return [searcher.by_phrase("red", k) for _, k, _ in asked]

    whole, app.desk._pictures.work = app.desk._pictures.work, work
    yield go, began
    go.set()
    app.desk._pictures.work = whole


def test_a_flood_of_pictures_is_refused_at_once_and_what_was_taken_is_answered(address, slow):
    go, began = slow

    async def flood():
        async with httpx.AsyncClient(base_url=address, timeout=30) as client:
            def ask():
                return asyncio.create_task(client.post("/v1/search/picture",
                                                       content=picture_bytes()))
            taken = [ask() for _ in range(SMALL.picture_queue)]
            while not began:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.3)
            start = time.perf_counter()
            refused = await asyncio.gather(*[ask() for _ in range(5)])
            assert time.perf_counter() - start < 1
            alive = await client.get("/livez")          # while the pictures are worked on
            phrase = await client.get("/v1/search?q=red")
            go.set()
            return refused, alive, phrase, await asyncio.gather(*taken)

    refused, alive, phrase, answered = asyncio.run(flood())
    for response in refused:
        problem(response, 503)
        assert response.headers["retry-after"] == "1"
    assert alive.status_code == phrase.status_code == 200
    assert [response.status_code for response in answered] == [200] * SMALL.picture_queue
    assert sum(began) == SMALL.picture_queue
    assert max(began) > 1       # those that waited were worked on together


def test_waiting_has_an_end(address, slow):
    response = httpx.post(f"{address}/v1/search/picture", content=picture_bytes(), timeout=20)
    assert "took too long" in problem(response, 503)["detail"]
    assert response.headers["retry-after"] == "1"


def test_pictures_on_their_way_hold_places_too(address, app):
    """Bodies that drip: one more picture than there are places is refused before it is read."""
    host, port = address.removeprefix("http://").split(":")
    lines = []
    try:
        for _ in range(SMALL.picture_queue):
            lines.append(socket.create_connection((host, int(port)), timeout=5))
            lines[-1].sendall(post("Content-Length: 100") + b"a")
        until = time.perf_counter() + 0.8
        while app.n_requests < SMALL.picture_queue and time.perf_counter() < until:
            time.sleep(0.01)
        response = httpx.post(f"{address}/v1/search/picture", content=picture_bytes())
        assert "Too many" in problem(response, 503)["detail"]
        assert httpx.get(f"{address}/v1/search?q=red").status_code == 200
    finally:
        for line in lines:
            line.close()


def test_requests_of_every_kind_are_bounded():
    with listening(create_app(Searcher(tiny_artefact()), replace(SMALL, most_requests=0))) as busy:
        response = httpx.get(f"{busy}/livez")
        problem(response, 503)
        assert response.headers["retry-after"] == "1"


# The batcher, without a web

def run(batcher, queries):
    async def all_of_them():
        return await asyncio.gather(*map(batcher.submit, queries), return_exceptions=True)
    try:
        return asyncio.run(all_of_them())
    finally:
        batcher.close()


def batcher(work, **changes):
    return Batcher("test", work, Meters(), **{"most": 4, "queue": 100, "seconds": 5.0} | changes)


@pytest.mark.parametrize("thread", [True, False])
def test_what_waits_is_taken_together_up_to_the_most(thread):
    sizes = []

    def double(queries):
        sizes.append(len(queries))
        return [2 * query for query in queries]

    assert run(batcher(double, thread=thread), range(10)) == [2 * i for i in range(10)]
    assert sum(sizes) == 10 and max(sizes) == 4
    sizes.clear()
    run(batcher(double, thread=thread, most=1), range(5))
    assert sizes == [1] * 5


@pytest.mark.parametrize("thread", [True, False])
def test_a_query_that_fails_spoils_no_other(thread):
    def invert(queries):
        return [1 / query for query in queries]

    found = run(batcher(invert, thread=thread), [1, 0, 2, 0])
    assert [found[0], found[2]] == [1.0, 0.5]
    assert all(isinstance(found[i], ZeroDivisionError) for i in (1, 3))


def test_the_queue_is_bounded_and_gets_free_again():
    def work(queries):
        return queries

    async def flood():
        queue = batcher(work, queue=3)
        first = await asyncio.gather(*map(queue.submit, range(5)), return_exceptions=True)
        again = await asyncio.gather(*map(queue.submit, range(3)))
        queue.close()
        return first, again

    first, again = asyncio.run(flood())
    assert again == [0, 1, 2] and first[:3] == [0, 1, 2]
    assert all(isinstance(error, Problem) and error.status == 503 for error in first[3:])


def test_whoever_is_gone_is_not_worked_for():
    worked, go = [], threading.Event()

    def work(queries):
        worked.extend(queries)
        go.wait(5)
        return queries

    async def leave():
        queue = batcher(work, most=1)
        first, second = (asyncio.create_task(queue.submit(name)) for name in ("first", "second"))
        await asyncio.sleep(0.1)
        second.cancel()
        await asyncio.sleep(0)
        go.set()
        result = await first, await queue.submit("third")
        queue.close()
        return result

    assert asyncio.run(leave()) == ("first", "third")
    assert worked == ["first", "third"]


def test_a_deadline_frees_the_place():
    async def wait():
        queue = batcher(lambda queries: time.sleep(0.5) or queries, most=1, queue=1, seconds=0.1)
        with pytest.raises(Problem) as caught:
            await queue.submit(1)
        assert caught.value.status == 503 and queue._n == 0
        queue.close()

    asyncio.run(wait())
    assert json.loads(Problem(503, "busy").encoded("x"))["status"] == 503
