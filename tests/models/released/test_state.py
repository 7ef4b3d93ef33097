"""Weights under the names that trainers give them: wrappers, averages, keys, folders, shards."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from models.errors import CheckpointError
from models.released.released import to_named
from tests import torch_files as tf
from tests.helpers import open_stated as open_released
from tests.models.released.test_released import assert_same, random_model

RAW, MEAN = random_model(0), random_model(1)


def named(model, prefix="backbone."):
    return to_named(model, prefix, buffers=True)


def renamed(change, model=RAW):
    return {change(name): array for name, array in named(model).items()}


def in_blocks(mark):
    return lambda name: name.replace("blocks.0.", f"blocks.0.{mark}.").replace(
        "blocks.1.", f"blocks.1.{mark}."
    )


WRAPPED = {
    "compiled": lambda name: f"_orig_mod.{name}",
    "compiled backbone": lambda name: name.replace("backbone.", "backbone._orig_mod."),
    "each block compiled": in_blocks("_orig_mod"),
    "recomputed blocks": in_blocks("_checkpoint_wrapped_module"),
    "sharded": lambda name: "_fsdp_wrapped_module." + in_blocks("_fsdp_wrapped_module")(name),
    "parallel": lambda name: name.replace("backbone.", "module."),
    "parallel and compiled": lambda name: "module._orig_mod." + name,
    "rev_udm": lambda name: f"diffusion.model.{name}",
}


@pytest.mark.parametrize("what", WRAPPED)
def test_marks_of_wrappers_are_no_part_of_a_name(what, tmp_path):
    state = renamed(WRAPPED[what])
    assert_same(
        open_released(tf.write(tmp_path / "m.ckpt", {"state_dict": state}), seq_len=7).model, RAW
    )
    save_file(state, tmp_path / "m.safetensors")
    assert_same(open_released(tmp_path / "m.safetensors", seq_len=7).model, RAW)


def test_a_tensor_in_two_wrappers_is_refused(tmp_path):
    state = named(RAW) | renamed(WRAPPED["compiled"])
    with pytest.raises(CheckpointError, match=r"`backbone\..*` twice, in two wrappers"):
        open_released(tf.write(tmp_path / "m.ckpt", {"state_dict": state}))


SHORT = {name.removeprefix("backbone."): array for name, array in named(MEAN).items()}
PARAMETERS = [array for name, array in named(MEAN).items() if "inv_freq" not in name]
# what is beside `state_dict`, whether the network of the last step is there too
AVERAGED = {
    "a list": {"ema": {"decay": 0.9, "shadow_params": PARAMETERS}},
    "by name": {"ema": named(MEAN)},
    "by name, in a shadow": {"ema": {"decay": 0.9, "shadow": SHORT}},
    "a state beside": {"ema_state_dict": named(MEAN)},
    "a model beside": {"model_ema": {"module": SHORT}},
}


@pytest.mark.parametrize("what", AVERAGED)
def test_averages_under_any_name(what, tmp_path):
    path = tf.write(tmp_path / "m.ckpt", {"state_dict": named(RAW)} | AVERAGED[what])
    found = open_released(path, seq_len=7)
    assert_same(found.model, MEAN)
    assert found.weights == "ema"
    assert found.details.get("ema_decay") == (
        0.9 if "decay" in AVERAGED[what].get("ema", {}) else None
    )
    raw = open_released(path, seq_len=7, weights="raw")
    assert_same(raw.model, RAW)
    assert raw.weights == "raw"


def test_lightnings_own_average_is_its_state(tmp_path):
    tree = {"state_dict": named(MEAN), "current_model_state": named(RAW)}
    path = tf.write(tmp_path / "m.ckpt", tree | {"averaging_state": {"n_averaged": 5}})
    for weights, model in (("ema", MEAN), ("raw", RAW)):
        found = open_released(path, seq_len=7, weights=weights)
        assert_same(found.model, model)
        assert found.weights == weights


def test_averages_within_one_dict(tmp_path):
    state = {f"online_model.{n}": a for n, a in named(RAW).items()}
    state |= {f"ema_model.{n}": a for n, a in named(MEAN).items()}
    path = tf.write(tmp_path / "m.pt", state | {"step": np.array(3)})
    for weights, model in (("ema", MEAN), ("raw", RAW)):
        assert_same(open_released(path, seq_len=7, weights=weights).model, model)
    averaged = {n.replace("backbone.", "module."): a for n, a in named(MEAN).items()}
    path = tf.write(tmp_path / "m.pt", averaged | {"n_averaged": np.array(5)})
    found = open_released(path, seq_len=7, weights="raw")
    assert_same(found.model, MEAN)
    assert found.weights == "ema" and "a moving average alone" in found.details["note"]


@pytest.mark.parametrize("key", ["model", "model_state_dict", "module", "net", "weights", "params"])
def test_states_under_any_key(key, tmp_path):
    tree = {key: {n: a for n, a in named(RAW, "").items()}, "optimizer": {}, "step": 1}
    found = open_released(tf.write(tmp_path / "m.pt", tree), seq_len=7)
    assert_same(found.model, RAW)
    assert found.details["step"] == 1


def test_two_of_a_kind_are_not_chosen_between(tmp_path):
    tree = {"model": named(RAW), "teacher": named(MEAN)}
    with pytest.raises(CheckpointError, match="more than one set of weights, `model`, `teacher`"):
        open_released(tf.write(tmp_path / "m.pt", tree))
    tree = {"model": named(RAW), "ema": named(MEAN), "ema_slow": named(MEAN)}
    with pytest.raises(CheckpointError, match="more than one set of moving averages"):
        open_released(tf.write(tmp_path / "m.pt", tree))


def write_text(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


NOT_WEIGHTS = {
    "an LFS pointer": (
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 6\n",
        "git lfs pull",
    ),
    "a web page": ("<!DOCTYPE html><html><head>" + "x" * 600, "is a web page"),
    "nothing": ("", "is empty"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(600), "is an HDF5 file"),
    "an old pickle": (b"\x80\x02" + b"}q\x00." * 20, "without the zip container"),
    "noise": (bytes(range(1, 256)) * 3, "neither safetensors nor a checkpoint of torch.save"),
}


@pytest.mark.parametrize("what", NOT_WEIGHTS)
@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt"])
def test_files_that_are_no_weights_are_named(what, name, tmp_path):
    text, message = NOT_WEIGHTS[what]
    with pytest.raises(CheckpointError, match=message):
        open_released(write_text(tmp_path / name, text))


def test_objects_that_are_no_weights_are_named(tmp_path):
    path = tmp_path / "m.pt"
    module = tf.Ops(tf.name("my.code", "Net") + tf.ops(()) + b"\x81")
    for tree, message in (
        (module, r"whole object of class my\.code\.Net.*model\.state_dict\(\)"),
        ({"optimizer": {}}, "it holds 'optimizer'"),
        ({}, "it holds nothing"),
        ([1, 2], "a list of 2"),
    ):
        with pytest.raises(CheckpointError, match=message):
            open_released(tf.write(path, tree))
    tf.archive(path, tf.program({}), entries={"constants.pkl": b"x", "code/a.py": b"x"})
    with pytest.raises(CheckpointError, match="TorchScript, a program, and programs are not run"):
        open_released(path)
    np.savez(tmp_path / "m.npz", **named(RAW))
    with pytest.raises(CheckpointError, match="a NumPy archive"):
        open_released(tmp_path / "m.npz")


def shards(folder, model=RAW, n=3):
    """A folder of the hub in shards; returns its index."""
    folder.mkdir(exist_ok=True)
    state, weight_map = named(model), {}
    for k in range(n):
        name = f"model-{k + 1:05}-of-{n:05}.safetensors"
        part = dict(list(state.items())[k::n])
        save_file(part, folder / name)
        weight_map |= dict.fromkeys(part, name)
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps({"model_type": "udlm", "model_length": 7}))
    return index


def test_folders_in_shards_and_in_bin_files(tmp_path):
    shards(tmp_path / "m")
    for path in (tmp_path / "m", tmp_path / "m" / "model.safetensors.index.json"):
        assert_same(open_released(path).model, RAW)
    (tmp_path / "bin").mkdir()
    tf.write(tmp_path / "bin" / "pytorch_model.bin", named(RAW))
    (tmp_path / "bin" / "config.json").write_text(json.dumps({"model_length": 7}))
    found = open_released(tmp_path / "bin")
    assert_same(found.model, RAW)
    assert found.source_kind == "folder"


def test_indexes_that_lie_are_refused(tmp_path):
    index = shards(tmp_path / "m")
    file = tmp_path / "m" / "model.safetensors.index.json"
    first = min(index["weight_map"])
    for change, message in (
        ({first: "../other.safetensors"}, "is no .safetensors file of this folder"),
        ({first: "/etc/passwd"}, "is no .safetensors file of this folder"),
        ({first: "model.bin"}, "is no .safetensors file of this folder"),
        ({first: "absent.safetensors"}, "absent.safetensors cannot be read"),
        ({"more": "model-00001-of-00003.safetensors"}, "`more` is in no shard"),
        ({first: 3}, "is no index of shards"),
        ({f"x{k}": f"x{k}.safetensors" for k in range(1100)}, "names 1103 shards"),
    ):
        file.write_text(json.dumps({"weight_map": index["weight_map"] | change}))
        with pytest.raises(CheckpointError, match=message):
            open_released(tmp_path / "m")
    for text in ("[1]", "{", "[" * 100_000, '{"weight_map": []}', " " * (1 << 25)):
        file.write_text(text)
        with pytest.raises(CheckpointError, match="is no index of shards"):
            open_released(tmp_path / "m")
    left = {n: f for n, f in index["weight_map"].items() if n != first}
    file.write_text(json.dumps({"weight_map": left}))
    with pytest.raises(CheckpointError, match=f"`{first}` is not in the index"):
        open_released(tmp_path / "m")
    save_file(named(RAW), tmp_path / "m" / "model-00002-of-00003.safetensors")
    file.write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="is in two shards"):
        open_released(tmp_path / "m")


def test_folders_without_a_network_say_what_they_have(tmp_path):
    for files, message in (
        ([], "it is empty"),
        (["README.md"], "looked for are model.safetensors.*, and it has README.md"),
        (["epoch=1.ckpt", "last.ckpt"], "name one of epoch=1.ckpt, last.ckpt"),
        ([".metadata", "__0_0.distcp"], "dcp_to_torch"),
        (["pytorch_model.bin.index.json"], "save_pretrained"),
    ):
        folder = tmp_path / f"f{len(files)}{files[:1]}"
        folder.mkdir()
        for name in files:
            (folder / name).write_text("{}")
        with pytest.raises(CheckpointError, match=message):
            open_released(folder)


def test_tied_tensors_that_a_file_leaves_out_are_those_it_names(tmp_path):
    state = named(RAW)
    embedding, readout = "backbone.vocab_embed.embedding", "backbone.output_layer.linear.weight"
    state[readout] = state.pop(embedding)
    save_file(state, tmp_path / "m.safetensors", {embedding: readout})
    found = open_released(tmp_path / "m.safetensors").model
    np.testing.assert_array_equal(found.embedding, found.readout.weight.T)
