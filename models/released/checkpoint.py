"""Save and load a learned denoiser: weights as safetensors, the architecture as JSON.

Nothing in either file is ever executed. Each file is written whole beside its place and
renamed into it; the JSON, written last, holds the checksum of the weights it belongs to.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save as serialize_tensors

from am_theory.channel import Absorbing, Channel, Cosine, Hybrid, Linear, LogLinear, channel_iv
from models.denoiser import channel_of
from models.errors import CheckpointError
from models.networks import dit, mlp
from models.released.files.safe_tensors import open_tensors, read_all, sha256_of

PLAIN, CHANNELED = 1, 2  # formats: of uniform noise; with the channel, which older readers refuse
SCHEDULES: dict[str, Any] = {"LogLinear": LogLinear, "Linear": Linear, "Cosine": Cosine}
CHANNELS: dict[str, Any] = {"Absorbing": Absorbing, "Hybrid": Hybrid}
Extra = Mapping[str, Any]
Sizes = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A class of models as a file describes it: its sizes with their least values, how they are
    read off a model, the tensors they ask for, and a model of its structure to put tensors in."""

    least: Mapping[str, float]
    sizes: Callable[[Any], Sizes]
    shapes: Callable[[Sizes, Channel | None], dict[str, tuple[int, ...]]]
    frame: Callable[[Sizes, Any, Channel | None], Any]


def _mlp_sizes(model: mlp.MLPDenoiser) -> Sizes:
    return {
        "vocab_size": model.vocab_size,
        "seq_len": model.seq_len,
        "width": model.embed.shape[1],
        "n_blocks": model.blocks.shape[0],
    }


def _dit_sizes(model: dit.DiT) -> Sizes:
    return {
        "vocab_size": model.vocab_size,
        "seq_len": model.seq_len or 0,
        **dataclasses.asdict(model.shape),
        "n_labels": 0 if model.labels is None else model.labels.shape[0],
        "dropout": model.dropout,
    }


def _dit_shape(sizes: Sizes) -> dit.Shape:
    return dit.Shape(*(sizes[name] for name in ("width", "n_blocks", "n_heads", "cond_dim")))


def _dit_frame(sizes: Sizes, schedule: Any, noise: Channel | None) -> dit.DiT:
    heads = sizes["n_heads"]
    smallest = dit.Shape(2 * heads, 1, heads, 1)
    seq_len = sizes["seq_len"] or None
    told = {"channel": noise, "timed": sizes.get("timed", True)}
    frame = dit.DiT(jax.random.key(0), 2, smallest, seq_len, schedule, sizes["dropout"], **told)
    if not sizes["n_labels"]:
        return frame
    return eqx.tree_at(lambda m: m.labels, frame, jnp.zeros(()), is_leaf=lambda x: x is None)


KINDS = {
    "MLPDenoiser": Kind(
        {"vocab_size": 1, "seq_len": 1, "width": 1, "n_blocks": 0},
        _mlp_sizes,
        lambda sizes, noise: mlp.tensor_shapes(**sizes),
        lambda sizes, schedule, noise: mlp.MLPDenoiser(
            jax.random.key(0), sizes["vocab_size"], sizes["seq_len"], 1, 0, schedule, noise
        ),
    ),
    "DiT": Kind(
        {
            **{"vocab_size": 2, "seq_len": 0, "width": 1, "n_blocks": 0, "n_heads": 1},
            **{"cond_dim": 1, "n_labels": 0, "dropout": 0.0},
        },
        _dit_sizes,
        lambda sizes, noise: dit.tensor_shapes(
            sizes["vocab_size"], _dit_shape(sizes), sizes["n_labels"], dit.n_masks(noise)
        ),
        _dit_frame,
    ),
}


def named_tensors(tree: Any) -> dict[str, Any]:
    """Array leaves by their path, such as `blocks.qkv.weight`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(eqx.filter(tree, eqx.is_array))
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def save_model(model: Any, path: str | Path, extra: Extra | None = None) -> None:
    """Write `<path>.safetensors` and `<path>.json`; `extra` is any JSON object kept beside.

    `model` is an MLPDenoiser or a DiT. Raises CheckpointError, and writes nothing, for another
    model, and for a schedule or an `extra` that JSON cannot name; OSError where the folder
    cannot be written.
    """
    name = type(model).__name__
    if name not in KINDS:
        raise CheckpointError(f"a {name} cannot be saved; known are {', '.join(KINDS)}.")
    schedule = type(model.schedule).__name__
    if schedule not in SCHEDULES:
        known = ", ".join(SCHEDULES)
        raise CheckpointError(f"a schedule of type {schedule} cannot be saved; known are {known}.")
    tensors = {name: np.asarray(leaf) for name, leaf in named_tensors(model).items()}
    weights = serialize_tensors(tensors)
    header = {
        "format": PLAIN,
        "model": name,
        **KINDS[name].sizes(model),
        **_channel_words(model),
        "schedule": {"name": schedule, **dataclasses.asdict(model.schedule)},
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "extra": dict(extra or {}),
    }
    try:
        text = json.dumps(header, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"`extra` must hold plain finite JSON values: {error}.") from error
    replace_file(Path(f"{path}.safetensors"), weights)
    replace_file(Path(f"{path}.json"), text.encode())


def _channel_words(model: Any) -> dict[str, Any]:
    """What a plain description lacks: the channel, and whether a DiT is told the level."""
    noise, timed = channel_of(model), getattr(model, "timed", True)
    if noise.mask_id is None and timed:
        return {}
    channel = {"name": type(noise).__name__, **dataclasses.asdict(noise)}
    return {"format": CHANNELED, "channel": channel, "timed": timed}


def _channel(header: Mapping[str, Any]) -> Channel | None:
    """The channel of a description, None for uniform noise; ValueError for one that is unknown."""
    if header["format"] == PLAIN:
        return None
    words = dict(header["channel"])
    name = words.pop("name")
    if type(header["timed"]) is not bool:
        raise ValueError(f"`timed` is {header['timed']!r}")
    if name == "Uniform":
        return None
    if name not in CHANNELS:
        raise ValueError(f"unknown channel {name!r}; known are Uniform, {', '.join(CHANNELS)}")
    return channel_iv(CHANNELS[name](**words), header["vocab_size"])


def replace_file(target: Path, content: bytes) -> None:
    """Write a file whole beside its place, then rename it into it."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def load_model(path: str | Path, dtype: Any = None) -> tuple[Any, dict[str, Any]]:
    """Return the model saved under `path`, in `dtype` where it is given, and its `extra`.

    Raises CheckpointError; ValueError for a type of weights that JAX is not set to. Memory: about
    1.4 times the weights.
    """
    header = _read_header(Path(f"{path}.json"))
    file = Path(f"{path}.safetensors")
    if sha256_of(file) != header.get("weights_sha256"):
        raise CheckpointError(
            f"{file} is cut short, changed, or of another save than its .json; save it again."
        )
    tensors = open_tensors(file)
    kind = KINDS[header["model"]]
    sizes = {name: header[name] for name in kind.least}
    noise = header["channel"]
    wanted = kind.shapes(sizes, noise)
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if found != wanted:
        name = min(n for n in found | wanted if found.get(n) != wanted.get(n))
        has, needs = found.get(name, "none"), wanted.get(name, "none")
        raise CheckpointError(
            f"{file} does not fit its .json: tensor `{name}` has shape {has}, expected {needs}."
        )
    try:  # the sizes are bounded by the file, since the shapes agree
        frame = kind.frame({**sizes, "timed": header.get("timed", True)}, header["schedule"], noise)
    except ValueError as error:
        raise CheckpointError(f"{path}.json describes no model: {error}") from error
    arrays, rest = eqx.partition(frame, eqx.is_array)
    weights = read_all(tensors, dtype)
    values = [weights[name] for name in named_tensors(arrays)]
    model = eqx.combine(jax.tree.unflatten(jax.tree.structure(arrays), values), rest)
    return model, header["extra"]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error.strerror}.") from error


def _read_header(file: Path) -> dict[str, Any]:
    content = _read(file)
    try:
        header: dict[str, Any] = json.loads(content)
        if header["model"] not in KINDS or header["format"] not in (PLAIN, CHANNELED):
            holds = f"{header['model']!r} in format {header['format']!r}"
            known = " and ".join(KINDS)
            raise ValueError(f"it holds {holds}; this version reads {known} in format 1 or 2")
        kind = KINDS[header["model"]]
        for name, least in kind.least.items():
            wanted = (int, float) if isinstance(least, float) else (int,)
            if type(header[name]) not in wanted or header[name] < least:
                raise ValueError(f"`{name}` is {header[name]!r}")
        if header["model"] == "DiT":
            _dit_shape(header)
        schedule = dict(header["schedule"])
        clock = schedule.pop("name")
        if clock not in SCHEDULES:
            raise ValueError(f"unknown schedule {clock!r}; known are {', '.join(SCHEDULES)}")
        header["schedule"] = SCHEDULES[clock](**schedule)
        header["channel"] = _channel(header)
        header["extra"] = dict(header["extra"])
    except (ValueError, TypeError, KeyError) as error:
        what = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{file} is not the description of a saved model: {what}.") from error
    return header
