"""The model that a probe is asked about, from a checkpoint or the user's own code."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import jax

from models.denoiser import Denoiser
from models.released.adapters import made_denoiser
from models.released.files.safe_tensors import sha256_of
from models.released.released import open_released
from models.released.stated import UNSTATED, Compute, Stated

Weights = Literal["ema", "raw"]
ROUNDED = "Computed in bfloat16, of 8 bits: laws carry its rounding; --compute float32 does not."
SHOWN = ("epoch", "global_step", "hub", "commit")  # of what a checkpoint says of itself


@dataclass(frozen=True)
class Opened:
    """A denoiser, and `about` it: model (what it is, in a line), weights (ema, raw, or - where
    there is one kind), checkpoint (name and checksum) and notes on how it was read. `mask_id`: the
    mask's place among the ids of token files, None where no id is in the way of the values.
    `step`: steps of training, where the checkpoint says."""

    denoiser: Denoiser
    about: dict[str, str]
    mask_id: int | None = None
    step: int | None = None


def open_model(
    checkpoint: str,
    weights: Weights,
    seq_len: int | None = None,
    n_heads: int | None = None,
    stated: Stated = UNSTATED,
    compute: Compute = "float32",
) -> Opened:
    """A network from a file, a folder or the hub (`models.released`), or of our own kinds.

    Raises CheckpointError or another ValueError, one sentence.
    """
    path = Path(checkpoint)
    found = open_released(
        checkpoint, n_heads, seq_len, weights=weights, stated=stated, compute=compute
    )
    details, record = found.details, found.record
    said = [found.source_kind, *(f"{name} {details[name]}" for name in SHOWN if name in details)]
    kind = "-" if found.weights == "sole" else found.weights
    ours = found.source_kind == "ours"
    note = "" if found.weights == weights or ours else details.get("note") or ""
    if compute == "bfloat16":
        note = f"{note}\n{ROUNDED}".strip()
    opened = _opened(found.model, [*said, str(record)], f"{path.name}{_checksum(path)}", kind, note)
    mask = record.mask_id.value
    within = mask is not None and mask < found.model.vocab_size
    step = details.get("global_step", details.get("extra", {}).get("steps"))
    step = step if isinstance(step, int) else None
    return replace(opened, mask_id=mask if within else None, step=step)


def open_code(text: str) -> Opened:
    """The denoiser of `module:function`; its laws are looked at by the probe. Raises AdapterError,
    one sentence."""
    return _opened(made_denoiser(text), [text], text)


def describe(denoiser: Any, more: list[str]) -> str:
    """One line: class, parameters where they can be counted, V, L."""
    words = [type(denoiser).__name__]
    if isinstance(denoiser, eqx.Module):
        leaves = jax.tree.leaves(eqx.filter(denoiser, eqx.is_inexact_array))
        words.append(f"{sum(leaf.size for leaf in leaves):,} parameters")
    length = denoiser.seq_len or "any"
    return ", ".join([*words, f"V = {denoiser.vocab_size:,}", f"L = {length}", *more])


def _opened(
    denoiser: Any, more: list[str], checkpoint: str, weights: str = "-", notes: str = ""
) -> Opened:
    about = {"model": describe(denoiser, more), "weights": weights}
    return Opened(denoiser, about | {"checkpoint": checkpoint, "notes": notes})


def _checksum(path: Path) -> str:
    """Of the weights: of a file, or of all files of weights in a folder, by their names."""
    if Path(f"{path}.safetensors").is_file():  # of ours, named without its ending
        path = Path(f"{path}.safetensors")
    elif path.suffix == ".json" and path.with_suffix(".safetensors").is_file():
        path = path.with_suffix(".safetensors")
    if path.is_file():
        return f", sha256 {sha256_of(path)}"
    kinds = (".safetensors", ".bin")
    files = sorted(p for p in path.iterdir() if p.suffix in kinds) if path.is_dir() else []
    if len(files) == 1:
        return f", sha256 {sha256_of(files[0])}"
    sums = "".join(f"{p.name} {sha256_of(p)}\n" for p in files)
    return f", sha256 of the shards {hashlib.sha256(sums.encode()).hexdigest()}" if files else ""
