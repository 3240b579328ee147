"""What finds out a submission that makes the tests believe anything.

A canary is a test whose own numbers have been made false: whatever an answer returns, it fails.
It runs beside the real test, before or after it, and reads like it but for numbers drawn anew for
each submission, so that code among the answers cannot tell the two by their texts. Where a canary
passes, its test gives no points. Nothing here accuses anybody: the reasons are for the instructor.
"""

import ast
import copy
import re

# Checks of classroom.py, with the argument that is made false.
CHECKED = {"close": 1, "same": 1, "holds": 0, "refuses": 0}
TRICKS = re.compile(
    r"get_ipython|_getframe|settrace|setprofile|__code__|__globals__|\bimport classroom\b|"
    r"\bclassroom\.|sys\.modules|ast_transformers|input_transformers|meta_path|excepthook|"
    r"\bctypes\b|/proc/|\bgc\b|\b__builtins__|\binspect\b|\bzmq\b|\bos\.fork|__array__")


def arm(source, rng):
    """A test and its canary, or (source, None) where there is no check to make false.

    >>> import random
    >>> print(*arm("holds(x > 0, 'why')", random.Random(1)), sep=chr(10))
    holds(((x > 0) if 1623 % 20 else 0), 'why')
    holds(((x > 0) if 1296 % 18 else 0), 'why')
    """
    places = find_checks(source)
    if not places:
        return source, None
    return tuple(write(source, places, passes, rng) for passes in (True, False))


def find_checks(source):
    """(first byte, last byte, name of the check) of the arguments that decide a test."""
    try:
        calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)
                 and isinstance(node.func, ast.Name) and node.func.id in CHECKED]
    except SyntaxError:
        return []
    starts = [0]
    for line in source.encode().split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)
    places = []
    for call in calls:
        given = call.args[:CHECKED[call.func.id] + 1]
        if len(given) > CHECKED[call.func.id] and not any(
                isinstance(argument, ast.Starred) for argument in given):
            at = given[-1]
            places.append((starts[at.lineno - 1] + at.col_offset,
                           starts[at.end_lineno - 1] + at.end_col_offset, call.func.id))
    # Numbers before statements: who only bends numbers must not be saved by an honest statement.
    places = [place for place in places if place[2] in ("close", "same")] or places
    return sorted(place for place in places if not any(
        other[0] <= place[0] and place[1] <= other[1] and other != place for other in places))


def write(source, places, passes, rng):
    """The test with each deciding argument in a condition that holds, or not."""
    text = source.encode()
    for start, end, check in reversed(places):
        modulus = rng.randrange(3, 90)
        number = modulus * rng.randrange(9, 99) + (rng.randrange(1, modulus) if passes else 0)
        wrong = {"holds": "0", "refuses": "BlockingIOError"}.get(
            check, f"[[[[[[{rng.randrange(100, 999) / 1000}]]]]]]")     # the shape of no answer
        text = b"%b((%b) if %d %% %d else %b)%b" % (
            text[:start], text[start:end], number, modulus, wrong.encode(), text[end:])
    return text.decode()


def with_canaries(cells, is_test, rng):
    """The cells with a canary beside each test, and {place: place of the other} for both."""
    every, twins = [], {}
    for cell in cells:
        if not is_test(cell):
            every.append(cell)
            continue
        cell.metadata["test_source"] = cell.source
        cell.source, text = arm(cell.source, rng)
        if text is None:
            every.append(cell)
            continue
        canary = copy.deepcopy(cell)
        canary.metadata, canary.source = {"canary": True}, text
        twins |= {len(every): len(every) + 1, len(every) + 1: len(every)}
        every += rng.sample([cell, canary], 2)
    return every, twins


def take_out(every, twins):
    """The cells without canaries: each test has its own text again, and the metadata
    "canary_error", the name of the error that its canary ended with, "" where it passed."""
    for place, cell in enumerate(every):
        if "test_source" in cell.metadata:
            cell.source = cell.metadata.pop("test_source")
            if place in twins:
                errors = [output.ename for output in every[twins[place]].outputs
                          if output.output_type == "error"]
                cell.metadata["canary_error"] = (errors or [""])[0]
    return [cell for cell in every if "canary" not in cell.metadata]


def tricks(source):
    """What a cell uses that answers seldom need, as names from the list above."""
    return sorted({found.strip(".") for found in TRICKS.findall(source)})
