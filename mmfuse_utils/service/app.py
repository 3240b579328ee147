"""The web service: a FastAPI application around a `Searcher`."""

import contextlib
import json
from collections.abc import AsyncIterator
from importlib import resources
from typing import Annotated

from fastapi import FastAPI, Path, Request, Response
from starlette.exceptions import HTTPException

from mmfuse_utils.service.asked import described_query
from mmfuse_utils.service.desk import Desk
from mmfuse_utils.service.limits import Guard
from mmfuse_utils.service.meters import Meters
from mmfuse_utils.service.problems import MEDIA_TYPE, Problem, described, of_error
from mmfuse_utils.service.received import media_type
from mmfuse_utils.service.schema import About, Found
from mmfuse_utils.service.searcher import Searcher
from mmfuse_utils.service.settings import Settings

PAGE = {"style.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8",
        "icon.svg": "image/svg+xml"}
JSON = "application/json"
BODY = {"requestBody": {"required": True, "content": {"application/octet-stream": {
    "schema": {"type": "string", "format": "binary"}}}}}


def create_app(searcher: Searcher, settings: Settings | None = None) -> Guard:
    """The service around a searcher, ready for any ASGI server; see its /openapi.json."""
    settings, meters = settings or Settings(), Meters()
    desk = Desk(searcher, settings, meters)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        desk.open()
        yield
        desk.close()

    app = FastAPI(title="Words Meet Pixels: search", version="1", lifespan=lifespan,
                  docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)
    _add_searches(app, desk, settings)
    _add_facts(app, desk, meters)
    _add_health(app, desk)
    _add_page(app)
    return Guard(app, desk, meters, quick={"/v1/search": desk.by_phrase})


def _add_searches(app: FastAPI, desk: Desk, settings: Settings) -> None:
    groups = desk.searcher.groups

    @app.get("/v1/search", response_model=Found, responses=described(400, 422, 503),
             openapi_extra=described_query(settings, groups))
    async def search(request: Request) -> Response:
        """Pictures nearest to a phrase."""
        return Response(await desk.by_phrase(request.scope["query_string"]), media_type=JSON)

    @app.post("/v1/search/picture", response_model=Found,
              responses=described(400, 408, 413, 415, 422, 503),
              openapi_extra=BODY | described_query(settings, groups, phrase=False))
    async def search_picture(request: Request) -> Response:
        """Pictures nearest to the one whose bytes are the body."""
        answer = await desk.by_picture(request.scope["query_string"], request.body)
        return Response(answer, media_type=JSON)


def _add_facts(app: FastAPI, desk: Desk, meters: Meters) -> None:
    artefact, about = desk.searcher.artefact, json.dumps(desk.about())

    @app.get("/v1/pictures/{id}", responses=described(400, 404, 503) | {
        200: {"description": "A small picture.", "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in ("image/webp", "image/png", "image/jpeg")}}}, response_class=Response)
    async def picture(name: Annotated[str, Path(alias="id")]) -> Response:
        """The small picture of a hit."""
        if name not in artefact.rows:
            raise Problem(404, "There is no picture with this id.")
        data = artefact.picture(name)
        return Response(data, media_type=media_type(data),
                        headers={"cache-control": "private, max-age=600"})

    @app.get("/v1/artefact", response_model=About, responses=described(400, 503))
    async def served() -> Response:
        """What is served: source, method, counts, groups, data and checksums."""
        return Response(about, media_type=JSON)

    @app.get("/metrics", response_class=Response, responses=described(400, 503))
    async def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(meters.text(), media_type="text/plain; version=0.0.4")


def _add_health(app: FastAPI, desk: Desk) -> None:
    @app.get("/livez", response_class=Response, responses=described(400, 503))
    async def alive() -> Response:
        """Whether the process answers."""
        return Response("alive\n", media_type="text/plain")

    @app.get("/readyz", response_class=Response, responses=described(400, 503))
    async def ready() -> Response:
        """Whether it should be sent queries: loaded, and not told to stop."""
        desk.check_ready()
        return Response("ready\n", media_type="text/plain")


def _add_page(app: FastAPI) -> None:
    folder = resources.files("mmfuse_utils.service") / "page"

    def serve(route: str, file: str, kind: str) -> None:
        async def page() -> Response:
            return Response(data, media_type=kind, headers={"cache-control": "no-cache"})

        if (folder / file).is_file():
            data = (folder / file).read_bytes()
            app.add_api_route(route, page, include_in_schema=False)

    serve("/", "index.html", "text/html; charset=utf-8")
    for file, kind in PAGE.items():
        serve(f"/page/{file}", file, kind)


async def _problem(request: Request, problem: Problem) -> Response:
    return Response(problem.encoded(request.scope["request_id"]), problem.status,
                    problem.headers, MEDIA_TYPE)


async def _http_error(request: Request, error: HTTPException) -> Response:
    details = {404: "There is nothing at this address.",
               405: "The address is right, the method is not."}
    return await _problem(request, Problem(
        error.status_code, details.get(error.status_code, "The request cannot be answered."),
        error.headers))


async def _unexpected(request: Request, error: Exception) -> Response:
    return await _problem(request, of_error(error))     # the guard, which gets it too, logs it
