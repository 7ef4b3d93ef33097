"""Which tensors of a checkpoint are the network, and which its moving average.

Everybody saves them under another name. What is looked for is a dict of tensors among whose names
is that of an embedding; where it lies says whether it is the average. Two of a kind are never
chosen between.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from models.errors import CheckpointError
from models.released.authors_layout import EMBEDDING, shadow_named
from models.released.files.pickle_values import Inert
from models.released.files.torch_tensors import Tensor

# Parts of a name that wrappers of PyTorch put into it: compiled, sharded, recomputed modules.
WRAPPERS = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
AVERAGE = re.compile(r"(?:^|[._])(?:ema|swa|averag\w*|shadow\w*)(?:$|[._])", re.IGNORECASE)
EMBEDDINGS = (EMBEDDING, "embed_tokens.weight")
DEPTH = 4  # of dicts in which a state is looked for
SAVE = "torch.save(model.state_dict(), FILE)"

Named = dict[str, Any]


class States(NamedTuple):
    """Tensors of the last step and of the moving average by name, None where there are none.

    decay : of the average, where the file says it. names : the places they were found at.
    """

    raw: Named | None
    average: Named | None
    decay: float | None
    names: tuple[str, ...]


def unwrapped(file: Any, tensors: Mapping[str, Any]) -> Named:
    """The same tensors without the marks of wrappers in their names."""
    found: Named = {}
    for name, tensor in tensors.items():
        plain = WRAPPERS.sub("", name)
        if plain in found:
            raise CheckpointError(f"{file} has the tensor `{plain}` twice, in two wrappers.")
        found[plain] = tensor
    return found


def states_of(file: Path, tree: Any) -> States:
    """The states of a torch checkpoint, as `pickle_reader.read_checkpoint` gives it.

    Raises CheckpointError, one sentence, where there is none, or more than one of a kind.
    """
    found = dict(_states(file, tree, "", 0))
    whole = tree if isinstance(tree, dict) else {}
    if "current_model_state" in found and "state_dict" in found:  # Lightning averages weights
        raw = {"current_model_state": found.pop("current_model_state")}
        average = {"state_dict": found.pop("state_dict")}
        found = {}
    else:
        average = {name: state for name, state in found.items() if AVERAGE.search(name)}
        raw = {name: state for name, state in found.items() if name not in average}
    decay, listed = None, _listed(whole.get("ema"))
    for state in raw.values():
        if listed is not None:
            average["ema.shadow_params"] = _by_order(file, state, listed)
            break
    if not raw and not average:
        raise CheckpointError(_nothing(file, tree))
    for kind, states in (("weights", raw), ("moving averages", average)):
        if len(states) > 1:
            places = ", ".join(f"`{name}`" for name in states)
            raise CheckpointError(
                f"{file} has more than one set of {kind}, {places}: save the one that is meant by "
                f"{SAVE}."
            )
    ema = whole.get("ema")
    if isinstance(ema, dict) and type(ema.get("decay")) in (int, float):
        decay = float(ema["decay"])
    one, mean = (next(iter(states.values()), None) for states in (raw, average))
    return States(one, mean, decay, (*raw, *average))


def _states(file: Path, value: Any, name: str, depth: int) -> Iterator[tuple[str, Named]]:
    """Every dict of tensors that has an embedding, by its place."""
    if not isinstance(value, dict) or depth > DEPTH:
        return
    names = [key for key in value if isinstance(key, str)]
    if any(key.endswith(EMBEDDINGS) for key in names):
        if len(names) < len(value):
            raise CheckpointError(f"{file}: `{name or 'the whole'}` has names that are no text.")
        yield from _halves(file, value, name)
        return
    for key in names:
        yield from _states(file, value[key], f"{name}.{key}" if name else key, depth + 1)


def _halves(file: Path, state: Named, name: str) -> Iterator[tuple[str, Named]]:
    """One state, or the two that are kept in one dict by the prefixes of their names."""
    parts = {"ema_model.": f"{name}.ema_model", "online_model.": f"{name}.online_model"}
    if any(key.startswith("ema_model.") for key in state):
        for prefix, place in parts.items():
            half = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            if half:
                yield place.removeprefix("."), half
        return
    if "n_averaged" in state:  # of torch's AveragedModel
        state = {key: value for key, value in state.items() if key != "n_averaged"}
        name = f"{name}.averaged".removeprefix(".")
    yield name or "state_dict", state


def _listed(ema: Any) -> Any:
    """An average that is a list without names; a mapping that is none is one that lacks it."""
    if ema is None or (isinstance(ema, dict) and any(_holds(v) for v in (ema, *ema.values()))):
        return None
    return ema.get("shadow_params", "none") if isinstance(ema, dict) else "none"


def _holds(value: Any) -> bool:
    return isinstance(value, dict) and any(
        isinstance(key, str) and key.endswith(EMBEDDINGS) for key in value
    )


def _by_order(file: Path, state: Named, listed: Any) -> Named:
    try:
        return shadow_named(tensors_iv(file, state), listed)
    except CheckpointError as error:
        text = str(error)
        raise CheckpointError(text if text.startswith(str(file)) else f"{file}: {text}") from error


def tensors_iv(file: Path, state: Named) -> Named:
    """The state without wrappers, if all of it are tensors; CheckpointError for other things."""
    for name, tensor in state.items():
        if isinstance(tensor, Inert) and "distributed" in f"{tensor.module}.{_classes(tensor)}":
            raise CheckpointError(
                f"{file}: `{name[:80]}` is one shard of a tensor that lies on several devices: "
                "gather them (`full_tensor()`) and save again."
            )
        if not isinstance(tensor, Tensor):
            raise CheckpointError(f"{file}: `{name[:80]}` of its weights is no tensor.")
    return unwrapped(file, state)


def _classes(value: Inert) -> str:
    """Names of modules among what an object was made of."""
    return " ".join(str(getattr(part, "module", "")) for part in value.args)


def _nothing(file: Path, tree: Any) -> str:
    """What a file without a network holds, and what to save instead."""
    if isinstance(tree, Inert):
        return (
            f"{file} is a whole object of class {tree.module}.{tree.name}, which only its own code "
            f"can open: save its weights alone, by {SAVE}."
        )
    what = "nothing"
    if isinstance(tree, dict) and tree:
        what = ", ".join(repr(key)[:40] for key in list(tree)[:8])
    elif isinstance(tree, list | tuple):
        what = f"a list of {len(tree)}"
    return (
        f"{file} holds no `state_dict` with a tensor `...{EMBEDDING}`; it holds {what}. "
        f"Save the weights of the network by name, by {SAVE}."
    )
