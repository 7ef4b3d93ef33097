"""The kinds of files of released networks: Lightning's, UDLM's, ours; told apart by content."""

import dataclasses
import json
import os

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from am_theory.channel import Linear, LogLinear
from models.errors import CheckpointError
from models.networks.dit import DiT, Shape
from models.networks.mlp import MLPDenoiser
from models.released.authors_layout import EMBEDDING, from_named, places
from models.released.checkpoint import save_model
from models.released.paper_protocol import law_of
from models.released.released import to_named
from models.released.stated import Stated
from tests import torch_files as tf
from tests.helpers import open_stated as open_released
from tests.helpers import shared
from tests.models.released.test_released import assert_same, random_model
from tests.torch_files import Ops, call, name, ops, storage, tensor


def lightning(model: DiT, ema: DiT | None = None, **more) -> dict:
    """The contents of a checkpoint as the authors' code saves it."""
    state = to_named(model, buffers=True)
    last = state.pop("backbone.rotary_emb.inv_freq")
    tree = {"epoch": 3, "global_step": 70, "pytorch-lightning_version": "2.5", "state_dict": state}
    state["backbone.rotary_emb.inv_freq"] = last
    if ema is not None:
        shadow = list(to_named(ema).values())
        tree["ema"] = {"decay": 0.99, "num_updates": 70, "shadow_params": shadow}
    moments = [np.zeros(5), np.ones((2, 2))]
    tree["optimizer_states"] = [{"state": {0: {"exp_avg": moments[0], "exp_avg_sq": moments[1]}}}]
    return tree | more


@pytest.mark.parametrize("classes", [0, 3])
def test_raw_weights_and_their_average(classes, tmp_path):
    raw, ema = random_model(0, classes), random_model(1, classes)
    path = tf.write(tmp_path / "any.name", lightning(raw, ema))
    found = open_released(path, seq_len=7)
    assert_same(found.model, ema)
    assert (found.weights, found.source_kind) == ("ema", "lightning")
    assert found.details == {
        "epoch": 3, "global_step": 70, "pytorch-lightning_version": "2.5", "ema_decay": 0.99
    }  # fmt: skip
    found = open_released(path, seq_len=7, weights="raw")
    assert_same(found.model, raw)
    assert found.weights == "raw" and "note" not in found.details
    assert_same(open_released(path, seq_len=7).model, ema)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.model = ema
    with pytest.raises(ValueError, match="`weights` must be 'ema' or 'raw'; got 'best'"):
        open_released(path, weights="best")


def test_a_file_with_one_kind_of_weights_says_so(tmp_path):
    model = random_model()
    path = tf.write(tmp_path / "m.ckpt", lightning(model))
    found = open_released(path, seq_len=7)
    assert_same(found.model, model)
    assert found.weights == "raw" and "has no moving average" in found.details["note"]
    assert "note" not in open_released(path, weights="raw").details
    path = tf.write(tmp_path / "m.pt", to_named(model, "net.", buffers=True))
    for weights in ("ema", "raw"):
        found = open_released(path, seq_len=7, weights=weights)
        assert_same(found.model, model)
        assert (found.weights, found.source_kind) == ("sole", "torch state dict")
        assert "one kind of weights" in found.details["note"]
    save_file(to_named(model, buffers=True), tmp_path / "m.safetensors")
    found = open_released(tmp_path / "m.safetensors")
    assert (found.weights, found.source_kind) == ("sole", "safetensors")
    assert "one kind of weights" in found.details["note"]


def test_types_and_schedules(tmp_path):
    model = random_model()
    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), model)
    path = tf.write(tmp_path / "m.ckpt", lightning(half, half))
    assert_same(open_released(path, seq_len=7, compute="bfloat16").model, half)
    assert open_released(path, dtype=np.float32).model.embedding.dtype == jnp.float32
    found = open_released(path).model
    assert found.schedule == LogLinear() and found.embedding.dtype == jnp.bfloat16 and found.wide
    x_t = np.array([[0, 4, 2, 2, 1, 3, 0]])
    as_float = jax.tree.map(lambda a: a.astype(jnp.float32), half)
    np.testing.assert_allclose(
        found.log_loo(x_t, 0.3), as_float.log_loo(x_t, 0.3), atol=1e-5, strict=True
    )
    linear = Stated(channel="uniform", law="loo", time="sigma", schedule="linear")
    assert open_released(path, stated=linear).model.schedule == Linear()
    with pytest.raises(ValueError, match="`compute` must be 'float32' or 'bfloat16'"):
        open_released(path, compute="float16")
    with jax.enable_x64(True):
        assert open_released(path, dtype=np.float64).model.embedding.dtype == jnp.float64
    with pytest.raises(ValueError, match=r"jax\.enable_x64"):
        open_released(path, dtype=np.float64)


def node(value) -> Ops:
    """Settings as omegaconf pickles them."""
    if isinstance(value, dict):
        kind, state = ("omegaconf.dictconfig", "DictConfig"), {"_content": {}}
        state["_content"] = {key: node(item) for key, item in value.items()}
    else:
        kind, state = ("omegaconf.nodes", "AnyNode"), {"_val": value}
    made = name(*kind) + ops(()) + b"\x81"
    return Ops(made + ops(state | {"_parent": None, "_metadata": call(*kind)}) + b"b")


def settings(**more):
    config = {"model": {"length": 9, "n_heads": 2}, "algo": {"name": "duo_base"}}
    for key, value in more.items():
        config["algo" if key.startswith(("time", "causal")) else "model"][key] = value
    return config


@pytest.mark.parametrize("wrap", [node, lambda value: value])
def test_hyperparameters_of_the_file(wrap, tmp_path):
    model = random_model()
    tree = lightning(model, hyper_parameters={"config": wrap(settings())})
    del tree["state_dict"]["backbone.rotary_emb.inv_freq"]
    path = tf.write(tmp_path / "m.ckpt", tree)
    found = open_released(path).model
    assert found.n_heads == 2 and found.seq_len == 9
    for wrong in ({"n_heads": 4}, {"seq_len": 8}):
        with pytest.raises(CheckpointError, match=r"m\.ckpt says .* = \d; `.*` is"):
            open_released(path, **wrong)
    for other in ({"causal_attention": True}, {"causal": True}):
        tree["hyper_parameters"] = {"config": wrap(settings(**other))}
        tf.write(path, tree)
        with pytest.raises(CheckpointError, match="cannot be read: its setting `causal"):
            open_released(path)
    tree["hyper_parameters"] = {"config": wrap(settings(time_conditioning=False))}
    tf.write(path, tree)
    with pytest.raises(CheckpointError, match=r"says time = nothing .*`time` is sigma"):
        open_released(path)
    tree["hyper_parameters"] = {"config": wrap(settings(n_heads="two"))}
    tf.write(path, tree)
    with pytest.raises(CheckpointError, match="do not say how many attention heads"):
        open_released(path)


def test_settings_that_contain_themselves(tmp_path):
    loop = Ops(call("a", "B") + b"q\x00" + ops({"_val": Ops(b"h\x00")}) + b"b")
    tree = lightning(random_model(), hyper_parameters={"config": loop})
    assert open_released(tf.write(tmp_path / "m.ckpt", tree)).model.seq_len is None


def changed(**parts):
    tree = lightning(random_model(), random_model(1))
    for key, change in parts.items():
        change(tree[key])
    return tree


FIRST = f"backbone.{EMBEDDING}"
BAD = {
    "no state": ({"epoch": 1}, "holds no `state_dict`"),
    "a list": ([1], "holds no `state_dict`"),
    "a state that is none": ({"state_dict": 1}, "holds no `state_dict`"),
    "an empty state": ({"state_dict": {}}, "holds no `state_dict`"),
    "names that are none": (
        changed(state_dict=lambda s: s.update({1: np.zeros(2)})), "has names that are no text"
    ),
    "an inert state": ({"state_dict": call("a", "B")}, "holds no `state_dict`"),
    "no average": (changed(ema=lambda e: e.clear()), "moving average has no list"),
    "an average that is none": (
        lightning(random_model()) | {"ema": [1]}, "moving average has no list"
    ),
    "a short average": (
        changed(ema=lambda e: e["shadow_params"].pop()), "has 29 tensors, and the network 30"
    ),
    "an average in another order": (
        changed(ema=lambda e: e["shadow_params"].reverse()),
        f"`{FIRST}` has shape .*expected",
    ),
    "an average of numbers": (
        changed(ema=lambda e: e["shadow_params"].__setitem__(3, 1.5)), "is no tensor"
    ),
    "a missing block": (
        changed(state_dict=lambda s: s.pop("backbone.blocks.1.norm1.weight"),
                ema=lambda e: e["shadow_params"].__setitem__(15, np.zeros(3, np.float32))),
        r"tensor `backbone.blocks.1.norm1.weight` has shape \(3,\), expected \(16,\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_checkpoints_that_hold_no_network(what, tmp_path):
    tree, message = BAD[what]
    path = tf.write(tmp_path / "m.ckpt", tree)
    with pytest.raises(CheckpointError, match=message) as caught:
        open_released(path)
    assert str(caught.value).count(str(path)) == 1


def test_missing_and_extra_tensors_of_raw_weights_are_named(tmp_path):
    tree = changed(
        state_dict=lambda s: s.update({"backbone.extra": np.zeros(2), FIRST: call("a", "B")})
    )
    path = tf.write(tmp_path / "m.ckpt", tree)
    with pytest.raises(CheckpointError, match=f"`{FIRST}` of its weights is no tensor"):
        open_released(path, weights="raw")
    tree = changed(state_dict=lambda s: (s.pop("backbone.blocks.0.mlp.0.bias"),
                                         s.update({"teacher.x": np.zeros(2)})))  # fmt: skip
    tf.write(path, tree)
    both = "`backbone.blocks.0.mlp.0.bias` is missing.*`backbone.teacher.x` is no part"
    with pytest.raises(CheckpointError, match=both):
        open_released(path, weights="raw")


def test_one_storage_for_many_tensors_costs_no_memory(tmp_path):
    """Named 2000 times, a storage of 256 kB would be a network of 500 MB."""
    width, n_blocks, numbers = 128, 400, 128 * 512
    state = {}
    for place in places(5, width, n_blocks, 128, 0):
        count = int(np.prod(place.shape))
        stride = tuple(int(s) for s in np.cumprod((1, *place.shape[:0:-1]))[::-1])
        state[place.name] = tensor(storage("0", "float32", numbers), 0, place.shape, stride)
        assert count <= numbers or place.name.endswith("adaLN_modulation.weight")
    state = {k: v for k, v in state.items() if "adaLN_modulation.weight" not in k}
    path = tf.archive(tmp_path / "m.ckpt", tf.program(state), {"0": bytes(4 * numbers)})
    with pytest.raises(CheckpointError, match=r"its tensors would take \d+ bytes, and the file"):
        open_released(path)


UDLM = {
    "n_heads": 2,
    "model_length": 7,
    "hidden_dim": 16,
    "vocab_size": 5,
    "time_conditioning": True,
}


def udlm(folder, model, **more):
    folder.mkdir(exist_ok=True)
    save_file(to_named(model), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(UDLM | more))
    return folder


def test_a_folder_of_udlm(tmp_path):
    model = random_model()
    found = open_released(udlm(tmp_path / "m", model, cfg=False, cfg_num_classes=-1))
    assert_same(found.model, model)
    assert (found.weights, found.source_kind) == ("sole", "folder")
    assert "one kind" in found.details["note"]
    model = random_model(classes=3)
    found = open_released(udlm(tmp_path / "m", model, cfg=True, cfg_num_classes=3))
    assert_same(found.model, model)


@pytest.mark.parametrize(
    "config, message",
    [
        ({"hidden_dim": 32}, "another `hidden_dim` than the tensors, which have 16"),
        ({"cfg": True}, "another `cfg`"),
        ({"n_blocks": 3}, "another `n_blocks`"),
        ({"n_heads": None}, "do not say how many attention heads"),
        ({"n_heads": 3}, "make no network"),
        ({"n_heads": 10**30}, "make no network"),
        ({"vocab_size": 6}, "another `vocab_size`"),
    ],
)
def test_settings_of_udlm_that_do_not_fit(config, message, tmp_path):
    folder = udlm(tmp_path / "m", random_model(), **config)
    with pytest.raises(CheckpointError, match=message):
        open_released(folder)


def test_folders_that_hold_no_network(tmp_path):
    folder = udlm(tmp_path / "m", random_model())
    with pytest.raises(CheckpointError, match="says seq_len = 7; `seq_len` is 8"):
        open_released(folder, seq_len=8)
    for text, message in (
        ("[1]", "holds no settings"), ("{", "is no JSON"), ("[" * 100_000, "is no JSON"),
        (" " * (2 << 20), "holds no settings"), ("\x00", "is no JSON"),
    ):  # fmt: skip
        (folder / "config.json").write_text(text)
        with pytest.raises(CheckpointError, match=message):
            open_released(folder)
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match="do not say how many attention heads"):
        open_released(folder)
    udlm(folder, random_model())
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"looked for are .*, and it has config\.json"):
        open_released(folder)


def test_checkpoints_of_ours(tmp_path):
    model = DiT(jax.random.key(1), 5, Shape(16, 2, 2, 8), seq_len=7, schedule=LogLinear(eps=0.01))
    save_model(model, tmp_path / "m.best", {"step": 5})
    for path in ("m.best", "m.best.safetensors", "m.best.json"):
        found = open_released(tmp_path / path)
        assert_same(found.model, model)
        assert (found.weights, found.source_kind) == ("sole", "ours")
        assert found.details["extra"] == {"step": 5} and "one kind" in found.details["note"]
    assert open_released(tmp_path / "m.best", 2, 7).model.seq_len == 7
    half = open_released(tmp_path / "m.best", dtype=jnp.bfloat16).model
    assert half.embedding.dtype == jnp.bfloat16
    for wrong in ({"n_heads": 4}, {"seq_len": 8}, {"stated": Stated(channel="absorbing")}):
        with pytest.raises(CheckpointError, match=r"m\.best says"):
            open_released(tmp_path / "m.best", **wrong)
    (tmp_path / "m.best.json").unlink()
    with pytest.raises(CheckpointError, match=r"m\.best\.json cannot be read"):
        open_released(tmp_path / "m.best.safetensors")
    (tmp_path / "run").mkdir()
    save_model(MLPDenoiser(jax.random.key(0), 4, 6, 8, 1), tmp_path / "run" / "model")
    assert open_released(tmp_path / "run").model.vocab_size == 4  # a folder of models.training


def test_places_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", "a\x00b"):
        with pytest.raises(CheckpointError, match="cannot be read"):
            open_released(path)


def test_the_authors_checkpoint_equals_its_twins():
    """Bit for bit, raw weights and their average, whose order the authors state too."""
    config = json.loads(shared("golden/dit_small.json").read_text())
    order = [p.name for p in places(19, 64, 3, 128, 0)]
    assert [f"backbone.{n}" for n in order] == config["ema_shadow_order"]
    for weights in ("raw", "ema"):
        found = open_released(shared("golden/dit_small.ckpt"), weights=weights)
        twin = load_file(shared(f"golden/dit_small_{weights}.safetensors"))
        named = to_named(found.model)
        assert set(named) == set(twin) - {"backbone.rotary_emb.inv_freq"}
        for key, array in named.items():
            np.testing.assert_array_equal(array, twin[key], strict=True)
        assert (found.weights, found.source_kind) == (weights, "lightning")
        assert found.model.n_heads == 4 and found.model.seq_len == 24


def test_the_authors_folders_of_udlm():
    golden = np.load(shared("golden/udlm_small.npz"))
    for suffix in ("", "_cfg"):
        found = open_released(shared(f"golden/udlm_small{suffix}"))
        assert found.model.seq_len == 20 and found.model.n_heads == 4
        assert (found.model.labels is not None) == bool(suffix)
        law = law_of(found.model, golden["cond_cfg"] if suffix else None)
        ours = law(golden[f"input_ids{suffix}"], golden[f"timesteps{suffix}"])
        np.testing.assert_allclose(ours, golden[f"logp_f32{suffix}"], atol=1e-4)


def test_weights_that_were_read_are_not_those_of_the_caller():
    """Arrays of a caller are copied, although ours are taken over."""
    model = random_model()
    named = {name: array.copy() for name, array in to_named(model, buffers=True).items()}
    read = from_named(named, seq_len=7)
    for array in named.values():
        array[...] = 0
    assert_same(read, model)
    assert eqx.filter_jit(lambda m: m.log_loo(jnp.array([[1, 2]]), 0.5))(read).shape == (1, 2, 5)
