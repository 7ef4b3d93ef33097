"""Vocabularies as programs write them, what they do not know, and those that are no words."""

import json
import pickle

import numpy as np
import pytest

from simulations.data.corpora import CorpusError
from simulations.data.sequences import read_sequences
from tests.helpers import shared

LETTERS = "abc "


def read(folder, text: str, vocab, name: str = "v.json", **options):
    (folder / "a.txt").write_text(text)
    content = vocab if isinstance(vocab, bytes | str) else json.dumps(vocab)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    settings = {"seq_len": 4, "vocab_size": 8, "vocab": folder / name} | options
    return read_sequences(folder / "a.txt", **settings)


SHAPES = {
    "a list": list(LETTERS),
    "tokens to ids": {c: i for i, c in enumerate(LETTERS)},
    "ids to tokens": {str(i): c for i, c in enumerate(LETTERS)},
    "id_to_char": {"id_to_char": list(LETTERS), "n": 4, "unmapped": ["$"]},
    "stoi and itos": {
        "vocab_size": 4,
        "stoi": {c: i for i, c in enumerate(LETTERS)},
        "itos": {str(i): c for i, c in enumerate(LETTERS)},
    },
    "char_to_id": {"char_to_id": {c: i for i, c in enumerate(LETTERS)}},
    "special tokens that the network lacks": [*LETTERS, "[UNK]", "<a>", "<b>", "<c>", "[MASK]"],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_vocabulary_of_any_shape_reads_the_same(shape, tmp_path):
    found = read(tmp_path, "ab c\ncab \n", SHAPES[shape])
    assert found.tokens.tolist() == [[0, 1, 3, 2], [2, 0, 1, 3]]
    assert found.decode(found.tokens[1]) == "cab " and found.unknown == 0
    assert "0 of 8 tokens unknown (0.00%)" in found.packing


def test_the_vocabulary_of_published_windows_is_read_as_it_is():
    golden = shared("golden_trained")
    ids = golden / "test_ids.npy"
    found = read_sequences(ids, seq_len=32, vocab_size=64, vocab=golden / "vocab.json")
    letters = json.loads((golden / "vocab.json").read_text())["id_to_char"]
    assert found.decode(found.tokens[0]) == "".join(letters[i] for i in found.tokens[0])


def test_characters_that_share_an_id(tmp_path):
    found = read(tmp_path, "aA b", {"a": 0, "A": 0, " ": 1, "b": 2})
    assert found.tokens.tolist() == [[0, 0, 1, 2]] and found.decode(found.tokens[0]) == "aa b"
    assert "characters of v.json, 1 of which share the id of another" in found.packing


REFUSED = {
    "word pieces": (
        {"the": 0, "cat": 1, "##s": 2},
        r"such as '##s' of word pieces, and words betw",
    ),
    "bytes": (["the", "Ġcat"], "such as 'Ġcat' of byte-level BPE.*; give `tokenizer`, saved by `"),
    "sentencepiece": (["the", "▁cat"], "such as '▁cat' of sentencepiece"),
    "ends of words": (["th", "e</w>"], "such as 'e</w>' of BPE"),
    "continued words": (["th@@", "e"], "such as 'th@@' of BPE"),
    "a tokenizer": ({"model": {"vocab": {}}}, "is a tokenizer, not a vocabulary; give it as `tok"),
    "two that differ": ({"stoi": {"a": 0}, "itos": ["b"]}, "has a `itos` unlike its `stoi`"),
    "a field of nothing": ({"stoi": {}}, "must be a map from tokens to ids, or a list of tokens"),
    "special tokens alone": ({"[MASK]": 8}, "has no token with an id below 8"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_vocabularies_that_do_not_read_text(what, tmp_path):
    vocab, message = REFUSED[what]
    with pytest.raises(CorpusError, match=message) as caught:
        read(tmp_path, "the cat the cat", vocab)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_parts_of_words_still_show_ids(tmp_path):
    (tmp_path / "v.json").write_text(json.dumps(["the", "Ġcat"]))
    np.save(tmp_path / "a.npy", [[0, 1]])
    found = read_sequences(tmp_path / "a.npy", seq_len=2, vocab_size=2, vocab=tmp_path / "v.json")
    assert found.decode(found.tokens[0]) == "the Ġcat"


FILES = {
    "vocab.txt": (
        "[UNK]\nthe\ncat\n##s\n",
        r"a list of word pieces.*BertWordPieceTokenizer\('vocab",
    ),
    "words.txt": (
        "the\ncat\n",
        r"is no JSON .*json\.dump\(open\('words\.txt'.* for a token a line",
    ),
    "merges.txt": ("#version: 0.2\nt h\n", "the merges of a byte-level BPE.*ByteLevelBPETokenizer"),
    "meta.pkl": (pickle.dumps({"stoi": {"a": 0}}), r"json\.dump\(pickle\.load\(.*\[\"stoi\"\]"),
    "sp.model": (b"\n\x0e\n\x05<unk>\x15", "a model of sentencepiece.*AutoTokenizer"),
    "sp.vocab": ("<unk>\t0\n▁the\t-2.1\n", "a model of sentencepiece.*AutoTokenizer"),
}


@pytest.mark.parametrize("name", FILES)
def test_vocabularies_of_other_kinds_get_the_line_to_type(name, tmp_path):
    content, message = FILES[name]
    with pytest.raises(CorpusError, match=message) as caught:
        read(tmp_path, "the cat", content, name)
    text = str(caught.value)
    assert text.count("`") == 2 and text.endswith(".") and "\n" not in text


@pytest.mark.parametrize("n, refused", [(10, False), (11, True)])
def test_more_than_a_tenth_unknown_is_refused(n, refused, tmp_path):
    text = "".join("?" if k < n else "a" for k in range(100))
    if refused:
        with pytest.raises(CorpusError, match=r"11 of 100 tokens unknown, 11%; more than 10% are"):
            read(tmp_path, text, ["[UNK]", "a"], pack="wrap")
    else:
        found = read(tmp_path, text, ["[UNK]", "a"], pack="wrap")
        assert found.unknown == 0.1 and "10 of 100 tokens unknown (10.00%)" in found.packing


@pytest.mark.parametrize(
    "vocab, pack, left_out",
    [
        (["a", "b", "\n"], "wrap", 0),  # kept
        (["a", "b"], "wrap", 3),
        (["ab", "ba"], "wrap", 3),
        (["a", "b"], "cut", 0),  # what stands between items, and is in none
    ],
)
def test_line_breaks_that_are_left_out_are_counted(vocab, pack, left_out, tmp_path):
    text = "ab ba\n\nba ab\n".replace(" ", " " if "ab" in vocab else "")
    found = read(tmp_path, text, vocab, pack=pack)
    assert f"{left_out} line breaks left out" in found.packing
