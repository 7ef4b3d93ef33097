"""Where a released network comes from: its tensors by name, unread, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from models.released.files.folder import CONFIG, weights_of
from models.released.files.pickle_reader import read_checkpoint
from models.released.files.settings import NOTHING, Settings, of_file, of_tree
from models.released.files.torch_tensors import check_reading
from models.released.files.what import torch_kind
from models.released.state import states_of, tensors_iv, unwrapped

Weights = Literal["ema", "raw"]
DETAILS = ("epoch", "global_step", "pytorch-lightning_version", "step")


class Source(NamedTuple):
    """Tensors by name, unread, and what the file says of them."""

    named: Mapping[str, Any]
    settings: Settings
    weights: str
    kind: str
    details: dict[str, Any]


def of_folder(folder: Path, weights: Weights) -> Source:
    """The weights of a folder of the hub, and its config.json."""
    config = folder / CONFIG
    settings = of_file(config) if config.exists() else NOTHING
    found = weights_of(folder)
    if found.tensors is None:
        return of_torch(found.file, weights, settings)._replace(kind="folder")
    note = {"note": f"{found.file.name} has one kind of weights."}
    named = unwrapped(folder, found.tensors)
    return Source(named, settings, "sole", "folder", note)


def of_torch(file: Path, weights: Weights, settings: Settings) -> Source:
    """The weights asked for of a torch checkpoint, and its own settings where none are given."""
    torch_kind(file)
    tree = read_checkpoint(file)
    states = states_of(file, tree)
    whole = tree if isinstance(tree, dict) else {}
    bare = not any(isinstance(value, dict) for value in whole.values())
    if settings is NOTHING:
        kept = {name: whole.get(name) for name in ("hyper_parameters", "config", "cfg", "args")}
        inner = kept["hyper_parameters"] or kept["config"] or kept["cfg"] or kept["args"]
        settings = of_tree(inner, file.name)
    details = {
        name: whole[name] for name in DETAILS if isinstance(whole.get(name), int | float | str)
    }
    average, raw = states.average, states.raw
    if weights == "ema" and average is not None:
        state, kind = average, "ema"
        details |= {} if states.decay is None else {"ema_decay": states.decay}
    elif raw is not None:
        state, kind = raw, "sole" if bare else "raw"
        if average is None and (bare or weights == "ema"):
            details["note"] = f"{file.name} has no moving average, only one kind of weights."
    else:
        assert average is not None
        state, kind = average, "ema"
        details["note"] = f"{file.name} has a moving average alone, not the weights of a step."
    named = tensors_iv(file, state)
    check_reading(named)
    return Source(named, settings, kind, "torch state dict" if bare else "lightning", details)
