"""Sequences completed around a context: free sites drawn given the clean tokens of held ones.

Under erasures alone `models.sampler.ancestral` with `held` does it, exactly for an exact denoiser
and one site a step. Where the channel redraws it does not: the network is told a level t of every
site and takes a held token for one that may be noise. Total variation between what an exact
denoiser of a Markov chain of three tokens draws at two free sites behind two held ones, uniform
noise, and the law given the held ones, a mean over prefixes, by steps and sweeps:

    chain                   4 steps   16     64     64, one sweep   64, three
    of tests/oracles.py     0.16      0.11   0.11   0.03            0.002
    stays with P = 0.95     0.41      0.33   0.32   0.16            0.04

More steps do not undo it; noising the held tokens to level t at each step makes it worse (0.15 and
0.39 at 64). What is right, and simple: as t -> 0 the `loo` law is p(x^i | all other tokens), so
that drawing every free site in turn from it, a Gibbs sweep, leaves the law given the held sites as
it is, and brings any other no further from it; a pass of the network for each free site and sweep.
Where free sites hang together so closely that no single one can change, as in a store, sweeps mend
single tokens and do not choose anew among stored sequences.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from models.denoiser import Denoiser, channel_of
from models.sampler import ancestral, decode_sample, held_iv, pure_noise
from models.slices import read_slices
from models.tokens import Tokens, check_tokens

CLEAN = 1e-5  # level of the sweeps


def complete(
    denoiser: Denoiser,
    rng: np.random.Generator,
    given: ArrayLike,
    held: ArrayLike,
    n_steps: int,
    sweeps: int = 0,
) -> Tokens:
    """Sequences (batch, L) that agree with `given` (batch, L) at the sites `held`, booleans (L,) or
    (batch, L), the others drawn from pure noise at t = 1 by `n_steps` ancestral steps.

    sweeps : Gibbs sweeps afterwards, where the channel redraws; see the module. Raises ValueError
    for `held` of another shape, for sweeps of another channel, and as `pure_noise`.
    """
    kind = channel_of(denoiser)
    if sweeps and not kind.redraws:
        raise ValueError("`sweeps` are for channels that redraw; a visible token is certain here.")
    tokens = check_tokens(given, denoiser.vocab_size, denoiser.seq_len, "given")
    keep = held_iv(held, tokens, kind)
    start = np.where(keep, tokens, pure_noise(denoiser, rng, *tokens.shape))
    tokens = ancestral(denoiser, rng, start, 1.0, n_steps, keep)
    for _ in range(sweeps):
        for site in np.flatnonzero(~keep.all(axis=0)):
            places = np.arange(len(tokens)) * tokens.shape[1] + site
            uniforms = rng.random(len(tokens), dtype=np.float32)
            drawn = read_slices(denoiser, tokens, CLEAN, places, _drawn, uniforms)
            tokens[:, site] = np.where(keep[:, site], tokens[:, site], drawn)
    return tokens


def _drawn(law: Any, uniforms: Any) -> Any:
    return decode_sample(uniforms, law)
