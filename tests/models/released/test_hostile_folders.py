"""Folders whose index, settings, shards or .bin are damaged or lie: read, or refused in a sentence.

Nothing else may come out: no other error, no work that does not end, no memory beyond the files'.
"""

import json
import resource
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import CheckpointError
from models.released.families import recognize
from models.released.files.settings import of_tree
from tests import torch_files as tf
from tests.helpers import ROOT, open_stated
from tests.models.released.test_released import random_model
from tests.models.released.test_state import named, shards

CASES = 40  # a kind; the run of thousands is `python -m tests.models.released.test_hostile_folders`


def bin_folder(folder):
    folder.mkdir()
    tf.write(folder / "pytorch_model.bin", {"state_dict": named(random_model())})
    (folder / "config.json").write_text(json.dumps({"model_type": "udlm", "model_length": 7}))


KINDS = {
    "index": (shards, "model.safetensors.index.json"),
    "settings": (shards, "config.json"),
    "shard": (shards, "model-00002-of-00003.safetensors"),
    ".bin": (bin_folder, "pytorch_model.bin"),
}


def damaged(rng, content: bytes) -> bytes:
    """Bytes changed, cut out, doubled, or numbers made large."""
    raw = bytearray(content)
    at = int(rng.integers(max(len(raw), 1)))
    end = min(len(raw), at + int(rng.integers(1, 40)))
    kind = int(rng.integers(5))
    if kind == 0:
        raw[at:end] = rng.integers(256, size=end - at).astype(np.uint8).tobytes()
    elif kind == 1:
        del raw[at:end]
    elif kind == 2:
        raw[at:at] = raw[at:end] * int(rng.integers(1, 50))
    elif kind == 3:
        del raw[at:]
    else:
        raw[at:end] = b"9" * (end - at)
    return bytes(raw)


def outcomes(folder, kind, cases, seed=0):
    """How many were read and refused; anything else is raised."""
    make, name = KINDS[kind]
    make(folder)
    open_stated(folder, n_heads=2)  # undamaged it is read
    whole, rng = (folder / name).read_bytes(), np.random.default_rng(seed)
    found = {"read": 0, "refused": 0, "slowest": 0.0}
    for _ in range(cases):
        (folder / name).write_bytes(damaged(rng, whole))
        start = time.monotonic()
        try:
            open_stated(folder, n_heads=2)
            found["read"] += 1
        except CheckpointError as error:
            assert "\n" not in str(error) and len(str(error)) < 2000
            found["refused"] += 1
        found["slowest"] = max(found["slowest"], time.monotonic() - start)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_read_or_refused_in_a_sentence(kind, tmp_path):
    found = outcomes(tmp_path / "m", kind, CASES)
    assert found["read"] + found["refused"] == CASES
    assert found["refused"] > 0


NAMES = st.sampled_from(
    "config algo name model graph type tokens diffusion parameterization p_uniform model_type "
    "backbone noise vocab_size n_heads time_conditioning data tokenizer_name_or_path".split()
) | st.text(max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
WORDS = st.sampled_from("duo sedd absorb uniform absorbing_state udlm mdlm mean_loo subs".split())


@settings(max_examples=300)
@given(st.dictionaries(NAMES, VALUES | WORDS | st.dictionaries(NAMES, WORDS), max_size=6))
def test_settings_of_any_shape_are_told_or_refused(tree):
    found = of_tree(tree, "config.json")
    try:
        record = recognize("m", found, 9)
    except CheckpointError as error:
        assert str(error).startswith("m")
        return
    for name, said in record.answers():
        assert (said.value is None) or said.where, name


def test_settings_without_an_end_are_bounded():
    deep: dict = {}
    at = deep
    for _ in range(10_000):
        at["a"] = {}
        at = at["a"]
    assert of_tree(deep, "x").values == {}
    with pytest.raises(CheckpointError, match="more than 20000 settings"):
        of_tree({str(k): k for k in range(30_000)}, "x")


def test_a_small_folder_cannot_ask_for_large_memory(tmp_path):
    """An index that names one shard for a million tensors, and a header that claims terabytes."""
    folder = tmp_path / "m"
    shards(folder)
    index = folder / "model.safetensors.index.json"
    many = dict.fromkeys((f"t{k}" for k in range(300_000)), "model-00001-of-00003.safetensors")
    index.write_text(json.dumps({"weight_map": many}))
    claim = {"backbone.vocab_embed.embedding": {"dtype": "F32", "shape": [1 << 40, 64],
             "data_offsets": [0, 1 << 48]}}  # fmt: skip
    header = json.dumps(claim).encode()
    (folder / "model-00002-of-00003.safetensors").write_bytes(
        len(header).to_bytes(8, "little") + header
    )
    code = (
        "import resource, sys\n"
        "from tests.helpers import open_stated\n"
        "from models.errors import CheckpointError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    open_stated(sys.argv[1])\n"
        "except CheckpointError as error:\n    print(error)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    *_, said, grown = run.stdout.splitlines()
    assert "can be read" in said or "is not in the index" in said
    assert int(grown) < 300  # MiB


if __name__ == "__main__":
    import tempfile
    from pathlib import Path

    for what in KINDS:
        with tempfile.TemporaryDirectory() as where:
            print(what, outcomes(Path(where) / "m", what, int(sys.argv[1]), seed=1))
    print("peak MiB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
