"""gidd-unif-3b, gidd-unif-10b and gidd-mask-3b: their tensors and config.json as a denoiser.

Names and shapes are those of the modules in dvruette/gidd-easydel (modeling_gidd_hf.py and
configuration_gidd.py at 2e7197c), with which the released files were written; the files themselves
have not been seen. A field that a config.json leaves out has the value that it has there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp

from am_theory.channel import Absorbing, Channel, LogLinear, ScheduleDomainError, Uniform
from models.errors import CheckpointError
from models.networks.dit_layers import SLOWEST
from models.networks.gidd import CAP, EPSILON, Gidd, GiddBlock
from models.released.authors_layout import Place, check_tensors
from models.released.converted import Converted, Reading
from models.released.files.safe_tensors import read_all
from models.released.stated import Compute

MASK_ID = 3  # of the tokenizer; no field of the config says it
PURE = 1000.0  # a shift from which one kind of noise is so rare that it never comes
EMBEDDING, HEAD = "embed_tokens.weight", "lm_head.weight"

# What the published class takes for a field that is left out, where that matters,
PUBLISHED: dict[str, Any] = {
    **{"weight_scaling": "fan_in", "head_scaling": 1.0, "resid_scale": 4.0},
    **{"attention_bias": False, "mlp_bias": False, "noise_type": 0.0},
    **{"max_position_embeddings": 1024, "min_log_snr": -9.0, "max_log_snr": 9.0},
}
# and the fields of which one value alone is computed here.
COMPUTED: dict[str, Any] = {
    **{"model_type": "gidd", "weight_scaling": 1.0, "attention_bias": True, "mlp_bias": True},
    **{"use_qk_norm": True, "is_causal": False, "tie_word_embeddings": False},
    **{"attn_soft_cap": CAP, "rms_norm_eps": EPSILON, "rope_theta": SLOWEST, "rope_scaling": None},
    **{"rope_parameters": {"rope_theta": SLOWEST, "rope_type": "default"}},
    **{"hidden_act": "relu2", "quantization_config": None, "mask_token_id": MASK_ID},
}


@dataclass(frozen=True)
class BoundedLinear:
    """Schedule that falls linearly in t between two signal-to-noise ratios, of which logarithms
    are given: alpha(t) = a_0 - (a_0 - a_1) t, with a_0 and a_1 their sigmoids.

    The times of a training of GIDD at scale, which draws 1 - alpha uniformly between these ends.

    >>> [round(BoundedLinear().alpha(t), 6) for t in (0.0, 0.5, 1.0)]
    [0.999877, 0.5, 0.000123]
    """

    min_log_snr: float = -9.0
    max_log_snr: float = 9.0

    def __post_init__(self) -> None:
        low, high = self.min_log_snr, self.max_log_snr
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ScheduleDomainError(
                f"`min_log_snr` must be below `max_log_snr`, both finite; got {low!r} and {high!r}."
            )

    @property
    def _first(self) -> float:
        return 1 / (1 + math.exp(-self.max_log_snr))

    @property
    def _rest(self) -> LogLinear:
        return LogLinear((1 / (1 + math.exp(-self.min_log_snr))) / self._first)

    def alpha(self, t: Any) -> Any:
        """Probability that a token is kept at noise level `t` in [0, 1]; the shape of `t`."""
        return self._first * self._rest.alpha(t)

    def alpha_rate(self, t: Any) -> Any:
        """Time derivative of alpha at noise level `t` in [0, 1], constant; the shape of `t`."""
        return self._first * self._rest.alpha_rate(t)

    def time_at(self, alpha: Any) -> Any:
        """Noise level in [0, 1] at which the kept fraction is `alpha`, in [alpha(1), alpha(0)]."""
        try:
            return self._rest.time_at(alpha / self._first)
        except ScheduleDomainError as error:
            low, high = self.alpha(1.0), self.alpha(0.0)
            raise ScheduleDomainError(
                f"`alpha` must lie in [{low:.6g}, {high:.6g}], the range of this network's noise; "
                f"got {alpha}."
            ) from error


class Sizes(NamedTuple):
    """Sizes of a network, by the names of config.json."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int


def open_gidd(
    config: Mapping[str, Any],
    tensors: Mapping[str, Any],
    seq_len: int | None = None,
    compute: Compute = "float32",
) -> Converted:
    """The denoiser of a config.json and its tensors, its law `loo`.

    Parameters
    ----------
    config : the fields of config.json. `noise_type` says the noise: uniform over all ids but the
        mask from 1000 on, erasures down from -1000.
    tensors : arrays by name, `model.layers.0....` or `layers.0....`, and `lm_head.weight`. Lazy
        ones (with `shape`, `dtype` and `__array__`) are read one after another; they keep their
        types. Memory: little more than the weights.
    seq_len : the only length to be taken; None for any that the network takes.
    compute : type of the network's rows; see `models.networks.gidd`.

    Raises
    ------
    CheckpointError naming each tensor that is missing, misshapen, not floating or not part of the
    network; in one sentence for a field that contradicts the tensors or asks for something else.
    """
    stated = {name: value for name, value in config.items() if name != "rope_parameters" or value}
    fields = COMPUTED | PUBLISHED | stated
    for name, value in COMPUTED.items():
        _computed(name, fields[name], value, name in stated)
    if compute not in ("float32", "bfloat16"):
        raise ValueError(f"`compute` must be 'float32' or 'bfloat16'; got {compute!r}.")
    prefix = _prefix(tensors)
    sizes = _sizes(tensors, prefix)
    for name, size in (
        sizes._asdict() | {"head_dim": sizes.hidden_size // sizes.num_attention_heads}
    ).items():
        if stated.get(name) not in (None, size):
            raise CheckpointError(
                f"config.json says `{name}` = {stated[name]!r}, and the tensors say {size}."
            )
    wanted = list(places(sizes, prefix))
    check_tensors(tensors, wanted, "")
    reading = Reading("loo", _noise(fields, sizes.vocab_size - 1), MASK_ID)
    schedule, longest = _schedule(fields), int(_number(fields, "max_position_embeddings"))
    if seq_len is not None and not 0 < seq_len <= longest:
        raise CheckpointError(f"this network takes 1 to {longest} tokens; `seq_len` is {seq_len}.")
    weights = read_all(tensors)
    layers: list[dict[str, Any]] = [{} for _ in range(sizes.num_hidden_layers)]
    whole: dict[str, Any] = {}
    for place in wanted:
        holder = whole if place.block is None else layers[place.block]
        holder[place.field] = weights[place.name]
    net = Gidd(
        **whole,
        blocks=tuple(GiddBlock(**layer) for layer in layers),
        branch_scale=_number(fields, "resid_scale") / sizes.num_hidden_layers,
        head_scale=_number(fields, "head_scaling"),
        longest=longest,
        compute=jnp.dtype(compute),
    )
    return Converted(net, _logits, reading, schedule, seq_len)


def places(sizes: Sizes, prefix: str = "model.") -> Iterator[Place]:
    """Every tensor of the network and where it goes; matrices lie as they do in the file."""
    rows, width, inner, n_blocks, n_heads = sizes
    square, sink = (width, width), (n_heads, width // n_heads)
    block = {
        "attn_layernorm.weight": ((width,), "attention_norm"),
        **{f"self_attn.{x}_proj.weight": (square, x) for x in "qkv"},
        "self_attn.o_proj.weight": (square, "out"),
        **{f"self_attn.{x}_norm.weight": ((width,), f"{x}_norm") for x in "qk"},
        **{f"self_attn.{x}_bias": (sink, f"sink_{x}") for x in "kv"},
        "mlp_layernorm.weight": ((width,), "mlp_norm"),
        "mlp.up_proj.weight": ((inner, width), "up"),
        "mlp.up_proj.bias": ((inner,), "up_bias"),
        "mlp.down_proj.weight": ((width, inner), "down"),
        "mlp.down_proj.bias": ((width,), "down_bias"),
    }
    yield Place(prefix + EMBEDDING, (rows, width), "embedding", None, False)
    for k in range(n_blocks):
        for name, (shape, field) in block.items():
            yield Place(f"{prefix}layers.{k}.{name}", shape, field, k, False)
    yield Place(f"{prefix}norm.weight", (width,), "final_norm", None, False)
    yield Place(HEAD, (rows, width), "head", None, False)


def _logits(net: Gidd, ids: Any, t: Any) -> Any:
    return net(ids)


def _prefix(tensors: Mapping[str, Any]) -> str:
    found = [name.removesuffix(EMBEDDING) for name in tensors if name.endswith(EMBEDDING)]
    if not found:
        raise CheckpointError(f"tensor `model.{EMBEDDING}` is missing.")
    return min(found, key=len)


def _sizes(tensors: Mapping[str, Any], prefix: str) -> Sizes:
    """All sizes, by the tensors that set them."""

    def shape(name: str) -> tuple[int, ...]:
        found = tensors[name].shape if name in tensors else None
        if found is None or len(found) != 2:
            what = "is missing" if found is None else f"has shape {found}, expected two axes"
            raise CheckpointError(f"tensor `{name}` {what}.")
        return tuple(found)

    layers = re.compile(re.escape(prefix) + r"layers\.(\d+)\.")
    numbers = {found[1] for name in tensors if (found := layers.match(name))}
    rows, width = shape(prefix + EMBEDDING)
    inner, _ = shape(f"{prefix}layers.0.mlp.up_proj.weight")
    n_heads, head_dim = shape(sink := f"{prefix}layers.0.self_attn.k_bias")
    if n_heads * head_dim != width or head_dim % 2:
        raise CheckpointError(
            f"tensor `{sink}` has shape {(n_heads, head_dim)}, which does not divide the width "
            f"{width} into heads with an even number of features."
        )
    if rows < MASK_ID + 1:
        raise CheckpointError(
            f"tensor `{prefix}{EMBEDDING}` has {rows} rows, no mask at {MASK_ID}."
        )
    return Sizes(rows, width, inner, len(numbers), n_heads)


def _computed(name: str, value: Any, wanted: Any, stated: bool) -> None:
    if value != wanted or isinstance(value, bool) != isinstance(wanted, bool):
        said = f"is {value!r}" if stated else f"is left out, which stands for {value!r}"
        raise CheckpointError(
            f"`{name}` of config.json {said}; this network is computed with {wanted!r} alone."
        )


def _number(fields: Mapping[str, Any], name: str) -> float:
    value = fields[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise CheckpointError(f"`{name}` of config.json must be a number; got {value!r}.")
    return float(value)


def _noise(fields: Mapping[str, Any], vocab_size: int) -> Channel:
    """The noise over all ids but the mask, by the shift between its two kinds."""
    shift = _number(fields, "noise_type")
    if abs(shift) < PURE:
        raise CheckpointError(
            f"`noise_type` of config.json is {shift:g}, a mixture of masks and uniform noise that "
            f"is not readable here: {PURE:g} and more is uniform, {-PURE:g} and less masks alone."
        )
    return Uniform(vocab_size) if shift > 0 else Absorbing(vocab_size)


def _schedule(fields: Mapping[str, Any]) -> BoundedLinear:
    try:
        return BoundedLinear(_number(fields, "min_log_snr"), _number(fields, "max_log_snr"))
    except ScheduleDomainError as error:
        raise CheckpointError(f"config.json has no range of noise: {error}") from error
