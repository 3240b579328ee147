"""What the operations of one service share: the searcher, its queues, and whether it is open."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from mmfuse_utils.service.answers import Encoder
from mmfuse_utils.service.artefact import FORMAT
from mmfuse_utils.service.asked import read_query
from mmfuse_utils.service.batches import Batcher
from mmfuse_utils.service.meters import Meters
from mmfuse_utils.service.problems import Problem, too_busy
from mmfuse_utils.service.received import PictureError, open_picture
from mmfuse_utils.service.searcher import Searcher
from mmfuse_utils.service.settings import Settings
from mmfuse_utils.service.store import ExactStore

QUICK = 500_000     # numbers of an index in memory of which a batch takes less than a millisecond


class Desk:
    """Takes queries of one service in, and gives answers out, as JSON has them."""

    def __init__(self, searcher: Searcher, settings: Settings, meters: Meters) -> None:
        self.searcher, self.settings, self.encoder = searcher, settings, Encoder(searcher)
        self.stopping, self.sees = False, threading.Event()
        self._n_pictures, self._decoders = 0, ThreadPoolExecutor(2, "decode")
        self._refused = meters.refused.labels("picture")
        limits = {"seconds": settings.queue_seconds, "retry": settings.retry_seconds}
        self._phrases = Batcher("phrase", searcher.by_phrases, meters, most=settings.phrase_batch,
                                queue=settings.phrase_queue, **limits, thread=(
                                    not isinstance(searcher.store, ExactStore)
                                    or searcher.artefact.vectors.size > QUICK))
        self._pictures = Batcher("picture", searcher.by_pictures, meters,
                                 most=settings.picture_batch, queue=settings.picture_queue,
                                 **limits)

    def open(self) -> None:
        """Load the networks in the background; phrases are answered meanwhile."""
        self._decoders.submit(self._open_eyes)

    def _open_eyes(self) -> None:
        self.searcher.eye.look([np.zeros((8, 8, 3), np.uint8)])
        self.sees.set()

    def close(self) -> None:
        """Take nothing more."""
        self.stopping = True
        self._phrases.close()
        self._pictures.close()
        self._decoders.shutdown(wait=False, cancel_futures=True)

    def check_ready(self) -> None:
        """Raise 503 before all is loaded and after the service was told to stop."""
        if self.stopping:
            raise too_busy(self.settings.retry_seconds, "The service is stopping.")
        if not self.sees.is_set():
            raise too_busy(self.settings.retry_seconds,
                           "Phrases are answered; the networks for pictures are being loaded.")

    async def by_phrase(self, query_string: bytes) -> bytes:
        """The answer to a phrase, as JSON."""
        asked = self._read(query_string)
        return self.encoder.encode(await self._phrases.submit(asked))

    async def by_picture(self, query_string: bytes, body: Callable[[], Awaitable[bytes]]
                         ) -> bytes:
        """The answer to a picture, whose bytes are not fetched where too many are worked on."""
        _, k, group = self._read(query_string, phrase=False)
        if self._n_pictures >= self.settings.picture_queue:
            self._refused.inc()
            raise too_busy(self.settings.retry_seconds)
        self._n_pictures += 1
        try:
            data = await body()
            if not data:
                raise Problem(422, "The body is empty; it should be the bytes of a picture.")
            picture, size = await self._decode(data)
            answer = await self._pictures.submit((picture, k, group))
        finally:
            self._n_pictures -= 1
        return self.encoder.encode(replace(answer, query={"kind": "picture", **size}))

    async def _decode(self, data: bytes) -> tuple[np.ndarray, dict]:
        """A picture at the networks' size, so that large ones are not kept, and its own size."""
        def work() -> tuple[np.ndarray, dict]:
            whole = open_picture(data, self.settings.most_pixels)
            return self.searcher.eye.fit(whole), {"width": whole.shape[1],
                                                  "height": whole.shape[0]}
        try:
            async with asyncio.timeout(self.settings.queue_seconds):
                return await asyncio.get_running_loop().run_in_executor(self._decoders, work)
        except TimeoutError:
            raise too_busy(self.settings.retry_seconds) from None
        except PictureError as error:
            raise Problem(error.status, str(error)) from error

    def _read(self, query_string: bytes, phrase: bool = True) -> tuple[str, int, str | None]:
        if self.stopping:
            raise too_busy(self.settings.retry_seconds, "The service is stopping.")
        return read_query(query_string, self.settings, self.searcher.groups, phrase)

    def about(self) -> dict:
        """What is served, without a path or what it was made with."""
        facts = dict(self.searcher.artefact.facts)
        del facts["made_with"]
        return {"checksums": {}, "format": FORMAT} | facts | {
            "pictures": len(self.searcher.artefact.items)}
