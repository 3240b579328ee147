"""Work for a thread, taken from a queue of bounded length, some of it together."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mmfuse_utils.service.meters import Meters
from mmfuse_utils.service.problems import too_busy


class Batcher:
    """Hands queries to a thread of its own, all that wait at once, up to a most.

    work : a list of queries to a list of answers, called in the thread. most : how many at once.
    queue : how many may wait or be worked on; one more is refused at once. seconds : how long a
    query may take, with its waiting; then it is refused. retry : what the refused are told.

    Nothing waits for a batch to fill: what comes while the thread is busy is taken together when
    it is free again. Where a batch fails, its queries are tried one by one, so that one that
    cannot be answered spoils no other.
    """

    def __init__(self, kind: str, work: Callable[[list], Sequence], meters: Meters, *, most: int,
                 queue: int, seconds: float, retry: int = 1) -> None:
        self.work, self.most, self.queue, self.seconds, self.retry = (
            work, most, queue, seconds, retry)
        self._waiting: deque[tuple[Any, asyncio.Future]] = deque()
        self._n, self._runner = 0, None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=kind)
        self._sizes, self._refused = meters.batches.labels(kind), meters.refused.labels(kind)

    async def submit(self, query: Any) -> Any:
        """The answer to a query; `Problem` 503 where too many wait, or it takes too long."""
        if self._n >= self.queue:
            self._refused.inc()
            raise too_busy(self.retry)
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((query, future))
        self._n += 1
        future.add_done_callback(self._leave)
        if self._runner is None:
            self._runner = asyncio.ensure_future(self._run())
        try:
            async with asyncio.timeout(self.seconds):
                return await future
        except TimeoutError:
            self._refused.inc()
            raise too_busy(self.retry, "The query took too long; try again in a moment.") from None

    def _leave(self, future: asyncio.Future) -> None:
        self._n -= 1

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch = []
                while self._waiting and len(batch) < self.most:
                    query, future = self._waiting.popleft()
                    if not future.done():       # whoever asked may be gone
                        batch.append((query, future))
                if batch:
                    self._sizes.observe(len(batch))
                    answers = await loop.run_in_executor(
                        self._pool, self._answer, [query for query, _ in batch])
                    for (_, future), answer in zip(batch, answers, strict=True):
                        _settle(future, answer)
        finally:
            self._runner = None

    def _answer(self, queries: list) -> list:
        """An answer or an exception for each query."""
        try:
            return list(self.work(queries))
        except Exception as error:
            if len(queries) == 1:
                return [error]
            return [self._answer([query])[0] for query in queries]

    def close(self) -> None:
        """End the thread when it is through with what it does."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _settle(future: asyncio.Future, answer: Any) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
