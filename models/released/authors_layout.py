"""Networks in the tensor layout of the paper's authors, to and from ours.

The layout is that of arXiv:2604.26841 and, with the same names, of Duo, UDLM, MDLM, SEDD and GIDD:
matrices are (fan_out, fan_in), blocks apart. Ours are (fan_in, fan_out), all blocks stacked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from am_theory.channel import Channel, LogLinear
from models.errors import CheckpointError
from models.networks.dit import N_FREQUENCIES, DiT, Shape
from models.networks.dit_layers import SLOWEST
from models.released.files.held import aligned, as_weights, fill
from models.tokens import check_vocabulary

EMBEDDING = "vocab_embed.embedding"
TIME_IN = "sigma_map.mlp.0"
INV_FREQ = "rotary_emb.inv_freq"  # a buffer, not a parameter: rotary frequencies of one head
CACHED = ("rotary_emb.cos_cached", "rotary_emb.sin_cached")  # GIDD's, (1, L, 3, 1, head)
BIAS = "logit_bias"  # GIDD's, added to the logit of the present token
BUFFERS = (INV_FREQ, *CACHED, BIAS)
LABELS = "cond_map.embedding_table.weight"
BY_ID = ("embedding", "readout.weight", "readout.bias")  # fields with a row or column an id
SHOWN = 5  # findings in a message


class Place(NamedTuple):
    """One tensor: the authors' name and shape; our field, block and whether we transpose."""

    name: str
    shape: tuple[int, ...]
    field: str
    block: int | None
    transposed: bool


class Ids(NamedTuple):
    """Which of the network's ids are the values, in order, and which is the mask."""

    values: NDArray[np.integer]
    mask: int | None = None


def places(vocab_size: int, width: int, n_blocks: int, cond: int, classes: int) -> Iterator[Place]:
    """Every tensor, in the order of the authors' parameters; `classes` counts rows of labels."""

    def linear(
        name: str, fan_in: int, fan_out: int, field: str, k: int | None = None
    ) -> Iterator[Place]:
        yield Place(f"{name}.weight", (fan_out, fan_in), f"{field}.weight", k, True)
        if not name.endswith(("attn_qkv", "attn_out")):
            yield Place(f"{name}.bias", (fan_out,), f"{field}.bias", k, False)

    yield Place(EMBEDDING, (vocab_size, width), "embedding", None, False)
    yield from linear(TIME_IN, 2 * N_FREQUENCIES, cond, "time_in")
    yield from linear("sigma_map.mlp.2", cond, cond, "time_out")
    if classes:
        yield Place(LABELS, (classes, cond), "labels", None, False)
    for k in range(n_blocks):
        at = f"blocks.{k}"
        yield Place(f"{at}.norm1.weight", (width,), "blocks.norm1", k, False)
        yield from linear(f"{at}.attn_qkv", width, 3 * width, "blocks.qkv", k)
        yield from linear(f"{at}.attn_out", width, width, "blocks.out", k)
        yield Place(f"{at}.norm2.weight", (width,), "blocks.norm2", k, False)
        yield from linear(f"{at}.mlp.0", width, 4 * width, "blocks.up", k)
        yield from linear(f"{at}.mlp.2", 4 * width, width, "blocks.down", k)
        yield from linear(f"{at}.adaLN_modulation", cond, 6 * width, "blocks.modulation", k)
    yield Place("output_layer.norm_final.weight", (width,), "final_norm", None, False)
    yield from linear("output_layer.linear", width, vocab_size, "readout")
    yield from linear("output_layer.adaLN_modulation", cond, 2 * width, "final_modulation")


def from_named(
    tensors: Mapping[str, Any],
    n_heads: int | None = None,
    seq_len: int | None = None,
    schedule: Any = LogLinear(),
    dtype: Any = None,
    ids: Ids | None = None,
    channel: Channel | None = None,
    timed: bool = True,
    wide: bool = False,
) -> DiT:
    """Our network from the authors' tensors by name; the inverse of `to_named`.

    Parameters
    ----------
    tensors : arrays by name, all names with one prefix (`backbone.`, or any other, or none).
        Width, depth, width of the noise embedding, vocabulary and classes follow from them.
        Lazy ones (with `shape`, `dtype` and `__array__`) are read one after another.
    n_heads : attention heads; only needed without the buffer `rotary_emb.inv_freq`.
    seq_len : length the network was trained on; None for not known.
    schedule : alpha(t) of its training; the authors have LogLinear with eps = 1e-3.
    dtype : of the weights; None keeps that of the tensors. float64 needs `jax.enable_x64(True)`.
    ids : the ids that are kept, of more; None for all, and no mask. Rows of the embedding come in
        this order, then the mask's; the readout has none for the mask.
    channel, timed, wide : of our network; see `DiT`.

    Raises
    ------
    CheckpointError naming each tensor that is missing, misshapen, not floating or not part of the
    network, or where the number of heads is not known or does not fit.
    """
    prefix, named, inv_freq = _parts(tensors)
    vocab_size, width, n_blocks, cond, _ = sizes = _sizes(named, prefix)
    check_tensors(named, wanted := list(places(*sizes)), prefix)
    n_heads = _heads(inv_freq, n_heads, width, prefix)
    try:
        Shape(width, n_blocks, n_heads, cond)
        check_vocabulary(vocab_size)
        # The smallest network of these settings; all of its arrays are then replaced.
        smallest = Shape(2 * n_heads, 1, n_heads, 1)
        told = seq_len, schedule, 0.0, channel, timed, wide
        blank = DiT(jax.random.key(0), 2, smallest, *told)
    except ValueError as error:
        raise CheckpointError(f"the tensors make no network: {error}") from error
    fields: dict[str, list[Place]] = {}
    for place in wanted:
        fields.setdefault(place.field, []).append(place)
    # the largest first, so that what is held beside it while it is read is little
    largest = sorted(fields, key=lambda f: -math.prod(fields[f][0].shape) * len(fields[f]))
    weights = {f: _weights(named, fields[f], dtype, _kept(f, ids)) for f in largest}
    values = [weights[f] for f in fields]
    return eqx.tree_at(
        lambda m: [attrgetter(f)(m) for f in fields], blank, values, is_leaf=lambda x: x is None
    )


def check_layout(tensors: Mapping[str, Any]) -> None:
    """Raise CheckpointError, as `from_named`, for tensors that make no network."""
    prefix, named, _ = _parts(tensors)
    check_tensors(named, list(places(*_sizes(named, prefix))), prefix)


def _parts(tensors: Mapping[str, Any]) -> tuple[str, dict[str, Any], Any]:
    """The prefix of all names, the parameters without it, and the rotary frequencies."""
    prefix = _prefix(tensors)
    named = {
        name.removeprefix(prefix): a if hasattr(a, "__array__") else np.asarray(a)
        for name, a in tensors.items()
    }
    return prefix, named, _frequencies(named, prefix)


def to_named(model: DiT, prefix: str = "backbone.", buffers: bool = False) -> dict[str, Any]:
    """The authors' tensors by name, as NumPy arrays, of a network or of a gradient in its form.

    With `buffers` the rotary frequencies are among them, from which the number of heads follows.
    """
    shape, classes = model.shape, 0 if model.labels is None else model.labels.shape[0]
    sizes = model.embedding.shape[0], shape.width, shape.n_blocks, shape.cond_dim, classes
    named = {}
    for name, _, field, block, transposed in places(*sizes):
        array = np.asarray(attrgetter(field)(model))[... if block is None else block]
        named[prefix + name] = np.ascontiguousarray(array.T) if transposed else array
    if buffers:
        named[prefix + INV_FREQ] = _rates(shape.width // model.n_heads).astype(np.float32)
    return named


def shadow_named(state: Mapping[str, Any], shadow: Any) -> dict[str, Any]:
    """Moving averages by name, from a list without names in the order of the parameters.

    `state` the raw tensors by name, from which the sizes follow; its buffers are kept. Raises
    CheckpointError for a list of another length; shapes are checked by `from_named`.
    """
    prefix = _prefix(state)
    named = {name.removeprefix(prefix): a for name, a in state.items()}
    names = [prefix + place.name for place in places(*_sizes(named, prefix))]
    if not isinstance(shadow, list | tuple) or len(shadow) != len(names):
        has = f"{len(shadow)} tensors" if isinstance(shadow, list | tuple) else "no list"
        raise CheckpointError(f"its moving average has {has}, and the network {len(names)}.")
    buffers = {prefix + name: named[name] for name in BUFFERS if name in named}
    return dict(zip(names, shadow, strict=True)) | buffers


def _rates(head_dim: int) -> NDArray[np.float64]:
    return np.asarray(SLOWEST ** (-np.arange(0, head_dim, 2) / head_dim))


def _frequencies(named: dict[str, Any], prefix: str) -> Any:
    """The rotary frequencies of a head, from the buffer that has them or GIDD's cosines of them;
    buffers are taken out of `named`."""
    if np.any(np.asarray(named.pop(BIAS, 0)) != 0):
        raise CheckpointError(f"tensor `{prefix}{BIAS}` is not 0; this network has no use for it.")
    cos, sin = (named.pop(name, None) for name in CACHED)
    if cos is None:
        return named.pop(INV_FREQ, None)
    if sin is None or cos.ndim != 5 or cos.shape != sin.shape or min(cos.shape[1:3]) < 2:
        raise CheckpointError(f"tensor `{prefix}{CACHED[0]}` has no form that is known.")
    angles = [np.asarray(table)[0, 1, 0, 0].astype(float) for table in (cos, sin)]
    rates = np.arctan2(angles[1], angles[0])
    if not np.allclose(rates[: len(rates) // 2], rates[len(rates) // 2 :], atol=1e-6):
        raise CheckpointError(f"tensor `{prefix}{CACHED[0]}` holds other angles than known.")
    return rates[: len(rates) // 2]  # position 1: angles are the frequencies, at most 1


def _prefix(tensors: Iterable[str]) -> str:
    if not (found := [n.removesuffix(EMBEDDING) for n in tensors if n.endswith(EMBEDDING)]):
        raise CheckpointError(f"tensor `backbone.{EMBEDDING}` is missing.")
    return min(found, key=len)  # a second network, such as a teacher's, is then reported as extra


def _sizes(named: Mapping[str, Any], prefix: str) -> tuple[int, int, int, int, int]:
    """The arguments of `places`, by the tensors that set them."""

    def shape(name: str) -> tuple[int, ...]:
        found = named[name].shape if name in named else None
        if found is None or len(found) != 2:
            what = "is missing" if found is None else f"has shape {found}, expected two axes"
            raise CheckpointError(f"tensor `{prefix}{name}` {what}.")
        return found

    numbers = {found[1] for name in named if (found := re.match(r"blocks\.(\d+)\.", name))}
    n_blocks = max(1, len(numbers))  # of the names present: a large number in one costs nothing
    (vocab_size, width), (cond, _) = shape(EMBEDDING), shape(f"{TIME_IN}.weight")
    return vocab_size, width, n_blocks, cond, shape(LABELS)[0] if LABELS in named else 0


def check_tensors(named: Mapping[str, Any], wanted: list[Place], prefix: str) -> None:
    """Raise CheckpointError for what is missing, misshapen, not floating or not wanted."""
    shapes = {place.name: place.shape for place in wanted}
    problems = [f"tensor `{prefix}{name}` is missing." for name in shapes if name not in named]
    for name, array in named.items():
        what = f"tensor `{prefix}{name}`"
        if name not in shapes:
            problems.append(f"{what} is no part of this network.")
        elif array.shape != shapes[name]:
            problems.append(f"{what} has shape {array.shape}, expected {shapes[name]}.")
        elif not jnp.issubdtype(array.dtype, jnp.floating) or array.dtype.itemsize < 2:
            problems.append(f"{what} has dtype {array.dtype}, expected floats of 16 bits or more.")
    if len(problems) > SHOWN:
        problems[SHOWN:] = [f"And {len(problems) - SHOWN} more."]
    if problems:
        raise CheckpointError(" ".join(problems))


def _heads(inv_freq: Any, n_heads: int | None, width: int, prefix: str) -> int:
    """Attention heads, from the rotary frequencies of one head, the caller, or both."""
    if inv_freq is None:
        if n_heads is None:
            raise CheckpointError(
                f"the tensors do not say how many attention heads there are (the buffer "
                f"`{prefix}{INV_FREQ}` is absent): give `n_heads`, as the model's config states."
            )
        return n_heads
    inv_freq = np.asarray(inv_freq)
    half, what = inv_freq.size, f"tensor `{prefix}{INV_FREQ}`"
    if inv_freq.ndim != 1 or half == 0 or width % (2 * half):
        raise CheckpointError(
            f"{what} has shape {inv_freq.shape}; it must be half as long as the width of a head, "
            f"which divides the width {width}."
        )
    real = jnp.issubdtype(inv_freq.dtype, jnp.floating)
    if not real or not np.allclose(inv_freq.astype(float), _rates(2 * half), rtol=1e-2, atol=0):
        raise CheckpointError(f"{what} holds other frequencies than this network turns by.")
    found: int = width // (2 * half)
    if n_heads not in (None, found):
        raise CheckpointError(f"the file has {found} attention heads; `n_heads` is {n_heads}.")
    return found


def _kept(field: str, ids: Ids | None) -> NDArray[np.integer] | None:
    """The rows of a tensor that a field takes, None for all."""
    if ids is None or field not in BY_ID:
        return None
    last = ids.values[:0] if ids.mask is None or field != "embedding" else [ids.mask]
    return np.append(ids.values, last).astype(ids.values.dtype)


def _weights(
    named: Mapping[str, Any], group: list[Place], dtype: Any, rows: NDArray[np.integer] | None
) -> jax.Array:
    """The array of one of our fields, from its places in all blocks or its only one; only these
    `rows` of a tensor where they are given."""
    first = named[group[0].name]
    size = first.shape if rows is None else (len(rows), *first.shape[1:])
    shape = size[::-1] if group[0].transposed else size
    lead = () if group[0].block is None else (len(group),)
    filled = aligned((*lead, *shape), np.dtype(dtype or first.dtype))
    for k, place in enumerate(group):
        target = filled[k if lead else ...]
        fill(target.T if place.transposed else target, named[place.name], rows)
    return as_weights(filled)
