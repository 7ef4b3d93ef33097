"""What is stored, what is held out, and which law it came from, for every source.

The default source was chosen by calculation, before any model was trained
(`python -m simulations.data.problem` prints these figures again). It is a chain over V = 16
tokens, L = 16, that mixes two permutations of the vocabulary with weights 0.6 and 0.4 and a
uniform floor of 10 %:

    transition = 0.9 (0.6 Pi_1 + 0.4 Pi_2) + 0.1 / V.

* Permutations make the stationary law uniform, so unrelated sequences agree on 1/16 of their
  sites. The pair was picked, among 20,000 random pairs, for its 1 coincidence between words of
  at most two permutations: two neighbours then name the token between them as well as they can.
* Entropy 19.9 nats a sequence (of 44.4 for independent tokens).
* `loo` entropy of the exact denoiser as t -> 0: mean 0.460 nats; quantiles 1 % 0.105,
  25 % 0.105, 50 % 0.169, 75 % 0.260, 95 % 1.577; no token below 0.05 nats. So the vanishing
  fraction of entropies goes from 1 for a memorizer to 0 for a generalizer.
* Population recovery of corrupted tokens by one posterior draw: 0.50 at t = 0.25, 0.30 at
  t = 0.5; by the best change 0.71 at t = 0.25; chance is 1/15.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from models.sources import IidSource, MarkovSource
from models.sources.permutations import permutation_chain
from models.streams import stream
from models.tokens import Tokens
from simulations.data.corpora import CorpusError, TextFile, text_corpus

SourceName = Literal["markov", "iid", "text"]


def make_source(name: str, vocab_size: int, seq_len: int) -> MarkovSource | IidSource:
    """The synthetic source of that name."""
    if name == "markov":
        return MarkovSource(permutation_chain(vocab_size), seq_len)
    if name == "iid":
        return IidSource(vocab_size, seq_len)
    raise ValueError(f"`source` must be markov or iid here; got {name!r}.")


@dataclass(frozen=True)
class Problem:
    """Stored sequences (K_max, L), of which a cell takes the first K; held-out (n, L) ones;
    and the law they came from (None for a text)."""

    stored: Tokens
    held_out: Tokens
    source: MarkovSource | IidSource | None
    notes: str = ""


_corpus = lru_cache(maxsize=1)(text_corpus)


def make_problem(
    source: str,
    vocab_size: int,
    seq_len: int,
    max_train_size: int,
    n_held_out: int,
    root_seed: int,
    seed: int,
    text: TextFile | None = None,
) -> Problem:
    """The data of one seed; training sets of different K are nested in one fixed shuffle.

    Held-out text has fewer windows than asked for when the file is short; the caller repeats
    them and counts a window as one sequence.
    """
    if source == "text":
        if text is None:
            raise CorpusError("--source text needs a text: add --text FILE (UTF-8).")
        corpus = _corpus(text, vocab_size, seq_len)
        if max_train_size > len(corpus.train):
            raise CorpusError(
                f"the text gives {len(corpus.train)} train windows of length {seq_len}; a training "
                f"set of {max_train_size} was asked for. Lower --train-sizes or take a longer text."
            )
        order = stream(root_seed, "shuffle", seed).permutation(len(corpus.train))
        held = stream(root_seed, "held-out", seed).permutation(len(corpus.held_out))
        notes = (
            f"{len(corpus.train)} train and {len(corpus.held_out)} held-out windows; "
            f"{corpus.duplicates_removed} held-out windows that occur in the train part removed; "
            f"{corpus.rest_share:.2%} of the characters share the last token."
        )
        return Problem(
            corpus.train[order[:max_train_size]], corpus.held_out[held[:n_held_out]], None, notes
        )
    law = make_source(source, vocab_size, seq_len)
    return Problem(
        law.sample(stream(root_seed, "stored", seed), max_train_size),
        law.sample(stream(root_seed, "held-out", seed), n_held_out),
        law,
    )


def describe_default_source() -> str:
    """The figures of the module docstring, computed."""
    # Not at the top: the launcher of a sweep imports this module and needs no JAX.
    from models.denoiser import log_full
    from models.noise import noise
    from models.sampler import decode_best_change

    source = make_source("markov", 16, 16)
    law_of_entropies = source.loo_entropy_law()
    levels = np.array([0.01, 0.25, 0.5, 0.75, 0.95])
    quantiles = zip(levels, law_of_entropies.quantiles(levels), strict=True)
    lines = [
        f"entropy {source.entropy():.3f} nats a sequence",
        f"loo entropy as t -> 0: mean {law_of_entropies.mean():.3f}, below 0.05 nats "
        f"{law_of_entropies.fraction_below(0.05):.3f}, quantiles "
        + ", ".join(f"{q:.0%} {v:.3f}" for q, v in quantiles),
    ]
    denoiser = source.population_denoiser()
    rng = stream(0, "describe")
    x_0 = source.sample(rng, 20_000)
    for t in (0.25, 0.5):
        x_t = noise(rng, x_0, float(denoiser.schedule.alpha(t)), 16)
        law = log_full(denoiser, x_t, t)
        bad = x_t != x_0
        draw = denoiser.posterior_draw(rng, x_t, t)
        best = decode_best_change(law, x_t)
        lines.append(
            f"t = {t}: corrupted tokens recovered by one posterior draw "
            f"{(draw == x_0)[bad].mean():.3f}, by the best change {(best == x_0)[bad].mean():.3f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(describe_default_source())
