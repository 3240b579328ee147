"""Plausible wrong answers to assignment 3.

Rows: task, what is wrong, text of the solution, text in its place, tests that must fail.
"""

_LENGTHS = "np.sqrt((rows ** 2).sum(axis=1, keepdims=True))"
_SCALED = "rows / np.where(lengths > 0, lengths, 1)"
_ORDER = 'cosine[row] = -np.inf\n    return np.argsort(-cosine, kind="stable")[:k]'
_MASK = "np.put_along_axis(scores, questions, -np.inf, axis=1)"
_BEST = "return scores.argmax(axis=1)"
_RANKS = "ranks = smaller + (equal + 1) / 2"
_RHO = "return r @ s / scale if scale > 0 else np.nan"
_KNOWN = "if a in row and b in row:"
_DRAWN = "drawn = np.array([scores(i) for i in resamples])"
_QUANTILES = "low, high = np.quantile(drawn, [0.025, 0.975], axis=0)"
_TABLE = "return np.column_stack([scores(np.arange(len(ratings))), low, high])"
_BOTH_SCORES = ("first, second = statistic(ratings[i], model[i]), "
                "statistic(ratings[i], control[i])")

WRONG = [
    (1, "columns", _LENGTHS, "np.sqrt((rows ** 2).sum(axis=0, keepdims=True))",
     "task1-public task1-hidden"),
    (1, "one length for the table", _LENGTHS, "np.sqrt((rows ** 2).sum())",
     "task1-public task1-hidden"),
    (1, "no root", _LENGTHS, "(rows ** 2).sum(axis=1, keepdims=True)",
     "task1-public task1-hidden"),
    (1, "sum of absolute values", _LENGTHS, "np.abs(rows).sum(axis=1, keepdims=True)",
     "task1-public task1-hidden"),
    (1, "in place", f"return {_SCALED}",
     "rows /= np.where(lengths > 0, lengths, 1)\n    return rows", "task1-public"),
    (1, "zeros give nan", _SCALED, "rows / lengths", "task1-hidden"),
    (1, "a small number added", _SCALED, "rows / (lengths + 1e-13)", "task1-hidden"),
    (1, "short rows taken for zeros", "lengths > 0", "lengths > 1e-6", "task1-hidden"),
    (1, "small number below the root", ").sum(axis=1, keepdims=True)",
     ").sum(axis=1, keepdims=True) + 1e-24", "task1-hidden"),
    (1, "length at least 1e-10", "np.where(lengths > 0, lengths, 1)",
     "np.maximum(lengths, 1e-10)", "task1-hidden"),
    (1, "transposed", _SCALED, "(rows / np.where(lengths > 0, lengths, 1)).T",
     "task1-public task1-hidden"),

    (2, "farthest", "np.argsort(-cosine", "np.argsort(cosine", "task2-public task2-hidden"),
    (2, "word itself in the list", "    cosine[row] = -np.inf\n", "", "task2-public task2-hidden"),
    (2, "one too many", "[:k]", "[:k + 1]", "task2-public task2-hidden"),
    (2, "cosines", "return np.argsort(-cosine", "return -np.sort(-cosine",
     "task2-public task2-hidden"),
    (2, "first of the list dropped", _ORDER,
     'return np.argsort(-cosine, kind="stable")[1:k + 1]', "task2-hidden"),
    (2, "own cosine 0", "-np.inf", "0", "task2-hidden"),
    (2, "own cosine -1", "-np.inf", "-1", "task2-hidden"),
    (2, "ties turned around", 'np.argsort(-cosine, kind="stable")[:k]',
     'np.argsort(cosine, kind="stable")[::-1][:k]', "task2-hidden"),
    (2, "rows shifted", _ORDER,
     'return np.argsort(-np.delete(cosine, row), kind="stable")[:k]',
     "task2-public task2-hidden"),
    (2, "all cosines 1 left out", "cosine[row]", "cosine[cosine > 1 - 1e-9]",
     "task2-hidden"),
    (2, "input changed", "cosine = units @ units[row]",
     "cosine = units @ units[row]\n    units[row] = 0", "task2-public"),

    (3, "a - b + c", "units[b] - units[a] + units[c]", "units[a] - units[b] + units[c]",
     "task3-public task3-hidden"),
    (3, "a to c in place of a to b", "units[b] - units[a] + units[c]",
     "units[b] + units[a] - units[c]", "task3-public task3-hidden"),
    (3, "neighbor of c", "(units[b] - units[a] + units[c])", "units[c]",
     "task3-public task3-hidden"),
    (3, "question words allowed", f"    {_MASK}\n", "", "task3-public task3-hidden"),
    (3, "only c left out", _MASK, "scores[np.arange(len(c)), c] = -np.inf",
     "task3-public task3-hidden"),
    (3, "words of all questions left out", _MASK, "scores[:, questions.ravel()] = -np.inf",
     "task3-public task3-hidden"),
    (3, "forbidden scores 0", _MASK, "np.put_along_axis(scores, questions, 0, axis=1)",
     "task3-hidden"),
    (3, "lowest score", "scores.argmax(axis=1)", "scores.argmin(axis=1)",
     "task3-public task3-hidden"),
    (3, "rows shifted", _BEST,
     "return np.array([np.delete(s, q).argmax() for s, q in zip(scores, questions)])",
     "task3-public task3-hidden"),
    (3, "last of the sorted scores", _BEST, "return np.argsort(scores, axis=1)[:, -1]",
     "task3-hidden"),
    (3, "loop with >=", _BEST,
     "answers = []\n"
     "    for row in scores:\n"
     "        best = 0\n"
     "        for i, score in enumerate(row):\n"
     "            best = i if score >= row[best] else best\n"
     "        answers.append(best)\n"
     "    return np.array(answers)", "task3-hidden"),
    (3, "first answer for all", _BEST, "return scores.argmax(axis=1)[:1]",
     "task3-public task3-hidden"),

    (4, "Pearson of the values", _RANKS, "ranks = values.astype(float)",
     "task4-public task4-hidden"),
    (4, "lowest place for ties", _RANKS, "ranks = smaller + 1", "task4-public task4-hidden"),
    (4, "highest place for ties", _RANKS, "ranks = smaller + equal", "task4-public task4-hidden"),
    (4, "ties in order of appearance", _RANKS,
     "ranks = np.argsort(np.argsort(values, kind='stable'))", "task4-public task4-hidden"),
    (4, "argsort for ranks", _RANKS, "ranks = np.argsort(values, kind='stable')",
     "task4-public task4-hidden"),
    (4, "short formula", _RHO,
     "return 1 - 6 * ((r - s) ** 2).sum() / (len(r) * (len(r) ** 2 - 1))",
     "task4-public task4-hidden"),
    (4, "no gap after ties", _RANKS, "ranks = np.unique(values, return_inverse=True)[1]",
     "task4-hidden"),
    (4, "0 for a constant list", "else np.nan", "else 0.0", "task4-hidden"),
    (4, "no root", "np.sqrt((r @ r) * (s @ s))", "(r @ r) * (s @ s)",
     "task4-public task4-hidden"),
    (4, "ranks not centered", "ranks - ranks.mean()", "ranks", "task4-public task4-hidden"),
    (4, "sorts its input", "values = np.asarray(values)",
     "values = np.asarray(values)\n        values.sort()", "task4-public task4-hidden"),

    (5, "unknown is 0", "np.full(len(pairs), np.nan)", "np.zeros(len(pairs))",
     "task5-public task5-hidden"),
    (5, "pairs dropped", "return cosine, ", "return cosine[~np.isnan(cosine)], ",
     "task5-public task5-hidden"),
    (5, "no report", "return cosine, sorted(missing)", "return cosine",
     "task5-public task5-hidden"),
    (5, "known words reported", "if word not in row", "if word in row",
     "task5-public task5-hidden"),
    (5, "sum over words", "units[row[a]] @ units[row[b]]", "(units[row[a]] + units[row[b]]).sum()",
     "task5-public task5-hidden"),
    (5, "row 0 taken for unknown", _KNOWN, "if row.get(a) and row.get(b):", "task5-hidden"),
    (5, "zero taken for unknown", "return cosine,",
     "cosine[cosine == 0] = np.nan\n    return cosine,", "task5-hidden"),
    (5, "words repeated", "sorted(missing)",
     "sorted(word for word in pairs.ravel().tolist() if word in missing)",
     "task5-public task5-hidden"),
    (5, "order of appearance", "sorted(missing)",
     "[word for word in dict.fromkeys(pairs.ravel().tolist()) if word in missing]",
     "task5-public task5-hidden"),
    (5, "a set", "sorted(missing)", "missing", "task5-public task5-hidden"),
    (5, "only one unknown word a pair", "missing |= {word for word in (a, b) if word not in row}",
     "missing |= {a} if a not in row else {b} - row.keys()", "task5-hidden"),

    (6, "90 % interval", "[0.025, 0.975]", "[0.05, 0.95]", "task6-public task6-hidden"),
    (6, "ends exchanged", "[0.025, 0.975]", "[0.975, 0.025]", "task6-public task6-hidden"),
    (6, "normal interval", _QUANTILES,
     "low, high = drawn.mean(0) - 1.96 * drawn.std(0), drawn.mean(0) + 1.96 * drawn.std(0)",
     "task6-public task6-hidden"),
    (6, "standard error of the mean", _QUANTILES,
     "low, high = drawn.mean(0) + np.outer([-2, 2], drawn.std(0)) / len(drawn) ** 0.5",
     "task6-public task6-hidden"),
    (6, "control - model", "first - second", "second - first", "task6-public task6-hidden"),
    (6, "mean of resamples for the score", "scores(np.arange(len(ratings)))", "drawn.mean(axis=0)",
     "task6-public"),
    (6, "arguments swapped", _BOTH_SCORES,
     "first, second = statistic(model[i], ratings[i]), statistic(control[i], ratings[i])",
     "task6-public task6-hidden"),
    (6, "arguments swapped in the resamples", _DRAWN,
     "drawn = np.array([[statistic(c[i], ratings[i]) for c in (model, control)]"
     " for i in resamples])\n"
     "    drawn = np.column_stack([drawn, drawn[:, 0] - drawn[:, 1]])",
     "task6-public task6-hidden"),
    (6, "another statistic", "def scores(i):",
     "statistic = lambda x, y: np.corrcoef(x, y)[0, 1]\n\n    def scores(i):",
     "task6-public task6-hidden"),
    (6, "ratings not drawn", _BOTH_SCORES,
     "first, second = statistic(ratings, model[i]), statistic(ratings, control[i])",
     "task6-public task6-hidden"),
    (6, "draws of its own", _DRAWN,
     "rng = np.random.default_rng(0)\n"
     "    drawn = np.array([scores(rng.integers(len(ratings), size=len(ratings)))"
     " for _ in resamples])", "task6-public task6-hidden"),
    (6, "difference of the ends", _TABLE,
     "low[2], high[2] = low[0] - low[1], high[0] - high[1]\n    " + _TABLE, "task6-hidden"),
    (6, "widest difference of the ends", _TABLE,
     "low[2], high[2] = low[0] - high[1], high[0] - low[1]\n    " + _TABLE, "task6-hidden"),
    (6, "other resamples for the control", _DRAWN,
     f"{_DRAWN}\n    drawn[:, 1] = drawn[::-1, 1]\n    drawn[:, 2] = drawn[:, 0] - drawn[:, 1]",
     "task6-hidden"),
    (6, "transposed", _TABLE, "return np.array([scores(np.arange(len(ratings))), low, high])",
     "task6-public task6-hidden"),
]
