"""The model that a probe is asked about, from a checkpoint or the user's own code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from models.denoiser import Denoiser

Weights = Literal["ema", "raw"]
SHOWN = ("epoch", "global_step", "hub", "commit")  # of what a checkpoint says of itself


@dataclass(frozen=True)
class Opened:
    """A denoiser; what it is, in a line; its weights (ema, raw, or - where there is one kind); its
    name and checksum; and what there is to say about how it was read."""

    denoiser: Denoiser
    model: str
    weights: str
    checkpoint: str
    notes: tuple[str, ...] = ()


def open_model(
    checkpoint: str, weights: Weights, seq_len: int | None = None, n_heads: int | None = None
) -> Opened:
    """A network from a file, a folder or the hub (`models.released`), or of our own kinds.

    Raises CheckpointError or another ValueError, one sentence.
    """
    from models.released.released import open_released

    path = Path(checkpoint)
    stem = path.with_suffix("") if path.suffix in (".json", ".safetensors") else path
    header = Path(f"{stem}.json")
    if header.is_file() and Path(f"{stem}.safetensors").is_file():
        return _ours(stem, seq_len)
    found = open_released(checkpoint, n_heads, seq_len, weights=weights)
    note = found.details.get("note")
    said = [f"{name} {found.details[name]}" for name in SHOWN if name in found.details]
    return Opened(
        found.model,
        describe(found.model, [found.source_kind, *said]),
        "-" if found.weights == "sole" else found.weights,
        f"{path.name}{_checksum(path)}",
        (note,) if note and found.weights != weights else (),
    )


def open_code(text: str) -> Opened:
    """The denoiser of `module:function`. Raises AdapterError, one sentence."""
    from models.released.adapters import load_denoiser

    denoiser = load_denoiser(text)
    return Opened(denoiser, describe(denoiser, [text]), "-", text)


def describe(denoiser: Any, more: list[str]) -> str:
    """One line: class, parameters where they can be counted, V, L."""
    import equinox as eqx
    import jax

    words = [type(denoiser).__name__]
    if isinstance(denoiser, eqx.Module):
        leaves = jax.tree.leaves(eqx.filter(denoiser, eqx.is_inexact_array))
        words.append(f"{sum(leaf.size for leaf in leaves):,} parameters")
    length = denoiser.seq_len or "any"
    return ", ".join([*words, f"V = {denoiser.vocab_size:,}", f"L = {length}", *more])


def _ours(stem: Path, seq_len: int | None) -> Opened:
    from models.errors import CheckpointError
    from models.released.checkpoint import load_model

    model, _ = load_model(stem)
    if seq_len is not None and model.seq_len not in (None, seq_len):
        raise CheckpointError(f"{stem} says seq_len = {model.seq_len}; `seq_len` is {seq_len}.")
    weights = Path(f"{stem}.safetensors")
    return Opened(model, describe(model, ["ours"]), "-", f"{stem.name}{_checksum(weights)}")


def _checksum(path: Path) -> str:
    from models.released.safe_tensors import sha256_of

    file = path / "model.safetensors" if path.is_dir() else path
    return f", sha256 {sha256_of(file)}" if file.is_file() else ""
