"""What the exact denoisers of all sources share: their sizes, their inputs, their refusals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from am_theory.channel import Channel, Uniform, visible_alpha
from models.denoiser import certain_where_visible
from models.tokens import Tokens, check_level, check_tokens

Floats = NDArray[np.float64]
CONTRADICTION = 1e-12  # of a visible token that cannot be wrong, so that every context has a law


@dataclass(frozen=True)
class PopulationDenoiser:
    """A source, a schedule and a channel (None: uniform); each source adds its own laws.

    A masked site (token V) is one without evidence. Where a channel does not redraw, a visible
    token is a fact; a context that contradicts the source has the law of fewest contradictions,
    the limit of a hybrid channel of vanishing p_uniform.
    """

    source: Any
    schedule: Any
    noise: Channel | None = None

    @property
    def channel(self) -> Channel:
        return Uniform(self.vocab_size) if self.noise is None else self.noise

    @property
    def vocab_size(self) -> int:
        return int(self.source.vocab_size)

    @property
    def seq_len(self) -> int:
        return int(self.source.seq_len)

    def _inputs(self, x_t: ArrayLike, t: ArrayLike, certain: bool = False) -> tuple[Tokens, Floats]:
        """Checked tokens (batch, L), V for masks, and the kept fraction among visible tokens of
        each row (batch,): with `certain` it may be 1 under a channel that masks."""
        tokens = check_tokens(x_t, self.vocab_size, self.seq_len, mask_id=self.channel.mask_id)
        alpha = np.asarray(self.schedule.alpha(check_level(t, len(tokens))))
        kept = np.asarray(visible_alpha(alpha, self.channel))
        if certain or self.channel.mask_id is None:
            return tokens, kept
        return tokens, np.minimum(kept, 1 - CONTRADICTION)

    def _visible(self, log_law: Floats, tokens: Tokens) -> Floats:
        law: Floats = certain_where_visible(log_law, tokens, self.channel)
        return law

    def _masking(self, tokens: Tokens, t: ArrayLike) -> Floats | float:
        """log probability of which sites are masked, (batch,)."""
        if self.channel.mask_id is None:
            return 0.0
        masked = (tokens == self.channel.mask_id).sum(1)
        share = self.channel.rates(self.schedule.alpha(check_level(t, len(tokens)))).mask
        chance: Floats = xlogy(masked, share) + xlogy(self.seq_len - masked, 1 - share)
        return chance


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
