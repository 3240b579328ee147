"""What a query string asks for, checked; the one place where its limits are, for all of them."""

import re
from urllib.parse import parse_qsl

from mmfuse_utils.service.problems import Problem
from mmfuse_utils.service.settings import Settings

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
WHOLE = re.compile("[1-9][0-9]{0,5}", re.ASCII)
DEFAULT_K = 10


def read_query(query_string: bytes, settings: Settings, groups: tuple[str, ...],
               phrase: bool = True) -> tuple[str, int, str | None]:
    """Phrase, k and group of a query string; without a phrase, "".

    Raises `Problem` 422 that says what is allowed. Of a name that stands twice the last counts,
    and names that mean nothing here are passed over.

    >>> read_query(b"q=red+apple&k=3", Settings(), ())
    ('red apple', 3, None)
    """
    try:
        told = dict(parse_qsl(query_string.decode("ascii"), keep_blank_values=True,
                              max_num_fields=50, errors="strict"))
    except ValueError as error:
        raise Problem(422, "The query is no valid UTF-8, or has too many parts.") from error
    text = told.get("q", "") if phrase else ""
    if phrase and not 1 <= len(text) <= settings.most_query:
        raise Problem(422, f"q must be a phrase of 1 to {settings.most_query} characters.")
    if CONTROL.search(text):
        raise Problem(422, "q must hold no control characters.")
    given, group = told.get("k", str(DEFAULT_K)), told.get("group")
    if not WHOLE.fullmatch(given) or int(given) > settings.most_k:
        raise Problem(422, f"k must be a whole number from 1 to {settings.most_k}.")
    if group is not None and group not in groups:
        raise Problem(422, "There is no such group." if groups else "There are no groups here.",
                      allowed=list(groups))
    return text, int(given), group


def described_query(settings: Settings, groups: tuple[str, ...], phrase: bool = True) -> dict:
    """How OpenAPI describes the same.

    >>> [told["name"] for told in described_query(Settings(), ())["parameters"]]
    ['q', 'k', 'group']
    """
    text = {"type": "string", "minLength": 1, "maxLength": settings.most_query,
            "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]+$"}
    said = [{"name": "q", "in": "query", "required": True, "schema": text,
             "description": "A phrase."}] if phrase else []
    return {"parameters": [
        *said, {"name": "k", "in": "query", "description": "How many hits, at most.", "schema": {
            "type": "integer", "minimum": 1, "maximum": settings.most_k, "default": DEFAULT_K}},
        {"name": "group", "in": "query", "description": "Search one group alone.",
         "schema": {"type": "string", "enum": list(groups) or [None]}}]}
