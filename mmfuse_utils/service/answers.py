"""Answers as JSON. What an item always says is encoded once, as most of an answer is that."""

import json
from json.encoder import encode_basestring_ascii as quoted

from mmfuse_utils.service.searcher import Answer, Hit, Searcher


class Encoder:
    """Encodes the answers of one searcher."""

    def __init__(self, searcher: Searcher) -> None:
        self._items: dict[str, str] = {}
        self._method = quoted(searcher.method)

    def encode(self, answer: Answer) -> bytes:
        """An answer as the body of a response."""
        hits = ", ".join(map(self._hit, answer.hits))
        return (f'{{"query": {json.dumps(answer.query)}, "method": {self._method}, '
                f'"hits": [{hits}]}}').encode()

    def _hit(self, hit: Hit) -> str:
        item = self._items.get(hit.id)
        if item is None:
            item = self._items[hit.id] = json.dumps({
                "id": hit.id, "title": hit.title, "credit": hit.credit, "group": hit.group,
                "picture": f"/v1/pictures/{hit.id}"})[1:-1]
        word = "null" if hit.word is None else _word(hit.word)
        return f'{{"rank": {hit.rank}, "score": {hit.score}, {item}, "word": {word}}}'


def _word(word: dict) -> str:
    name = "share" if "share" in word else "cosine"
    return f'{{"text": {quoted(word["text"])}, "{name}": {word[name]}}}'
