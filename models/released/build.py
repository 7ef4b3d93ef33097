"""A denoiser from the tensors of a diffusion transformer and the record of what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from am_theory.channel import Absorbing, Channel, Hybrid, LogLinear, Uniform
from models.errors import CheckpointError
from models.networks.dit import DiT
from models.released.authors_layout import EMBEDDING, Ids, from_named
from models.released.converted import Converted, Reading
from models.released.record import SCHEDULES, Record
from models.released.stated import Compute

CLOCK = 1e-4  # GIDD's clock runs in [1e-4, 1 - 1e-4]


@dataclass(frozen=True)
class Form:
    """What the caller says of a network's form; None for what the file is to say."""

    n_heads: int | None = None
    seq_len: int | None = None
    dtype: Any = None
    compute: Compute | None = None


def rows_of(named: Mapping[str, Any]) -> int:
    """Rows of the embedding, which are the ids that the network takes, 0 where there is none."""
    found = [
        a.shape[0] for name, a in named.items() if name.endswith(EMBEDDING) and len(a.shape) == 2
    ]
    return min(found, default=0)


def ids_of(file: Any, record: Record, rows: int) -> Ids:
    """The ids of the V values and of the mask. Raises CheckpointError where they do not fit."""
    mask, size = record.mask_id.value, record.vocab_size.value
    if mask is not None and not 0 <= mask < rows:
        raise CheckpointError(
            f"{file} has {rows} ids, and its mask is said to be {record.mask_id}."
        )
    values = np.array([i for i in range(rows) if i != mask])
    if len(values) < 2:
        raise CheckpointError(f"{file}: the tensors make no network: it has {len(values)} values.")
    if size is not None and not 2 <= size <= len(values):
        raise CheckpointError(
            f"{file} has {len(values)} ids beside a mask, and its noise is said to draw "
            f"{record.vocab_size}."
        )
    masked = record.channel.value != "uniform"
    return Ids(values if size is None else values[:size], mask if masked else None)


def channel_of(record: Record, size: int) -> Channel:
    """The noise over V = `size` values."""
    if record.channel.value == "hybrid":
        return Hybrid(size, float(record.p_uniform.value))
    return Absorbing(size) if record.channel.value == "absorbing" else Uniform(size)


def schedule_of(record: Record) -> Any:
    """The record's schedule; log-linear where it has none of ours: a network is told sigma, its
    own clock or nothing, so that levels t are then only names of alpha."""
    return SCHEDULES.get(str(record.schedule.value), LogLinear)()


def build(file: Any, named: Mapping[str, Any], record: Record, form: Form) -> DiT | Converted:
    """The denoiser. Raises CheckpointError as `from_named`, and where the record does not fit."""
    rows = rows_of(named)
    ids = ids_of(file, record, rows)
    everything = len(ids.values) == rows and ids.mask is None
    noise = channel_of(record, len(ids.values))
    schedule, told = schedule_of(record), record.time.value
    net = from_named(
        named,
        form.n_heads,
        form.seq_len,
        schedule,
        form.dtype,
        ids=None if everything else ids,
        channel=None if isinstance(noise, Uniform) else noise,
        timed=told != "nothing",
        wide=form.compute == "float32" and _half(named, form.dtype),
    )
    law = record.law.value
    if law == "loo" and told != "t":
        return net
    if told == "t" and not isinstance(noise, Hybrid | Absorbing):
        raise CheckpointError(
            f"{file} is told {record.time}, which is read with GIDD's noise alone."
        )
    reading = Reading(law, noise, mask_id=noise.mask_id)
    return Converted(net, _clocked if told == "t" else _outputs, reading, schedule, net.seq_len)


def _half(named: Mapping[str, Any], dtype: Any) -> bool:
    """Whether the weights are held in 16 bits."""
    return any(np.dtype(dtype or a.dtype).itemsize == 2 for a in named.values())


def _outputs(net: Any, ids: Any, t: Any) -> Any:
    """Logits (batch, L, V) of a transformer told sigma, or nothing."""
    hidden, condition = net.trunk(ids, t)
    return net.head(hidden, condition[:, None])


def _clocked(net: Any, ids: Any, t: Any) -> Any:
    """Logits of a transformer told GIDD's clock at the level's alpha."""
    alpha = net.schedule.alpha(t)
    clock = net.channel.time_at(alpha) if isinstance(net.channel, Hybrid) else 1 - alpha
    hidden, condition = net.trunk_at_sigma(ids, jnp.clip(clock, CLOCK, 1 - CLOCK))
    return net.head(hidden, condition[:, None])
