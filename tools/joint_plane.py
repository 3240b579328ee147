"""The joint space as the page "A map of the joint space" shows it: items, planes, measures.

Three spaces of the same texts and pictures are laid out in the plane: before fusion, joined by the
ridge map of the chapter on fusion, and joined by one that was fitted to shuffled pairs. Neighbors
and measures are those of the full spaces; how much of them the plane keeps is measured beside it.
"""

import json

import numpy as np
from sklearn.manifold import TSNE, trustworthiness

from mmfuse_utils import fusion, text
from mmfuse_utils.data.collection import STOP_WORDS
from mmfuse_utils.ladder import PENALTIES
from mmfuse_utils.protocol import hits
from mmfuse_utils.retrieval import top_k, unit_rows

FREQUENT = 5000         # words of the vocabulary among which neighbors are looked for
NEAREST = 5             # neighbors of each kind that are told
AROUND = 10             # neighbors by which the plane is judged
NONE = 65535            # told where nothing is nearest


class Shown:
    """What the map shows, in this order: texts of the concepts, their pictures, single words."""

    def __init__(self, protocol, vectors):
        emoji, split = protocol.emoji, protocol.split
        self.parts = {"test": split.test, "validation": split.validation, "training": split.train}
        self.concepts = np.concatenate(list(self.parts.values()))
        self.pictures = emoji.gallery(self.concepts)
        self.names = [emoji.names["en"][row][0] for row in self.concepts]
        self.groups = [emoji.groups[row] for row in self.concepts]
        self.styles = emoji.pictures.style[self.pictures].tolist()
        self.paths = [emoji.pictures.path[row] for row in self.pictures]
        held = range(len(split.test) + len(split.validation))
        self.words = choose_words([self.names[row] for row in held],
                                  protocol.texts[self.concepts[held]], vectors)
        self.texts = np.vstack([protocol.texts[self.concepts],
                                [vectors[word] for word in self.words]])
        self.features = protocol.features[self.pictures]
        n = len(self.concepts)
        self.kinds = {"texts": slice(0, n), "pictures": slice(n, 2 * n),
                      "words": slice(2 * n, 2 * n + len(self.words))}

    def arrange(self, texts, pictures):
        """Rows of texts and words, and rows of pictures, in the order of the map."""
        n = len(self.concepts)
        return np.vstack([texts[:n], pictures, texts[n:]]).astype(np.float64)


def choose_words(names, texts, vectors):
    """Words of the names, and the frequent word nearest to each concept's text; sorted."""
    frequent = [word for word in vectors.index_to_key[:FREQUENT] if word not in STOP_WORDS]
    nearest = top_k(unit_rows(texts) @ unit_rows(np.array(vectors[frequent])).T, 1)[:, 0]
    named = {word for name in names for word in text.tokenize(name)
             if word in vectors and word not in STOP_WORDS}
    return sorted(named | {frequent[i] for i in nearest} )


def fit_ridge(protocol, shuffle=None):
    """The ridge map from pictures to texts that validation prefers, as in the chapter on fusion.

    shuffle : random numbers with which to deal the training concepts' texts out anew.
    """
    texts, train = protocol.texts, protocol.split.train
    if shuffle is not None:
        texts = texts.copy()
        texts[train] = texts[shuffle.permutation(train)]
    pairs = protocol.pairs(texts)
    return protocol.choose(fusion.RidgeMap(alpha, "image_to_text").fit(*pairs)
                           for alpha in PENALTIES)


def side_by_side(texts, pictures):
    """The concatenation of texts and pictures, zeros in the place of what is missing."""
    texts, pictures = unit_rows(texts), unit_rows(pictures)
    return (np.hstack([texts, np.zeros((len(texts), pictures.shape[1]))]),
            np.hstack([np.zeros((len(pictures), texts.shape[1])), pictures]))


def make_spaces(protocol):
    """What embeds texts and pictures, by the name of the space."""
    def joined(model):
        return lambda texts, pictures: (model.embed_text(texts), model.embed_image(pictures))
    return {"before": side_by_side, "joined": joined(fit_ridge(protocol)),
            "shuffled": joined(fit_ridge(protocol, np.random.default_rng(0)))}


def measure_gap(texts, pictures):
    """Distance of the two centers, and what to expect of it where there is no gap.

    The same as in the chapter on hubs, gaps, and search at size.
    """
    spreads = [((rows - rows.mean(axis=0))**2).sum(axis=1).mean() for rows in (texts, pictures)]
    distance = np.linalg.norm(texts.mean(axis=0) - pictures.mean(axis=0))
    return {"gap": distance, "no_gap": np.sqrt(sum(spreads) / len(texts))}


def near_in(rows, k):
    """The k rows nearest to each, itself left out, and cosines: (n, k), (n, n)."""
    cosines = unit_rows(rows) @ unit_rows(rows).T
    np.fill_diagonal(cosines, -np.inf)
    return top_k(cosines, k), cosines


def share_kept(near, plane):
    """Share of the neighbors in the full space that are neighbors in the plane as well."""
    squares = (plane**2).sum(axis=1)
    closeness = 2 * plane @ plane.T - squares - squares[:, None]
    np.fill_diagonal(closeness, -np.inf)
    found = top_k(closeness, near.shape[1])
    return float(np.mean([np.isin(*pair).mean() for pair in zip(near, found, strict=True)]))


def judge_plane(rows, plane):
    """How far the plane can be trusted, beside a random projection and places dealt at random."""
    near = near_in(rows, AROUND)[0]
    rng = np.random.default_rng(0)
    rivals = {"map": plane, "projection": rows @ rng.normal(size=(rows.shape[1], 2)),
              "dealt": rng.permutation(plane)}
    return {name: {"trust": trustworthiness(rows, places, n_neighbors=AROUND),
                   "kept": share_kept(near, places)} for name, places in rivals.items()}


def lay_out(rows, start):
    """Places in the plane by t-SNE: (n, 2). start : where the points set out, (n, 2)."""
    start = 1e-4 * start / start.std()
    model = TSNE(init=start, perplexity=15, max_iter=500, random_state=0, n_jobs=1)
    return model.fit_transform(rows).astype(np.float64)


def main_directions(rows):
    """The first two principal components: (n, 2)."""
    rows = rows - rows.mean(axis=0)
    return rows @ np.linalg.svd(rows, full_matrices=False)[2][:2].T


def lay_out_all(shown, spaces):
    """The planes of all spaces. The later ones set out from the joined one, so that points move
    no farther than they must; before fusion, texts start at the left and pictures at the right."""
    joined = lay_out(spaces["joined"], main_directions(spaces["joined"]))
    apart = joined / joined.std() + [-3, 0]
    apart[shown.kinds["pictures"]] += [6, 0]
    return {"before": lay_out(spaces["before"], apart), "joined": joined,
            "shuffled": lay_out(spaces["shuffled"], joined)}


def neighbors(shown, rows):
    """For each item the nearest of each kind and their cosines in hundredths, and the rank of
    its partner: (n, 3 kinds, 2, NEAREST), (n,). Where all cosines are equal, none is nearest."""
    cosines = near_in(rows, 1)[1]
    n = len(shown.concepts)
    told = np.full((len(rows), len(shown.kinds), 2, NEAREST), NONE, np.uint16)
    partner = np.full(len(rows), NONE, np.uint16)
    for k, (kind, place) in enumerate(shown.kinds.items()):
        part = cosines[:, place]
        differ = np.ptp(np.where(np.isinf(part), part.max(axis=1, keepdims=True), part),
                        axis=1) > 1e-9
        top = top_k(part, NEAREST)
        values = np.take_along_axis(part, top, axis=1)
        told[differ, k, 0] = top[differ] + place.start
        told[differ, k, 1] = np.rint(100 * values[differ] + 100)
        if kind != "words":
            asking = slice(n, 2 * n) if kind == "texts" else slice(0, n)
            table = part[asking]
            own = np.diagonal(table)[:, None]
            partner[asking] = np.where(differ[asking], (table >= own).sum(axis=1), NONE)
    return told, partner


def measure(protocol, shown, embed, rows, plane):
    """All that is said about a space: its gap, what it finds, and how far to trust its map."""
    texts, pictures = embed(*protocol.test())
    found, interval = protocol.estimate(hits(texts @ pictures.T))
    said = {**measure_gap(texts, pictures), "found": found, "interval": interval,
            **judge_plane(rows, plane)}
    return json.loads(json.dumps(said, default=float))
