"""Pairs of submissions whose answers are nearly equal: a hint to look at two, and no more.

Short right answers are equal by themselves. So a task counts for a pair only where the answer is
long, nearly equal whatever its names and comments, and like hardly anybody else's; and a pair is
shown only where two tasks do, or one that is very long.
"""

import io
import itertools
import keyword
import tokenize
from collections import defaultdict

from rapidfuzz import fuzz

NEAR, SHORT, LONG = 94, 30, 100     # percent; tokens of an answer
SHARED = 0.1                        # of a class may have an answer that still counts as rare
MOST_PAIRS = 20
SKIPPED = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
           tokenize.ENCODING, tokenize.ENDMARKER}


def tokens_of(code):
    """Tokens of an answer without comments, docstrings and chosen names; [] for what is no code.

    >>> tokens_of("total = 1  # one") == tokens_of("x = 1")
    True
    """
    found, fresh = [], True
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.NEWLINE:
                fresh = True
            if token.type in SKIPPED or (token.type == tokenize.STRING and fresh):
                continue
            fresh = False
            named = token.type == tokenize.NAME and not keyword.iskeyword(token.string)
            found.append("n" if named else token.string)
    except (tokenize.TokenError, SyntaxError):
        return []
    return found


def own_tokens(code, given):
    """Tokens of an answer without those that were handed out, such as the line with `def`."""
    tokens, stub = tokens_of(code), tokens_of(given)
    head = stub[:stub.index("raise")] if "raise" in stub else stub
    return tokens[len(head):] if head and tokens[:len(head)] == head else tokens


def letters_for(answers):
    """Each answer as a string with a letter for each token, which compares fast."""
    alphabet = defaultdict(itertools.count(0xF0000).__next__)
    return {key: "".join(chr(alphabet[token]) for token in tokens)
            for key, tokens in answers.items()}


def near_in_task(answers, given):
    """Pairs of keys whose answers to one task are nearly equal, and rare, with their length.

    answers : {key: code}. given : what was handed out in their place.
    """
    tokens = {key: own_tokens(code, given) for key, code in answers.items()}
    texts = letters_for({key: found for key, found in tokens.items() if len(found) >= SHORT})
    near = [(a, b) for a, b in itertools.combinations(texts, 2)
            if fuzz.ratio(texts[a], texts[b], score_cutoff=NEAR)]
    partners = defaultdict(int)
    for pair in near:
        for key in pair:
            partners[key] += 1
    rare = max(1, SHARED * len(answers))
    return {pair: len(texts[pair[0]]) for pair in near if max(partners[a] for a in pair) <= rare}


def near_pairs(sources, given):
    """[(key, key, tasks)] of submissions of one assignment to look at together, longest first.

    sources : {key: {task: code}}. given : {task: code} as handed out.
    """
    pairs = defaultdict(dict)
    for task in sorted({task for answers in sources.values() for task in answers}):
        found = near_in_task({key: answers[task] for key, answers in sources.items()
                              if task in answers}, given.get(task, ""))
        for pair, length in found.items():
            pairs[pair][task] = length
    shown = [(a, b, tasks) for (a, b), tasks in pairs.items()
             if len(tasks) > 1 or max(tasks.values()) >= LONG]
    shown.sort(key=lambda pair: -sum(pair[2].values()))
    return [(a, b, list(tasks)) for a, b, tasks in shown[:MOST_PAIRS]]
