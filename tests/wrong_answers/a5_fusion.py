"""Plausible wrong answers to assignment 5.

Rows: task, what is wrong, text of the solution, text in its place, tests that must fail.
"""

TO_FLOAT = "np.asarray(train, float), np.asarray(other, float)"
RETURN_CENTERED = "return train - mean, other - mean, mean"
BOTH = "task{0}-public task{0}-hidden".format
MRR = "np.mean(1 / ranks(W, X_val, Y_val))"

WRONG = [
    (1, "one mean for all columns", "mean(axis=0)", "mean()", BOTH(1)),
    (1, "the other rows by their own mean", "other - mean,", "other - other.mean(axis=0),",
     BOTH(1)),
    (1, "mean of both parts together", "train.mean(axis=0)",
     "np.vstack([train, other]).mean(axis=0)", BOTH(1)),
    (1, "adds the mean", "train - mean", "train + mean", BOTH(1)),
    (1, "stays in float16", TO_FLOAT, "np.asarray(train), np.asarray(other)", "task1-hidden"),
    (1, "mean in float16, converted too late", "train.mean(axis=0)",
     "train.astype(np.float16).mean(axis=0).astype(float)", "task1-hidden"),
    (1, "changes its input", RETURN_CENTERED,
     "train -= mean\n    other -= mean\n    return train, other, mean", "task1-hidden"),

    (2, "penalty in every entry", "penalty * np.eye(X.shape[1])", "penalty", BOTH(2)),
    (2, "penalty with the wrong sign", "X.T @ X + penalty", "X.T @ X - penalty", BOTH(2)),
    (2, "no penalty", "np.linalg.solve(gram, X.T @ Y)", "np.linalg.pinv(X) @ Y", BOTH(2)),
    (2, "penalty squared", "+ penalty *", "+ penalty**2 *", BOTH(2)),
    (2, "penalty times the number of pairs", "+ penalty *", "+ len(X) * penalty *", BOTH(2)),
    (2, "twice the gradient's data term", "X.T @ X +", "2 * X.T @ X +", BOTH(2)),
    (2, "centers again", "gram = X.T @ X", "X = X - X.mean(axis=0)\n    gram = X.T @ X",
     "task2-hidden"),
    (2, "returns W transposed", "np.linalg.solve(gram, X.T @ Y)",
     "np.linalg.solve(gram, X.T @ Y).T", BOTH(2)),

    (3, "returns the dual coefficients", "X.T @ np.linalg.solve(kernel, Y)",
     "np.linalg.solve(kernel, Y)", BOTH(3)),
    (3, "penalty in every entry", "penalty * np.eye(len(X))", "penalty", BOTH(3)),
    (3, "penalty times the number of pairs", "+ penalty *", "+ len(X) * penalty *", BOTH(3)),
    (3, "no penalty", "X.T @ np.linalg.solve(kernel, Y)", "np.linalg.pinv(X) @ Y", BOTH(3)),
    (3, "solves the large system", "X.T @ np.linalg.solve(kernel, Y)",
     "np.linalg.solve(X.T @ X + penalty * np.eye(X.shape[1]), X.T @ Y)", "task3-hidden"),

    (4, "forgets the last factor", "(basis / np.sqrt(values)) @ basis.T",
     "basis / np.sqrt(values)", BOTH(4)),
    (4, "root instead of one over it", "basis / np.sqrt(values)", "basis * np.sqrt(values)",
     BOTH(4)),
    (4, "inverse without the root", "np.sqrt(values)", "values", BOTH(4)),
    (4, "root of the entries", "(basis / np.sqrt(values)) @ basis.T",
     "np.linalg.pinv(np.sqrt(np.abs(covariance)))", BOTH(4)),
    (4, "eigenvectors as rows", "(basis / np.sqrt(values)) @ basis.T",
     "(basis.T / np.sqrt(values)) @ basis", "task4-hidden"),
    (4, "no regularization", "covariance + reg * np.eye(len(covariance))", "covariance",
     "task4-hidden"),
    (4, "regularization scaled by the variance", "covariance + reg * np.eye",
     "covariance + reg * np.trace(covariance) / len(covariance) * np.eye", "task4-hidden"),
    (4, "regularization outside the root", "eigh(covariance + reg * np.eye(len(covariance)))",
     "eigh(covariance)\n    values = (np.sqrt(np.abs(values)) + reg) ** 2", "task4-hidden"),
    (4, "changes its input", "values, basis",
     "covariance[np.diag_indices_from(covariance)] += reg\n    reg = 0\n    values, basis",
     "task4-hidden"),

    (5, "divides by n - 1", "/ len(X)", "/ (len(X) - 1)", BOTH(5)),
    (5, "sum instead of mean", " / len(X)", "", BOTH(5)),
    (5, "no whitening", "root_x @ cross @ root_y", "cross", BOTH(5)),
    (5, "whitens one side", "root_x @ cross @ root_y", "root_x @ cross", BOTH(5)),
    (5, "directions of the whitened space", "root_x @ U", "U", BOTH(5)),
    (5, "squared correlations", "Vt.T, correlations", "Vt.T, correlations**2", BOTH(5)),
    (5, "directions without partner", ", full_matrices=False", "", BOTH(5)),
    (5, "right vectors not transposed", "Vt.T", "Vt", BOTH(5)),

    (6, "ties count for the map", "(cosine >= own).sum(axis=1)", "(cosine > own).sum(axis=1) + 1",
     "task6-hidden"),
    (6, "zeros divided by zero", "np.where(lengths > 0, lengths, 1)", "lengths", "task6-hidden"),
    (6, "own cosine computed a second time", "own = np.diag(cosine)[:, None]",
     "own = (unit(X @ W) * unit(Y)).sum(axis=1)[:, None]", "task6-hidden"),
    (6, "adds to the lengths", "np.where(lengths > 0, lengths, 1)", "(lengths + 1e-12)",
     "task6-hidden"),
    (6, "mean rank chooses", MRR, "-np.mean(ranks(W, X_val, Y_val))", "task6-hidden"),
    (6, "product instead of cosine", "unit(Y).T", "Y.T", BOTH(6)),
    (6, "pictures ask", "cosine = unit(X @ W) @ unit(Y).T", "cosine = unit(Y) @ unit(X @ W).T",
     BOTH(6)),
    (6, "best rank is 0", "(cosine >= own).sum(axis=1)", "(cosine > own).sum(axis=1)", BOTH(6)),
    (6, "worst map", "np.argmax(scores)", "np.argmin(scores)", BOTH(6)),
    (6, "the test chooses", MRR, "np.mean(1 / ranks(W, X_test, Y_test))", "task6-public"),
    (6, "validation ranks returned", "ranks(maps[best], X_test, Y_test)",
     "ranks(maps[best], X_val, Y_val)", BOTH(6)),
]
