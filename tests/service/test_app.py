"""The web service: what it answers, and how it refuses, spoken to in this process."""

import json
import threading
import time

import pytest
from serving import picture_bytes, problem, tiny_artefact
from starlette.testclient import TestClient

from mmfuse_utils.service.answers import Encoder
from mmfuse_utils.service.app import create_app
from mmfuse_utils.service.schema import About, Found
from mmfuse_utils.service.searcher import Searcher
from mmfuse_utils.service.settings import Settings
from mmfuse_utils.service.store import StoreError

HERE = "http://localhost:8000"


@pytest.fixture(scope="module")
def app():
    return create_app(Searcher(tiny_artefact()), Settings(most_body=100_000, most_pixels=250_000))


@pytest.fixture(scope="module")
def client(app):
    with TestClient(app, base_url=HERE, raise_server_exceptions=False) as client:
        yield client


def wait_until_ready(client):
    for _ in range(300):
        if client.get("/readyz").status_code == 200:
            return
        time.sleep(0.1)
    raise AssertionError("never ready")


def test_a_phrase(client, app):
    response = client.get("/v1/search", params={"q": "red  zzz apple", "k": 3, "group": "food"})
    assert response.status_code == 200 and response.headers["content-type"] == "application/json"
    told = response.json()
    Found.model_validate(told)
    assert told["query"] == {"kind": "phrase", "known": ["red", "apple"], "unknown": ["zzz"]}
    first = told["hits"][0]
    assert first["word"].keys() == {"text", "share"} and told["method"] == "made up"
    del first["word"], first["score"]
    assert first == {"rank": 1, "id": "red-apple", "title": "red apple", "credit": "nobody",
                     "group": "food", "picture": "/v1/pictures/red-apple"}
    assert [hit["rank"] for hit in told["hits"]] == [1, 2, 3]
    assert len(client.get("/v1/search?q=car").json()["hits"]) == 10


def test_a_phrase_of_unknown_words_has_no_hits_and_says_so(client):
    told = client.get("/v1/search?q=qqq+www").json()
    assert told["hits"] == [] and told["query"]["unknown"] == ["qqq", "www"]


def test_the_quick_encoder_says_what_json_says(app):
    searcher = app.desk.searcher
    answers = searcher.by_phrases([("the gyōza", 5, None), ('"\\', 2, None), ("red", 20, None)])
    for answer in answers:
        told = json.loads(Encoder(searcher).encode(answer))
        Found.model_validate(told)
        assert told["query"] == json.loads(json.dumps(answer.query))
        assert [hit["score"] for hit in told["hits"]] == [hit.score for hit in answer.hits]
        assert [hit["word"] for hit in told["hits"]] == [hit.word for hit in answer.hits]


def test_a_picture(client):
    wait_until_ready(client)
    response = client.post("/v1/search/picture?k=4", content=picture_bytes(size=(30, 50)),
                           headers={"content-type": "text/plain"})
    told = response.json()
    assert response.status_code == 200, told
    Found.model_validate(told)
    assert told["query"] == {"kind": "picture", "width": 30, "height": 50}
    assert len(told["hits"]) == 4 and told["hits"][0]["word"].keys() == {"text", "cosine"}
    grouped = client.post("/v1/search/picture?group=food", content=picture_bytes()).json()
    assert {hit["group"] for hit in grouped["hits"]} == {"food"}


def test_small_pictures_and_only_they_are_served(client):
    response = client.get("/v1/pictures/blue-car")
    assert response.content[8:12] == b"WEBP" and response.headers["content-type"] == "image/webp"
    for name in ("no-such", "..", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "red-apple%00", "red-apple/"):
        problem(client.get(f"/v1/pictures/{name}"), 404)


def test_what_is_served_is_told_without_place_or_tools(client):
    told = client.get("/v1/artefact").json()
    About.model_validate(told)
    assert told["pictures"] == 20 and told["groups"] == ["food", "things"] and told["format"] == 1
    assert "made_with" not in told


def test_alive_before_ready_and_stopping():
    app = create_app(Searcher(tiny_artefact()))
    seeing = threading.Event()
    app.desk.searcher.eye.look = lambda pictures: seeing.wait(10)
    with TestClient(app, base_url=HERE) as client:
        assert client.get("/livez").status_code == 200
        assert "networks" in problem(client.get("/readyz"), 503)["detail"]
        assert client.get("/v1/search?q=red").status_code == 200
        seeing.set()
        wait_until_ready(client)
        app.desk.stopping = True
        for response in (client.get("/readyz"), client.get("/v1/search?q=red"),
                         client.post("/v1/search/picture", content=picture_bytes())):
            assert "stopping" in problem(response, 503)["detail"]
            assert response.headers["retry-after"] == "1"
        assert client.get("/livez").status_code == 200


def test_the_page_is_served_from_a_fixed_list(client):
    page = client.get("/")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    for name in ("style.css", "page.js"):
        assert client.get(f"/page/{name}").status_code == 200
    for path in ("/page/", "/page/../app.py", "/page/index.html", "/static/page.js", "/docs",
                 "/redoc", "//etc/passwd"):
        problem(client.get(path), 404)


@pytest.mark.parametrize("path", ["/", "/v1/search?q=red", "/v1/search?q=", "/livez", "/nowhere",
                                  "/v1/pictures/red-car"])
def test_every_answer_has_its_headers(client, path):
    response = client.get(path)
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert len(response.headers["x-request-id"]) == 32 and "server" not in response.headers


@pytest.mark.parametrize(("query", "says"), [
    ("", "q must be"), ("q=", "q must be"), (f"q={'a' * 501}", "1 to 500"), ("q=red&k=0", "k must"),
    ("q=red&k=101", "1 to 100"), ("q=red&k=ten", "k must"), ("q=red&k=1.0", "k must"),
    ("q=red&k=", "k must"), ("q=red&k=-3", "k must"), ("q=red&k=٣", "k must"),
    ("q=red&k=9999999999999999999999", "k must"), ("q=red%00apple", "control"),
    ("q=red%0aapple", "control"), ("q=red%c2%85", "control"), ("q=%ff%fe", "UTF-8"),
    ("q=%ed%a0%80", "UTF-8"), ("q=red&group=animals", "no such group"),
    ("q=red&group=", "no such group"), ("&".join(f"x{i}=1" for i in range(60)), "too many")])
def test_queries_out_of_bounds_are_refused_in_words(client, query, says):
    told = problem(client.get(f"/v1/search?{query}"), 422)
    assert says in told["detail"]
    if "group" in says:
        assert told["allowed"] == ["food", "things"]


def test_limits_themselves_are_allowed(client):
    assert client.get("/v1/search", params={"q": "é" * 500, "k": 100}).status_code == 200
    assert client.get("/v1/search?q=red&k=1&k=2&other=3").json()["hits"][-1]["rank"] == 2


@pytest.mark.parametrize(("method", "path", "status"), [
    ("POST", "/v1/search?q=red", 405), ("DELETE", "/", 405), ("PUT", "/livez", 405),
    ("GET", "/v1/search/picture", 405), ("OPTIONS", "/v1/search?q=red", 405),
    ("TRACE", "/readyz", 405), ("GET", "/v1/search/", 404), ("GET", "/v2/search", 404)])
def test_wrong_methods_and_addresses(client, method, path, status):
    response = client.request(method, path)
    problem(response, status)
    assert ("allow" in response.headers) is (status == 405)


@pytest.mark.parametrize("path", ["/", "/v1/search?q=red", "/livez", "/v1/pictures/red-car"])
def test_head_is_get_without_a_body(client, path):
    head, get = client.head(path), client.get(path)
    assert head.status_code == 200 and head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize(("data", "status"), [
    (b"", 422), (b"hello", 415), (b"%PDF-1.7", 415), (picture_bytes()[:-30], 422),
    (picture_bytes(size=(600, 500)), 413), (bytes(100_001), 413)])
def test_pictures_that_are_none_or_too_much(client, data, status):
    problem(client.post("/v1/search/picture", content=data,
                        headers={"content-type": "image/png"}), status)


def test_a_decompression_bomb_is_refused_within_a_second(client):
    """Fifty thousand pixels on a side, in a file of 8 KB: it is measured, not decoded."""
    import struct
    import zlib

    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))

    for side in (50_000, 12_000):
        head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        bomb = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
                + chunk(b"IDAT", zlib.compress(bytes(8_000_000), 9)) + chunk(b"IEND", b""))
        assert len(bomb) < 10_000
        start = time.perf_counter()
        problem(client.post("/v1/search/picture", content=bomb), 413)
        assert time.perf_counter() - start < 1


def test_hosts_of_others_are_refused(client):
    for host in ("evil.example", "evil.example:8000", "localhost.evil.example", "", "127.0.0.1:x",
                 "[::2]", "localhost:8000:9"):
        problem(client.get("/livez", headers={"host": host}), 400)
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:65535", "[::1]:80"):
        assert client.get("/livez", headers={"host": host}).status_code == 200
    anywhere = create_app(Searcher(tiny_artefact()), Settings(hosts=("*",)))
    assert TestClient(anywhere, base_url="http://search.example").get("/livez").status_code == 200


def test_request_ids_are_taken_if_they_are_tokens(client):
    for given in ("abc-1.2_3", "x" * 64):
        response = client.get("/nowhere", headers={"x-request-id": given})
        assert problem(response, 404)["instance"] == given
    for given in ("", "x" * 65, "a b", "a/../b", "<b>", "a\x7f"):
        made = client.get("/livez", headers={"x-request-id": given}).headers["x-request-id"]
        assert made != given and len(made) == 32


def test_an_unexpected_error_says_nothing_of_the_inside(capfd):
    """Wherever it happens: in the search, in a route, in the decoding of a picture."""
    hidden = create_app(Searcher(tiny_artefact()))

    def fail(*parts):
        raise RuntimeError("/secret/path of numpy 2.0")

    searcher = hidden.desk.searcher
    searcher.store.search = fail
    searcher.eye.fit = fail
    searcher.artefact.__class__.picture, whole = fail, searcher.artefact.__class__.picture
    try:
        client = TestClient(hidden, base_url=HERE, raise_server_exceptions=False)
        for method, path in (("GET", "/v1/search?q=red+privateword"),
                             ("GET", "/v1/pictures/red-car"), ("POST", "/v1/search/picture")):
            response = client.request(method, path, content=picture_bytes())
            told = problem(response, 500)
            for inner in ("secret", "numpy", "Traceback", "RuntimeError", ".py"):
                assert inner not in response.text + str(response.headers)
            logged = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
            [failed] = [line for line in logged if line["event"] == "failed"]
            assert failed["request"] == told["instance"]
            assert "secret/path" in json.dumps(failed["exception"])
            assert "privateword" not in json.dumps(logged)
    finally:
        searcher.artefact.__class__.picture = whole


def test_an_index_that_is_away_is_503():
    hidden = create_app(Searcher(tiny_artefact()))

    def fail(*parts):
        raise StoreError("host=secret is away")

    hidden.desk.searcher.store.search = fail
    client = TestClient(hidden, base_url=HERE, raise_server_exceptions=False)
    for method, path in (("GET", "/v1/search?q=red"), ("POST", "/v1/search/picture")):
        response = client.request(method, path, content=picture_bytes())
        assert "index" in problem(response, 503)["detail"] and "secret" not in response.text
        assert int(response.headers["retry-after"]) > 0


def test_the_log_has_no_query_and_no_picture(capfd):
    client = TestClient(create_app(Searcher(tiny_artefact())), base_url=HERE)
    client.get("/v1/search?q=privateword&group=secretgroup", headers={"x-request-id": "mine"})
    client.post("/v1/search/picture?q=privateword", content=b"privatepicture")
    client.get("/privateaddress")
    logged = capfd.readouterr().err
    lines = [json.loads(line) for line in logged.splitlines()]
    assert "private" not in logged and "secret" not in logged
    assert lines[0]["request"] == "mine"
    assert {"event": "request", "method": "GET", "route": "/v1/search", "status": 422
            }.items() <= lines[0].items()
    assert [line["route"] for line in lines[1:]] == ["/v1/search/picture", "none"]
    assert all(line["milliseconds"] >= 0 for line in lines)


def test_metrics_are_prometheus_text_without_queries(client):
    from prometheus_client.parser import text_string_to_metric_families

    def value(name, **labels):
        families = text_string_to_metric_families(client.get("/metrics").text)
        return sum(sample.value for family in families for sample in family.samples
                   if sample.name == name and labels.items() <= sample.labels.items())

    before = value("mmfuse_requests_total", route="/v1/search", status="200")
    client.get("/v1/search?q=privateword")
    after = value("mmfuse_requests_total", route="/v1/search", status="200")
    assert after == before + 1
    assert value("mmfuse_request_seconds_count", route="/v1/search") >= 1
    assert value("mmfuse_batch_size_count", kind="phrase") >= 1
    assert value("mmfuse_in_work") == 1     # the request for the metrics itself
    assert "privateword" not in client.get("/metrics").text
    for path in ("/a", "/b", "/c"):         # addresses of strangers make no new counters
        client.get(path)
    assert 'route="/a"' not in client.get("/metrics").text
