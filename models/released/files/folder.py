"""A folder of a released network: which files in it are weights, also in shards."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from models.errors import CheckpointError
from models.released.files.safe_tensors import open_tensors
from models.released.files.torch_archive import open_file

CONFIG = "config.json"
SAFE, SAFE_INDEX = "model.safetensors", "model.safetensors.index.json"
BIN, BIN_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
KNOWN = (SAFE, SAFE_INDEX, BIN)
INDEX = 1 << 24  # bytes of an index
SHARDS = 1024
SHOWN = 6


class Weights(NamedTuple):
    """Where the weights are: `tensors` by name, unread, or a torch checkpoint to be read."""

    file: Path
    tensors: dict[str, Any] | None


def weights_of(folder: Path) -> Weights:
    """The weights of a folder. Raises CheckpointError, which says what was looked for and found."""
    if (folder / SAFE_INDEX).exists():
        return Weights(folder / SAFE_INDEX, sharded(folder / SAFE_INDEX))
    if (folder / SAFE).exists():
        return Weights(folder / SAFE, open_tensors(folder / SAFE))
    if (folder / BIN).exists():
        return Weights(folder / BIN, None)
    raise CheckpointError(_without(folder))


def shards_of(index: Path) -> list[str]:
    """Names of the files that an index names, in its own folder. Raises CheckpointError."""
    return sorted(set(_told(index).values()))


def sharded(index: Path) -> dict[str, Any]:
    """Tensors of all the shards that an index names, unread.

    Raises CheckpointError where the index is none, names a file outside of its folder or one that
    is not there, or where the shards do not have the tensors that it says, each in one of them.
    """
    told = _told(index)
    found: dict[str, Any] = {}
    for name in shards_of(index):
        tensors = open_tensors(index.parent / name)
        if twice := found.keys() & tensors.keys():
            raise CheckpointError(f"{index}: the tensor `{min(twice)}` is in two shards.")
        found |= tensors
    if odd := found.keys() ^ told.keys():
        what = "is in no shard" if min(odd) in told else "is not in the index"
        raise CheckpointError(f"{index}: the tensor `{min(odd)}` {what}.")
    return found


def _told(index: Path) -> dict[str, str]:
    """The shard of each tensor."""
    with open_file(index) as stream:
        content = stream.read(INDEX + 1)
    try:
        told = json.loads(content)["weight_map"] if len(content) <= INDEX else None
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise CheckpointError(f"{index} is no index of shards.") from error
    if not isinstance(told, dict) or not all(isinstance(f, str) for f in told.values()):
        raise CheckpointError(f"{index} is no index of shards.")
    files = set(told.values())
    if not 1 <= len(files) <= SHARDS:
        raise CheckpointError(f"{index} names {len(files)} shards; known are 1 to {SHARDS}.")
    for name in files:
        if PurePosixPath(name).name != name or not name.endswith(".safetensors"):
            raise CheckpointError(
                f"{index}: the shard {name[:80]!r} is no .safetensors file of this folder."
            )
    return told


def _without(folder: Path) -> str:
    """What a folder without weights has, and what to do."""
    names = sorted(p.name for p in folder.iterdir())
    checkpoints = [n for n in names if n.endswith((".ckpt", ".pt", ".pth"))]
    if any(n.endswith(".distcp") for n in names):
        return (
            f"{folder} is a distributed checkpoint: make one file of it by `python -m "
            f"torch.distributed.checkpoint.format_utils dcp_to_torch {folder} FILE.pt`."
        )
    if BIN_INDEX in names:
        return (
            f"{folder} has its weights in several .bin files: load and save them once with "
            "`save_pretrained(FOLDER, safe_serialization=True)`."
        )
    if checkpoints:
        shown = ", ".join(checkpoints[:SHOWN])
        return f"{folder} holds checkpoints, not one network: name one of {shown}."
    has = f"it has {', '.join(names[:SHOWN])}" if names else "it is empty"
    return f"{folder} holds no weights: looked for are {', '.join(KNOWN)}, and {has}."
