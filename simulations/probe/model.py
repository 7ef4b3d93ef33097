"""The model that a probe is asked about, from a checkpoint or the user's own code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import jax

from am_theory.channel import Uniform
from models.denoiser import Denoiser, channel_of
from models.errors import CheckpointError
from models.released.adapters import load_denoiser
from models.released.checkpoint import load_model
from models.released.files.safe_tensors import sha256_of
from models.released.released import open_released

Weights = Literal["ema", "raw"]
SHOWN = ("epoch", "global_step", "hub", "commit")  # of what a checkpoint says of itself


@dataclass(frozen=True)
class Opened:
    """A denoiser, and `about` it: model (what it is, in a line), weights (ema, raw, or - where
    there is one kind), checkpoint (name and checksum) and notes on how it was read."""

    denoiser: Denoiser
    about: dict[str, str]


def open_model(
    checkpoint: str, weights: Weights, seq_len: int | None = None, n_heads: int | None = None
) -> Opened:
    """A network from a file, a folder or the hub (`models.released`), or of our own kinds.

    Raises CheckpointError or another ValueError, one sentence.
    """
    path = Path(checkpoint)
    stem = path.with_suffix("") if path.suffix in (".json", ".safetensors") else path
    tensors = Path(f"{stem}.safetensors")
    if Path(f"{stem}.json").is_file() and tensors.is_file():
        model, _ = load_model(stem)
        if seq_len is not None and model.seq_len not in (None, seq_len):
            raise CheckpointError(f"{stem} says seq_len = {model.seq_len}; `seq_len` is {seq_len}.")
        return _opened(model, ["ours"], f"{stem.name}{_checksum(tensors)}")
    found = open_released(checkpoint, n_heads, seq_len, weights=weights)
    details = found.details
    said = [found.source_kind, *(f"{name} {details[name]}" for name in SHOWN if name in details)]
    kind = "-" if found.weights == "sole" else found.weights
    note = "" if found.weights == weights else details.get("note") or ""
    return _opened(found.model, said, f"{path.name}{_checksum(path)}", kind, note)


def open_code(text: str) -> Opened:
    """The denoiser of `module:function`. Raises AdapterError, one sentence."""
    return _opened(load_denoiser(text), [text], text)


def uniform_iv(denoiser: Any) -> None:
    """Raise ValueError for a denoiser of another noise than the uniform, which a probe would feed
    inputs that it never saw and read laws of visible tokens that it does not have."""
    noise = channel_of(denoiser)
    if noise != Uniform(noise.vocab_size):
        raise ValueError(
            f"this model undoes {type(noise).__name__.lower()} noise, and the probe gives uniform "
            "noise alone: its inputs would be none of the model's. Use simulations.phase_diagram "
            "--channel to measure networks of masked noise."
        )


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
    uniform_iv(denoiser)
    about = {"model": describe(denoiser, more), "weights": weights}
    return Opened(denoiser, about | {"checkpoint": checkpoint, "notes": notes})


def _checksum(path: Path) -> str:
    file = path / "model.safetensors" if path.is_dir() else path
    return f", sha256 {sha256_of(file)}" if file.is_file() else ""
