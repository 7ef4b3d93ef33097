"""What the exact denoisers of all sources share: their sizes, their inputs, their refusals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.tokens import Tokens, check_level, check_tokens

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PopulationDenoiser:
    """A source and a schedule; each source adds its own laws."""

    source: Any
    schedule: Any

    @property
    def vocab_size(self) -> int:
        return int(self.source.vocab_size)

    @property
    def seq_len(self) -> int:
        return int(self.source.seq_len)

    def _inputs(self, x_t: ArrayLike, t: ArrayLike) -> tuple[Tokens, Floats]:
        """Checked tokens (batch, L) and the alpha of each row (batch,)."""
        tokens = check_tokens(x_t, self.vocab_size, self.seq_len)
        return tokens, np.asarray(self.schedule.alpha(check_level(t, len(tokens))))


def refuse_impossible_context(impossible: Any) -> None:
    """Raise ValueError where some context has probability zero: only at alpha = 1."""
    if np.any(impossible):
        raise ValueError(
            "`x_t` has a context of probability zero under this source at this noise level, "
            "so no leave-one-out law exists. Use t > 0 or sequences the source can make."
        )


def refuse_impossible_tokens(impossible: Any, lacking: str = "nothing to draw") -> None:
    """Raise ValueError where some row of x_t has probability zero."""
    if np.any(impossible):
        raise ValueError(f"`x_t` has probability zero under this source; {lacking}.")
