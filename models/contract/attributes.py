"""The attributes of a denoiser, its schedule and its weights, before any law is asked for."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np

from models.noise import channel_of

CLOSE = 1e-3  # of alpha
TIMES = np.array([0.0, 1e-5, 1e-4, *np.linspace(0, 1, 21)[1:]])
INSIDE = slice(4, -1)  # of them, those with neighbours on both sides
HALF = 12  # place of t = 0.5
STEP = 0.01  # of the difference quotient that a rate is held against


class Refused(Exception):
    """A finding after which there is no more to look at."""


def attributes_iv(denoiser: Any) -> None:
    """Refuse attributes that are missing or no use, before any law is asked for."""
    if isinstance(denoiser, type):
        raise Refused(f"it is the class {denoiser.__name__}, no object of it: call it.")
    missing = [
        f"it has no attribute `{name}`."
        for name in ("log_loo", "vocab_size", "seq_len", "schedule")
        if not hasattr(denoiser, name)
    ]
    if missing:
        raise Refused(*missing)
    if not _whole(denoiser.vocab_size, 2):
        raise Refused(
            f"`vocab_size` must be an integer of at least 2; got {denoiser.vocab_size!r}."
        )
    if denoiser.seq_len is not None and not _whole(denoiser.seq_len, 1):
        raise Refused(
            "`seq_len` must be an integer of at least 1, or None for any length; "
            f"got {denoiser.seq_len!r}."
        )
    try:
        masks = channel_of(denoiser).mask_id is not None
    except ValueError as error:
        raise Refused(str(error)) from error
    schedule_iv(denoiser.schedule, masks)


def _whole(value: Any, least: int) -> bool:
    number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return number and value >= least


def schedule_iv(schedule: Any, masks: bool) -> None:
    """Refuse what is no schedule: alpha(t) from at most 1 down, and its rate, and, for a channel
    with a mask, the level at which alpha has a value."""
    methods = ["alpha", "alpha_rate", *(["time_at"] if masks else [])]
    lacking = [name for name in methods if not callable(getattr(schedule, name, None))]
    if lacking or isinstance(schedule, type):
        came = f"a {type(schedule).__name__}" if callable(schedule) else repr(schedule)[:80]
        if isinstance(schedule, type):
            came = f"the class {schedule.__name__}"
        raise Refused(
            f"`schedule` must be an object with the methods {', '.join(methods)}, such as "
            f"am_theory.channel.LogLinear(); got {came}"
            + (f", without {', '.join(lacking)}." if lacking else ".")
        )
    t, inner = TIMES, TIMES[INSIDE]
    try:
        alpha = np.asarray(schedule.alpha(t), np.float64)
        one = float(schedule.alpha(0.5))
        after, before = (np.asarray(schedule.alpha(inner + h)) for h in (STEP, -STEP))
        rate = np.asarray(schedule.alpha_rate(inner), np.float64)
        back = np.asarray(schedule.time_at(alpha[INSIDE]), np.float64) if masks else inner
    except Exception as error:  # a stranger's code: any failure is a finding
        raise Refused(
            "`schedule` must take levels in [0, 1], a number or an array of them; it raised "
            f"{said(error)}."
        ) from error
    if alpha.shape != t.shape or abs(one - alpha[HALF]) > CLOSE:
        raise Refused(
            "`schedule.alpha(t)` must give the same for a number and for an array of them; got "
            f"shape {alpha.shape} for {t.shape}."
        )
    if not (np.all(alpha >= 0) and np.all(alpha <= 1)):  # also refuses NaN
        wrong = alpha[~((alpha >= 0) & (alpha <= 1))][0]
        raise Refused(
            "`schedule.alpha(t)` is the probability that a token is kept and must lie in [0, 1]; "
            f"got {wrong:.4g}. Of sigma = -log(alpha) take exp(-sigma)."
        )
    if np.any(np.diff(alpha) > 0) or alpha[0] - alpha[-1] < CLOSE:
        raise Refused(
            "`schedule.alpha(t)` must fall with t, from near 1 at t = 0 (clean) to near 0 at 1; "
            f"got {alpha[0]:.4g}, {alpha[HALF]:.4g} and {alpha[-1]:.4g} at t = 0, 0.5 and 1."
        )
    slope = (after - before) / (2 * STEP)
    off = ~(np.abs(rate - slope) <= 0.05 * np.maximum(1, np.abs(slope)))
    if off.any():
        raise Refused(
            "`schedule.alpha_rate(t)` must be the time derivative of alpha, which is "
            f"{slope[off][0]:.4g} at t = {inner[off][0]:.2g}; got {rate[off][0]:.4g}."
        )
    off = ~(np.abs(back - inner) <= 0.01)
    if off.any():
        raise Refused(
            "`schedule.time_at(alpha)` must be the level at which alpha has that value, here "
            f"{inner[off][0]:.2g}; got {back[off][0]:.4g}."
        )


def weights_iv(denoiser: Any) -> None:
    """Refuse a network whose weights hold NaN or infinity; -inf is a legal entry of a log table."""
    if not isinstance(denoiser, eqx.Module):
        return
    arrays = eqx.filter(denoiser, eqx.is_inexact_array)
    for path, leaf in jax.tree_util.tree_leaves_with_path(arrays):
        numbers = np.asarray(leaf)
        bad = int(np.isnan(numbers).sum() + np.isposinf(numbers).sum())
        if bad:
            raise Refused(
                f"its weights are damaged: {bad} of the {leaf.size:,} numbers of "
                f"{jax.tree_util.keystr(path).lstrip('.')} are NaN or infinite, as of a training "
                "that diverged; take an earlier state of it."
            )


def said(error: Exception) -> str:
    """Type and message of a failure in somebody else's code, in one line, without a full stop."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ").rstrip(".")
