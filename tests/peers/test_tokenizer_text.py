"""Text through a `tokenizer.json` of the library tokenizers, which decides what a token is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from simulations.data import codec as probe_codec
from simulations.data.corpora import CorpusError
from simulations.data.sequences import read_sequences

tokenizers = pytest.importorskip(
    "tokenizers", reason="tokenizers is not installed: make bench has it"
)

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "sat", "on", "a", "mat"]
PAD, UNK, CLS, SEP = range(4)


def save(path: Path, truncation: int | None = None) -> Path:
    """A tokenizer of words, as BERT's: [CLS] text [SEP]."""
    table = {word: number for number, word in enumerate(WORDS)}
    found = tokenizers.Tokenizer(tokenizers.models.WordLevel(table, unk_token="[UNK]"))
    found.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    found.post_processor = tokenizers.processors.BertProcessing(("[SEP]", SEP), ("[CLS]", CLS))
    found.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    if truncation:
        found.enable_truncation(truncation)
        found.enable_padding(length=9)
    found.save(str(path))
    return path


LINES = "the cat\nthe cat sat on a mat\n\na dog\n"
IDS = [[4, 5], [4, 5, 6, 7, 8, 9], [8, UNK]]
TAKES = {
    "cut": ({"pack": "cut"}, [[CLS, 4, 5, SEP], [CLS, 4, 5, SEP], [CLS, 8, UNK, SEP]], 1, 0),
    "pad": (
        {"pack": "pad", "pad_token": PAD, "seq_len": 5},
        [[CLS, 4, 5, SEP, PAD], [CLS, 4, 5, 6, SEP], [CLS, 8, UNK, SEP, PAD]], 1, 2
    ),
    "wrap": ({"pack": "wrap"}, [[4, 5, 4, 5], [6, 7, 8, 9]], 0, 0),
    "the authors' wrap": (
        {"pack": "wrap", "separator": SEP, "frame": (CLS, SEP), "seq_len": 6},
        [[CLS, 4, 5, SEP, 4, SEP], [CLS, 5, 6, 7, 8, SEP], [CLS, 9, SEP, 8, UNK, SEP]], 0, 0
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["a.txt", "a.jsonl"])
@pytest.mark.parametrize("how", TAKES)
def test_texts_are_tokenized_and_packed(how, kind, tmp_path):
    options, wanted, n_cut, n_padded = TAKES[how]
    # what the file says of cutting and padding is not what is asked for here
    tokenizer = save(tmp_path / "tokenizer.json", truncation=3)
    path = tmp_path / kind
    lines = [line for line in LINES.splitlines() if line]
    as_json = "\n".join(json.dumps({"text": line}) for line in lines)
    path.write_text(LINES if kind == "a.txt" else as_json)
    options = {"seq_len": 4, "vocab_size": len(WORDS), "tokenizer": tokenizer} | options
    found = read_sequences(path, **options)
    assert found.tokens.tolist() == wanted
    assert (found.n_read, found.n_cut, found.n_padded, found.n_dropped) == (3, n_cut, n_padded, 0)
    added = "left out" if "wrap" in how else "added"
    assert found.packing.endswith(f"; read by tokenizer.json, special tokens {added}.")
    assert found.decode(found.tokens[0]).startswith("the cat" if how == "wrap" else "[CLS] the cat")


def test_exact_counts_special_tokens(tmp_path):
    tokenizer = save(tmp_path / "tokenizer.json")
    (tmp_path / "a.txt").write_text("the cat\na mat\n")
    options = {"vocab_size": len(WORDS), "tokenizer": tokenizer}
    assert read_sequences(tmp_path / "a.txt", seq_len=4, **options).tokens.shape == (2, 4)
    with pytest.raises(CorpusError, match=r"2 of its 2 items .* 2 tokens \(lengths are 4;"):
        read_sequences(tmp_path / "a.txt", seq_len=2, **options)


def test_a_tokenizer_shows_ids_as_text(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[4, 5, 6, PAD]]))
    tokenizer = save(tmp_path / "tokenizer.json")
    found = read_sequences(tmp_path / "a.npy", seq_len=4, vocab_size=10, tokenizer=tokenizer)
    assert found.decode(found.tokens[0]) == "the cat sat [PAD]"
    assert "tokenizer.json" not in found.packing


def test_a_tokenizer_of_another_network_is_refused(tmp_path):
    tokenizer = save(tmp_path / "tokenizer.json")
    (tmp_path / "a.txt").write_text("the cat\n")
    with pytest.raises(CorpusError, match="has 10 tokens and the network 9; it is not this netw"):
        read_sequences(tmp_path / "a.txt", seq_len=4, vocab_size=9, tokenizer=tokenizer)


def test_no_room_for_special_tokens_is_said(tmp_path):
    tokenizer = save(tmp_path / "tokenizer.json")
    (tmp_path / "a.txt").write_text("the cat\n")
    for seq_len in (1, 2):
        with pytest.raises(CorpusError, match="adds 2 special tokens to a text, which leave no"):
            read_sequences(
                tmp_path / "a.txt", seq_len=seq_len, vocab_size=10, tokenizer=tokenizer, pack="cut"
            )


def test_a_tokenizer_that_fails_on_a_text_is_said(tmp_path):
    model = tokenizers.models.WordLevel({"the": 0}, unk_token="[UNK]")  # which it lacks
    tokenizers.Tokenizer(model).save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "a.txt").write_text("the\ncat\n")
    with pytest.raises(CorpusError, match=r"line 2: the tokenizer .* fails on it: .*UNK"):
        read_sequences(
            tmp_path / "a.txt", seq_len=1, vocab_size=2, tokenizer=tmp_path / "tokenizer.json"
        )


def test_a_line_too_long_for_a_tokenizer_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(probe_codec, "LINE", 1 << 20)
    tokenizer = save(tmp_path / "tokenizer.json")
    (tmp_path / "a.txt").write_text("cat\n" + "cat " * 300_000)
    with pytest.raises(CorpusError, match="line 2, is longer than 1 MiB"):
        read_sequences(tmp_path / "a.txt", seq_len=4, vocab_size=10, tokenizer=tokenizer)


def test_damaged_tokenizers_never_fail_from_deep_inside(tmp_path):
    content = save(tmp_path / "tokenizer.json").read_bytes()
    (tmp_path / "a.txt").write_text("the cat\n")
    rng, refused = np.random.default_rng(0), 0
    trials = [b"", b"{}", b"\xff", b"null", b"[" * 10_000, content[:-1]]
    trials += [content[: int(n)] for n in rng.integers(len(content), size=30)]
    for _ in range(200):
        changed = bytearray(content)
        for at in rng.integers(len(content), size=rng.integers(1, 3)):
            changed[at] = rng.integers(256)
        trials.append(bytes(changed))
    for trial in trials:
        (tmp_path / "tokenizer.json").write_bytes(trial)
        try:
            read_sequences(
                tmp_path / "a.txt", seq_len=4, vocab_size=16, tokenizer=tmp_path / "tokenizer.json"
            )
        except CorpusError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 60
