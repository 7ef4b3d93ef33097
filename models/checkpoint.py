"""Save and load a learned denoiser: weights as safetensors, the architecture as JSON.

Nothing in either file is ever executed. Each file is written whole beside its place and
renamed into it; the JSON, written last, holds the checksum of the weights it belongs to.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as serialize_tensors

from am_theory.channel import Cosine, Linear, LogLinear
from models.errors import CheckpointError
from models.mlp import MLPDenoiser, tensor_shapes

FORMAT = 1
SCHEDULES: dict[str, Any] = {"LogLinear": LogLinear, "Linear": Linear, "Cosine": Cosine}
SIZES = ("vocab_size", "seq_len", "width", "n_blocks")
Extra = Mapping[str, Any]
TENSORS = [f.name for f in dataclasses.fields(MLPDenoiser) if not f.metadata.get("static")]


def save_model(model: MLPDenoiser, path: str | Path, extra: Extra | None = None) -> None:
    """Write `<path>.safetensors` and `<path>.json`; `extra` is any JSON object kept beside.

    Raises CheckpointError, and writes nothing, for a schedule or an `extra` that JSON
    cannot name; OSError where the folder cannot be written.
    """
    schedule = type(model.schedule).__name__
    if schedule not in SCHEDULES:
        known = ", ".join(SCHEDULES)
        raise CheckpointError(f"a schedule of type {schedule} cannot be saved; known are {known}.")
    weights = serialize_tensors({name: np.asarray(getattr(model, name)) for name in TENSORS})
    width, n_blocks = model.embed.shape[1], model.blocks.shape[0]
    header = {
        "format": FORMAT,
        "model": "MLPDenoiser",
        **dict(zip(SIZES, (model.vocab_size, model.seq_len, width, n_blocks), strict=True)),
        "schedule": {"name": schedule, **dataclasses.asdict(model.schedule)},
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "extra": dict(extra or {}),
    }
    try:
        text = json.dumps(header, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"`extra` must hold plain finite JSON values: {error}.") from error
    _replace(Path(f"{path}.safetensors"), weights)
    _replace(Path(f"{path}.json"), text.encode())


def _replace(target: Path, content: bytes) -> None:
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def load_model(path: str | Path) -> tuple[MLPDenoiser, dict[str, Any]]:
    """Return the model saved under `path` and its `extra`; raises CheckpointError."""
    header = _read_header(Path(f"{path}.json"))
    file = Path(f"{path}.safetensors")
    weights = _read(file)
    if hashlib.sha256(weights).hexdigest() != header.get("weights_sha256"):
        raise CheckpointError(
            f"{file} is cut short, changed, or of another save than its .json; save it again."
        )
    try:
        tensors = parse_tensors(weights)
    except (SafetensorError, KeyError) as error:
        raise CheckpointError(f"{file} is not a safetensors file: {error}.") from error
    sizes = [header[name] for name in SIZES]
    wanted = tensor_shapes(*sizes)
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if found != wanted:
        name = min(n for n in found | wanted if found.get(n) != wanted.get(n))
        has, needs = found.get(name, "none"), wanted.get(name, "none")
        raise CheckpointError(
            f"{file} does not fit its .json: tensor `{name}` has shape {has}, expected {needs}."
        )
    values = [jnp.asarray(tensors[name]) for name in TENSORS]
    vocab_size, seq_len, width, n_blocks = sizes  # bounded by the file, as the shapes agree
    blank = MLPDenoiser(jax.random.key(0), vocab_size, seq_len, width, n_blocks, header["schedule"])
    model = eqx.tree_at(lambda m: [getattr(m, n) for n in TENSORS], blank, values)
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
        if (header["model"], header["format"]) != ("MLPDenoiser", FORMAT):
            holds = f"{header['model']!r} in format {header['format']!r}"
            raise ValueError(f"it holds {holds}; this version reads MLPDenoiser in format {FORMAT}")
        for name in SIZES:
            if type(header[name]) is not int or header[name] < (0 if name == "n_blocks" else 1):
                raise ValueError(f"`{name}` is {header[name]!r}")
        schedule = dict(header["schedule"])
        kind = schedule.pop("name")
        if kind not in SCHEDULES:
            raise ValueError(f"unknown schedule {kind!r}; known are {', '.join(SCHEDULES)}")
        header["schedule"] = SCHEDULES[kind](**schedule)
        header["extra"] = dict(header["extra"])
    except (ValueError, TypeError, KeyError) as error:
        what = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{file} is not the description of a saved model: {what}.") from error
    return header
