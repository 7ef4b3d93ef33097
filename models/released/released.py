"""Networks that other people trained, from the files they publish, with nothing executed.

Read, and told apart by what they hold, not by their names:

* `.safetensors` in the authors' layout (`models.released.authors_layout`);
* checkpoints of PyTorch Lightning, such as those of arXiv:2604.26841 (Duo's code), and a state
  dict alone as torch.save writes it. They are pickles, which can run any code when they are opened
  with torch or Python; our own reader runs none (`models.released.files.pickle_reader`);
* folders of UDLM in Hugging Face's layout, `config.json` and `model.safetensors`;
* our own checkpoints, `<path>.safetensors` and `<path>.json` (`models.released.checkpoint`);
* any of these on the Hugging Face hub, at a pinned revision (`models.released.hub`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from am_theory.channel import LogLinear
from models.errors import CheckpointError
from models.networks.dit import DiT
from models.released import hub
from models.released.authors_layout import EMBEDDING, shadow_named
from models.released.authors_layout import from_named as from_named
from models.released.authors_layout import to_named as to_named
from models.released.checkpoint import load_model
from models.released.files.pickle_reader import read_checkpoint
from models.released.files.pickle_values import Inert
from models.released.files.safe_tensors import open_tensors
from models.released.files.torch_archive import open_file
from models.released.files.torch_tensors import Tensor, check_reading

Weights = Literal["ema", "raw"]
CONFIG = 1 << 20  # bytes of a config.json
NESTED = 8  # of settings within settings
# Settings under which the authors' code computes something else than our network.
NEEDED = {"time_conditioning": True, "causal_attention": False, "causal": False}


@dataclass(frozen=True)
class Released:
    """A network and where it comes from.

    weights: "ema" or "raw", or "sole" where the file has one kind and does not say which.
    source_kind: "safetensors", "lightning", "torch state dict", "udlm" or "ours".
    details: plain values from the file, such as epoch, global_step and ema_decay; where the
        weights are not those asked for, a sentence under "note"; of the hub, "hub" and "commit".
    """

    model: DiT
    weights: str
    source_kind: str
    details: Mapping[str, Any]


class Asked(NamedTuple):
    """What the caller says of the network; None for what the file is to say."""

    n_heads: int | None
    seq_len: int | None
    schedule: Any
    dtype: Any
    weights: Weights


def open_released(
    path: str | Path,
    n_heads: int | None = None,
    seq_len: int | None = None,
    schedule: Any = None,
    dtype: Any = None,
    weights: Weights = "ema",
) -> Released:
    """Read a released network, with nothing in its files executed.

    Parameters
    ----------
    path : a file or a folder of the kinds above; ours also without `.safetensors`. A name that
        no local file has may be one of the hub's, `owner/name@revision` or
        `owner/name@revision:FILE`: see `models.released.hub`.
    n_heads, seq_len, dtype : as `from_named`, each only needed where the file does not say.
    schedule : alpha(t) of its training; None for that of the file, else LogLinear with eps = 1e-3.
    weights : "ema", the moving average, or "raw", those of the last step. Only Lightning
        checkpoints have both; of others, and of one without an average, the ones there are.

    Raises
    ------
    CheckpointError, one sentence, where the file cannot be read, is cut short, of another kind or
    contradicts the arguments, and as `from_named`. ValueError for other `weights`, or for weights
    of a type that JAX is not set to.

    Notes
    -----
    Only the tensors asked for are read, one after another: about 1.4 times their bytes of memory,
    the network itself included. Pickles: see `pickle_reader.read_checkpoint`.

    >>> open_released("no such file")
    Traceback (most recent call last):
    models.errors.CheckpointError: no such file cannot be read: No such file or directory.
    """
    if weights not in ("ema", "raw"):
        raise ValueError(f"`weights` must be 'ema' or 'raw'; got {weights!r}.")
    file, asked = Path(path), Asked(n_heads, seq_len, schedule, dtype, weights)
    if file.is_dir():
        return _udlm(file, asked)
    if not file.exists():
        if Path(f"{file}.json").exists():
            return _ours(file, asked)
        if hub.is_hub_name(str(file)):
            place = hub.parse(str(file))
            local, commit = hub.fetch(place)
            found = open_released(local, *asked)
            source = {"hub": str(place), "commit": commit}
            return replace(found, details={**found.details, **source})
    with open_file(file) as stream:
        start = stream.read(9)
        size = stream.seek(0, 2)
    header = int.from_bytes(start[:8], "little")  # where the file is of safetensors
    if not (start[8:] == b"{" and header + 8 <= size):
        if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
            return _torch(file, asked)
        if start[:1] == b"\x80" and start[1:2] <= b"\x05" and start[5:8] != bytes(3):
            raise CheckpointError(
                f"{file} is a pickle without the zip container that torch.save has written since "
                "torch 1.6: load and save it again with torch, where you trust it."
            )
        if start[:1] == b"{":
            return _ours(file.with_suffix(""), asked)
    named = open_tensors(file)
    if "blocks.qkv.weight" in named and file.suffix == ".safetensors":
        return _ours(file.with_suffix(""), asked)
    model = _network(file, named, asked)
    return Released(model, "sole", "safetensors", {"note": f"{file.name} has one kind of weights."})


def _network(file: Path, named: Mapping[str, Any], asked: Asked) -> DiT:
    schedule = LogLinear() if asked.schedule is None else asked.schedule
    try:
        return from_named(named, asked.n_heads, asked.seq_len, schedule, asked.dtype)
    except CheckpointError as error:
        raise _named_after(file, error) from error


def _named_after(file: Path, error: CheckpointError) -> CheckpointError:
    text = str(error)
    return error if text.startswith(str(file)) else CheckpointError(f"{file}: {text}")


def _ours(path: Path, asked: Asked) -> Released:
    model, extra = load_model(path, asked.dtype)
    if not isinstance(model, DiT):
        kind = type(model).__name__
        raise CheckpointError(
            f"{path} holds an {kind}, no transformer: read it by "
            "models.released.checkpoint.load_model."
        )
    for name in ("n_heads", "seq_len", "schedule"):
        _agreed(path, name, getattr(asked, name), getattr(model, name))
    note = {"note": "a checkpoint of ours has one kind of weights."}
    return Released(model, "sole", "ours", {"extra": extra} | note)


def _udlm(folder: Path, asked: Asked) -> Released:
    config = _config(folder / "config.json")
    _refuse_other_networks(folder, config)
    heads = _agreed(folder, "n_heads", asked.n_heads, _whole(config.get("n_heads")))
    length = _agreed(folder, "seq_len", asked.seq_len, _whole(config.get("model_length")))
    file = folder / "model.safetensors"
    model = _network(file, open_tensors(file), asked._replace(n_heads=heads, seq_len=length))
    found = {
        "vocab_size": model.vocab_size,
        "hidden_dim": model.shape.width,
        "n_blocks": model.shape.n_blocks,
        "cond_dim": model.shape.cond_dim,
        "cfg": model.labels is not None,
    }
    if model.labels is not None:
        found["cfg_num_classes"] = model.labels.shape[0] - 1
    for name, value in found.items():
        if config.get(name, value) != value:
            raise CheckpointError(
                f"{folder}: config.json has another `{name}` than the tensors, which have {value}."
            )
    note = {"note": f"{file.name} has one kind of weights."}
    return Released(model, "sole", "udlm", found | note)


def _config(file: Path) -> dict[str, Any]:
    with open_file(file) as stream:
        content = stream.read(CONFIG + 1)
    try:
        config = json.loads(content) if len(content) <= CONFIG else None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is no JSON that can be read.") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{file} holds no settings.")
    return config


def _torch(file: Path, asked: Asked) -> Released:
    tree = read_checkpoint(file)
    whole = tree if isinstance(tree, dict) else {}
    bare = "state_dict" not in whole
    state, ema = (whole, None) if bare else (whole["state_dict"], whole.get("ema"))
    names = [name for name in state if isinstance(name, str)] if isinstance(state, dict) else []
    if not any(name.endswith(EMBEDDING) for name in names) or len(names) < len(state):
        raise CheckpointError(f"{file} holds no `state_dict` with a tensor `...{EMBEDDING}`.")
    settings = _settings(whole)
    _refuse_other_networks(file, settings)
    details = {
        name: whole[name]
        for name in ("epoch", "global_step", "pytorch-lightning_version")
        if isinstance(whole.get(name), int | float | str)
    }
    named, weights = dict(state), "raw"
    if ema is None:
        if bare or asked.weights == "ema":
            details["note"] = f"{file.name} has no moving average, only one kind of weights."
        weights = "sole" if bare else "raw"
    elif asked.weights == "ema":
        try:
            named = shadow_named(state, ema.get("shadow_params") if isinstance(ema, dict) else None)
        except CheckpointError as error:
            raise _named_after(file, error) from error
        weights = "ema"
        decay = ema.get("decay")
        details |= {"ema_decay": decay} if isinstance(decay, int | float) else {}
    for name, tensor in named.items():
        if not isinstance(tensor, Tensor):
            raise CheckpointError(f"{file}: `{name[:80]}` of its weights is no tensor.")
    check_reading(named)
    heads, length = asked.n_heads, _whole(settings.get("length"))
    if not any(name.endswith("rotary_emb.inv_freq") for name in named):
        heads = _agreed(file, "n_heads", heads, _whole(settings.get("n_heads")))
    length = _agreed(file, "seq_len", asked.seq_len, length)
    model = _network(file, named, asked._replace(n_heads=heads, seq_len=length))
    return Released(model, weights, "torch state dict" if bare else "lightning", details)


def _settings(tree: dict[Any, Any]) -> dict[str, Any]:
    """Settings of the network in Lightning's hyperparameters, as plain dicts or omegaconf's."""
    found = _plain(tree.get("hyper_parameters"))
    config = _plain(found.get("config")) or found
    parts = [found, _plain(config.get("algo")), _plain(config.get("model"))]
    return {name: _plain_value(value) for part in parts for name, value in part.items()}


def _plain_value(value: Any) -> Any:
    """What an omegaconf node, read as an Inert, holds; anything else as it is."""
    for _ in range(NESTED):
        state = value.state if isinstance(value, Inert) else None
        if not isinstance(state, dict):
            return value
        value = state.get("_content", state.get("_val"))
    return None


def _plain(value: Any) -> dict[Any, Any]:
    found = _plain_value(value)
    return found if isinstance(found, dict) else {}


def _refuse_other_networks(file: Path, settings: Mapping[str, Any]) -> None:
    for name, value in NEEDED.items():
        if type(settings.get(name)) is bool and settings[name] != value:
            raise CheckpointError(
                f"{file} is of another network: its setting `{name}` is {settings[name]}."
            )


def _whole(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None


def _agreed(file: Path, name: str, given: Any, found: Any) -> Any:
    """What the caller or the file says; CheckpointError where both do and differ."""
    if given is not None and found is not None and given != found:
        raise CheckpointError(f"{file} says {name} = {found}; `{name}` is {given}.")
    return found if given is None else given
