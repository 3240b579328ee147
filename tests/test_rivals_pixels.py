"""Attention, counts and towers against libraries and made-up cases; what was recorded is whole."""

import ast
import base64
import json

import nbformat
import numpy as np
import pytest
import rivals_pixels as study
import torch
from conftest import ROOT
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmfuse_utils import vision
from mmfuse_utils.data import load_emoji
from mmfuse_utils.towers import make_tower

RECORDED = json.loads(study.OUTPUT.read_text("utf8"))
CHAPTER = ROOT / "notebooks" / "20_rivals.ipynb"


@pytest.fixture(scope="module")
def emoji():
    return load_emoji()


@pytest.fixture
def block():
    torch.manual_seed(3)
    made = study.Block(48, 4)
    for part in made.parameters():
        nn.init.normal_(part, std=0.2)
    return made.eval()


def copied(block: study.Block) -> nn.TransformerEncoderLayer:
    """The library's layer with the weights of ours."""
    layer = nn.TransformerEncoderLayer(48, 4, 96, dropout=0, activation="gelu", batch_first=True,
                                       norm_first=True)
    mine = block.state_dict()
    names = {"self_attn.in_proj_": "ask_offer_tell.", "self_attn.out_proj.": "join.",
             "linear1.": "think.0.", "linear2.": "think.2.", "norm1.": "norm1.",
             "norm2.": "norm2."}
    layer.load_state_dict({theirs + kind: mine[ours + kind] for theirs, ours in names.items()
                           for kind in ("weight", "bias")})
    return layer.eval()


def test_a_block_is_the_library_s_encoder_layer(block):
    x = torch.randn(5, 64, 48)
    with torch.no_grad():
        assert torch.allclose(block(x), copied(block)(x), atol=1e-4)


def test_attention_is_the_library_s_with_weights_that_sum_to_one(block):
    x = torch.randn(5, 64, 48)
    with torch.no_grad():
        told, weights = block.attend(x)
        theirs, expected = copied(block).self_attn(x, x, x, average_attn_weights=False)
    assert torch.allclose(told, theirs, atol=1e-4)
    assert torch.allclose(weights, expected, atol=1e-5)
    assert torch.allclose(weights.sum(dim=-1), torch.ones(5, 4, 64), atol=1e-5)


def test_a_transformer_knows_places_by_its_positions_alone():
    torch.manual_seed(0)
    vit, order = study.ViT(6).eval(), torch.randperm(64)
    ink = torch.rand(3, 3, 32, 32)
    cut = nn.functional.unfold(ink, 4, stride=4)
    shuffled = nn.functional.fold(cut[..., order], (32, 32), 4, stride=4)
    with torch.no_grad():
        assert not torch.allclose(vit(ink), vit(shuffled), atol=1e-4)
        nn.init.zeros_(vit.place)
        assert torch.allclose(vit(ink), vit(shuffled), atol=1e-5)


@pytest.mark.parametrize("make", study.MODELS.values())
def test_multiplications_are_those_that_torch_counts(make):
    model, ink = make(6).eval(), torch.rand(1, 3, 32, 32)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(ink)
    counted = study.cost(model, ink)
    assert 2 * counted["multiply_adds"] == counter.get_total_flops()
    assert counted["parameters"] == sum(len(part.flatten()) for part in model.parameters())


def test_the_two_networks_cost_the_same():
    ours, theirs = (study.cost(make(6), torch.zeros(1, 3, 32, 32))
                    for make in study.MODELS.values())
    for what, value in ours.items():
        assert theirs[what] == pytest.approx(value, rel=0.015)


def test_augmented_pictures_are_moved_and_mirrored_ones():
    ink = torch.rand(40, 3, 16, 16, generator=torch.Generator().manual_seed(1)) + 0.5
    found = study.moved(ink, torch.Generator().manual_seed(0))
    padded = nn.functional.pad(ink, [2] * 4)
    kinds = set()
    for row, picture in enumerate(found):
        matches = [(down, right, flip) for down in range(5) for right in range(5)
                   for flip in (False, True)
                   if torch.equal(picture.flip(2) if flip else picture,
                                  padded[row, :, down:down + 16, right:right + 16])]
        assert len(matches) == 1
        kinds.add(matches[0])
    assert len(kinds) > 15 and {kind[2] for kind in kinds} == {False, True}
    assert torch.equal(found, study.moved(ink, torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("salt", range(study.SALTS))
def test_no_concept_of_the_test_is_near_one_to_learn_from(emoji, salt):
    rows = study.parts(emoji, salt)
    concepts = {part: set(emoji.pictures.concept_row[some]) for part, some in rows.items()}
    strict = emoji.split(salt, test=study.N_TEST, validation=study.N_VALIDATION)
    assert concepts["train"] == set(strict.train) and concepts["test"] == set(strict.test)
    assert not concepts["train"] & (concepts["test"] | concepts["validation"])
    assert len(rows["train"]) >= max(study.EPOCHS)


def test_labels_are_dealt_by_concept_and_only_where_one_learns(emoji):
    rows, truth = study.parts(emoji, 0), study.groups(emoji)
    labels = study.dealt(emoji, truth, rows["train"], 0)
    others = np.setdiff1d(np.arange(len(truth)), rows["train"])
    assert np.array_equal(labels[others], truth[others])
    assert np.mean(labels[rows["train"]] == truth[rows["train"]]) < 0.4
    concepts = emoji.pictures.concept_row[rows["train"]]
    pairs = set(zip(concepts, labels[rows["train"]], strict=True))
    assert len(pairs) == len(set(concepts))                     # one label a concept
    counted = [np.bincount([dict(zip(concepts, some[rows["train"]], strict=True))[row]
                            for row in set(concepts)]) for some in (truth, labels)]
    assert np.array_equal(*counted)


@pytest.fixture
def spots(monkeypatch):
    """Pictures of noise with a spot in one of six places, which is the label."""
    rng = np.random.default_rng(0)
    ink = rng.uniform(0, 0.3, (420, 3, 32, 32)).astype(np.float32)
    labels = rng.integers(6, size=420)
    for picture, label in zip(ink, labels, strict=True):
        top, left = 5 + 14 * (label % 2), 4 + 9 * (label // 2)
        picture[label % 3, top:top + 6, left:left + 5] = 1
    monkeypatch.setattr(study, "ink_of", lambda side: torch.from_numpy(ink))
    monkeypatch.setattr(study, "moved", lambda ink, generator: ink)
    monkeypatch.setattr(study, "LOOKS", 2)
    return {"train": np.arange(320), "validation": np.arange(320, 420)}, labels


@pytest.mark.parametrize("name", study.MODELS)
def test_both_networks_learn_what_can_be_learned(spots, name):
    run = study.learn(name, *spots, lr=3e-3, epochs={"vit": 14, "cnn": 6}[name], seed=0)
    assert run["validation"] > 0.8 and len(run["curve"]) == 2
    assert run["validation"] == max(right for *_, right in run["curve"])
    again = study.named(run["model"], spots[0]["validation"])
    assert np.mean(again == spots[1][320:]) == run["validation"]    # the weights chosen


def test_a_look_that_validation_prefers_is_kept(spots):
    rows, labels = spots
    labels = labels.copy()
    labels[rows["train"]] = (labels[rows["train"]] + 1) % 6        # what is learned misleads
    run = study.learn("cnn", rows, labels, lr=3e-3, epochs=6, seed=0)
    assert run["validation"] == max(right for *_, right in run["curve"])
    assert np.mean(study.named(run["model"], rows["validation"])
                   == labels[rows["validation"]]) == run["validation"]


# Towers

def test_the_tuned_tower_begins_as_the_pretrained_network(emoji):
    rows = np.array([3, 700, 4000])
    pixels = torch.from_numpy(emoji.load_pictures(rows)).permute(0, 3, 1, 2)
    maps = study.before_last_block(study.pretrained(), vision.load_backbone().preprocess(pixels))
    tower = study.TunedTower(nn.Identity(), (torch.zeros(1280), 1.0)).train()
    with torch.no_grad():
        features = tower(maps.clone())
    assert maps.shape == (3, 192, 4, 4)
    assert np.allclose(features, vision.extract_features(emoji.load_pictures(rows)), atol=1e-4)


class SmallTask:
    """Twelve concepts whose words and pictures are the same eight numbers; nothing from disk."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.texts = torch.from_numpy(rng.normal(size=(36, 8)).astype(np.float32))
        self.concepts, self.train = np.arange(36), np.arange(12)
        self.split = type("Split", (), {"train": np.arange(12)})
        self.asked = {part: (some, some) for part, some in (
            ("train", np.arange(12)), ("validation", np.arange(12, 24)),
            ("test", np.arange(24, 36)))}

    similarity = study.Task.similarity


def test_towers_learn_pairs_and_report_the_epoch_that_validation_chose():
    task = SmallTask()
    torch.manual_seed(0)
    towers = nn.ModuleList([make_tower(8, 16), make_tower(8, 16)])
    run = study.train_towers(task, towers, lambda rows: task.texts[rows], False, (0, 0.02), 40, 10,
                             seed=0)
    assert [row[0] for row in run["curve"]] == [0, 10, 20, 30, 40]
    assert run["curve"][-1][1] < run["curve"][0][1]
    assert run["epoch"] in (10, 20, 30, 40) and len(run["t2i"]) == len(run["i2t"]) == 12
    table = task.similarity(towers, lambda rows: task.texts[rows], "test")
    assert run["t2i"] == study.packed(study.hits(table))


def test_training_moves_the_last_layers_and_leaves_the_means_of_the_network():
    task = SmallTask()
    maps = torch.rand(36, 192, 4, 4)
    torch.manual_seed(0)
    view = study.TunedTower(make_tower(1280, 16), (torch.zeros(1280), 1.0))
    before = {name: value.clone() for name, value in view.state_dict().items()}
    study.train_towers(task, nn.ModuleList([make_tower(8, 16), view]), lambda rows: maps[rows],
                       False, (1e-3, 1e-3), 2, 1, seed=0)
    after = view.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert {"widen.weight", "block._project_conv.weight", "even.weight"} < moved
    assert not any("running" in name or "num_batches" in name for name in moved)


def test_the_rate_is_chosen_on_validation_with_the_first_seed():
    asked = []

    def run(lr, seed):
        asked.append((lr, seed))
        return {"validation": {1: 0.2, 2: 0.3}[lr] - 0.2 * seed, "seed": seed}

    runs = study.choose(run, (1, 2), 3)
    assert asked == [(1, 0), (2, 0), (2, 1), (2, 2)]
    assert [(made["lr"], made["seed"]) for made in runs] == [(2, 0), (2, 1), (2, 2)]


# What was recorded

def test_the_record_is_of_these_settings_and_costs():
    assert RECORDED["settings"] == json.loads(json.dumps(study.settings()))
    for name, make in study.MODELS.items():
        assert RECORDED["cost"][name] == study.cost(make(6), torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize("salt", [str(salt) for salt in range(study.SALTS)])
def test_every_network_was_asked_about_the_same_pictures(emoji, salt):
    split, rows = RECORDED["splits"][salt], study.parts(emoji, int(salt))
    assert split["pictures"] == {part: len(some) for part, some in rows.items()}
    concepts = emoji.pictures.concept_row[rows["test"]]
    assert split["clusters"] == emoji.clusters[concepts].tolist()
    assert set(RECORDED["networks"][salt]) == set(map(str, study.EPOCHS))
    for n, found in RECORDED["networks"][salt].items():
        wanted = {*study.MODELS, *study.TABLES, *(f"{name}.short" for name in study.MODELS)}
        if int(n) == max(study.EPOCHS):
            wanted |= {f"{name}.random" for name in (*study.MODELS, *study.TABLES)}
            wanted |= {f"{name}.long" for name in study.MODELS}
        assert wanted == set(found)
        assert {len(piece["hits"]) for piece in found.values()} == {len(rows["test"])}
        for kind in (".short", ".long"):
            pair = [found[f"{name}{kind}"] for name in study.MODELS if f"{name}{kind}" in found]
            assert len({(len(run["tried"]), len(run["curve"]), run["epochs"]) for run in pair}) < 2


def test_validation_chooses_how_long_a_network_is_trained():
    found = {"vit": {"validation": 0.4, "hits": "01", "weights": {}},
             "vit.long": {"validation": 0.5, "hits": "11", "weights": {}},
             "cnn": {"validation": 0.4, "hits": "00"},
             "cnn.long": {"validation": 0.4, "hits": "10"}}
    made = study.chosen(found, 250)
    assert made["vit"] == {**found["vit.long"], "epochs": 3 * study.EPOCHS[250]}
    assert made["cnn"] == {**found["cnn"], "epochs": study.EPOCHS[250]}     # a tie: the shorter
    assert made["vit.short"]["hits"] == "01" and "weights" not in made["vit.long"]


@pytest.mark.parametrize("salt", list(RECORDED["towers"]))
def test_every_pair_of_towers_was_asked_about_the_same_concepts(emoji, salt):
    towers, few = RECORDED["towers"][salt], int(salt) < study.SALTS
    assert set(towers) == {f"{name}{ending}" for name in study.TOWERS
                           for ending in ("", ".random") if few or name + ending in (
                               "frozen", "scratch")}
    for method, runs in towers.items():
        seeds = study.CONTROL_SEEDS if method.endswith(".random") else study.SEEDS
        assert [run["seed"] for run in runs] == list(range(seeds))
        for run in runs:
            assert len(run["t2i"]) == len(run["i2t"]) == len(emoji.split(int(salt)).test)
            assert run["lr"] == runs[0]["lr"] and len(run["tried"]) == 2


def test_towers_were_trained_on_all_splits_and_as_long_as_was_set():
    assert list(RECORDED["towers"]) == [str(salt) for salt in range(study.TOWER_SALTS)]
    for towers in RECORDED["towers"].values():
        for method, runs in towers.items():
            last = study.TUNED_EPOCHS if method.startswith("tuned") else study.TOWER_EPOCHS
            assert {run["curve"][-1][0] for run in runs} == {last}


def test_word_vectors_are_above_their_control_in_every_kind_of_tower():
    def mean(method):       # of the splits that have the control as well
        return np.mean([hit == "1" for salt in range(study.SALTS)
                        for run in RECORDED["towers"][str(salt)][method] for hit in run["t2i"]])

    for name in study.TOWERS:
        assert mean(name) > mean(f"{name}.random") + 0.05


def recorded_vit() -> study.ViT:
    kept = RECORDED["networks"]["0"][str(max(study.EPOCHS))]["vit"]["weights"]
    vit = study.ViT(6)
    vit.load_state_dict({name: torch.from_numpy(np.frombuffer(base64.b64decode(
        kept[name]), np.float16).astype(np.float32)).reshape(value.shape)
        for name, value in vit.state_dict().items()})
    return vit


def test_the_recorded_transformer_names_what_was_recorded(emoji):
    rows = study.parts(emoji, 0)["test"]
    hits = RECORDED["networks"]["0"][str(max(study.EPOCHS))]["vit"]["hits"]
    ink = torch.from_numpy(1 - emoji.load_pictures(rows, size=32).astype(np.float32) / 255)
    with torch.inference_mode():
        said = recorded_vit().eval()(ink.permute(0, 3, 1, 2).contiguous()).argmax(dim=1).numpy()
    now = said == study.groups(emoji)[rows]
    assert np.mean(now == [hit == "1" for hit in hits]) > 0.99      # half precision moves a few


def definition(source: str, name: str) -> str | None:
    """A class without its docstrings, whatever its line breaks."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            for part in ast.walk(node):
                if isinstance(part, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(part):
                    part.body = part.body[1:]
            return ast.dump(node)
    return None


@pytest.mark.skipif(not CHAPTER.exists(), reason="optional: the chapter is not written yet")
@pytest.mark.parametrize("name", ["Block", "ViT"])
def test_the_chapter_teaches_the_code_that_was_run(name):
    shown = [definition(cell.source, name) for cell in nbformat.read(CHAPTER, as_version=4).cells
             if cell.cell_type == "code" and f"class {name}(" in cell.source]
    ran = (ROOT / "benchmarks" / "rivals_pixels.py").read_text("utf8")
    assert shown == [definition(ran, name)]
