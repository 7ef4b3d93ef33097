"""The model as it is going to be measured: looked at first, and its failures told in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import equinox as eqx
import jax
from numpy.typing import NDArray

from models.contract.check import checked
from models.denoiser import Denoiser
from models.errors import DenoiserContractError, TokenRangeError
from models.released.adapters import AdapterError, Guarded
from simulations.console.errors import UserError

LOOKED_AT = 256  # sequences that contexts are taken from


class ModelError(UserError, ValueError):
    """A model that cannot be measured; the message says what was seen and what to do."""


def ready(denoiser: Denoiser, tokens: NDArray[Any] | None) -> tuple[Denoiser, list[str]]:
    """The denoiser as it is going to be measured, and notes on its law for the reader.

    It keeps the protocol, and its law is leave-one-out on noisy copies of `tokens` (n, L), random
    ones for None (`models.contract`). One that is no JAX network is somebody's own code and comes
    back as `models.released.adapters.Guarded`. Raises ModelError.
    """
    rows = None if tokens is None else tokens[:LOOKED_AT]
    try:
        notes = checked(denoiser, rows)
    except (DenoiserContractError, TokenRangeError) as error:
        raise ModelError(str(error)) from error
    return denoiser if isinstance(denoiser, eqx.Module) else Guarded(denoiser), notes


@contextmanager
def failures_told() -> Iterator[None]:
    """Failures of the model while it is measured, as ModelError."""
    try:
        yield
    except AdapterError as error:
        raise ModelError(str(error)) from error
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise ModelError(
            f"the memory of the device ({jax.default_backend()}) is too small for the laws of one "
            "block of sequences: free it of other programs, or run with JAX_PLATFORMS=cpu."
        ) from error
