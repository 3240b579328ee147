"""Two towers: the loss against closed forms, its gradient by hand, and planted pairs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from mmfuse_utils.metrics import hit_at_k, ranks
from mmfuse_utils.retrieval import unit_rows
from mmfuse_utils.towers import TwoTower, concept_batches, contrastive_loss, make_tower

QUICK = {"dim": 8, "hidden": 0, "dropout": 0.0, "epochs": 40, "lr": 0.01, "batch_size": 16}


def planted(n_concepts: int = 120, styles: int = 3, noise: float = 0.4, seed: int = 0
            ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Texts (n, 10), pictures (n, 14) and concepts (n,): several noisy pictures a concept."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99)
    to_text, to_image = mixing.normal(size=(5, 10)), mixing.normal(size=(5, 14))
    concepts = np.repeat(np.arange(n_concepts), styles)
    cause = rng.normal(size=(n_concepts, 5))
    text = (cause @ to_text + noise * rng.normal(size=(n_concepts, 10)))[concepts] + 3
    image = cause[concepts] @ to_image + noise * rng.normal(size=(len(concepts), 14)) - 1
    return text, image, concepts


def pairs(n: int, dim: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two sets of unit rows, double precision."""
    rng = np.random.default_rng(seed)
    return tuple(torch.from_numpy(unit_rows(rng.normal(size=(n, dim)))) for _ in range(2))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 9), st.integers(1, 5), st.floats(0.02, 3), st.integers(0, 1000))
def test_the_loss_agrees_with_its_definition(n, dim, temperature, seed):
    text, image = pairs(n, dim, seed)
    scores = text.numpy() @ image.numpy().T / temperature
    by_text = -np.diag(log_softmax(scores, axis=1)).mean()
    by_image = -np.diag(log_softmax(scores, axis=0)).mean()
    found = contrastive_loss(text, image, temperature).item()
    assert found == pytest.approx((by_text + by_image) / 2, rel=1e-9, abs=1e-12)
    swapped = contrastive_loss(image, text, temperature).item()
    assert found == pytest.approx(swapped, rel=1e-9, abs=1e-12)


def test_the_loss_agrees_with_torch_where_both_directions_are_one():
    text, _ = pairs(7, 4, 0)
    expected = torch.nn.functional.cross_entropy(text @ text.T / 0.2, torch.arange(7))
    assert contrastive_loss(text, text, 0.2).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("n", [1, 2, 50])
def test_a_collapsed_model_pays_log_n(n):
    rows = torch.ones(n, 3, dtype=torch.float64) / 3 ** 0.5
    assert contrastive_loss(rows, rows).item() == pytest.approx(np.log(n), abs=1e-12)


def test_the_gradient_by_hand_agrees_with_autograd():
    """Each text moves from the pictures it is tempted by toward its own, and likewise back."""
    (text, image), n, temperature = pairs(6, 4, 1), 6, 0.3
    text.requires_grad_()
    image.requires_grad_()
    contrastive_loss(text, image, temperature).backward()
    t, v = text.detach().numpy(), image.detach().numpy()
    scores = t @ v.T / temperature
    slope = (softmax(scores, axis=1) + softmax(scores, axis=0) - 2 * np.eye(n)) / (2 * n)
    np.testing.assert_allclose(text.grad.numpy(), slope @ v / temperature, atol=1e-12)
    np.testing.assert_allclose(image.grad.numpy(), slope.T @ t / temperature, atol=1e-12)


def test_the_gradient_through_a_tower_agrees_with_finite_differences():
    tower = make_tower(3, 2, hidden=4).double().eval()
    rows, (_, image) = pairs(5, 3, 2)[0], pairs(5, 2, 3)
    weight = tower[1].weight

    def loss() -> torch.Tensor:
        return contrastive_loss(tower(rows), image, 0.5)

    loss().backward()
    for place in ((0, 0), (1, 2), (3, 1)):
        found, step = weight.grad[place].item(), 1e-6
        with torch.no_grad():
            weight[place] += step
            above = loss().item()
            weight[place] -= 2 * step
            below = loss().item()
            weight[place] += step
        assert found == pytest.approx((above - below) / (2 * step), abs=1e-7), place


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.integers(2, 9),
       st.integers(0, 99))
def test_every_concept_occurs_once_an_epoch(concepts, batch_size, seed):
    concepts = np.array(concepts)
    batches = concept_batches(concepts, batch_size, np.random.default_rng(seed))
    seen = np.concatenate([concepts[rows] for rows in batches])
    assert sorted(seen) == sorted(set(concepts.tolist()))
    fewest = min(batch_size, len(seen))
    assert all(fewest <= len(rows) < 2 * max(batch_size, 2) for rows in batches)


def test_every_picture_of_a_concept_is_as_likely_as_another():
    concepts, rng = np.array([0, 0, 0, 1, 1]), np.random.default_rng(0)
    drawn = np.concatenate([np.concatenate(concept_batches(concepts, 2, rng))
                            for _ in range(6000)])
    shares = np.bincount(drawn, minlength=5) / 6000
    np.testing.assert_allclose(shares, [1 / 3, 1 / 3, 1 / 3, 1 / 2, 1 / 2], atol=0.025)


@pytest.mark.parametrize("hidden", [0, 7])
def test_a_tower_is_the_layers_that_it_says(hidden):
    tower = make_tower(5, 3, hidden, dropout=0.5).eval()
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 5))).float()
    linear = [(layer.weight.detach().numpy(), layer.bias.detach().numpy())
              for layer in tower if isinstance(layer, torch.nn.Linear)]
    expected = rows.numpy()
    for i, (weight, bias) in enumerate(linear):
        expected = expected @ weight.T + bias
        if i < len(linear) - 1:
            expected = np.maximum(expected, 0)
    assert len(linear) == (2 if hidden else 1)
    np.testing.assert_allclose(tower(rows).detach().numpy(), unit_rows(expected), atol=1e-6)


@pytest.fixture(scope="module", params=[0, 32], ids=["linear", "hidden layer"])
def model(request):
    return TwoTower(**{**QUICK, "hidden": request.param}).fit(*planted())


def test_planted_pairs_are_found_on_new_data(model):
    text, image, _ = planted(100, styles=1, seed=1)
    assert hit_at_k(ranks(model.similarity(text, image), np.arange(100)), 10) > 0.8


def test_pairs_that_do_not_belong_together_teach_nothing():
    text, image, concepts = planted()
    model = TwoTower(**QUICK).fit(text, image[np.random.default_rng(3).permutation(len(image))],
                                  concepts)
    text, image, _ = planted(100, styles=1, seed=1)
    assert hit_at_k(ranks(model.similarity(text, image), np.arange(100)), 10) < 0.35


def test_the_loss_falls_and_there_is_one_an_epoch(model):
    assert len(model.losses_) == QUICK["epochs"]
    # The 120 concepts make 7 batches of 17 or 18; to call all cosines equal would cost log(17).
    assert model.losses_[-1] < 0.5 * np.log(17) < model.losses_[0]


def test_embeddings_are_unit_rows_and_their_product_is_the_similarity(model):
    text, image, _ = planted()
    a, b = model.embed_text(text[:5]), model.embed_image(image[:7])
    assert a.shape == (5, 8) and b.shape == (7, 8) and a.dtype == b.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(np.vstack([a, b]), axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(model.similarity(text[:5], image[:7]), a @ b.T)


def test_dropout_is_off_once_trained():
    model = TwoTower(**{**QUICK, "dropout": 0.5, "epochs": 2}).fit(*planted())
    rows = planted()[1][:4]
    np.testing.assert_array_equal(model.embed_image(rows), model.embed_image(rows))


def test_fit_repeats_itself_and_changes_nothing_outside():
    data = planted()
    copies = [rows.copy() for rows in data]
    settings = {**QUICK, "epochs": 3, "dropout": 0.3, "hidden": 6}
    torch.manual_seed(5)
    before = torch.get_rng_state()
    model = TwoTower(**settings)
    assert model.fit(*data) is model
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)  # a second fit must not hear of it
    again = TwoTower(**settings).fit(*data)
    np.testing.assert_array_equal(model.similarity(*data[:2]), again.similarity(*data[:2]))
    assert model.losses_ == again.losses_
    assert all(np.array_equal(a, b) for a, b in zip(data, copies, strict=True))
    other = TwoTower(**{**settings, "seed": 1}).fit(*data)
    assert np.abs(other.similarity(*data[:2]) - model.similarity(*data[:2])).max() > 0.01


def test_the_scale_of_the_inputs_does_not_matter():
    text, image, concepts = planted()
    expected = TwoTower(**QUICK).fit(text, image, concepts).similarity(text, image)
    text, image = 1000 * text + 5, image / 7
    scaled = TwoTower(**QUICK).fit(text, image, concepts).similarity(text, image)
    np.testing.assert_allclose(scaled, expected, atol=1e-3)


def test_a_modality_without_variation_gives_finite_embeddings():
    text, image, concepts = planted(20)
    model = TwoTower(**{**QUICK, "epochs": 2}).fit(np.ones_like(text), image, concepts)
    assert np.isfinite(model.similarity(np.ones_like(text), image)).all()


def test_without_concepts_each_pair_is_one():
    text, image = planted(40)[:2]
    alone, named = (TwoTower(**{**QUICK, "epochs": 2}).fit(text, image, concepts) for concepts
                    in (None, np.arange(len(text))))
    np.testing.assert_array_equal(alone.similarity(text, image), named.similarity(text, image))


@pytest.mark.parametrize(("concepts", "message"), [
    (np.arange(4), r"each of the 5 pairs; got shape \(4,\)"),
    (np.zeros((5, 1)), r"got shape \(5, 1\)"), (np.zeros(5), "at least two concepts; got 1")])
def test_concepts_that_do_not_fit_are_refused(concepts, message):
    with pytest.raises(ValueError, match=message):
        TwoTower().fit(np.ones((5, 3)), np.ones((5, 3)), concepts)


@pytest.mark.parametrize("side", [0, 1])
def test_numbers_that_are_none_are_refused(side):
    data = [np.ones((5, 3)), np.ones((5, 3))]
    data[side][2, 1] = np.nan
    with pytest.raises(ValueError, match=f"Input {('text', 'image')[side]} contains NaN"):
        TwoTower().fit(*data, np.arange(5))


@pytest.mark.parametrize(("setting", "message"), [
    ({"dim": 0}, "dim must be a whole number, 1 or more; got 0"),
    ({"hidden": -1}, "hidden must be a whole number, 0 or more"),
    ({"epochs": 0}, "epochs must be a whole number, 1 or more"),
    ({"batch_size": 1}, "batch_size must be a whole number, 2 or more"),
    ({"temperature": 0}, "temperature must be positive and finite; got 0"),
    ({"lr": -1}, "lr must be positive"),
    ({"temperature": float("nan")}, "temperature must be positive and finite; got nan"),
    ({"dim": 1.5}, "dim must be a whole"), ({"epochs": True}, "epochs must be a whole"),
    ({"seed": None}, "seed must be a whole number, 0 or more"), ({"lr": "a"}, "lr must be pos"),
    ({"weight_decay": np.inf}, "weight_decay must be 0"), ({"lr": 1e30}, "loss of epoch"),
    ({"dropout": 1}, "dropout must be at least 0 and below 1; got 1"),
    ({"weight_decay": -0.1}, "weight_decay must be 0 or more, and finite; got -0.1")])
def test_settings_that_make_no_sense_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        TwoTower(**setting).fit(*planted(20))
