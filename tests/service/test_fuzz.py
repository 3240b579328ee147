"""The service fuzzed from its own description, with the same examples each time.

No answer of 500 or more but 503 with Retry-After; every answer as /openapi.json describes it; what
the description allows is answered, and what it forbids is refused.
"""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error, positive_data_acceptance
from schemathesis.core.failures import Failure, FailureGroup
from serving import picture_bytes, tiny_artefact

from mmfuse_utils.service.app import create_app
from mmfuse_utils.service.searcher import Searcher
from mmfuse_utils.service.settings import Settings

WHOLE = [picture_bytes(color, (30, 20), kind) for color, kind in zip(
    ("red", "green", "blue", "white"), ("PNG", "JPEG", "WEBP", "GIF"), strict=True)]
HERE = {"host": "localhost"}
OPERATIONS = {"GET /v1/search", "POST /v1/search/picture", "GET /v1/pictures/{id}",
              "GET /v1/artefact", "GET /livez", "GET /readyz", "GET /metrics"}


@st.composite
def damaged(draw):
    """A sound picture with a byte changed, or cut short."""
    data = bytearray(draw(st.sampled_from(WHOLE)))
    data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[:draw(st.integers(1, len(data)))] if draw(st.booleans()) else data)


schemathesis.openapi.media_type("application/octet-stream", st.one_of(
    st.binary(max_size=400), st.sampled_from(WHOLE), damaged()))
app = create_app(Searcher(tiny_artefact()), Settings(most_body=100_000))


async def running(scope, receive, send):
    """The service once and for all: each call of a case would start and stop it."""
    if scope["type"] != "lifespan":
        await app(scope, receive, send)
        return
    for step in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{step}.complete"})


schema = schemathesis.openapi.from_asgi("/openapi.json", running, headers=HERE)


@pytest.fixture(scope="module", autouse=True)
def networks():
    app.desk.open()
    assert app.desk.sees.wait(120)


@schema.parametrize()
@settings(max_examples=40, derandomize=True, deadline=None, database=None,
          suppress_health_check=list(HealthCheck))
def test_no_input_brings_the_service_down(case):
    response = case.call(headers=HERE)
    if response.status_code >= 400:
        assert response.headers["content-type"] == ["application/problem+json"]
    if response.status_code >= 500:
        assert response.status_code == 503 and response.headers["retry-after"]
    excluded = [not_a_server_error]         # it knows no 503; the rule stands above
    if case.operation.path == "/v1/search/picture" or "{id}" in case.operation.path:
        excluded.append(positive_data_acceptance)   # not all bytes are a picture, nor texts an id
    case.validate_response(response, excluded_checks=excluded)


def test_the_description_has_every_operation_and_its_problems():
    told = schema.raw_schema["paths"]
    assert {f"{method.upper()} {path}" for path, methods in told.items()
            for method in methods} == OPERATIONS
    for path, methods in told.items():
        for operation in methods.values():
            for status in ("400", "503"):
                assert list(operation["responses"][status]["content"]) == [
                    "application/problem+json"], (path, status)
    assert told["/v1/search"]["get"]["parameters"][1]["schema"]["maximum"] == 100


@pytest.mark.parametrize("encode", [lambda answer: b'{"hits": "none"}', lambda answer: b"no json",
                                    None], ids=["shape", "no JSON", "error"])
def test_the_fuzz_would_notice(encode, monkeypatch):
    """An answer of another shape, one that is no JSON, and an error of the inside are faults."""
    case = schema["/v1/search"]["GET"].Case(query={"q": "red"})
    case.validate_response(case.call(headers=HERE))
    monkeypatch.setattr(app.desk.encoder, "encode", encode)
    with pytest.raises((Failure, FailureGroup)):
        case.validate_response(case.call(headers=HERE))
