"""How few bytes a picture or a word needs before retrieval suffers, for the chapter on compression.

`python benchmarks/compression.py` writes compression.json beside it in about three minutes of one
core; it goes on where an interrupted run stopped. With `--quick` it runs one split and writes
nothing.

Ten splits (salts), each with the joint space of regularized CCA, penalty by validation. Codes
learn from training pictures alone; validation says which code to take; the test is read once.
"""

import argparse
import io
import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import torch
from gensim.models import KeyedVectors
from gensim.test.utils import datapath
from PIL import Image, features
from scipy.stats import norm
from tqdm import tqdm

from mmfuse_utils import text, vision
from mmfuse_utils.cache import cache_dir, content_key, write_then_rename
from mmfuse_utils.fusion import RegularizedCCA
from mmfuse_utils.metrics import ranks
from mmfuse_utils.protocol import Protocol, load_protocol
from mmfuse_utils.retrieval import top_k, unit_rows
from mmfuse_utils.word2vec import load_wide_vectors

OUTPUT = Path(__file__).with_suffix(".json")
PENALTIES = (1.0, 3.0, 10.0)
SALTS, DIM, MOST_BITS, SHARE = 10, 64, 8, 5     # SHARE: one in five is ranked again
STAGES = (4, 4, 8, 16, 32)                      # bytes of each refinement
FILES = {"webp 128 q80": (128, 80), "webp 128 q20": (128, 20), "webp 64 q20": (64, 20),
         "webp 16 q0": (16, 0)}


def all_protocols(n: int) -> list[Protocol]:
    """The first splits; features and texts are loaded once."""
    first = load_protocol()
    emoji, rest = first.emoji, []
    for salt in range(1, n):
        split = emoji.split(salt, strict=True)
        rest.append(replace(first, split=split, train=np.flatnonzero(np.isin(
            emoji.pictures.concept_row, split.train)), held=emoji.gallery(split.validation, salt),
            gallery=emoji.gallery(split.test, salt)))
    return [first, *rest]


# Codes: each takes items to learn from, items to send and queries, and gives what arrives.

def levels(bits: int) -> np.ndarray:
    """Lloyd and Max's levels of a standard normal variable: (2**bits,)."""
    places = np.sqrt(3) * norm.ppf((np.arange(2**bits) + 0.5) / 2**bits)
    for _ in range(300):
        ends = np.r_[-np.inf, (places[1:] + places[:-1]) / 2, np.inf]
        places = -np.diff(norm.pdf(ends)) / np.diff(norm.cdf(ends))
    return places


LEVELS = [levels(bits) for bits in range(MOST_BITS + 1)]
DISTORTION = np.array([1 - np.sum(places**2 * np.diff(norm.cdf(np.r_[
    -np.inf, (places[1:] + places[:-1]) / 2, np.inf]))) for places in LEVELS])


def share_bits(variances: np.ndarray, n_bits: int) -> np.ndarray:
    """Bits for each direction: one after the other to where it removes the most error."""
    bits = np.zeros(len(variances), int)
    saved = np.append(DISTORTION[:-1] - DISTORTION[1:], 0)
    for _ in range(n_bits):
        bits[np.argmax(variances * saved[bits])] += 1
    return bits


def root(queries: np.ndarray, power: float = 0.5) -> np.ndarray:
    """A power of the queries' second moment, which weights directions by how they are asked."""
    values, vectors = np.linalg.eigh(queries.T @ queries / len(queries))
    return vectors * np.maximum(values, 1e-9 * values[-1])**power @ vectors.T


def by_variance(known: np.ndarray, sent: np.ndarray, n_bytes: int) -> np.ndarray:
    """Rotate to uncorrelated directions, share the bits by variance, round to Lloyd's levels."""
    mean, (values, vectors) = known.mean(axis=0), np.linalg.eigh(np.cov(known.T))
    values = np.maximum(values, 0)
    turned, spread = (sent - mean) @ vectors, np.sqrt(values)
    for column, bits in enumerate(share_bits(values, 8 * n_bytes)):
        places = LEVELS[bits] * spread[column]
        cells = np.searchsorted((places[1:] + places[:-1]) / 2, turned[:, column])
        turned[:, column] = places[cells]
    return turned @ vectors.T + mean


def product(known: np.ndarray, sent: np.ndarray, n_bytes: int, turn: bool = False) -> np.ndarray:
    """Product quantization by FAISS, a byte a piece; `turn` balances the pieces first."""
    mean, vectors = known.mean(axis=0), balanced(known, n_bytes) if turn else np.eye(len(known.T))
    quantizer = faiss.ProductQuantizer(len(known.T), n_bytes, 8)
    quantizer.cp.niter, quantizer.cp.min_points_per_centroid = 10, 1
    quantizer.train(np.ascontiguousarray((known - mean) @ vectors, np.float32))
    rows = np.ascontiguousarray((sent - mean) @ vectors, np.float32)
    return quantizer.decode(quantizer.compute_codes(rows)) @ vectors.T + mean


def balanced(known: np.ndarray, n_pieces: int) -> np.ndarray:
    """The rotation of parametric OPQ: uncorrelated, and as much (log) variance in each piece."""
    values, vectors = np.linalg.eigh(np.cov(known.T))
    size, pieces = len(values) // n_pieces, [[] for _ in range(n_pieces)]
    logs = np.log(np.maximum(values, 1e-12)) - np.log(max(values[0], 1e-12)) + 1e-3
    for column in range(len(values) - 1, -1, -1):
        open_pieces = [piece for piece in pieces if len(piece) < size]
        min(open_pieces, key=lambda piece: logs[piece].sum()).append(column)
    return vectors[:, np.concatenate(pieces)]


def asked(code: Callable, queries: np.ndarray) -> Callable:
    """A code that sees directions as large as queries make them."""
    there, back = root(queries), root(queries, -0.5)
    return lambda known, sent, n_bytes: code(known @ there, sent @ there, n_bytes) @ back


def int8(known: np.ndarray, sent: np.ndarray) -> np.ndarray:
    """One byte a number: 255 equal steps between a column's extremes among known items."""
    step = np.abs(known).max(axis=0) / 127
    return np.clip(np.round(sent / step), -127, 127) * step


def principal(known: np.ndarray, sent: np.ndarray, n: int) -> np.ndarray:
    """Only the first n principal components."""
    mean = known.mean(axis=0)
    vectors = np.linalg.eigh(np.cov(known.T))[1][:, -n:]
    return (sent - mean) @ vectors @ vectors.T + mean


def planes(dim: int, n_bits: int) -> np.ndarray:
    """Random directions as columns, at right angles where there are no more than numbers."""
    turn = np.random.default_rng(0).standard_normal((dim, n_bits))
    return np.linalg.qr(turn)[0] if n_bits <= dim else turn


def signs(rows: np.ndarray, mean: np.ndarray, n_bits: int) -> np.ndarray:
    """One bit for each of n random directions, as -1 and 1."""
    return np.where((rows - mean) @ planes(rows.shape[1], n_bits) > 0, 1.0, -1.0).astype(np.float32)


def exact_query(queries: np.ndarray, sent: np.ndarray, means: Sequence[np.ndarray], n_bits: int
                ) -> np.ndarray:
    """Scores of turned queries, not made coarse, against one bit a direction of the items."""
    turned = (queries - means[1]) @ planes(queries.shape[1], n_bits)
    return turned @ signs(sent, means[0], n_bits).T


def refine(known: np.ndarray, sent: np.ndarray, stages: Sequence[int] = STAGES) -> list[np.ndarray]:
    """What the receiver holds after each stage: every stage codes what the last one missed."""
    held_known, held, arrived = np.zeros_like(known), np.zeros_like(sent), []
    for n_bytes in stages:
        missing = known - held_known
        rest = by_variance(missing, np.vstack([missing, sent - held]), n_bytes)
        held_known, held = held_known + rest[:len(known)], held + rest[len(known):]
        arrived.append(held)
    return arrived


# One split

def fitted(protocol: Protocol, texts: np.ndarray, penalties: Sequence[float] = PENALTIES
           ) -> RegularizedCCA:
    """CCA with the penalty that validation prefers."""
    return protocol.choose((RegularizedCCA(DIM, penalty).fit(*protocol.pairs(texts))
                            for penalty in penalties), texts)


def arrivals(image: np.ndarray, train: np.ndarray, sent: np.ndarray, queries: np.ndarray) -> dict:
    """Rows as they arrive, by code and bytes a picture."""
    known, rows = image[train], image[sent]
    found = {"float32.256": rows, "float16.128": rows.astype(np.float16).astype(float),
             "int8.64": int8(known, rows)}
    for n in (32, 16, 8, 4):
        found[f"pca.{4 * n}"] = principal(known, rows, n)
    for n_bytes in (8, 16):
        found[f"pq.{n_bytes}"] = product(known, rows, n_bytes)
        found[f"opq.{n_bytes}"] = turned_product(known, rows, n_bytes)
    found["opq_asked.16"] = asked(turned_product, queries)(known, rows, 16)
    weighted = asked(by_variance, queries)
    for n_bytes in (4, 8, 16, 32, 64):
        found[f"bits.{n_bytes}"] = by_variance(known, rows, n_bytes)
        found[f"bits_asked.{n_bytes}"] = weighted(known, rows, n_bytes)
    return {name: unit_rows(rows) for name, rows in found.items()}


def turned_product(known: np.ndarray, sent: np.ndarray, n_bytes: int) -> np.ndarray:
    """Product quantization after the rotation of parametric OPQ."""
    return product(known, sent, n_bytes, turn=True)


def packed(found: np.ndarray) -> str:
    """Hits of each query, as a string of 0 and 1."""
    return "".join("01"[int(hit)] for hit in found)


def places(similarity: np.ndarray, queries: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Rank of the first right picture of each query concept: (n_queries,)."""
    return ranks(similarity, np.asarray(queries)[:, None] == np.asarray(items))


def again(coarse: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Exact scores for the first fifth of each coarse ranking, in front of all others."""
    first = top_k(coarse, coarse.shape[1] // SHARE)
    scores = coarse - coarse.max() - 10
    np.put_along_axis(scores, first, np.take_along_axis(exact, first, axis=1), axis=1)
    return scores


def one_split(protocol: Protocol) -> dict:
    """Hits of each code in both galleries, and what validation and the stages say."""
    model, split = fitted(protocol, protocol.texts), protocol.split
    shown = protocol.emoji.pictures.concept_row
    every, held = (np.flatnonzero(np.isin(shown, part)) for part in (split.test, split.validation))
    one = np.searchsorted(every, protocol.gallery)
    image, asking = model.embed_image(protocol.features), model.embed_text(protocol.texts)
    queries, chosen_by = asking[split.test], asking[split.validation]
    sent = np.concatenate([every, held])
    hits, kept = {}, {}

    def score(name: str, similarity: np.ndarray) -> None:
        hits[name] = [packed(places(table, split.test, items) <= 10) for table, items in (
            (similarity[:, one], split.test), (similarity, shown[every]))]

    first = None
    for name, rows in arrivals(image, protocol.train, sent, asking[split.train]).items():
        score(name, queries @ rows[:len(every)].T)
        best = top_k(chosen_by @ rows[len(every):].T, 10)
        first = best if first is None else first
        kept[name] = round(float(np.mean([len(set(a) & set(b)) / 10 for a, b in
                                          zip(first, best, strict=True)])), 4)
    exact = queries @ image[every].T
    means = image[protocol.train].mean(axis=0), asking[split.train].mean(axis=0)
    for n_bytes in (8, 16, 32):
        bits = signs(image[every], means[0], 8 * n_bytes)
        coarse = signs(queries, means[1], 8 * n_bytes) @ bits.T
        score(f"binary.{n_bytes}", coarse)
        if n_bytes == 8:
            score(f"reranked.{8 + 256 // SHARE}", again(coarse, exact))
    score("signs_exact.8", exact_query(queries, image[every], means, 64))
    for n, rows in few_features(protocol, every):
        score(f"features_pca.{4 * n}", queries @ model.embed_image(rows).T)
    stages = refine(image[protocol.train], image[every])
    blind = fitted(protocol, protocol.random_texts)
    random_rows, random_asks = blind.embed_image(protocol.features), blind.embed_text(
        protocol.random_texts)
    random_queries = random_asks[split.test]
    score("float32.256.random", random_queries @ random_rows[every].T)
    for n_bytes in (16, 64):
        rows = unit_rows(asked(by_variance, random_asks[split.train])(
            random_rows[protocol.train], random_rows[every], n_bytes))
        score(f"bits_asked.{n_bytes}.random", random_queries @ rows.T)
    return {"penalty": model.reg, "pictures": len(every), "hits": hits, "kept": kept,
            "stages": [places(queries @ unit_rows(rows).T, split.test, shown[every]).tolist()
                       for rows in stages],
            "fetched": fetched(protocol, model, image, asking, random_queries @ random_rows[
                protocol.train].T)}


def few_features(protocol: Protocol, sent: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The network's features from their first 256 to 8 principal components."""
    known = protocol.features[protocol.train]
    mean = known.mean(axis=0)
    vectors = np.linalg.eigh(np.cov(known.T).astype(np.float32))[1]
    for n in (256, 128, 64, 32, 16, 8):
        yield n, (protocol.features[sent] - mean) @ vectors[:, -n:] @ vectors[:, -n:].T + mean


def fetched(protocol: Protocol, model: RegularizedCCA, image: np.ndarray, asking: np.ndarray,
            random: np.ndarray) -> dict[str, list[int]]:
    """The training picture that a receiver fetches for each test concept, by what was sent."""
    names = text.sentence_vectors(text.concept_tokens(protocol.emoji, keywords=False),
                                  text.load_word_vectors())
    store, test = image[protocol.train], protocol.split.test
    code = by_variance(store, image[protocol.gallery], 16)
    similarity = {"words": asking[test] @ store.T, "name": model.embed_text(names[test]) @ store.T,
                  "words.random": random, "code": code @ store.T,
                  "picture": image[protocol.gallery] @ store.T}
    return {name: protocol.train[table.argmax(axis=1)].tolist()
            for name, table in similarity.items()}


# Pictures as files, on the first split

def webp(picture: np.ndarray, side: int, quality: int) -> bytes:
    """A WebP file of the picture at another side."""
    buffer = io.BytesIO()
    small = Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS)
    small.save(buffer, "WEBP", quality=quality, method=6)
    return buffer.getvalue()


def opened(file: bytes, side: int = 128) -> np.ndarray:
    """Pixels of a file, scaled back."""
    picture = Image.open(io.BytesIO(file)).convert("RGB")
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC))


def png(picture: np.ndarray) -> bytes:
    """A PNG file of the picture, with the smallest size that the library finds."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def within(picture: np.ndarray, n_bytes: int) -> bytes:
    """The WebP file of the largest side, quality 0, that fits; of one pixel if none does."""
    for side in range(16, 0, -1):
        file = webp(picture, side, 0)
        if len(file) <= n_bytes:
            return file
    return file


def few_pixels(pictures: np.ndarray, side: int = 4) -> np.ndarray:
    """Mean colors of a few squares of each picture: (n, side * side * 3)."""
    return np.array([np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BOX),
                                np.float32).ravel() for picture in pictures])


def by_pixels(files: Sequence[bytes], protocol: Protocol) -> list[int]:
    """The training picture that a receiver fetches for each file by a few mean colors."""
    store = np.concatenate([few_pixels(protocol.emoji.load_pictures(part)) for part in
                            np.array_split(protocol.train, 20)])
    asked_for = few_pixels([opened(file) for file in files])
    apart = [np.square(store - row).sum(axis=1).argmin() for row in asked_for]
    return protocol.train[apart].tolist()


def files_part(protocol: Protocol) -> dict:
    """Bytes and hits of files, and what a receiver fetches for files as small as the words."""
    model, gallery = fitted(protocol, protocol.texts), protocol.gallery
    pictures = protocol.emoji.load_pictures(gallery)
    queries = model.embed_text(protocol.texts[protocol.split.test])
    store = model.embed_image(protocol.features[protocol.train])
    words = word_bytes(protocol)
    made = {name: [webp(picture, *how) for picture in pictures] for name, how in FILES.items()}
    made["as the words"] = [within(picture, n) for picture, n in zip(pictures, words, strict=True)]
    made["png 128"] = [png(picture) for picture in pictures]    # holds the very pixels
    result = {}
    for name, files in made.items():
        seen = protocol.features[gallery] if name == "png 128" else vision.extract_features(
            np.array([opened(file) for file in files]))
        rows = model.embed_image(seen)
        result[name] = {"bytes": [len(file) for file in files],
                        "hits": packed(places(queries @ rows.T, protocol.split.test,
                                              protocol.split.test) <= 10),
                        "fetched": protocol.train[(rows @ store.T).argmax(axis=1)].tolist()}
    result["as the words"]["by_pixels"] = by_pixels(made["as the words"], protocol)
    return {"files": result, "word_bytes": words}


def word_bytes(protocol: Protocol) -> list[int]:
    """Bytes of name and keywords of each test concept, with a space between words."""
    emoji = protocol.emoji
    return [len(" ".join(emoji.names["en"][row] + emoji.keywords["en"][row]).encode())
            for row in protocol.split.test]


# Word vectors

def read_pairs(name: str) -> list[tuple[str, str, float]]:
    """The odd rows of a test of word pairs, which report (even rows choose in this book)."""
    lines = Path(datapath(name)).read_text("utf8").lower().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return [(a, b, float(rating)) for a, b, rating in rows][1::2]


def beginnings(words: Sequence[str], kept: Sequence[str], least: int = 4) -> dict[str, str]:
    """For words that were left out, the most frequent kept word that shares the longest beginning.

    >>> beginnings(["teapots"], ["tea", "teapot", "car"])
    {'teapots': 'teapot'}
    """
    start: dict[str, str] = {}
    for word in kept:
        for end in range(least, len(word) + 1):
            start.setdefault(word[:end], word)
    found = {}
    for word in words:
        for end in range(len(word), least - 1, -1):
            if word[:end] in start:
                found[word] = start[word[:end]]
                break
    return found


def word_variants(vectors: KeyedVectors, wanted: Sequence[str]) -> dict[str, tuple]:
    """Bytes a word, and the wanted words' rows as they arrive; the frequent words teach."""
    unit = unit_rows(vectors.vectors).astype(float)
    learn, places = unit[:10_000], [vectors.key_to_index[word] for word in wanted]
    rows, n, dim = unit[places], len(vectors), vectors.vector_size
    found = {"float32": (4 * dim, rows), "int8": (dim, int8(learn, rows))}
    for kept in (150, 75, 37):
        found[f"pca {kept}"] = 4 * kept, principal(learn, rows, kept)
    for n_bytes in (100, 50, 25, 12):
        found[f"bits {n_bytes}"] = n_bytes, by_variance(learn, rows, n_bytes)
    found["pq 50"] = 50, product(learn[::4], rows, 50)
    for kept in (20_000, 10_000):
        small = np.where(np.array(places)[:, None] < kept, rows, 0)
        found[f"first {kept // 1000}k"] = 4 * dim * kept / n, small
        found[f"first {kept // 1000}k, beginnings"] = 4 * dim * kept / n, borrowed(
            vectors, unit, wanted, kept)
    return {**found, "random": (4 * dim, text.random_vectors(vectors).vectors[places])}


def borrowed(vectors: KeyedVectors, unit: np.ndarray, wanted: Sequence[str], n: int) -> np.ndarray:
    """Rows of the most frequent n words; others borrow from the beginning of one of them."""
    words, rank = vectors.index_to_key, vectors.key_to_index
    other = beginnings([word for word in wanted if rank[word] >= n], words[:n])
    return np.array([unit[rank[other.get(word, word)]] if rank[word] < n or word in other
                     else np.zeros(unit.shape[1]) for word in wanted])


def words_part(protocols: Sequence[Protocol], penalties: Sequence[float]) -> dict:
    """Cosines of rated pairs and hits of queries, by how the word vectors were made smaller."""
    vectors = load_wide_vectors()
    tests = {name: [(a, b, r) for a, b, r in read_pairs(file) if a in vectors and b in vectors]
             for name, file in (("wordsim", "wordsim353.tsv"), ("simlex", "simlex999.txt"))}
    tokens = text.concept_tokens(protocols[0].emoji)
    wanted = sorted({word for words in tokens for word in words if word in vectors}
                    | {word for rows in tests.values() for a, b, _ in rows for word in (a, b)})
    whole = text.sentence_vectors(tokens, vectors)
    models = [fitted(protocol, whole, [penalty])
              for protocol, penalty in zip(protocols, penalties, strict=True)]
    galleries = [model.embed_image(protocol.features[protocol.gallery])
                 for model, protocol in zip(models, protocols, strict=True)]
    result = {"words": len(vectors), "dim": vectors.vector_size, "wanted": len(wanted), "ratings": {
        name: [rating for *_, rating in rows] for name, rows in tests.items()}, "variants": {}}
    for name, (n_bytes, rows) in word_variants(vectors, wanted).items():
        small = KeyedVectors(vectors.vector_size)
        small.add_vectors(wanted, rows.astype(np.float32))
        texts = text.sentence_vectors(tokens, small)
        result["variants"][name] = {"bytes": n_bytes, **{
            test: [cosine(small[a], small[b]) for a, b, _ in rows] for test, rows in tests.items()},
            "hits": [packed(places(model.embed_text(texts[protocol.split.test]) @ rows.T,
                                   protocol.split.test, protocol.split.test) <= 10)
                     for model, protocol, rows in zip(models, protocols, galleries, strict=True)]}
    return result


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Cosine of two vectors, 0 where one of them is zeros."""
    lengths = np.linalg.norm(first) * np.linalg.norm(second)
    return round(float(first @ second / lengths), 5) if lengths > 0 else 0.0


def opq_check(protocol: Protocol, rounds: Sequence[int] = (5, 50)) -> dict[str, float]:
    """Squared error of our rotation and of FAISS's iterated one, 16 bytes, validation pictures."""
    model = fitted(protocol, protocol.texts)
    image = model.embed_image(protocol.features).astype(np.float32)
    known = image[protocol.train]
    held = image[np.isin(protocol.emoji.pictures.concept_row, protocol.split.validation)]
    result = {"ours": float(np.square(turned_product(known, held, 16) - held).mean()),
              "without": float(np.square(product(known, held, 16) - held).mean())}
    for n in rounds:
        turn = faiss.OPQMatrix(DIM, 16)
        turn.niter, turn.niter_pq = n, 4
        turn.train(known)
        theirs = product(turn.apply(known), turn.apply(held), 16)
        result[f"faiss {n}"] = float(np.square(theirs - turn.apply(held)).mean())
    return result


def main() -> None:
    """Run the parts and, unless --quick, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one split; writes nothing")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    protocols = all_protocols(1 if quick else SALTS)
    work = {**{f"salt {salt}": lambda protocol=protocol: one_split(protocol)
               for salt, protocol in enumerate(protocols)},
            "files": lambda: files_part(protocols[0]), "opq": lambda: opq_check(protocols[0]),
            "words": lambda: words_part(protocols, [content[f"salt {salt}"]["penalty"]
                                                    for salt in range(len(protocols))])}
    key = content_key(Path(__file__).read_text("utf8"), protocols[0].features[::100], quick)
    memory = cache_dir() / "compression" / f"{key}.json"
    content = json.loads(memory.read_text("utf8")) if memory.exists() else {}
    for name in tqdm([name for name in work if name not in content], desc="Parts"):
        content[name] = work[name]()
        save(memory, content)
    result = {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
              "numpy": np.__version__, "torch": torch.__version__, "faiss": faiss.__version__,
              "webp": features.version("webp"), "settings": {
                  "penalties": PENALTIES, "dim": DIM, "stages": STAGES, "share": SHARE},
              "salts": [content[f"salt {salt}"] for salt in range(len(protocols))],
              **content["files"], "opq": content["opq"], "words": content["words"]}
    if not quick:
        save(OUTPUT, result)


def save(path: Path, content: dict) -> None:
    """Write a JSON file whole or not at all."""
    with write_then_rename(path) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
