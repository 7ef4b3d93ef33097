"""A training run on disk: everything that its next step depends on, in one file.

`state.safetensors` holds the weights, their moving average and the optimizer's moments; its
header holds the step, the key and what the run is. Which sequences and which noise a step draws
follows from the key and the step, so nothing else has to be kept. The file is written whole
beside its place and renamed into it: a run killed at any moment leaves the last good state.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialize_tensors

from models.errors import CheckpointError
from models.released.checkpoint import replace_file

FORMAT = 3
NAME = "state.safetensors"


@dataclass(frozen=True)
class SavedState:
    """The state after `step` steps, and the mean loss of every block so far."""

    state: Any
    step: int
    losses: list[float]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder, so that no other run writes to it until the block ends, by the system's lock,
    where the file system has one. Raises CheckpointError where another run holds it."""
    with open(folder / ".lock", "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise CheckpointError(
                    f"another run is writing to {folder}. Wait for it, or give another --out."
                ) from error
        yield


def identity(**words: Any) -> str:
    """Hash of what makes a run the run it is: configuration, key, data, shapes."""
    return hashlib.sha256(json.dumps(words, sort_keys=True, default=str).encode()).hexdigest()


def named_leaves(state: Any) -> dict[str, Any]:
    """Leaves of a tree by their path, such as `[0].blocks.qkv.weight`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def save_state(folder: Path, saved: SavedState, run: str, about: Mapping[str, Any]) -> None:
    """Write the state; `run` is the run's `identity`, `about` tells a reader what it is."""
    tensors = {name: np.asarray(leaf) for name, leaf in named_leaves(saved.state).items()}
    header = {
        "format": FORMAT,
        "run": run,
        "step": saved.step,
        "losses": saved.losses,
        "about": dict(about),
    }
    text = json.dumps(header)
    metadata = {"training": text, "sha256": _seal(text, tensors)}
    replace_file(folder / NAME, serialize_tensors(tensors, metadata=metadata))


def _seal(text: str, tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of all that a saved state says: a bit that has changed would train on unnoticed."""
    total = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        total.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        total.update(tensors[name].tobytes())
    return total.hexdigest()


def load_state(folder: Path, like: Any, run: str) -> SavedState | None:
    """The saved state, shaped as `like`; None where there is none.

    Raises CheckpointError for a damaged file and for the state of another run.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            header = json.loads(metadata["training"])
            names = set(file.keys())
            if header["format"] != FORMAT:
                raise ValueError(f"format {header['format']!r}, this version reads {FORMAT}")
            if header["run"] != run:
                raise CheckpointError(
                    f"{path} is the state of another run (its settings, seed or data differ: "
                    f"{json.dumps(header['about'])}). Give another --out, or delete that folder."
                )
            wanted = named_leaves(like)
            if names != set(wanted):
                odd = min(names ^ set(wanted))
                raise ValueError(f"tensor {odd!r} is missing or too many")
            leaves = {name: file.get_tensor(name) for name in names}
            if metadata["sha256"] != _seal(metadata["training"], leaves):
                raise ValueError("its contents have changed since it was written")
            step, losses = int(header["step"]), [float(x) for x in header["losses"]]
    except CheckpointError:
        raise
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is not a whole saved state ({type(error).__name__}: {error}); delete it to "
            "train from the start."
        ) from error
    for name, leaf in wanted.items():
        if leaves[name].shape != leaf.shape or leaves[name].dtype != leaf.dtype:
            raise CheckpointError(f"{path} has tensor {name} of another shape or type; delete it.")
    flat = [jnp.asarray(leaves[name]) for name in wanted]
    return SavedState(jax.tree.unflatten(jax.tree.structure(like), flat), step, losses)
