"""WordNet, read right: hand-written lines, known facts, counts that Princeton publishes."""

import networkx as nx
import pytest

from mmfuse_utils.data import load_graph, load_sentences
from mmfuse_utils.data.wordnet import RELATIONS, parse_line, synsets
from mmfuse_utils.data.words import tokens


@pytest.fixture(scope="module")
def graph():
    return load_graph()


@pytest.fixture(scope="module")
def senses():
    """Identities of all noun senses of a lemma, most frequent first or not: any order."""
    return lambda lemma, part="n": [s.id for s in synsets().values()
                                    if s.id[0] == part and lemma in s.lemmas]


NOUN = ("00002684 03 n 02 object 0 physical_object 0 002 @ 00001930 n 0000 ~ 00003553 n 0000 "
        "| a tangible entity; \"it was full of objects\"  ")
VERB = ("00001740 29 v 03 breathe 0 take_a_breath 0 respire 1 003 * 00005041 v 0000 "
        "+ 00831191 n 0103 @ 00002942 v 0000 02 + 02 00 + 08 00 | draw air in; \"breathe!\"")
ADJECTIVE = ("00014490 00 s 02 abounding(p) 0 galore(ip) 0 002 & 00013887 a 0000 "
             "! 00014285 s 0101 | existing in abundance; \"a | b\"")
MANY = "00000001 03 n 0b " + " ".join(f"w{i} 0" for i in range(11)) + " 000 | eleven"


@pytest.mark.parametrize(("line", "part", "expected"), [
    (NOUN, "n", ("n00002684", ("object", "physical object"),
                 'a tangible entity; "it was full of objects"', (("hypernym", "n00001930"),))),
    (VERB, "v", ("v00001740", ("breathe", "take a breath", "respire"),
                 'draw air in; "breathe!"',
                 (("entails", "v00005041"), ("hypernym", "v00002942")))),
    (ADJECTIVE, "a", ("a00014490", ("abounding", "galore"), 'existing in abundance; "a | b"',
                      (("similar_to", "a00013887"), ("antonym", "a00014285")))),
    (MANY, "n", ("n00000001", tuple(f"w{i}" for i in range(11)), "eleven", ())),
])
def test_one_line(line, part, expected):
    synset = parse_line(line, part)
    assert (synset.id, synset.lemmas, synset.gloss, synset.relations) == expected


def test_the_number_of_senses(graph):
    assert len(synsets()) == graph.number_of_nodes() == 117_791
    assert all(synset.lemmas and synset.gloss for synset in synsets().values())


def test_every_relation_leads_to_a_sense(graph):
    assert {target for _, target in graph.edges()} <= synsets().keys()
    assert {relation for *_, relation in graph.edges(keys=True)} == set(RELATIONS.values())


def up(graph: nx.MultiDiGraph) -> nx.DiGraph:
    return nx.DiGraph((a, b) for a, b, relation in graph.edges(keys=True)
                      if relation in ("hypernym", "instance_hypernym"))


def test_hypernyms_lead_to_what_everybody_knows(graph, senses):
    above = up(graph)
    assert nx.is_directed_acyclic_graph(above)
    for word, kind in (("dog", "animal"), ("octopus", "mollusk"), ("apple", "fruit"),
                       ("trumpet", "musical instrument"), ("Paris", "city")):
        assert any(nx.has_path(above, a, b) for a in senses(word) for b in senses(kind)), word
    assert not any(nx.has_path(above, a, b) for a in senses("animal") for b in senses("dog"))
    tops = [s for s in synsets() if s[0] == "n" and s in above and not above.out_degree(s)]
    assert [synsets()[top].lemmas for top in tops] == [("entity",)]


def test_antonyms_are_mutual(graph):
    pairs = {(a, b) for a, b, relation in graph.edges(keys=True) if relation == "antonym"}
    assert len(pairs) > 5000 and pairs == {(b, a) for a, b in pairs}


def test_nodes_carry_their_words(graph, senses):
    assert all(graph.nodes[s]["lemmas"] == synsets()[s].lemmas for s in senses("octopus"))
    assert any("eight" in graph.nodes[s]["gloss"] for s in senses("octopus"))


def test_the_corpus_has_two_million_tokens():
    sentences = load_sentences()
    assert len(sentences) == 117_791
    assert 1_900_000 < sum(map(len, sentences)) < 2_200_000
    assert all(sentences)
    words = {word for sentence in sentences for word in sentence}
    assert all(word == word.lower() and " " not in word for word in words)


def test_a_sentence_is_lemmas_then_gloss_then_what_is_above(senses):
    rows = {s: i for i, s in enumerate(synsets())}
    with_hypernyms, without = load_sentences(), load_sentences(hypernyms=False)
    row = rows[senses("octopus")[-1]]
    assert without[row][0] == "octopus"
    assert with_hypernyms[row][:len(without[row])] == without[row]
    parents = [synsets()[target].lemmas for relation, target
               in synsets()[senses("octopus")[-1]].relations if "hypernym" in relation]
    assert with_hypernyms[row][len(without[row]):] == [
        word for lemmas in parents for lemma in lemmas for word in tokens(lemma)]
