"""A tiny artefact, made up, and the service on it: what the tests of the service share."""

import io
import socket
import threading
import time
from contextlib import contextmanager

import httpx
import numpy as np
from PIL import Image

from mmfuse_utils.service.artefact import Artefact

COLORS = ("red", "green", "blue", "white", "black")
THINGS = ("apple", "car", "boat", "house")
SMALL = ("a", "of", "the", "gyōza")
DIM = 16


def picture_bytes(color="red", size=(40, 30), kind="PNG", **options):
    """The bytes of a picture of one color."""
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, kind, **options)
    return file.getvalue()


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def tiny_artefact(seed=0, **facts):
    """Twenty items in two groups: five colors of four things, each where its two words lead."""
    rng = np.random.default_rng(seed)
    words = [*COLORS, *THINGS, *SMALL]
    rows = unit(rng.normal(size=(len(words), DIM)))
    rows[-len(SMALL):] *= 0.05
    pairs = [(color, thing) for thing in THINGS for color in COLORS]
    told = unit(np.array([rows[words.index(c)] + rows[words.index(t)] for c, t in pairs]))
    items = [{"id": f"{color}-{thing}", "title": f"{color} {thing}",
              "keywords": [f"the {thing}", color, "gyōza"], "credit": "nobody",
              "group": "food" if thing == "apple" else "things"} for color, thing in pairs]
    small = [picture_bytes(color, kind="WEBP") for color, _ in pairs]
    mean = told.mean(axis=0)
    return Artefact(
        facts={"source": "emoji", "built": "2026-11-29T00:00:00+00:00", "method": "made up",
               "settings": {"networks": ["efficientnet-lite0"], "size": 32, "temperature": 4.0,
                            "names_weight": 0.5, "penalty": 1.0, "dim": DIM,
                            "word_vectors": {"window": 5, "epochs": 1, "seed": seed}},
               "counts": {"items": 20, "pictures": 20, "words": len(words)},
               "data": {}, "made_with": {"numpy": np.__version__}, "groups": ["food", "things"],
               "examples": ["red apple"]} | facts,
        words=words, items=items, word_rows=rows.astype(np.float16),
        vectors=unit(told - mean).astype(np.float32), text_mean=mean.astype(np.float32),
        coef=(rng.normal(size=(1280, DIM)) / 36).astype(np.float32),
        feature_mean=np.zeros(1280, np.float32),
        class_names=unit(rng.normal(size=(1000, DIM))).astype(np.float32),
        names_mean=np.zeros(DIM, np.float32), ends=np.cumsum([len(data) for data in small]),
        pictures=np.frombuffer(b"".join(small), np.uint8))


@contextmanager
def listening(app, room=None, **options):
    """The address at which an application answers, in a thread of this process.

    room : bytes of answers that the system keeps for a client that does not read them.
    """
    import uvicorn

    from mmfuse_utils.service.wire import Wire

    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", http=Wire,
                                           server_header=False, **options))
    with socket.create_server(("127.0.0.1", 0)) as place:
        if room:
            place.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
        running = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
        running.start()
        address = f"http://127.0.0.1:{place.getsockname()[1]}"
        for _ in range(200):
            try:
                httpx.get(f"{address}/livez", timeout=5)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield address
        server.should_exit = True
        running.join(20)


def problem(response, status):
    """The details of a refused request, checked for what every one of them holds."""
    told = response.json()
    assert response.status_code == status == told["status"], response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert told["instance"] == response.headers["x-request-id"]
    assert {"type", "title", "status", "detail", "instance"} <= told.keys()
    return told
