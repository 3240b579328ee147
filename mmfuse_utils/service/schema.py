"""The shapes of answers, as /openapi.json describes them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """A shape with no entries but those that are named."""

    model_config = ConfigDict(extra="forbid")


class Query(Shape):
    """How a query was read: words of a phrase, or the size of a picture."""

    kind: str
    known: list[str] = Field(default=[])
    unknown: list[str] = Field(default=[])
    width: int = Field(default=0)
    height: int = Field(default=0)


class Word(Shape):
    """The word that a hit owes most to. share : of what the phrase's words add to the score.

    cosine : of the word with a picture that was sent.
    """

    text: str
    share: float = Field(default=0)
    cosine: float = Field(default=0)


class Hit(Shape):
    """One found picture; `picture` is the address of a small copy."""

    rank: int
    id: str
    score: float
    title: str
    credit: str
    group: str
    picture: str
    word: Word | None


class Found(Shape):
    """The answer to a query."""

    query: Query
    method: str
    hits: list[Hit]


class About(Shape):
    """What is served."""

    format: int
    source: str
    built: str
    method: str
    pictures: int
    counts: dict[str, int]
    groups: list[str]
    examples: list[str]
    settings: dict[str, Any]
    data: dict[str, Any]
    checksums: dict[str, str]
