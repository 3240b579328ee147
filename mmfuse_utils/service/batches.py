"""Queries in a queue of bounded length; those that wait at the same time are answered together."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mmfuse_utils.service.meters import Meters
from mmfuse_utils.service.problems import too_busy


class Batcher:
    """Hands on queries, all that wait at once, up to a most.

    work : a list of queries to a list of answers, called in the thread. most : how many at once.
    queue : how many may wait or be worked on; one more is refused at once. seconds : how long a
    query may take, with its waiting; then it is refused. retry : what the refused are told.
    thread : whether to work in a thread of its own. Work of less than a millisecond is done sooner
    without; anything longer would keep others from being answered.

    Nothing waits for a batch to fill: what came in the same turn of the event loop, or while the
    thread was busy, is taken together. Where a batch fails, its queries are tried one by one, so
    that one that cannot be answered spoils no other.
    """

    def __init__(self, kind: str, work: Callable[[list], Sequence], meters: Meters, *, most: int,
                 queue: int, seconds: float, retry: int = 1, thread: bool = True) -> None:
        self.work, self.most, self.queue, self.seconds, self.retry = (
            work, most, queue, seconds, retry)
        self._waiting: deque[tuple[Any, asyncio.Future]] = deque()
        self._n, self._busy = 0, False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=kind) if thread else None
        self._sizes, self._refused = meters.batches.labels(kind), meters.refused.labels(kind)

    async def submit(self, query: Any) -> Any:
        """The answer to a query; `Problem` 503 where too many wait, or it takes too long."""
        if self._n >= self.queue:
            self._refused.inc()
            raise too_busy(self.retry)
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append((query, future))
        self._n += 1
        if not self._busy:
            self._busy = True
            loop.call_soon(self._turn)
        try:
            if self._pool is None:
                return await future
            async with asyncio.timeout(self.seconds):
                return await future
        except TimeoutError:
            self._refused.inc()
            raise too_busy(self.retry, "The query took too long; try again in a moment.") from None
        finally:
            self._n -= 1

    def _turn(self) -> None:
        """Take what waits, up to the most."""
        batch = []
        while self._waiting and len(batch) < self.most:
            query, future = self._waiting.popleft()
            if not future.done():       # whoever asked may be gone
                batch.append((query, future))
        if not batch:
            self._busy = False
            return
        self._sizes.observe(len(batch))
        queries, futures = zip(*batch, strict=True)
        if self._pool is None:
            self._settle(futures, self._answer(list(queries)))
            return
        done = asyncio.get_running_loop().run_in_executor(self._pool, self._answer, list(queries))
        done.add_done_callback(lambda done: self._settle(
            futures, [done.exception()] * len(futures) if done.exception() else done.result()))

    def _settle(self, futures: Sequence[asyncio.Future], answers: Sequence) -> None:
        for future, answer in zip(futures, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        asyncio.get_running_loop().call_soon(self._turn)

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
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
