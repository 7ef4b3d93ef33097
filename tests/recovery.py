"""Recovery of an exact denoiser, by sums over every clean and every noisy sequence."""

from __future__ import annotations

import numpy as np

from am_theory.channel import LogLinear, corruption_rate
from models.denoiser import log_full
from tests import oracles


def recovery_measures(source, t: float) -> dict[str, float]:
    """Every column of a recovery table under the log-linear schedule, over all pairs."""
    size, seq_len = source.vocab_size, source.seq_len
    denoiser = source.population_denoiser()
    alpha = LogLinear().alpha(t)
    delta = corruption_rate(alpha, size)
    x_t = oracles.all_sequences(size, seq_len)
    prob = np.exp(denoiser.log_prob_noisy(x_t, t))
    full, loo = np.exp(log_full(denoiser, x_t, t)), np.exp(denoiser.log_loo(x_t, t))
    changed = np.arange(size) != x_t[..., None]
    best = full.max(axis=-1)
    joint = np.exp(source.log_prob(x_t))[:, None] * oracles.channel_matrix(x_t, size, alpha)
    noise = oracles.entropy(oracles.token_kernel(size, alpha)[0])
    information = float(oracles.entropy(prob) - seq_len * noise)

    def mean(table):
        return float(prob @ table.mean(axis=1))

    return {
        "R_arg": mean(best),
        "R_PS": mean((full**2).sum(-1)),
        "corrupted arg": mean(best * (full.argmax(-1) != x_t)) / delta,
        "corrupted PS": mean((full**2 * changed).sum(-1)) / delta,
        "corrupted best": mean((full * changed).max(-1)) / delta,
        "H full": mean(oracles.entropy(full)),
        "H loo": mean(oracles.entropy(loo)),
        "H(x0|xt)": source.entropy() - information,
        "MAP exact": float(joint.max(axis=0).sum()),
        "I": information,
    }
