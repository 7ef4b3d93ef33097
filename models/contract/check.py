"""The check of anyone's denoiser: does it keep the protocol wherever it is going to be asked?

Attributes first, then laws at the levels of a probe (1e-5) and of a sampler (1), as both ask for
them: tokens of the smallest type, `t` a number or one a sequence, in float32 and float64. Then the
claims (`models.contract.claims`). Each thing found is a sentence with what came and what to do.

Arrays of other frameworks are refused, not converted: every reader of laws would have to do it, and
an adapter ends with one call.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.contract.attributes import Refused, attributes_iv, said, weights_iv
from models.contract.claims import (
    asked,
    clock_note,
    law_of,
    own_token_share,
    pieces,
    random_tokens,
    sites_of,
)
from models.contract.rows import SAME, Floats, few_bits, kind_iv, rows_iv
from models.errors import DenoiserContractError, TokenRangeError
from models.noise import certain_where_visible, channel_of
from models.tokens import Tokens, token_dtype

LEVELS = (1e-5, 1e-4, 0.3, 1.0)
PLAIN = 2  # place of the level at which one question is asked in several ways
EQUAL = 1e-7  # probabilities of one computation
FEW = 3  # values of probability 0 that are named; a memory of few sequences has many


class Findings(NamedTuple):
    """Sentences: why a denoiser cannot be used, and what a reader of its numbers should know."""

    problems: list[str]
    notes: list[str]


def checked(denoiser: Any, tokens: ArrayLike | None = None) -> list[str]:
    """The notes of `examine`. Raises DenoiserContractError, in words, where it finds problems."""
    found = examine(denoiser, tokens)
    if found.problems:
        raise DenoiserContractError(
            f"{type(denoiser).__name__} is not a Denoiser: " + " Also: ".join(found.problems)
        )
    return found.notes


def examine(denoiser: Any, tokens: ArrayLike | None = None, seed: int = 0) -> Findings:
    """Everything found of a denoiser.

    tokens : sequences (n, L) that it is going to be asked about; random ones by default. Cost: the
    laws of 57 sequences, at most four at a time, and 12 more under a channel with a mask. Raises
    TokenRangeError for tokens that the denoiser cannot take.
    """
    try:
        attributes_iv(denoiser)
        weights_iv(denoiser)
        laws = _laws(denoiser, seed)
    except Refused as refused:
        return Findings(list(refused.args), [])
    try:
        own, clock = own_token_share(denoiser, tokens, seed), clock_note(denoiser, seed)
    except TokenRangeError:
        raise
    except Exception as error:  # a stranger's code: any failure is a finding
        return Findings(
            [f"log_loo failed on noisy sequences at t = 0.1 to 0.7: {said(error)}."], []
        )
    notes = [own.note, clock, *_notes(laws, channel_of(denoiser).mask_id)]
    problems = [*_inconsistencies(denoiser, laws), own.problem]
    return Findings(*([words for words in found if words] for found in (problems, notes)))


class _Laws(NamedTuple):
    """Laws at one question asked in several ways, at the sites that are looked at."""

    x_t: Tokens
    sites: NDArray[np.intp]
    together: Floats  # (levels, sites, V)
    again: Floats  # the same, told t in float64
    plain: Floats  # the same tokens, all at the one level, given as a number
    alone: Floats  # the row of that level in a batch of one

    @property
    def tokens(self) -> Tokens:
        """The tokens of these sites."""
        return self.x_t[:, self.sites]


def _laws(denoiser: Any, seed: int) -> _Laws:
    rng, kind, n = np.random.default_rng(seed), channel_of(denoiser), len(LEVELS)
    x_t = random_tokens(rng, denoiser, n)
    if kind.mask_id is not None:
        wide = token_dtype(kind.mask_id + 1)
        x_t = np.where(rng.random(x_t.shape) < 0.5, kind.mask_id, x_t).astype(wide)
    one, t = slice(PLAIN, PLAIN + 1), LEVELS[PLAIN]
    levels = np.array(LEVELS, np.float32)
    number: Any = t
    each: Any = np.array([t], np.float32)
    if isinstance(denoiser, eqx.Module):  # the other way round: a number alone, to compile it once
        number, each = np.full(n, t, np.float32), t
    plain = _read(denoiser, x_t, number)
    together = _read(denoiser, x_t, levels)
    again = _read(denoiser, x_t, np.array(LEVELS))
    sites = sites_of(denoiser, x_t.shape[1])
    return _Laws(x_t, sites, together, again, plain, _read(denoiser, x_t[one], each))


def _read(denoiser: Any, x_t: Tokens, t: Any) -> Floats:
    """A law that is one: shape, type, no NaN, rows of sum 1."""
    parts = [
        _part(denoiser, x_t[rows], t[rows] if np.ndim(t) else t) for rows in pieces(denoiser, x_t)
    ]
    return np.concatenate(parts)


def _part(denoiser: Any, x_t: Tokens, t: Any) -> Floats:
    """The same of sequences that are asked about at once."""
    given = x_t.copy()
    try:
        law = asked(denoiser, given, t)
    except Exception as error:
        raise Refused(_why_it_raised(denoiser, x_t, t, error)) from error
    if not np.array_equal(given, x_t):
        raise Refused("log_loo changes the tokens that it is given; begin it with a copy of them.")
    expected = (*x_t.shape, int(denoiser.vocab_size))
    kind_iv(law)
    if law.shape != expected:
        raise Refused(
            f"log_loo returned shape {law.shape}; expected (batch, L, V) = {expected}."
            + (" The last axis must be the vocabulary." if law.ndim == 3 else "")
        )
    found = np.asarray(law)[:, sites_of(denoiser, x_t.shape[1])]
    for rows, level in zip(found, np.broadcast_to(t, len(found)), strict=True):
        usual = abs(level - LEVELS[PLAIN]) < SAME
        rows_iv(rows, "" if usual else f" at t = {level:.2g}, where laws are read too")
    return found


def _why_it_raised(denoiser: Any, x_t: Tokens, t: Any, error: Exception) -> str:
    """In which part of the question a failure lies."""

    def works(tokens: Any, level: Any) -> bool:
        try:
            asked(denoiser, tokens, level)
        except Exception:
            return False
        return True

    why = said(error)
    if not isinstance(denoiser, eqx.Module) and works(x_t.astype(np.int64), t):
        return (
            f"log_loo is given tokens of the smallest type, here {x_t.dtype}, and raised {why}; "
            "begin it with x_t = np.int64(x_t)."
        )
    if len(x_t) == 1:
        return f"log_loo failed on a batch of one: {why}."
    levels = np.atleast_1d(t)
    bad = [x for x in levels if not works(x_t, np.full(len(x_t), x, np.float32))]
    if np.ndim(t) and t.dtype == np.float64:
        return f"log_loo takes t in float32 and not in float64: {why}."
    if 0 < len(bad) < len(levels):
        return f"log_loo failed at t = {bad[0]:.2g}: {why}."
    if np.ndim(t) and works(x_t, LEVELS[PLAIN]):
        return f"log_loo takes t as a number and not as (batch,): {why}."
    if not np.ndim(t) and not bad:
        return f"log_loo takes t as (batch,) and not as a number: {why}."
    return f"log_loo(x_t, t) raised {why}."


def _inconsistencies(denoiser: Any, laws: _Laws) -> Iterator[str]:
    """One question, several answers; and visible tokens under a channel that leaves no doubt."""
    kind = channel_of(denoiser)
    if _far(laws.together[PLAIN:], laws.again[PLAIN:]):  # at less, 1 - alpha needs its digits
        yield "the same input gives different laws: switch dropout off."
    elif _far(laws.together[PLAIN], laws.alone[0]):
        yield "a sequence's law depends on the other sequences of its batch."
    elif _far(laws.together[PLAIN], laws.plain[PLAIN]):
        yield "a scalar t and the same t given as (batch,) return different laws."
    certain = np.asarray(certain_where_visible(laws.together, laws.tokens, kind))
    if _far(certain, laws.together):
        yield (
            "its channel leaves no doubt of a visible token, but the law of one is not the point "
            "mass on it: pass the laws through models.denoiser.certain_where_visible."
        )
    elif kind.mask_id is not None:
        yield from _mask_read_as_a_token(denoiser, laws, kind.mask_id)


def _mask_read_as_a_token(denoiser: Any, laws: _Laws, mask: int) -> Iterator[str]:
    """A token that changes nothing where it stands in place of masks, as other tokens do: the mask
    has no row of its own in the network, or another one."""
    masks = laws.x_t == mask
    left = masks & (np.cumsum(masks, axis=1) % 2 == 0)  # every second one; the others are filled
    seen = left[:, laws.sites]
    if not seen.any():
        return
    moved = {}
    for value in sorted({0, mask // 2, mask - 1}):
        filled = np.where(masks & ~left, value, laws.x_t).astype(laws.x_t.dtype)
        law = law_of(denoiser, filled, np.array(LEVELS, np.float32), laws.sites)[seen]
        moved[value] = float(np.abs(np.exp(law) - np.exp(laws.together[seen])).max())
    twin = min(moved, key=lambda value: moved[value])
    if moved[twin] < EQUAL < SAME < max(moved.values()):
        yield (
            f"it takes the mask, whose id is {mask} here, for the token {twin}: with that in place "
            "of masks no law moves, and with others it does. Give the id that its masks have."
        )


def _far(law: Floats, other: Floats) -> bool:
    return bool(np.abs(np.exp(law) - np.exp(other)).max() > SAME)


def _notes(laws: _Laws, mask: int | None) -> Iterator[str]:
    tokens = laws.tokens
    asked_about = np.ones_like(tokens, bool) if mask is None else tokens == mask
    sites = asked_about.sum(0) > 1  # whose law several contexts give
    there, law = asked_about[:, sites, None], np.exp(laws.plain[:, sites])
    low, high = np.where(there, law, np.inf).min(0), np.where(there, law, -np.inf).max(0)
    if laws.plain.shape[1] > 1 and sites.any() and (high - low).max() < EQUAL:
        yield (
            "The law is the same whatever the other tokens are: the model was not trained, or does "
            "not see them."
        )
    few = few_bits(laws.together)
    if few:
        yield (
            f"The log-probabilities have the digits of {few} alone; take the log_softmax in "
            "float32 for entropies that are near 0 or near log V."
        )
    never = np.flatnonzero(np.exp(laws.together).max((0, 1)) == 0)
    if 0 < len(never) <= FEW and 2 * len(never) < laws.together.shape[-1]:
        named = ", ".join(map(str, never))
        yield (
            f"The model gives the token {named} probability 0 everywhere: if that is a mask or "
            "padding, `vocab_size` must not count it."
        )
