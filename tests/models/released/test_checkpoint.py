"""Saved models come back bit for bit; damaged files are told apart in one sentence."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass

import equinox as eqx
import jax
import numpy as np
import pytest
from safetensors.numpy import load, save

from am_theory.channel import Linear, LogLinear
from models.errors import CheckpointError
from models.networks.mlp import MLPDenoiser
from models.released.checkpoint import load_model, save_model


def small_model(schedule=LogLinear(), n_blocks: int = 2) -> MLPDenoiser:
    """A model none of whose tensors is at its initial zero."""
    model = MLPDenoiser(jax.random.key(0), 3, 4, width=5, n_blocks=n_blocks, schedule=schedule)
    rng = np.random.default_rng(0)
    arrays, rest = eqx.partition(model, eqx.is_array)
    arrays = jax.tree.map(lambda a: a + rng.normal(size=a.shape).astype(np.float32), arrays)
    return eqx.combine(arrays, rest)


@pytest.mark.parametrize("schedule", [LogLinear(), LogLinear(0.02), Linear()])
@pytest.mark.parametrize("n_blocks", [0, 2])
def test_a_saved_model_comes_back(tmp_path, schedule, n_blocks):
    model = small_model(schedule, n_blocks)
    save_model(model, tmp_path / "run.1", {"train_size": 16, "note": "held out"})
    assert sorted(os.listdir(tmp_path)) == ["run.1.json", "run.1.safetensors"]
    loaded, extra = load_model(tmp_path / "run.1")
    assert extra == {"train_size": 16, "note": "held out"}
    assert jax.tree.structure(loaded) == jax.tree.structure(model)  # static fields too
    for ours, theirs in zip(jax.tree.leaves(loaded), jax.tree.leaves(model), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_a_loaded_model_computes_the_same(tmp_path):
    model, x_t = small_model(), np.array([[0, 1, 2, 0], [2, 2, 1, 0]])
    save_model(model, str(tmp_path / "model"))
    loaded, extra = load_model(str(tmp_path / "model"))
    assert extra == {}
    compiled = eqx.filter_jit(lambda m: m.log_loo(x_t, 0.3))
    np.testing.assert_array_equal(compiled(loaded), compiled(model))


def test_saving_again_replaces_the_old_pair(tmp_path):
    save_model(small_model(n_blocks=0), tmp_path / "model", {"step": 1})
    save_model(small_model(), tmp_path / "model", {"step": 2})
    loaded, extra = load_model(tmp_path / "model")
    assert extra == {"step": 2}
    assert loaded.blocks.shape == (2, 5, 5)
    assert len(os.listdir(tmp_path)) == 2


def rewrite(base, header=None, tensors=None) -> None:
    """Change the JSON through `header(dict)` or the tensors through `tensors(dict)`."""
    description = json.loads((base.parent / "model.json").read_text())
    if tensors is not None:
        table = load((base.parent / "model.safetensors").read_bytes())
        tensors(table)
        content = save(table)
        (base.parent / "model.safetensors").write_bytes(content)
        description["weights_sha256"] = hashlib.sha256(content).hexdigest()
    if header is not None:
        header(description)
    (base.parent / "model.json").write_text(json.dumps(description))


def truncate(name, share):
    def damage(base):
        file = base.parent / name
        content = file.read_bytes()
        file.write_bytes(content[: int(share * len(content))])

    return damage


def not_safetensors(base):
    (base.parent / "model.safetensors").write_bytes(b"\x80\x04K\x01.")  # a pickle
    digest = hashlib.sha256(b"\x80\x04K\x01.").hexdigest()
    rewrite(base, header=lambda h: h.update(weights_sha256=digest))


DAMAGE = {
    "no json": (
        lambda base: os.remove(f"{base}.json"),
        "model.json cannot be read: No such file or directory.",
    ),
    "no weights": (
        lambda base: os.remove(f"{base}.safetensors"),
        "model.safetensors cannot be read: No such file",
    ),
    "weights cut": (truncate("model.safetensors", 0.7), "is cut short, changed, or of another"),
    "weights empty": (truncate("model.safetensors", 0), "is cut short, changed, or of another"),
    "json cut": (truncate("model.json", 0.7), "is not the description of a saved model"),
    "json empty": (truncate("model.json", 0), "is not the description of a saved model"),
    "json binary": (
        lambda base: (base.parent / "model.json").write_bytes(b"\xff\x00"),
        "is not the description of a saved model",
    ),
    "json a list": (
        lambda base: (base.parent / "model.json").write_text("[1, 2]"),
        "is not the description of a saved model",
    ),
    "other format": (
        lambda base: rewrite(base, header=lambda h: h.update(format=99)),
        "it holds 'MLPDenoiser' in format 99; this version reads MLPDenoiser and DiT in format 1",
    ),
    "other model": (
        lambda base: rewrite(base, header=lambda h: h.update(model="GPT")),
        "it holds 'GPT' in format 1",
    ),
    "unknown schedule": (
        lambda base: rewrite(base, header=lambda h: h.update(schedule={"name": "Geometric"})),
        "unknown schedule 'Geometric'; known are LogLinear, Linear, Cosine",
    ),
    "schedule out of range": (
        lambda base: rewrite(base, header=lambda h: h["schedule"].update(eps=2)),
        "`eps` must lie in [0, 1); got 2",
    ),
    "schedule with a stranger": (
        lambda base: rewrite(base, header=lambda h: h["schedule"].update(sigma=2)),
        "unexpected keyword argument 'sigma'",
    ),
    "no width": (lambda base: rewrite(base, header=lambda h: h.pop("width")), "KeyError: 'width'"),
    "width a text": (
        lambda base: rewrite(base, header=lambda h: h.update(width="5")),
        "`width` is '5'",
    ),
    "negative length": (
        lambda base: rewrite(base, header=lambda h: h.update(seq_len=-4)),
        "`seq_len` is -4",
    ),
    "not safetensors": (not_safetensors, "model.safetensors holds no tensors that can be read"),
    "missing tensor": (
        lambda base: rewrite(base, tensors=lambda t: t.pop("readout")),
        "tensor `readout` has shape none, expected (5, 12)",
    ),
    "extra tensor": (
        lambda base: rewrite(base, tensors=lambda t: t.update(more=np.zeros(2))),
        "tensor `more` has shape (2,), expected none",
    ),
    "wrong shape": (
        lambda base: rewrite(base, tensors=lambda t: t.update(pair=t["pair"][:5])),
        "tensor `pair` has shape (5, 12), expected (12, 12)",
    ),
    "another width": (
        lambda base: rewrite(base, header=lambda h: h.update(width=6)),
        "expected (3, 6)",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_checkpoints_are_refused_in_words(tmp_path, case):
    base = tmp_path / "model"
    save_model(small_model(), base)
    damage, message = DAMAGE[case]
    damage(base)
    with pytest.raises(CheckpointError) as caught:
        load_model(base)
    assert message in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_of_another_save_are_refused(tmp_path):
    save_model(small_model(), tmp_path / "model")
    save_model(MLPDenoiser(jax.random.key(1), 3, 4, width=5, n_blocks=2), tmp_path / "other")
    os.replace(tmp_path / "other.safetensors", tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"of another save than its \.json"):
        load_model(tmp_path / "model")


@dataclass(frozen=True)
class Geometric:
    eps: float = 0.0


@pytest.mark.parametrize(
    "model, extra, message",
    [
        (small_model(Geometric()), {}, "a schedule of type Geometric cannot be saved; known are"),
        (small_model(), {"when": {1, 2}}, "`extra` must hold plain finite JSON values"),
        (small_model(), {"loss": float("nan")}, "`extra` must hold plain finite JSON values"),
    ],
    ids=["schedule", "a set", "nan"],
)
def test_what_cannot_be_saved_leaves_nothing_behind(tmp_path, model, extra, message):
    with pytest.raises(CheckpointError) as caught:
        save_model(model, tmp_path / "model", extra)
    assert message in str(caught.value)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_pair(tmp_path, monkeypatch, call):
    save_model(small_model(), tmp_path / "model", {"step": 1})
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(os, call, full)
        save_model(small_model(n_blocks=0), tmp_path / "model", {"step": 2})
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before
