"""What happened, in at most ten lines: each a number with its interval, and what it would take to
overturn it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from simulations.measure.feature_size import REFERENCE
from simulations.measure.names import SMALL_LEVEL
from simulations.measure.order import Ratio
from simulations.measure.tables import number, with_spread
from simulations.measure.transition import Estimate
from simulations.phase.attraction import census
from simulations.phase.comparison import Findings
from simulations.phase.foretold import Foretold
from simulations.phase.order import OF_DECISIONS, Order


def size_words(size: Estimate) -> str:
    """A size with its interval: `388 [350, 420]`, or why there is none."""
    if size.status == "undefined":
        return "undefined (the two ends meet first)"
    if math.isinf(size.value):
        return "beyond the largest K" if size.value > 0 else "below the smallest K"
    ends = (_end(size.low), _end(size.high))
    return f"{size.value:,.0f} [{ends[0]}, {ends[1]}]"


def _end(value: float) -> str:
    if math.isnan(value):
        return "?"
    if math.isinf(value):
        return "past the grid" if value > 0 else "below the grid"
    return f"{value:,.0f}"


def ratio_words(ratio: Ratio, digits: int = 2) -> str:
    """A ratio with its interval."""
    if math.isnan(ratio.value):
        return "undefined"
    return with_spread(ratio.value, ratio.low, ratio.high, digits)


def window_words(window: Ratio) -> str:
    """What the window K_M / K_G says."""
    if math.isnan(window.low) or math.isnan(window.high):
        return "whether the two overlap is not known"
    if window.low > 1:
        return f"both hold between them, over a factor of {ratio_words(window)} in K"
    if window.high < 1:
        return f"neither holds between them (K_M / K_G = {ratio_words(window)})"
    return f"the two are not told apart (K_M / K_G = {ratio_words(window)})"


def happened(findings: Findings) -> list[str]:
    """The lines, Markdown."""
    lines = [
        *_phases(findings),
        *_foretold(findings),
        *_entropy(findings),
        *_tail(findings),
        *_attractors(findings),
        *_others(findings),
        *_ends(findings),
    ]
    return [*lines, f"Trained: {findings.trained_words}; {_runs(findings)}."]


def _runs(findings: Findings) -> str:
    config = findings.analysis.config
    sizes = findings.analysis.train_sizes
    seeds = f"{config.seeds} seed{'s' if config.seeds > 1 else ''}"
    if len(sizes) == 1:
        return f"{seeds} at K = {sizes[0]:,}"
    return f"{seeds} at each of {len(sizes)} sizes from {sizes[0]:,} to {sizes[-1]:,}"


def headline_level(findings: Findings) -> float:
    """The noise level that the first line reads: the one nearest to 0.25."""
    return float(min(findings.analysis.config.levels, key=lambda t: abs(t - 0.25)))


def _phases(findings: Findings) -> Iterator[str]:
    t, orders = headline_level(findings), findings.orders.orders
    order = orders.get(("trained", "recovery", t))
    if order is None:
        yield "Too few training-set sizes for order parameters: take two or more."
        return
    relative = (
        ", relative to the largest K, as the law is unknown" if order.k_memory.relative else ""
    )
    yield (
        f"**At t = {t:g} the law is found at K_G = {size_words(order.k_generalization)} and memory "
        f"is lost at K_M = {size_words(order.k_memory)}: {window_words(order.window)}**{relative}."
    )
    found = [
        (level, orders["trained", "recovery", level]) for level in findings.analysis.config.levels
    ]
    words = []
    for symbol, name in (("K_G", "k_generalization"), ("K_M", "k_memory")):
        known = [(level, getattr(o, name).value) for level, o in found]
        known = [(level, value) for level, value in known if math.isfinite(value)]
        if len(known) >= 2:
            sizes = ", ".join(f"{value:,.0f}" for _, value in known)
            words.append(f"{symbol} is {sizes} at t = {', '.join(f'{t:g}' for t, _ in known)}")
    if words:
        yield "By noise level: " + "; ".join(words) + "."


def _foretold(findings: Findings) -> Iterator[str]:
    if findings.foretold is not None:
        yield (
            "From width and steps alone the theory of random features, its constants fitted to "
            f"other runs, says K_half = {foretold_words(findings.foretold)}."
        )


def foretold_words(foretold: Foretold) -> str:
    """A size that was foretold, and what became of it."""
    found = f"{foretold.value:,.0f} [{_end(foretold.low)}, {_end(foretold.high)}]"
    if foretold.measured is None:
        return f"{found}, to be held against a gap at K = {REFERENCE}, which this run has not"
    words = {"held": "held", "missed": "missed", "not measured": "not to be judged"}
    return f"{found}; measured {size_words(foretold.measured)}: {words[foretold.verdict]}"


def _entropy(findings: Findings) -> Iterator[str]:
    orders, limits = findings.orders.orders, findings.orders.limits
    if "trained" not in limits:
        return
    by_entropy = orders["trained", "entropy", SMALL_LEVEL].k_memory
    by_token = orders["trained", "single-token recovery", SMALL_LEVEL].k_memory
    ratio = limits["trained"]
    yield (
        f"Entropy alone, at t = 1e-5, puts the loss of memory at K_H = {size_words(by_entropy)}; "
        f"recovery of single tokens at K_M(t -> 0) = {size_words(by_token)}. Their ratio K_M / K_H "
        f"is {ratio_words(ratio, 3)}: {_difference(ratio)}."
    )


def _difference(ratio: Ratio) -> str:
    """What the ratio of two sizes that should be one says."""
    if ratio.verdict == "no interval":
        return "whether they agree is not known"
    if ratio.verdict == "agree":
        return "no difference is resolved"
    near = max(abs(ratio.low - 1), abs(ratio.high - 1))
    return f"they differ, by less than {math.ceil(100 * near)} %" if near < 0.2 else "they differ"


def _tail(findings: Findings) -> Iterator[str]:
    t = headline_level(findings)
    tail = findings.orders.tails.get(("trained", t))
    if tail is None:
        return
    if not tail.low > 0:
        yield (
            f"From K = {tail.from_size:,.0f} on, no gap of train and held-out recovery is left at "
            f"t = {t:g} that could be told from 0: it is too small for a law d_eff / K."
        )
        return
    slope = f"{tail.slope:.2f} [{number(tail.slope_low, 2)}, {number(tail.slope_high, 2)}]"
    words = {
        "agree": "which allows for the -1 of a law d_eff / K",
        "deviate": "not the -1 of a law d_eff / K",
        "no interval": "which the data do not settle",
    }
    value, low, high = tail.size_below(0.01)
    yield (
        f"From K = {tail.from_size:,.0f} on, the gap of train and held-out recovery at t = {t:g} "
        f"falls with slope {slope}, {words[tail.verdict]}; d_eff = "
        f"{tail.effective_dimension:.0f} [{tail.low:.0f}, {tail.high:.0f}], a gap of .01 at "
        f"K = {value:,.0f} [{low:,.0f}, {high:,.0f}] if the law holds that far."
    )


def _attractors(findings: Findings) -> Iterator[str]:
    analysis = findings.analysis
    sizes = analysis.train_sizes
    shares = []
    for k in sorted({0, len(sizes) // 2, len(sizes) - 1}):
        train, held = (
            analysis.share("fixed", "trained", split).estimate[k] for split in ("train", "heldout")
        )
        shares.append(f"{train:.2f} / {held:.2f} at K = {sizes[k]:,}")
    law = ""
    if "population" in analysis.denoisers:
        whole, tokens = (
            float(np.mean(analysis.share(name, "population", "heldout").estimate))
            for name in ("fixed", "kept")
        )
        law = (
            f"; of the exact law itself {whole:.2f} of whole held-out sequences, though it keeps "
            f"{tokens:.2f} of their tokens"
        )
    yield (
        "Whole training / held-out sequences that are fixed points of the network: "
        + ", ".join(shares)
        + law
        + "."
    )
    stored = analysis.share("stored", "trained", "random").estimate
    ends = []
    for k in sorted({0, len(sizes) - 1}):
        found = census(analysis.data, "trained", sizes[k])
        if found is not None:
            there = f"{stored[k]:.2f} of the starts in a stored sequence"
            ends.append(f"{found.distinct:,.0f} attractors at K = {sizes[k]:,} ({there})")
    yield f"{analysis.data.sizes['start']} random starts end in " + " and in ".join(ends) + "."


def _others(findings: Findings) -> Iterator[str]:
    orders, t = findings.orders.orders, headline_level(findings)
    order: Order | None = orders.get(("nelbo", "recovery", t))
    if order is not None:
        entropy = orders["nelbo", "entropy", SMALL_LEVEL].k_memory
        line = (
            f"The same network trained by the NELBO: K_G = {size_words(order.k_generalization)}, "
            f"K_M = {size_words(order.k_memory)} at t = {t:g}, K_H = {size_words(entropy)}, "
            f"K_M(t -> 0) / K_H = {ratio_words(findings.orders.limits['nelbo'])}"
        )
        if findings.analysis.config.source != "text":
            line += _nelbo_entropies(findings)
        yield line + "."
    t = findings.analysis.config.levels[0]
    order = orders.get(("pairwise", OF_DECISIONS, t))
    if order is not None:
        other = orders["trained", OF_DECISIONS, t]
        yield (
            f"Without an energy or a network: by the best change at t = {t:g} the "
            f"pseudo-likelihood memory has K_G = {size_words(order.k_generalization)} and K_M = "
            f"{size_words(order.k_memory)} (network: {size_words(other.k_generalization)} and "
            f"{size_words(other.k_memory)}); {_asymmetry(findings)}."
        )


def _asymmetry(findings: Findings) -> str:
    """How far its couplings are from symmetric, at both ends of K."""
    values = findings.analysis.data["asymmetry"].isel(seed=0)
    sizes = findings.analysis.train_sizes
    ends = " and ".join(
        f"{float(values.sel(train_size=k)):.2f} at K = {k:,}" for k in (sizes[0], sizes[-1])
    )
    return f"asymmetry of its couplings {ends} (0: an energy exists)"


def _nelbo_entropies(findings: Findings) -> str:
    """Where its entropy is the law's, and where it is not."""
    analysis = findings.analysis
    k = int(np.flatnonzero(~np.isnan(analysis.nelbo("nelbo", "train").estimate))[-1])
    parts = []
    for i, t in enumerate((SMALL_LEVEL, *analysis.config.levels[:1])):
        ours, law = (
            analysis.law("entropy", name, "loo", "heldout").estimate[k, i]
            for name in ("nelbo", "population")
        )
        parts.append(f"{ours:.2f} (law {law:.2f}) at t = {t:g}")
    return f"; its held-out entropy at K = {analysis.train_sizes[k]:,} is " + ", ".join(parts)


def _ends(findings: Findings) -> Iterator[str]:
    analysis = findings.analysis
    if "population" not in analysis.denoisers:
        return
    t, k = headline_level(findings), analysis.train_sizes[-1]
    i = analysis.config.levels.index(t)
    recovery = [
        analysis.rate("corrupted recovery", name, "ancestral", "heldout").estimate[-1, i]
        for name in ("trained", "population")
    ]
    entropy = [
        analysis.law("entropy", "trained", "loo", split).estimate[-1, 0]
        for split in ("train", "heldout", "generated")
    ]
    yield (
        f"At K = {k:,}: held-out recovery {recovery[0]:.3f} (law {recovery[1]:.3f}, t = {t:g}); "
        f"entropy on training, held-out, generated sequences {entropy[0]:.3f}, {entropy[1]:.3f}, "
        f"{entropy[2]:.3f} nats (law {findings.law_entropy:.3f})."
    )
