"""Answers that a student gets by pasting a public test's own code, put together by machine.

Of each test function that compares what the student's function gives with something, the part that
computes this something becomes the answer: the arguments that the test gives take the places of
the parameters, the comparison becomes the return.
"""

import ast
import copy
from collections import defaultdict


def pasted_answers(test, answer):
    """Sources of answers, put together from a public test's own code.

    test : source of the public test. answer : source of a right answer, for its signature.

    >>> test = "def test_sum():\\n    x = [1, 2]\\n    close(add(x, 5), sum(x) + 5, 'why')"
    >>> print(pasted_answers(test, "def add(row, more): return 0")[-1])
    def add(row, more):
        return sum(row) + more
    """
    cell, signature = ast.parse(test), ast.parse(answer).body[-1]
    name = signature.name
    tests = [node for node in cell.body if isinstance(node, ast.FunctionDef) and asks(node, name)]
    helpers = [node for node in cell.body if node not in tests and not asks(node, name)
               and not isinstance(node, ast.Expr | ast.ImportFrom)]
    found = []
    for node in tests:
        for call in calls(node, name):
            found += Paster(node, call, signature, wrappers(tests, name)).answers(helpers)
    return list(dict.fromkeys(found))


def calls(node, name):
    return [part for part in ast.walk(node) if isinstance(part, ast.Call)
            and isinstance(part.func, ast.Name) and part.func.id == name]


def asks(node, name):
    """Whether a piece of a test mentions the student's function."""
    return any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node))


def wrappers(tests, name):
    """The student's function, and the test's own functions that call it and give its result."""
    return {name, *(test.name for test in tests if not test.name.startswith("test_"))}


def bare(node):
    """An argument without what only protects it, such as `.copy()`."""
    while (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
           and node.func.attr in ("copy", "astype")):
        node = node.func.value
    return node


class Paster(ast.NodeTransformer):
    """Turns one test function into answers, for one call of the student's function in it."""

    def __init__(self, test, call, signature, known):
        self.test, self.signature, self.known = test, signature, known
        names = [argument.arg for argument in signature.args.args]
        self.place = {ast.dump(bare(given)): name for given, name in zip(call.args, names)
                      if not (isinstance(given, ast.Constant) and given.value in (0, 1, 2))}
        self.given = {given.id for given in map(bare, call.args) if isinstance(given, ast.Name)}
        self.results, self.order, self.wanted = set(), [], defaultdict(list)
        returned = signature.body[-1].value
        self.n_parts = len(returned.elts) if isinstance(returned, ast.Tuple) else 1

    def visit(self, node):
        name = self.place.get(ast.dump(node).replace("Store()", "Load()"))
        return ast.Name(name, ast.Load()) if name else super().visit(node)

    def is_result(self, node):
        """Whether an expression is the student's result or a part of it."""
        return any(isinstance(part, ast.Name) and part.id in self.known | self.results
                   for part in ast.walk(node))

    def note(self, statement):
        """Note which names hold the result, or with what the test compares it."""
        if isinstance(statement, ast.Assign) and self.is_result(statement.value):
            for target in statement.targets:
                parts = target.elts if isinstance(target, ast.Tuple) else [target]
                self.results |= {part.id for part in parts if isinstance(part, ast.Name)}
                if isinstance(target, ast.Tuple):
                    self.order = [getattr(part, "id", "") for part in parts]
        for call in ast.walk(statement):
            if isinstance(call, ast.Call) and len(call.args) > 2 and self.is_result(call.args[0]):
                if not self.is_result(call.args[1]):
                    self.wanted[self.index(call.args[0])].append(call.args[1])
            if isinstance(call, ast.BinOp) and isinstance(call.op, ast.Sub):
                if self.is_result(call.left):
                    self.wanted[self.index(call.left)].append(call.right)

    def index(self, node):
        """Which part of the result an expression is, -1 for the whole."""
        for part in ast.walk(node):
            if isinstance(part, ast.Subscript) and isinstance(part.slice, ast.Constant):
                return part.slice.value
            if isinstance(part, ast.Name) and part.id in self.order:
                return self.order.index(part.id)
        return -1

    def keep(self, body):
        """Statements but those that ask the student, check, or set what the student is given."""
        kept = []
        for statement in body:
            self.note(statement)
            block = isinstance(statement, ast.For | ast.If | ast.With)
            if block and not all(map(self.is_result, statement.body)):
                statement.body = self.keep(statement.body) or [ast.Pass()]
                kept.append(statement)
            elif not (self.is_result(statement) or self.sets_given(statement)):
                kept.append(statement)
        return kept

    def sets_given(self, statement):
        targets = {part.id for target in getattr(statement, "targets", [])
                   for part in ast.walk(target) if isinstance(part, ast.Name)}
        return bool(targets) and targets <= self.given

    def answers(self, helpers):
        """The answer with each of the things that the test compares the result with."""
        kept, found = self.keep(copy.deepcopy(self.test.body)), []
        ends, known = self.wanted.pop(-1, []), self.wanted
        for n in range(max(map(len, known.values()), default=0)):
            parts = [known[i][:n + 1][-1] if i in known else ast.Constant(0)
                     for i in range(max(self.n_parts, *known, 1))]
            ends.append(ast.Tuple(parts, ast.Load()))
        for end in ends:
            body = copy.deepcopy([*kept, ast.Return(end)])
            body = [self.visit(statement) for statement in body]
            function = copy.deepcopy(self.signature)
            function.body, function.decorator_list = body, []
            module = ast.Module([*helpers, function], [])
            found.append(ast.unparse(ast.fix_missing_locations(module)))
        return found
