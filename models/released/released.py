"""Networks that other people trained, from the files they publish, with nothing executed.

Read, and told apart by what they hold, not by their names:

* diffusion transformers in the layout of Duo, UDLM, MDLM, SEDD, GIDD and the paper's authors
  (`models.released.authors_layout`): `.safetensors`, folders of the hub with `config.json`, also in
  shards, PyTorch and Lightning checkpoints. Those are pickles, which can run any code when they
  are opened with torch or Python; our own reader runs none (`models.released.files.pickle_reader`);
* our own checkpoints, `<path>.safetensors` and `<path>.json` (`models.released.checkpoint`);
* any of these on the Hugging Face hub, at a pinned revision (`models.released.hub`).

The layout does not say what the numbers mean: `models.released.families` reads the settings for
that, the caller states what they leave open, and what nobody says is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from models.denoiser import Denoiser, channel_of
from models.errors import CheckpointError
from models.released import hub
from models.released.authors_layout import CACHED, check_layout
from models.released.authors_layout import from_named as from_named
from models.released.authors_layout import to_named as to_named
from models.released.build import Form, build, rows_of
from models.released.checkpoint import load_model
from models.released.families import recognize
from models.released.files.folder import CONFIG
from models.released.files.safe_tensors import open_tensors
from models.released.files.settings import NOTHING, Settings
from models.released.files.torch_archive import open_file
from models.released.files.what import wrong_kind
from models.released.gidd_layout import MASK_ID, open_gidd
from models.released.record import Record, Said, agreed, complete
from models.released.source import Source, Weights, of_folder, of_torch
from models.released.state import unwrapped
from models.released.stated import UNSTATED, Compute, Stated


@dataclass(frozen=True)
class Released:
    """A network and where it comes from.

    model: the denoiser; its laws are `loo`, whatever the network puts out.
    record: noise, law, clock and training, each with who says so.
    weights: "ema" or "raw", or "sole" where the file has one kind and does not say which.
    source_kind: "safetensors", "lightning", "torch state dict", "folder" or "ours".
    details: plain values from the file, such as epoch, global_step and ema_decay; where the
        weights are not those asked for, a sentence under "note"; of the hub, "hub" and "commit".
    """

    model: Denoiser
    record: Record
    weights: str
    source_kind: str
    details: Mapping[str, Any]


def open_released(
    path: str | Path,
    n_heads: int | None = None,
    seq_len: int | None = None,
    dtype: Any = None,
    weights: Weights = "ema",
    stated: Stated = UNSTATED,
    compute: Compute = "float32",
) -> Released:
    """Read a released network, with nothing in its files executed.

    Parameters
    ----------
    path : a file or a folder of the kinds above; ours also without `.safetensors`. A name that
        no local file has may be one of the hub's, `owner/name@revision` or
        `owner/name@revision:FILE`: see `models.released.hub`.
    n_heads, seq_len : as `from_named`, each only needed where the file does not say.
    dtype : of the weights in memory; None keeps them as they are, float64 ones as float32 where
        JAX is not set to float64.
    weights : "ema", the moving average, or "raw", those of the last step; where a file has one
        kind, that one.
    stated : noise, law, clock, mask and vocabulary, where the file does not say.
    compute : type in which half-precision weights are computed.

    Raises
    ------
    CheckpointError, one sentence, where the file cannot be read, is cut short, of another kind,
    of a network that would be misread, contradicts the arguments, or leaves open what its numbers
    mean; and as `from_named`. ValueError for other arguments.

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
    if compute not in ("float32", "bfloat16"):
        raise ValueError(f"`compute` must be 'float32' or 'bfloat16'; got {compute!r}.")
    file, form = Path(path), Form(n_heads, seq_len, dtype, compute)
    if file.is_dir():
        run = file / "model"  # of models.training
        if run.with_suffix(".json").is_file() and not (file / CONFIG).exists():
            return _ours(run, form, stated)
        return _opened(file, of_folder(file, weights), form, stated)
    if not file.exists():
        if Path(f"{file}.json").exists():
            return _ours(file, form, stated)
        if hub.is_hub_name(str(file)):
            place = hub.parse(str(file))
            local, commit = hub.fetch(place)
            _refuse_distilled(str(place), stated)
            found = open_released(local, n_heads, seq_len, dtype, weights, stated, compute)
            return replace(found, details={**found.details, "hub": str(place), "commit": commit})
    with open_file(file) as stream:
        start = stream.read(512)
        size = stream.seek(0, 2)
    header = int.from_bytes(start[:8], "little")  # where the file is of safetensors
    if not (start[8:9] == b"{" and header + 8 <= size):
        if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
            return _opened(file, of_torch(file, weights, NOTHING), form, stated)
        if start[:1] == b"{":
            if file.name.endswith(".index.json"):
                return _opened(file.parent, of_folder(file.parent, weights), form, stated)
            return _ours(file.with_suffix(""), form, stated)
        raise CheckpointError(wrong_kind(file, start, size))
    named = open_tensors(file)
    if "blocks.qkv.weight" in named and file.suffix == ".safetensors":
        return _ours(file.with_suffix(""), form, stated)
    note = {"note": f"{file.name} has one kind of weights."}
    source = Source(unwrapped(file, named), NOTHING, "sole", "safetensors", note)
    return _opened(file, source, form, stated)


def _opened(file: Path, source: Source, form: Form, stated: Stated) -> Released:
    """The network of these tensors, read as its settings and the caller say."""
    settings = source.settings
    if settings.text("model_type") == "gidd":
        return _gidd(file, source, form, stated)
    record = recognize(file, settings, rows_of(source.named))
    if record.time.value is None and any(name.endswith(CACHED) for name in source.named):
        record = replace(record, time=Said("t", "the buffers of GIDD's code"))
    record = agreed(file, record, stated)
    try:
        check_layout(source.named)
    except CheckpointError as error:
        raise _named_after(file, error) from error
    record = complete(file, record)
    names = ("n_heads", "num_attention_heads"), ("length", "model_length", "max_seq_len")
    heads, length = (_first(settings, those) for those in names)
    if any(name.endswith("rotary_emb.inv_freq") for name in source.named):
        heads = form.n_heads if source.kind != "folder" else heads  # checked against the tensor
    form = replace(
        form,
        n_heads=_agreed(file, "n_heads", form.n_heads, heads),
        seq_len=_agreed(file, "seq_len", form.seq_len, length),
        dtype=_held(source.named) if form.dtype is None else form.dtype,
    )
    try:
        model = build(file, source.named, record, form)
    except CheckpointError as error:
        raise _named_after(file, error) from error
    _check_sizes(file, settings, model, rows_of(source.named))
    values = Said(model.vocab_size, record.vocab_size.where)
    record = replace(record, vocab_size=values)
    return Released(model, record, source.weights, source.kind, source.details)


def _gidd(file: Path, source: Source, form: Form, stated: Stated) -> Released:
    """A network of the second GIDD, which has a trunk of its own."""
    try:
        model = open_gidd(
            source.settings.tree, source.named, form.seq_len, form.compute or "float32"
        )
    except CheckpointError as error:
        raise _named_after(file, error) from error
    said = source.settings.named("model_type")
    record = Record(
        "gidd",
        channel=Said(type(model.channel).__name__.lower(), source.settings.named("noise_type")),
        law=Said("loo", said),
        schedule=Said("alpha linear between two log signal-to-noise ratios", said),
        time=Said("nothing", said),
        training=Said("evidence bound, reweighted by level", said),
        mask_id=Said(MASK_ID, "the family's tokenizer"),
        vocab_size=Said(model.vocab_size, said),
    )
    record = agreed(file, record, stated)
    return Released(model, record, source.weights, source.kind, source.details)


def _named_after(file: Path, error: CheckpointError) -> CheckpointError:
    text = str(error)
    return error if text.startswith(str(file)) else CheckpointError(f"{file}: {text}")


def _first(settings: Settings, names: tuple[str, ...]) -> int | None:
    found = (settings.network(name) for name in names)
    return next((value for value in found if type(value) is int and value > 0), None)


def _held(named: Mapping[str, Any]) -> Any:
    """float32 for float64 tensors that JAX is not set to hold; None for all others."""
    wide = any(getattr(a, "dtype", None) == np.float64 for a in named.values())
    return np.float32 if wide and jax.dtypes.canonicalize_dtype(np.float64) != np.float64 else None


def _ours(path: Path, form: Form, stated: Stated) -> Released:
    model, extra = load_model(path, form.dtype)
    for name in ("n_heads", "seq_len"):
        _agreed(path, name, getattr(form, name), getattr(model, name, None))
    note = {"note": "a checkpoint of ours has one kind of weights."}
    record = agreed(path, _our_record(model, f"{path.name}.json"), stated)
    return Released(model, record, "sole", "ours", {"extra": extra} | note)


def _our_record(model: Any, where: str) -> Record:
    noise = channel_of(model)
    share = getattr(noise, "p_uniform", None)
    schedule = type(model.schedule).__name__
    names = {"LogLinear": "log-linear", "Linear": "linear", "Cosine": "cosine"}
    return Record(
        "this toolkit",
        channel=Said(type(noise).__name__.lower(), where),
        p_uniform=Said(share, where),
        law=Said("loo", where),
        schedule=Said(names.get(schedule, schedule), where),
        time=Said("sigma" if getattr(model, "timed", True) else "nothing", where),
        mask_id=Said(noise.mask_id, where),
        vocab_size=Said(noise.vocab_size, where),
    )


def _check_sizes(file: Path, settings: Settings, model: Any, rows: int) -> None:
    """Refuse settings that speak of a network of another size than the tensors make."""
    net = getattr(model, "net", model)
    found = {
        "hidden_dim": net.shape.width,
        "hidden_size": net.shape.width,
        "n_blocks": net.shape.n_blocks,
        "num_hidden_layers": net.shape.n_blocks,
        "cond_dim": net.shape.cond_dim,
        "timestep_cond_dim": net.shape.cond_dim,
        "cfg": net.labels is not None,
    }
    if net.labels is not None:
        found["cfg_num_classes"] = net.labels.shape[0] - 1
    if settings.get("p_uniform") is None:  # GIDD rounds its vocabulary up
        found["vocab_size"] = rows
    for name, value in found.items():
        said = settings.network(name)
        if type(said) in (int, bool) and said != value:
            raise CheckpointError(
                f"{file}: {settings.where} has another `{name}` than the tensors, which have "
                f"{value}."
            )


def _refuse_distilled(name: str, stated: Stated) -> None:
    """A name of the hub that says so, where the files do not."""
    if "distill" in name.lower() and stated.law is None:
        raise CheckpointError(
            f"{name} names a distilled network, which has no leave-one-out law: its outputs map to "
            "the end of few large steps. Take the network before distillation, or state the law "
            "by --law where the name misleads."
        )


def _agreed(file: Path, name: str, given: Any, found: Any) -> Any:
    """What the caller or the file says; CheckpointError where both do and differ."""
    if given is not None and found is not None and given != found:
        raise CheckpointError(f"{file} says {name} = {found}; `{name}` is {given}.")
    return found if given is None else given
