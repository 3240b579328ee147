"""What it costs: exponents and bends from made-up times, the record, and the page made from it."""

import json
import sys

import costs as study
import numpy as np
import pytest
from bs4 import BeautifulSoup
from conftest import ROOT
from sphinx.application import Sphinx

sys.path.append(str(ROOT / "book" / "_ext"))
import mmfuse_costs

AMOUNTS = 100.0 * 4 ** np.arange(6)
GROUPS = ("training", "extraction", "fitting", "search")


def bent(place, below, above, n_rounds=3, noise=0.0):
    """Seconds that grow with one exponent up to a place and with another one beyond it."""
    rng = np.random.default_rng(0)
    seconds = np.where(AMOUNTS < place, (AMOUNTS / place) ** below, (AMOUNTS / place) ** above)
    return seconds * np.exp(noise * rng.standard_normal((n_rounds, len(AMOUNTS))))


# The arithmetic

@pytest.mark.parametrize(("below", "above"), [(2.0, 1.0), (0.3, 1.0), (1.7, 3.0)])
def test_both_halves_have_their_own_exponents(below, above):
    found = study.exponents(AMOUNTS, bent(AMOUNTS[3] / 2, below, above))
    assert found["small"]["mean"] == pytest.approx(below)
    assert found["large"]["mean"] == pytest.approx(above)
    assert found["between"][:2] == pytest.approx([below] * 2)
    assert found["between"][3:] == pytest.approx([above] * 2)


@pytest.mark.parametrize(("place", "below", "above"), [(900, 2.0, 1.0), (15_000, 0.3, 1.0)])
def test_a_bend_is_found_where_it_is(place, below, above):
    found = study.find_bend(AMOUNTS, bent(place, below, above, noise=0.01))
    assert found["shown"]
    assert found["amount"] == pytest.approx(place, rel=0.15)
    assert found["change"]["mean"] == pytest.approx(above - below, abs=0.05)


@pytest.mark.parametrize(("change", "noise"), [(0.0, 0.05), (0.1, 0.001), (0.5, 1.5)])
def test_no_bend_is_shown_where_there_is_none_a_small_one_or_much_noise(change, noise):
    assert not study.find_bend(AMOUNTS, bent(2000, 1.0, 1.0 + change, noise=noise))["shown"]


def test_halves_share_the_middle_of_an_odd_number():
    assert [list(range(5)[half]) for half in study.halves(5)] == [[0, 1, 2], [2, 3, 4]]
    assert [list(range(6)[half]) for half in study.halves(6)] == [[0, 1, 2], [3, 4, 5]]


def test_a_power_is_foretold_and_a_sum_of_powers_comes_out_too_small():
    assert study.told(AMOUNTS, 3 * AMOUNTS**1.5) == pytest.approx(1)
    assert study.told(AMOUNTS, AMOUNTS + AMOUNTS**2 / 1e5) < 0.9


def test_memory_falls_apart_into_a_fixed_part_and_what_grows():
    found = study.describe_memory(AMOUNTS, 200 + 0.01 * AMOUNTS, 1)
    assert found["parts"] == pytest.approx([200, 0.01])
    assert found["bend"] == pytest.approx(20_000) and found["told"] == pytest.approx(1)
    assert 0 < found["small"] < found["large"] < 1
    squares = study.describe_memory(AMOUNTS, 200 + 0.01 * AMOUNTS + 1e-6 * AMOUNTS**2, 2)
    assert squares["parts"] == pytest.approx([200, 0.01, 1e-6])
    flat = study.describe_memory(AMOUNTS, np.array([300.0, 301, 300, 299, 300, 299]), 1)
    assert flat["parts"][1] == 0 and flat["bend"] is None


def test_an_amount_is_found_by_its_memory():
    for parts in ([200, 0.01], [200, 0.01, 1e-6], [200, 0, 1e-6]):
        amount = study.amount_at(study.MACHINE_MIB, np.array(parts))
        assert study.memory_at(amount, np.array(parts)) == pytest.approx(study.MACHINE_MIB)
    assert study.amount_at(100, np.array([200, 0.01])) is None
    assert study.amount_at(1000, np.array([200, 0.0])) is None


def test_what_lies_ahead_follows_the_exponents_of_the_larger_half():
    seconds = study.describe_seconds(AMOUNTS, bent(2000, 2.0, 1.0))
    memory = study.describe_memory(AMOUNTS, 200 + 0.01 * AMOUNTS, 1)
    found = study.ahead(AMOUNTS, seconds, memory, 1000 * AMOUNTS[-1])
    assert found["seconds"] == pytest.approx(1000 * AMOUNTS[-1] / 2000)
    assert found["mib"] == pytest.approx(200 + 10 * AMOUNTS[-1])


# The programs

@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A little data for every line."""
    folder = tmp_path_factory.mktemp("costs")
    for name, make in study.DATA.items():
        make(folder, small(name))
    return folder


def small(name):
    return {"tokens": (3000,), "vocabulary": (500,), "held": (9,), "files": (9,),
            "gallery": (1000,)}.get(name, (40,))


@pytest.mark.parametrize("name", study.LINES)
def test_every_line_runs_and_is_timed(data, name):
    (row,) = study.time_line(data, name, small(name))
    assert row["line"] == name and row["amount"] == small(name)[0] and row["seconds"] > 0


def test_the_texts_are_as_long_as_they_should_be(data):
    tokens = sum(map(len, study.read_sentences(data / "tokens-3000.txt")))
    assert 3000 <= tokens < 3200
    made_up = study.read_sentences(data / "vocabulary-500.txt")
    assert sum(map(len, made_up)) == study.N_TOKENS
    assert len({word for sentence in made_up for word in sentence}) == 500


def test_both_ways_to_the_features_give_the_same(data):
    one, other = (study.LINES[name].program(data, 9)() for name in ("held", "files"))
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_a_quick_run_measures_the_smallest_amounts_and_writes_nothing(monkeypatch, capsys):
    before = study.OUTPUT.read_bytes()
    monkeypatch.setattr("sys.argv", ["costs.py", "--quick", "--lines", "ridge_numbers"])
    study.main()
    assert '"ridge_numbers"' in capsys.readouterr().out
    assert study.OUTPUT.read_bytes() == before


def test_the_memory_of_a_process_is_its_own(tmp_path):
    """Also when the one that starts it, as this one, has held more."""
    held = np.ones(400 * 2**17)     # 400 MiB
    (row,) = study.in_a_process("memory", tmp_path, "ridge_numbers", (40,))
    assert held.nbytes / 2**20 < study.peak_mib()
    assert 50 < row["mib"]


# The record

@pytest.fixture(scope="module")
def record():
    return json.loads(study.OUTPUT.read_text(encoding="utf8"))


def test_the_record_is_complete(record):
    measured = {(row["line"], row["amount"], row.get("round")) for row in record["runs"]}
    assert measured == {(name, n, i) for name, line in study.LINES.items()
                        for n in line.amounts for i in (*range(record["rounds"]), None)}
    assert record["rounds"] >= 3 and record["machine_mib"] == study.MACHINE_MIB
    for line in study.LINES.values():
        steps = np.divide(line.amounts[1:], line.amounts[:-1])
        assert len(line.amounts) >= 5 and np.ptp(steps) == 0
    assert {line.group for line in study.LINES.values()} == set(GROUPS)


def leaves(value):
    """All numbers of a nested object by their path."""
    items = (value.items() if isinstance(value, dict) else
             enumerate(value) if isinstance(value, list) else ())
    for key, inner in items:
        for path, leaf in leaves(inner):
            yield (str(key), *path), leaf
    if not isinstance(value, dict | list):
        yield (), value


def test_the_record_follows_from_its_runs(record):
    found = json.loads(json.dumps(study.summary(record["runs"], study.LINES)))
    kept, made = dict(leaves(record["lines"])), dict(leaves(found))
    assert kept.keys() == made.keys()
    for path, value in made.items():
        assert kept[path] == (pytest.approx(value) if isinstance(value, float) else value), path
    entries = study.ledger(found, record["date"])
    assert [entry["key"] for entry in record["ledger"]] == [entry["key"] for entry in entries]
    assert [entry["value"] for entry in record["ledger"]] == pytest.approx(
        [entry["value"] for entry in entries])


def test_the_record_fits_what_the_page_says(record):
    exponent = {entry["key"].removeprefix("costs."): entry["value"] for entry in record["ledger"]}
    for line in ("training.tokens", "extraction.held", "extraction.files",
                 "fitting.towers_pairs", "search.gallery"):
        assert 0.7 < exponent[f"{line}.seconds.large"] < 1.3, line      # in proportion
    interval = {entry["key"]: entry["interval"] for entry in record["ledger"]}
    assert interval["costs.training.tokens.seconds.large"][1] < 1
    assert exponent["training.vocabulary.seconds.large"] < 0.6
    parts = {name: line["memory"]["parts"] for name, line in record["lines"].items()}
    assert parts["files"][1] < parts["held"][1] / 2
    for line in ("ridge_pairs", "cca_pairs"):
        assert exponent[f"fitting.{line}.seconds.large"] < 1
    for line in ("ridge_numbers", "cca_numbers"):
        small, large = (exponent[f"fitting.{line}.seconds.{half}"] for half in ("small", "large"))
        assert 1 < large < 3 and large > small - 0.5
    assert parts["vocabulary"][1] * 2**20 > 2 * 4 * 100     # bytes of two vectors a word
    assert parts["gallery"][1] * 2**20 > 4 * study.DIM


# The page

@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A small site with the four directives and one that asks for what was not measured."""
    folder = tmp_path_factory.mktemp("site")
    text = "".join(f"```{{costs}} {group}\n```\n\n" for group in GROUPS)
    (folder / "index.md").write_text(f"# Costs\n\n{text}", encoding="utf8")
    (folder / "costs.json").write_bytes(study.OUTPUT.read_bytes())
    Sphinx(folder, None, folder / "html", folder / "trees", "html", warningiserror=True,
           confoverrides={"extensions": ["myst_parser", "mmfuse_costs"]}, status=None).build()
    return BeautifulSoup((folder / "html" / "index.html").read_text("utf8"), "html.parser")


def test_each_group_has_its_figure_with_a_caption_and_words_for_who_cannot_see(page, record):
    for group in GROUPS:
        figure = page.select_one(f"figure#figure-costs-{group}")
        units = {line["unit"] for line in record["lines"].values() if line["group"] == group}
        assert len(figure.select("svg.mmfuse-drawing")) == 2 * len(units)
        assert figure.figcaption.get_text().startswith("Points: measured")
        assert "exponent" in figure.select_one('[role="img"]')["aria-label"]


def test_the_tables_say_what_was_not_measured(page, record):
    rows = [[cell.get_text() for cell in row.select("td")] for row in page.select("tbody tr")]
    plain = [row for row in rows if row[0].endswith("measured")]
    assert len(plain) == len(record["lines"])
    slanted = [row for row in page.select("tbody tr") if row.em]
    assert len(slanted) == len(rows) - len(plain)
    assert all(cell.em is not None for row in slanted for cell in row.select("td"))


def test_every_line_has_its_sentence(page, record):
    said = [item.get_text() for item in page.select(".mmfuse-costs li")]
    assert len(said) == len(record["lines"])
    for name, line in record["lines"].items():
        (own,) = [text for text in said
                  if text.startswith(f"{mmfuse_costs.name_of(name, line)}.")]
        assert ("bends near" in own) == line["seconds"]["bend"]["shown"]


def test_what_was_not_measured_cannot_be_shown(tmp_path):
    (tmp_path / "index.md").write_text("# A\n\n```{costs} cooking\n```\n", encoding="utf8")
    (tmp_path / "costs.json").write_bytes(study.OUTPUT.read_bytes())
    told = open(tmp_path / "warnings", "w+")
    with told:
        Sphinx(tmp_path, None, tmp_path / "html", tmp_path / "trees", "html", warning=told,
               confoverrides={"extensions": ["myst_parser", "mmfuse_costs"]}, status=None).build()
        told.seek(0)
        assert "nothing was measured of 'cooking'" in told.read()


@pytest.mark.parametrize(("seconds", "shown"), [
    (0.0000123, "12.3 µs"), (0.5, "500 ms"), (90, "90 s"), (5400, "90 min"), (86_400, "24 h"),
    (864_000, "10 days"), (3.156e9, "100 years")])
def test_times_are_shown_in_a_unit_that_one_can_imagine(seconds, shown):
    assert mmfuse_costs.show_seconds(seconds) == shown


def test_memory_and_amounts_are_shown_without_exponents():
    assert [mmfuse_costs.show_mib(mib) for mib in (900, 1536, 3 * 1024**2, 5e9)] == [
        "900 MiB", "1.5 GiB", "3 TiB", "4,770 TiB"]
    assert mmfuse_costs.show_mib(2e-4) == "210 bytes" and mmfuse_costs.show_mib(0.05) == "51.2 KiB"
    assert mmfuse_costs.count(123_456_789) == "120,000,000"
    assert [mmfuse_costs.short(x) for x in (0.001, 80, 4000, 2e6)] == ["0.001", "80", "4k", "2M"]
