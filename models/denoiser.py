"""The denoiser protocol, and a check of anyone's own denoiser against it.

A denoiser returns the leave-one-out law: for each site i the distribution of the
clean token given the noisy tokens of all *other* sites. It is what the reverse
kernel and the NELBO take; the token posterior `full` follows from it by the
channel (`log_full`), here and nowhere else.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from am_theory import channel
from models.noise import certain_where_visible as certain_where_visible
from models.noise import channel_of as channel_of


@runtime_checkable
class Denoiser(Protocol):
    """What samplers, losses and measures ask of a model.

    `log_loo(x_t, t)` takes tokens (batch, L) and a noise level, a scalar or
    (batch,), in (0, 1]; it returns log p(x_0^i = v | x_t without site i), shape
    (batch, L, V), each row normalized, -inf allowed, a NumPy or JAX array of at least float32.
    `seq_len` is None for a model that takes any length. `schedule` is as of `am_theory.schedules`:
    alpha(t), alpha_rate(t), and time_at(alpha) under a channel with a mask. A model of another
    noise than the uniform has an attribute `channel`, a record of `am_theory.channels`: masked
    sites then hold the token V, and under a channel that does not redraw the rows of visible sites
    are the point mass on their token (`certain_where_visible`).
    """

    @property
    def vocab_size(self) -> int: ...

    @property
    def seq_len(self) -> int | None: ...

    @property
    def schedule(self) -> Any: ...

    def log_loo(self, x_t: Any, t: Any) -> Any: ...


def log_full(denoiser: Denoiser, x_t: Any, t: Any) -> Any:
    """Token posterior log p(x_0^i | x_t), shape (batch, L, V), of any denoiser.

    full_v is proportional to loo_v times the channel's likelihood of x_t^i given v.
    """
    return channel.full_from_loo(
        denoiser.log_loo(x_t, t), x_t, denoiser.schedule.alpha(t), channel_of(denoiser)
    )


def contract_problems(denoiser: Any) -> list[str]:
    """Everything found wrong with `denoiser`, as sentences; empty when it conforms."""
    from models.contract.check import examine  # by JAX, which the protocol does without

    return examine(denoiser).problems


def check_denoiser(denoiser: Any) -> None:
    """Raise DenoiserContractError, in words, unless `denoiser` keeps the protocol and its law is
    what it is claimed to be; `models.contract.check` says what is looked at."""
    from models.contract.check import checked

    checked(denoiser)
