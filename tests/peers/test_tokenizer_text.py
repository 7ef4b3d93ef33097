"""Text through a `tokenizer.json` of the library tokenizers, which decides what a token is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from simulations.data import text as data_text
from simulations.data import tokenizer as data_tokenizer
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


LINES = "the cat\nthe cat sat on a mat\n\na cat dog\n"
TAKES = {
    "cut": (
        {"pack": "cut"}, [[CLS, 4, 5, SEP], [CLS, 4, 5, SEP], [CLS, 8, 5, SEP]], 2, 0, "0 of 6"
    ),
    "pad": (
        {"pack": "pad", "pad_token": PAD, "seq_len": 6},
        [[CLS, 4, 5, SEP, PAD, PAD], [CLS, 4, 5, 6, 7, SEP], [CLS, 8, 5, UNK, SEP, PAD]], 1, 2,
        "1 of 9",
    ),
    "wrap": ({"pack": "wrap"}, [[4, 5, 4, 5], [6, 7, 8, 9]], 0, 0, "1 of 11"),
    "the authors' wrap": (
        {"pack": "wrap", "separator": SEP, "frame": (CLS, SEP), "seq_len": 6},
        [[CLS, 4, 5, SEP, 4, SEP], [CLS, 5, 6, 7, 8, SEP], [CLS, 9, SEP, 8, 5, SEP]], 0, 0,
        "1 of 11",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["a.txt", "a.jsonl"])
@pytest.mark.parametrize("how", TAKES)
def test_texts_are_tokenized_and_packed(how, kind, tmp_path, monkeypatch):
    monkeypatch.setattr(data_text, "MOST_UNKNOWN", 0.2)
    options, wanted, n_cut, n_padded, unknown = TAKES[how]
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
    breaks = 4 if how == "wrap" and kind == "a.txt" else 0
    assert f"; read by tokenizer.json, special tokens {added}; {unknown} tok" in found.packing
    assert found.packing.endswith(f"%), {breaks} line breaks left out.")
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
    monkeypatch.setattr(data_tokenizer, "LINE", 1 << 20)
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


FOLDERS = {
    "one with it": (["tokenizer.json"], None),
    "words of BERT": (["vocab.txt"], r"has no tokenizer.json, but vocab.txt; save .*BertWordPiece"),
    "pairs of GPT-2": (["vocab.json", "merges.txt"], "merges.txt, vocab.json; .*ByteLevelBPETok"),
    "a model": (["sp.model"], r"but sp\.model; save one by `transformers\.AutoTokenizer\.from_pre"),
    "empty": ([], "but no files; save one by"),
}


@pytest.mark.parametrize("what", FOLDERS)
def test_a_folder_stands_for_its_tokenizer(what, tmp_path):
    names, message = FOLDERS[what]
    folder = tmp_path / "saved"
    folder.mkdir()
    for name in names:
        save(folder / name)
    (tmp_path / "a.txt").write_text("the cat\n")
    options = {"seq_len": 4, "vocab_size": 10, "tokenizer": folder}
    if message is None:
        assert read_sequences(tmp_path / "a.txt", **options).tokens.tolist() == [[CLS, 4, 5, SEP]]
    else:
        with pytest.raises(CorpusError, match=message):
            read_sequences(tmp_path / "a.txt", **options)


NO_TOKENIZERS = {
    "vocab.txt": (
        "[UNK]\nthe\n##s\n",
        r"seems to be a list of word pieces.*BertWordPieceTokenizer",
    ),
    "merges.txt": ("#version: 0.2\nt h\n", "seems to be the merges of a byte-level BPE"),
    "sp.model": ("\n\x0e", "seems to be a model of sentencepiece"),
    "vocab.json": (
        '{"the": 0}',
        "holds no tokenizer: it seems to be a vocabulary; give it as `voc",
    ),
    "tokenizer_config.json": (
        '{"do_lower_case": true}',
        "a tokenizer.json has a `model`; save one",
    ),
    "words.txt": ("the\ncat\n", "is no JSON that can be read: .*; save one by `transformers"),
}


@pytest.mark.parametrize("name", NO_TOKENIZERS)
def test_files_that_are_no_tokenizer(name, tmp_path):
    content, message = NO_TOKENIZERS[name]
    (tmp_path / name).write_text(content)
    (tmp_path / "a.txt").write_text("the cat\n")
    with pytest.raises(CorpusError, match=message) as caught:
        read_sequences(tmp_path / "a.txt", seq_len=2, vocab_size=10, tokenizer=tmp_path / name)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_names_of_a_hub_are_no_files(tmp_path):
    (tmp_path / "a.txt").write_text("the cat\n")
    with pytest.raises(
        CorpusError, match=r"from_pretrained\('bert-base-uncased'\)\.save_pretrained"
    ):
        read_sequences(tmp_path / "a.txt", seq_len=2, vocab_size=10, tokenizer="bert-base-uncased")


def test_an_added_token_that_nobody_uses_is_no_other_network(tmp_path):
    tokenizer = tokenizers.Tokenizer.from_file(str(save(tmp_path / "tokenizer.json")))
    tokenizer.add_special_tokens(["<|pad|>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    options = {"seq_len": 4, "vocab_size": 10, "tokenizer": tmp_path / "tokenizer.json"}
    (tmp_path / "a.txt").write_text("the cat\n")
    found = read_sequences(tmp_path / "a.txt", **options)
    assert found.tokens.tolist() == [[CLS, 4, 5, SEP]]
    assert "1 added tokens beyond the network's unused" in found.packing
    (tmp_path / "a.txt").write_text("the <|pad|>\n")
    with pytest.raises(
        CorpusError, match="line 1, holds 10 at place 2; allowed are the integers 0"
    ):
        read_sequences(tmp_path / "a.txt", **options)


def byte_pairs(path: Path) -> Path:
    """A byte-level BPE with merges of its own text, as GPT-2's."""
    found = tokenizers.Tokenizer(tokenizers.models.BPE())
    found.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = tokenizers.decoders.ByteLevel()
    found.post_processor = tokenizers.processors.ByteLevel(trim_offsets=True)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=280, initial_alphabet=alphabet)
    found.train_from_iterator(["the cat sat on a mat"] * 9, trainer)
    found.save(str(path))
    return path


def test_bytes_know_every_text_and_keep_its_line_breaks(tmp_path):
    """Wrapped lines are the text as it stands: decoded, the tokens are the text."""
    text = "the cat sat\non a mat\n日本 ü 🐈\n"
    (tmp_path / "a.txt").write_text(text)
    tokenizer = byte_pairs(tmp_path / "tokenizer.json")
    options = {"seq_len": 1, "vocab_size": 300, "tokenizer": tokenizer, "pack": "wrap"}
    found = read_sequences(tmp_path / "a.txt", **options)
    assert found.decode(found.tokens[:, 0]) == text
    n = sum(not letter.isspace() for letter in text)
    assert f"0 of {n} characters without a token (0.00%), 0 line breaks left" in found.packing


def test_a_bpe_that_leaves_out_what_it_does_not_know_is_caught(tmp_path):
    model = tokenizers.models.BPE({"a": 0, "b": 1, " ": 2}, [])
    tokenizers.Tokenizer(model).save(str(tmp_path / "tokenizer.json"))
    options = {"seq_len": 1, "vocab_size": 3, "pack": "wrap"}
    options["tokenizer"] = tmp_path / "tokenizer.json"
    (tmp_path / "a.txt").write_text("ab ab ab ab ab?\n")
    found = read_sequences(tmp_path / "a.txt", **options)
    assert found.unknown == 1 / 11
    assert "1 of 11 characters without a token (9.09%), 1 line breaks" in found.packing
    (tmp_path / "a.txt").write_text("ab? ab?\n")
    with pytest.raises(CorpusError, match="has 2 of 6 characters without a token, 33%; more than"):
        read_sequences(tmp_path / "a.txt", **options)


def test_a_tokenizer_of_another_language_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("le chat\n" * 9)
    tokenizer = save(tmp_path / "tokenizer.json")
    for pack in ("cut", "wrap"):
        with pytest.raises(CorpusError, match=r"has 18 of 18 tokens unknown, 100%; more than 10%"):
            read_sequences(
                tmp_path / "a.txt", seq_len=4, vocab_size=10, tokenizer=tokenizer, pack=pack
            )


def test_line_breaks_inside_texts_are_counted(tmp_path):
    tokenizer = save(tmp_path / "tokenizer.json")
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "the\ncat\n\nsat"}))
    found = read_sequences(tmp_path / "a.jsonl", seq_len=5, vocab_size=10, tokenizer=tokenizer)
    assert found.tokens.tolist() == [[CLS, 4, 5, 6, SEP]]
    assert "3 line breaks left out" in found.packing
