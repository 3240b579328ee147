"""Why this picture: explanations are what they say, the record is whole, the figure answers."""

import json

import numpy as np
import pytest
import torch
import why
from captum.attr import IntegratedGradients, Occlusion
from conftest import ROOT, SITE
from gensim.models import KeyedVectors
from scipy.stats import spearmanr
from sklearn.metrics.pairwise import rbf_kernel

from mmfuse_utils.fusion import KernelMap, RidgeMap

NOTEBOOK = ROOT / "notebooks" / "21_why.ipynb"


@pytest.fixture(scope="module")
def model():
    """A ridge map from 1,280 features to 8 numbers, learned on noise."""
    rng = np.random.default_rng(0)
    return RidgeMap(1.0, "image_to_text").fit(
        rng.normal(size=(60, 8)).astype(np.float32),
        np.abs(rng.normal(size=(60, 1280))).astype(np.float32))


@pytest.fixture(scope="module")
def maps():
    return torch.from_numpy(np.random.default_rng(1).random((5, 1280, 4, 4), np.float32))


@pytest.fixture(scope="module")
def network():
    return why.Network()


@pytest.fixture(scope="module")
def images():
    """Two white pictures with a colored square each."""
    images = np.full((2, 128, 128, 3), 255, np.uint8)
    images[0, 40:90, 20:70], images[1, 70:120, 60:110] = (200, 30, 40), (20, 90, 200)
    return images


def test_the_head_is_the_ridge_map_and_its_parts_sum_to_the_product(model, maps):
    head, pooled = why.Head(model), maps.mean((2, 3)).numpy()
    assert np.allclose(head(maps), model.embed_image(pooled), atol=1e-5)
    texts = torch.from_numpy(model.embed_text(np.random.default_rng(2).normal(size=(5, 8)))).float()
    product = ((torch.from_numpy(pooled) - head.mean) @ head.coef * texts).sum(dim=1)
    assert np.allclose(head.parts(maps, texts).mean(dim=1), product, atol=1e-4)


def test_attention_begins_as_the_plain_mean(model, maps):
    head = why.AttentionHead(model)
    assert np.allclose(head(maps).detach(), why.Head(model)(maps), atol=1e-5)
    assert np.allclose(head.weights(maps).detach(), 1 / 16)


def test_pictures_of_one_concept_are_no_wrong_answers():
    rows = torch.eye(3)
    apart = why.contrast(rows, rows, np.array([0, 1, 2]))
    same = why.contrast(rows[[0, 0, 1]], rows[[0, 0, 1]], np.array([0, 0, 1]))
    assert same < apart


def test_paint_deletes_what_it_should(images):
    order = why.ordered(why.ink(images), [0])
    masks = why.deletions(order)
    assert masks.sum(axis=3).tolist() == [[list(why.LEVELS),
                                           [16 - n for n in why.LEVELS]]] * 2
    painted = why.paint(images, masks[:, 0, -1])
    assert (painted == 255).all()           # eight regions hold all of the ink
    whole = why.paint(images, np.ones((2, 16), bool), why.GRAY)
    assert (whole == why.GRAY).all()


def test_order_is_by_importance_and_ties_are_broken_at_random():
    ranks = why.ordered(np.array([np.arange(16.0), np.zeros(16)]), [0])
    assert ranks[0].tolist() == list(range(15, -1, -1))
    assert sorted(ranks[1]) == list(range(16)) and ranks[1].tolist() != list(range(16))


def test_the_area_of_a_level_curve_is_its_height():
    assert why.area(np.full((3, 2, len(why.LEVELS) + 2), 0.7)) == pytest.approx(0.7)
    share = np.array([0, *why.LEVELS, 16]) / 16
    assert why.area(share) == pytest.approx(0.5)


def test_rank_correlation_is_scipys():
    rows = np.random.default_rng(0).normal(size=(2, 4, 16)).round(1)      # with ties
    ours = why.rank_correlation(*rows)
    assert np.allclose(ours, [spearmanr(a, b)[0] for a, b in zip(*rows, strict=True)])


class Match(torch.nn.Module):
    def __init__(self, network, head, text):
        super().__init__()
        self.network, self.head, self.text = network, head, text

    def forward(self, pixels):
        return self.head(self.network.backbone.maps(pixels)) @ self.text


def test_occlusion_and_integrated_gradients_are_captums(network, model, images):
    head = why.Head(model)
    texts = torch.nn.functional.normalize(torch.ones(2, 8), dim=1)
    match, pixels = Match(network, head, texts[0]), network.tensor(images)
    theirs = Occlusion(match).attribute(pixels, (3, 32, 32), strides=(3, 32, 32), baselines=1.0)
    ours = why.occlusion(network, [head], images, [texts])[0]
    assert np.allclose(ours, theirs[:, 0, ::32, ::32].reshape(2, 16).detach(), atol=1e-4)
    ours = why.by_gradients(network, [head], images, [texts])[0]["integrated"]
    theirs = IntegratedGradients(match).attribute(
        pixels, 1.0, n_steps=why.STEPS, method="riemann_middle", internal_batch_size=4)
    assert np.allclose(ours, why.cells(theirs.sum(1).detach().numpy()), atol=1e-3)


def test_following_an_order_sees_the_whole_and_the_empty_picture(network, model, images):
    head = why.Head(model)
    texts = torch.nn.functional.normalize(torch.rand(2, 8), dim=1)
    case = why.Case(0, images, {"words": head}, {"words": texts})
    orders = why.ordered(why.ink(images), [0])[None]
    found = why.follow(network, case, orders)
    whole = (head(network.maps(images)) * texts).sum(dim=1)
    assert np.allclose(found["words"][:, 0, 0, 0], whole, atol=1e-4)
    assert np.allclose(found["words"][:, 0, 1, -1], whole, atol=1e-4)
    assert np.allclose(found["words"][:, 0, 0, -1], found["words"][:, 0, 1, 0])
    assert set(np.unique(found["rank"])) <= {1.0, 2.0}


def test_words_with_the_largest_parts_leave_first():
    vectors = KeyedVectors(4)
    vectors.add_vectors(list("abcd"), np.eye(4, dtype=np.float32))
    rng = np.random.default_rng(0)
    model = RidgeMap(1.0, "image_to_text").fit(rng.normal(size=(30, 4)), rng.normal(size=(30, 6)))
    found = why.word_order([list("abcd"), list("ab")], vectors, model, rng.normal(size=(2, 6)))
    assert found[0, 1] < found[0, 2] and np.isnan(found[1]).all()


def test_a_map_without_some_pairs_is_the_one_fitted_anew():
    rng = np.random.default_rng(0)
    text, image, new = (rng.normal(size=(n, d)) for n, d in ((40, 3), (40, 5), (1, 5)))
    model = KernelMap(0.5).fit(text, image)
    kernel = rbf_kernel(image, gamma=model.gamma_)
    near = rbf_kernel(new, image, gamma=model.gamma_)[0]
    some, stay = np.array([3, 7, 20]), np.setdiff1d(np.arange(40), [3, 7, 20])
    anew = near[stay] @ np.linalg.solve(kernel[np.ix_(stay, stay)] + 0.5 * np.eye(37),
                                        (text - model.text_mean_)[stay])
    short = why.without(near @ model.dual_coef_, near, some,
                        np.linalg.inv(kernel + 0.5 * np.eye(40)), model.dual_coef_)
    assert np.allclose(short, anew)


def test_where_maps_change_sums_to_one(network, images):
    assert np.allclose(np.sum(why.reach(network, images), axis=1), 1, atol=1e-3)


def chosen(row):
    """The explanation that validation chooses on a split."""
    areas = row["validation"]["areas"]
    return min(why.METHODS, key=lambda name: np.mean(areas[f"words: {name}"]))


def test_the_record_is_whole():
    recorded = json.loads(why.OUTPUT.read_text("utf8"))
    assert len(recorded["salts"]) == len(recorded["plain"]) == len(why.SALTS)
    assert sum(len(row["subgroups"]) for row in recorded["salts"]) >= 500
    for row in recorded["salts"]:
        n = len(row["subgroups"])
        for method in why.METHODS:
            assert np.shape(row["test"]["areas"][f"words: {method}"]) == (2, n)
            assert np.shape(row["validation"]["areas"][f"words: {method}"])[0] == 1
        for model in ("words", "random", "attention"):
            assert {f"{model}: {prior}" for prior in ("random", "center", "ink")} <= set(
                row["test"]["areas"])
            assert np.mean(row["test"]["whole"][model]) > np.mean(row["test"]["empty"][model])
        assert all(len(hits) == n for hits in row["hits"].values())
        assert {f"words: {name}" for name in set(map(chosen, recorded["salts"]))} <= set(
            row["gray"]["areas"])           # what validation chooses is followed in gray, too
    assert all(len(values) == why.CHECKED for values in recorded["salts"][0]["sanity"].values())
    for part in recorded["plain"]:
        assert np.allclose(np.sum(part["reach"], axis=1), 1, atol=2e-3)


def scripts():
    """The interactive figure's look and script, from the chapter's cell of words."""
    cells = json.loads(NOTEBOOK.read_text("utf8"))["cells"]
    names = {}
    exec("".join(next(cell for cell in cells if cell["id"] == "words")["source"]), names)
    return names


def fragment(names):
    """A page with two figures of two words and the sum of both."""
    parts = [[[3.0] + [0.0] * 15, [4.0] + [0.0] * 15, [-1.0] + [0.0] * 15],
             [[0.0] * 15 + [2.0], [0.0] * 15 + [1.0], [0.0] * 15 + [1.0]]]
    told = json.dumps({name: names["WORDS"]["pointer"][name] for name in ("place", "says")})
    row = ('<div class="row" data-parts="{}"><div class="stage"><div class="grid">{}</div></div>'
           '<div class="side">{}<p class="told"></p></div></div>')
    boxes = ["<div class='mmfuse-point' data-words='" + told + "'>" + row.format(
        table, '<span class="place"></span>' * 16, "".join(
            f'<button type="button" data-word="{word}">{word}</button>'
            for word in ("all", "cat", "dog"))) + "</div>" for table in parts]
    return (f"<!doctype html><title>t</title><style>{names['STYLE']}</style>{''.join(boxes)}"
            f"<script>{names['SCRIPT']}</script><script>{names['SCRIPT']}</script>")


def test_pointing_at_a_word_shows_its_regions(tmp_path, open_page):  # noqa: F811
    page = tmp_path / "point.html"
    page.write_text(fragment(scripts()), encoding="utf8")
    tab = open_page(page.as_uri(), width=390)
    boxes = [tab.locator(".mmfuse-point").nth(i) for i in range(2)]
    first = boxes[0].locator(".place").first
    assert first.inner_text() == "+3.0"
    boxes[0].locator("button").nth(2).hover()
    assert first.inner_text() == "\N{MINUS SIGN}1.0"
    assert "dog" in boxes[0].locator("[aria-live]").inner_text()
    assert boxes[1].locator(".place").last.inner_text() == "+2.0"       # the other one stays
    tab.mouse.move(380, 890)
    assert first.inner_text() == "+3.0"                                 # and back
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    assert first.inner_text() == "+4.0"                                 # by keyboard
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    assert first.inner_text() == "\N{MINUS SIGN}1.0"
    assert boxes[0].locator("[aria-pressed=true]").inner_text() == "cat"    # not the one shown
    tab.keyboard.press("Tab")
    assert first.inner_text() == "+4.0"                                 # Enter keeps it
    assert boxes[0].locator("[aria-pressed=true]").inner_text() == "cat"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.book
def test_the_figure_works_in_the_built_page(open_page):  # noqa: F811
    tab = open_page((SITE / "notebooks" / "21_why.html").as_uri(), color_scheme="dark")
    row = tab.locator(".mmfuse-point .row").first
    before = row.locator(".place").all_inner_texts()
    row.locator("button").nth(1).focus()
    assert row.locator(".place").all_inner_texts() != before
    assert row.locator("button").nth(1).get_attribute("data-word") in row.locator(
        "[aria-live]").inner_text()
