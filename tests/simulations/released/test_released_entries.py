"""Lists, folders and names of checkpoints: what they say, and what is refused in one sentence."""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulations.console.errors import UserError
from simulations.data.corpora import CorpusError
from simulations.released.config import ReleasedConfig, identity, make_cells
from simulations.released.entries import COLUMNS, Entry, entries_of, named
from simulations.released.material import read_material, rows_of, size_of

HUB = "lemoncmd/lldms-associative-memory@v1:tiny/lm1b-tiny-0.000719.ckpt"


def listed(folder: Path, text: str, seed: int | None = None) -> list[Entry]:
    (folder / "list.csv").write_text(text)
    return entries_of((str(folder / "list.csv"),), seed)


sizes = st.one_of(st.integers(1, 10**9), st.floats(1e-6, 1.0))


@settings(deadline=None, max_examples=50)
@given(
    networks=st.lists(
        st.tuples(st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True), sizes, st.integers(0, 99)),
        min_size=1,
        max_size=5,
        unique_by=lambda one: one[0].lower(),
    )
)
def test_a_list_that_is_written_is_read_as_it_was(networks, tmp_path_factory):
    entries = [
        Entry(
            f"o/n@v1:{k}.ckpt",
            label,
            size if isinstance(size, int) else None,
            None if isinstance(size, int) else size,
            seed,
            stated={"law": "loo", "mask_id": 3} if k % 2 else {},
        )
        for k, (label, size, seed) in enumerate(networks)
    ]
    path = tmp_path_factory.mktemp("list") / "list.csv"
    with open(path, "w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        table.writeheader()
        table.writerows({**asdict(entry), **entry.stated} for entry in entries)
    assert entries_of((str(path),), None) == entries


def test_the_authors_names_say_network_and_fraction_and_others_nothing():
    assert named(HUB) == ("tiny", 0.000719)
    assert named("x/lm1b-medium-1.0.ckpt") == ("medium", 1.0)
    for name in ("lm1b-tiny-2.0.ckpt", "lm1b-tiny.ckpt", "tiny-0.1.ckpt", "lm1b-tiny-0.1.pt"):
        assert named(name) is None
    assert entries_of((HUB,), 1) == [Entry(HUB, "tiny", None, 0.000719, 1)]
    assert entries_of((HUB,), 1)[0].name == "tiny-f0.000719-seed1"


def test_a_folder_of_their_names_is_a_list_and_a_line_says_more_than_a_name(tmp_path):
    for name in (
        "tiny/lm1b-tiny-0.01.ckpt",
        "tiny/lm1b-tiny-0.1.ckpt",
        "small/lm1b-small-1.0.ckpt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = entries_of((str(tmp_path),), 3)
    assert [(e.network, e.fraction, e.seed) for e in found] == [
        ("small", 1.0, 3),
        ("tiny", 0.01, 3),
        ("tiny", 0.1, 3),
    ]
    text = "checkpoint,train_size,seed,n_heads,seq_len\ntiny/lm1b-tiny-0.01.ckpt,77,5,8,128\n"
    file = str(tmp_path / "tiny/lm1b-tiny-0.01.ckpt")
    assert listed(tmp_path, text) == [Entry(file, "tiny", 77, None, 5, 8, 128)]


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("", "has no checkpoints"),
        ("checkpoint,size\na,1\n", "has the column 'size'; the columns are checkpoint, network"),
        ("network\ntiny\n", "has no `checkpoint`"),
        ("checkpoint\na,b\n", "has the column 'beyond the header'"),
        ("checkpoint,train_size,seed\na,8,0\n", "which network it is"),
        ("checkpoint,network,train_size,seed\na,two words,8,0\n", "which network it is"),
        ("checkpoint,network,seed\na,b,0\n", "give one of `train_size` and `fraction`"),
        ("checkpoint,network,train_size,fraction,seed\na,b,8,0.1,0\n", "give one of"),
        ("checkpoint,network,train_size,seed\na,b,many,0\n", "`train_size` must be a number"),
        ("checkpoint,network,train_size,seed\na,b,0,0\n", "`train_size` must be at least 1"),
        ("checkpoint,network,fraction,seed\na,b,1.5,0\n", "`fraction` in (0, 1]; got 1.5"),
        ("checkpoint,network,fraction,seed\na,b,nan,0\n", "`fraction` in (0, 1]; got nan"),
        ("checkpoint,network,train_size,seed,law\na,b,8,0,lo\n", "`law` must be one of loo"),
        ("checkpoint,network,train_size\na,b,8\n", "the seed of its subset is not said"),
        ("checkpoint,network,train_size,seed\na,b,8,0\nc,b,8,0\n", "different `network` labels"),
        (
            "checkpoint,network,train_size,seed\na,b,8,0\nc,b,9,0\nd,b,8,1\n",
            "network b has no checkpoint of size 9 for seed 1",
        ),
    ],
)
def test_a_bad_list_gets_one_sentence(text, fragment, tmp_path):
    with pytest.raises(UserError) as refused:
        listed(tmp_path, text)
    assert fragment in str(refused.value) and "\n" not in str(refused.value)


def test_a_folder_without_checkpoints_and_a_list_that_is_not_there_are_refused(tmp_path):
    with pytest.raises(UserError, match="holds no checkpoint"):
        entries_of((str(tmp_path),), 1)
    with pytest.raises(UserError, match=r"none\.csv cannot be read"):
        entries_of((str(tmp_path / "none.csv"),), 1)


@given(n=st.integers(1, 200), seed=st.integers(0, 99), data=st.data())
def test_subsets_of_one_seed_are_nested_rows_of_the_corpus(n, seed, data):
    size = data.draw(st.integers(1, n))
    rows = rows_of(n, seed)
    assert sorted(rows.tolist()) == list(range(n))
    assert size_of(n, size, None) == size == len(set(rows[:size].tolist()))
    with pytest.raises(CorpusError, match=f"the corpus has {n} rows"):
        size_of(n, n + 1, None)
    with pytest.raises(CorpusError, match="was asked for"):
        size_of(n, None, 0.5 / n)


def test_files_of_different_lengths_are_refused(tmp_path):
    for name, length in (("a", 4), ("b", 5)):
        np.save(tmp_path / f"{name}.npy", np.zeros((3, length), np.uint8))
    with pytest.raises(CorpusError, match="they must have one length"):
        read_material(tmp_path / "a.npy", tmp_path / "b.npy", 8, None)


def test_a_mask_among_the_ids_is_no_value_and_must_not_occur(tmp_path):
    for name, tokens in (("a", [[0, 1, 4]]), ("b", [[4, 3, 0]]), ("masked", [[0, 2, 4]])):
        np.save(tmp_path / f"{name}.npy", np.array(tokens, np.uint8))
    found = read_material(tmp_path / "a.npy", tmp_path / "b.npy", 4, 3, 2)
    assert (found.corpus.tolist(), found.held_out.tolist()) == ([[0, 1, 3]], [[3, 2, 0]])
    with pytest.raises(CorpusError, match="holds the network's mask, id 2"):
        read_material(tmp_path / "a.npy", tmp_path / "masked.npy", 4, 3, 2)


def test_a_longer_list_keeps_the_cells_and_another_corpus_does_not(tmp_path):
    for name in ("corpus", "other"):
        np.save(tmp_path / f"{name}.npy", np.full((3, 4), len(name), np.uint8))
    given_ = {"corpus": tmp_path / "corpus.npy", "held_out": tmp_path / "other.npy"}
    one = ReleasedConfig(checkpoints=(HUB,), subset_seed=1, **given_)
    more = (HUB, HUB.replace("0.000719", "0.01"))
    two = ReleasedConfig(checkpoints=more, subset_seed=1, replicates=500, **given_)
    assert make_cells(two)[:1] == make_cells(one)
    assert identity(one) == identity(two)
    given_["corpus"] = tmp_path / "other.npy"
    assert identity(ReleasedConfig(checkpoints=(HUB,), subset_seed=1, **given_)) != identity(one)
    given_["corpus"] = tmp_path / "none.npy"
    with pytest.raises(CorpusError, match="cannot be read"):
        identity(ReleasedConfig(checkpoints=(HUB,), subset_seed=1, **given_))
