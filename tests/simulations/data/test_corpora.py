"""Text to windows: vocabulary, disjoint parts, duplicates, and files that cannot serve."""

import numpy as np
import pytest

from simulations.data.corpora import CorpusError, TextFile, text_corpus, windows
from tests.helpers import shared


def write(tmp_path, data, name="text.txt"):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return TextFile.read(path)


def test_vocabulary_is_the_most_frequent_of_the_train_part_and_the_rest(tmp_path):
    body = "aaaabbbcc" * 100  # then characters the train part never saw
    corpus = text_corpus(write(tmp_path, body + "zbaz" * 25), 3, 4)
    assert corpus.characters == "ab"
    assert corpus.train.max() == 2
    assert corpus.train.dtype == np.uint8
    assert corpus.rest_share > 0


def test_parts_are_disjoint_and_cross_duplicates_are_removed_and_counted(tmp_path):
    rng = np.random.default_rng(0)
    stream = "".join(rng.choice(list("abcd"), size=4000))
    corpus = text_corpus(write(tmp_path, stream), 5, 4)
    seen = {row.tobytes() for row in corpus.train}
    assert corpus.duplicates_removed > 0
    assert not any(row.tobytes() in seen for row in corpus.held_out)
    assert len(corpus.held_out) + corpus.duplicates_removed == 400 // 4


def test_windows_drop_the_remainder():
    assert windows(np.arange(10), 4).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_unicode_and_byte_order_mark(tmp_path):
    assert write(tmp_path, b"\xef\xbb\xbf" + "héllo wörld".encode()).decode() == "héllo wörld"


@pytest.mark.parametrize(
    ("data", "fragment"),
    [
        (b"", "is empty"),
        (b"  \n ", "is empty"),
        (b"abc\x00def", "binary data"),
        (b"caf\xe9 au lait", "is not UTF-8 (byte 3 is 0xe9)"),
        (b"too short", "at least"),
        (b"ab" * 500, "repeats itself"),
    ],
)
def test_files_that_cannot_serve_are_refused_in_a_sentence(tmp_path, data, fragment):
    with pytest.raises(CorpusError, match="text") as caught:
        text_corpus(write(tmp_path, data), 4, 8)
    assert fragment in str(caught.value).replace("\n", " ")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(CorpusError, match="No such file"):
        TextFile.read(tmp_path / "absent.txt")
    with pytest.raises(CorpusError, match="directory"):
        TextFile.read(tmp_path)


def test_the_shared_text():
    corpus = text_corpus(TextFile.read(shared("data/tinyshakespeare.txt")), 32, 16)
    assert corpus.train.shape[1] == 16
    assert len(corpus.train) == int(1115394 * 0.9) // 16
    assert 0 < corpus.rest_share < 0.2
