"""What do three libraries call the same number, and what do they do with ties?

    python benchmarks/metric_names.py       # a few seconds; writes metric_names.json

One ranking of eight items, four of them relevant, goes through the package, torchmetrics, ranx
and sentence-transformers; so do galleries of 8 and of 200 items that all have one score. Needs
the extra `benchmark` (ranx, sentence-transformers).
"""

import json
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import torchmetrics.functional.retrieval as by_torch

from mmfuse_utils import metrics

OUTPUT = Path(__file__).with_suffix(".json")
SCORES = (0.9, 0.7, 0.6, 0.5, 0.3, 0.1, -0.1, -0.2)
RELEVANT = (0, 1, 1, 0, 0, 0, 1, 1)
CUTS = 3, 8
GALLERIES = 8, 200
LIBRARIES = "torchmetrics", "ranx", "sentence-transformers"
Measure = Callable[[tuple, tuple, int], dict[str, float]]


def with_package(scores: tuple, relevant: tuple, k: int) -> dict[str, float]:
    """The package's numbers, by its names."""
    table = np.array([scores]), np.array([relevant])
    found = metrics.ranks(*table)
    return {"hit_at_k": metrics.hit_at_k(found, k), "recall_at_k": metrics.recall_at_k(*table, k),
            "precision_at_k": metrics.precision_at_k(*table, k),
            "mean_reciprocal_rank": metrics.mean_reciprocal_rank(found),
            "mean_average_precision": metrics.mean_average_precision(*table),
            "ndcg_at_k": metrics.ndcg_at_k(*table, k)}


def with_torchmetrics(scores: tuple, relevant: tuple, k: int) -> dict[str, float]:
    """torchmetrics' numbers, by its names."""
    names = ("hit_rate", "recall", "precision", "reciprocal_rank", "average_precision",
             "normalized_dcg")
    arguments = torch.tensor(scores), torch.tensor(relevant)
    return {f"retrieval_{name}": float(getattr(by_torch, f"retrieval_{name}")(*arguments, top_k=k))
            for name in names}


def with_ranx(scores: tuple, relevant: tuple, k: int) -> dict[str, float]:
    """ranx' numbers, by its names."""
    from ranx import Qrels, Run, evaluate
    items = [f"item {i}" for i in range(len(scores))]
    truth = Qrels({"query": {item: 1 for item, wanted in zip(items, relevant, strict=True)
                             if wanted}})
    run = Run({"query": dict(zip(items, scores, strict=True))})
    names = [f"{name}@{k}" for name in ("hits", "hit_rate", "recall", "precision", "mrr", "map",
                                        "ndcg")]
    found = evaluate(truth, run, names)
    return {name.replace(f"@{k}", "@k"): float(found[name]) for name in names}


class FixedScores:
    """Stands in for a model: its "embeddings" are row numbers, so any scores can be given."""

    def encode_query(self, texts: list[str], **_: object) -> torch.Tensor:
        return torch.arange(len(texts))[:, None]

    encode_document = encode_query


def with_sentence_transformers(scores: tuple, relevant: tuple, k: int) -> dict[str, float]:
    """sentence-transformers' numbers, by its names."""
    from sentence_transformers.evaluation import InformationRetrievalEvaluator
    items = {f"item {i}": f"text {i}" for i in range(len(scores))}
    wanted = {item for item, is_wanted in zip(items, relevant, strict=True) if is_wanted}
    evaluator = InformationRetrievalEvaluator(
        {"query": "a text"}, items, {"query": wanted}, mrr_at_k=[k], ndcg_at_k=[k],
        accuracy_at_k=[k], precision_recall_at_k=[k], map_at_k=[k], write_csv=False,
        score_functions={"fixed": lambda queries, documents: torch.tensor([scores])})
    with tempfile.TemporaryDirectory() as folder:
        found = evaluator.compute_all_metrics(FixedScores(), output_path=folder)["fixed"]
    return {name: float(by_cut[k]) for name, by_cut in found.items()}


def only(n: int, row: int) -> tuple[int, ...]:
    """Relevance of n items, of which one is relevant."""
    return tuple(int(i == row) for i in range(n))


def place_by_hit(measure: Measure, name: str, n: int, row: int) -> int:
    """Place of one item among n of equal score: the first cut k at which it counts as found."""
    return next(k for k in range(1, n + 1) if measure((0.5,) * n, only(n, row), k)[name] > 0)


def place_by_reciprocal(measure: Measure, name: str, n: int, row: int) -> int:
    """The same place, as 1 over the reciprocal rank that the library reports."""
    return round(1 / measure((0.5,) * n, only(n, row), n)[name])


def places(measure: Measure, hit: str, reciprocal: str) -> dict[str, dict[str, dict[str, int]]]:
    """Where the items listed first and last end among equal scores, by two of the metrics."""
    by_metric = {hit: place_by_hit, reciprocal: place_by_reciprocal}
    return {name: {str(n): {"first": place(measure, name, n, 0),
                            "last": place(measure, name, n, n - 1)} for n in GALLERIES}
            for name, place in by_metric.items()}


def main() -> None:
    """Run all, print them and write the JSON."""
    programs = {"mmfuse_utils": (with_package, "hit_at_k", "mean_reciprocal_rank"),
                "torchmetrics": (with_torchmetrics, "retrieval_hit_rate",
                                 "retrieval_reciprocal_rank"),
                "ranx": (with_ranx, "hit_rate@k", "mrr@k"),
                "sentence-transformers": (with_sentence_transformers, "accuracy@k", "mrr@k")}
    content = {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
               "versions": {name: version(name) for name in LIBRARIES},
               "scores": SCORES, "relevant": RELEVANT,
               "values": {name: {str(k): measure(SCORES, RELEVANT, k) for k in CUTS}
                          for name, (measure, *_) in programs.items()},
               "places_among_equal_scores": {name: places(*program)
                                             for name, program in programs.items()}}
    text = json.dumps(content, indent=1)
    print(text)
    OUTPUT.write_text(text + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
