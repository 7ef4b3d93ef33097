"""The report of the sweep over released networks: where memory ends and the law begins, first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from simulations.measure.names import SMALL_LEVEL
from simulations.measure.tables import markdown, number, section, with_spread
from simulations.measure.transition import Estimate
from simulations.released.analysis import HEADLINE, Group, Rate, ReleasedAnalysis
from simulations.released.cells import LAW, MEMORIZER, NETWORK, SPLITS, VANISHING
from simulations.results.report import Report

DIGITS = 12  # of a checksum that are shown


def size_words(size: Estimate) -> str:
    """A size with its interval, or why there is none."""
    if size.status == "undefined":
        return "undefined"
    if math.isinf(size.value):
        return f"not within the grid, {'above' if size.value > 0 else 'below'} it"
    if math.isnan(size.low):
        return f"{_sequences(size.value)} (no interval)"
    return f"{_sequences(size.value)} [{_sequences(size.low)}, {_sequences(size.high)}]"


def _sequences(size: float) -> str:
    if math.isinf(size):
        return f"{'above' if size > 0 else 'below'} the grid"
    return f"{size:,.0f}" if size >= 100 else f"{size:.3g}"


def headlines(analysis: ReleasedAnalysis) -> list[str]:
    """K_M and K_G of every network, a sentence each, without Markdown."""
    t, found = analysis.config.headline, []
    for group in analysis.groups:
        if (HEADLINE, t) not in group.orders:
            gap = group.gap(t)
            low, high = gap.ends
            words = with_spread(gap.estimate[0], low[0], high[0])
            found.append(
                f"{group.label}, K = {group.sizes[0]:,.0f}: train minus held-out recovery at t = "
                f"{t:g} is {words}; K_M and K_G need two sizes or more."
            )
            continue
        order = group.orders[HEADLINE, t]
        found.append(
            f"{group.label}: K_M (memory lost) {size_words(order.k_memory)}; K_G (law found) "
            f"{size_words(order.k_generalization)}; recovery at t = {t:g}."
        )
    return found


def warnings_of(analysis: ReleasedAnalysis) -> Iterator[str]:
    """What a reader should know before any number."""
    t = analysis.config.headline
    for group in analysis.groups:
        gap = group.gap(t)
        low, high = gap.ends
        if not low[0] > 0:
            yield (
                f"{group.label} restores training sequences no better than held-out ones at its "
                f"smallest K ({group.sizes[0]:,.0f}): train minus held-out "
                f"{with_spread(gap.estimate[0], low[0], high[0])}. Either it generalizes there "
                "already, or the rebuilt subset is not its training set: another seed, another "
                "corpus, or one packed in another way."
            )
        shared = int(group.data["held_out_stored"].values.max())
        if shared:
            yield (
                f"Of the held-out sequences that {group.label} was asked for up to {shared} are in "
                "its training subset too: they are not held out."
            )
        yield from dict.fromkeys(str(note) for note in group.data["note"].values if str(note))
    if len(np.unique(analysis.data["vocab_size"].values)) > 1:
        yield "The networks have vocabularies of different sizes: recoveries do not compare."


def _cell(rate: Rate, k: int, digits: int = 3) -> str:
    low, high = rate.ends
    return with_spread(rate.estimate[k], low[k], high[k], digits)


def _recovery_lines(analysis: ReleasedAnalysis, group: Group) -> list[str]:
    t = analysis.config.headline
    header = ["K", "train", "memorizer, train", "held out", "memorizer, held out"]
    header += ["law, held out"] * (LAW in analysis.actors)
    order = group.orders.get((HEADLINE, t))
    header += ["M", "G"] * (order is not None)
    rows = []
    for k, size in enumerate(group.sizes):
        row = [f"{size:,.0f}"]
        for split in SPLITS:
            for actor in (NETWORK, MEMORIZER):
                row.append(_cell(group.rate(HEADLINE, split, t, actor), k))
        if LAW in analysis.actors:
            row.append(_cell(group.rate(HEADLINE, "heldout", t, LAW), k))
        if order is not None:
            row += [number(part.estimate[k], 2) for part in (order.memory, order.generalization)]
        rows.append(row)
    return markdown(header, rows)


def _entropy_lines(analysis: ReleasedAnalysis, group: Group) -> list[str]:
    t = analysis.config.headline
    columns = {
        "predicted, train": ("predicted entropy", "train", t, NETWORK),
        "predicted, held out": ("predicted entropy", "heldout", t, NETWORK),
        "memorizer, predicted, held out": ("predicted entropy", "heldout", t, MEMORIZER),
        "share vanishing, train": ("predicted vanishing", "train", t, NETWORK),
        "share vanishing, held out": ("predicted vanishing", "heldout", t, NETWORK),
        "clean, train": ("entropy", "train", SMALL_LEVEL, NETWORK),
        "clean, held out": ("entropy", "heldout", SMALL_LEVEL, NETWORK),
    }
    rows = [
        [f"{size:,.0f}", *(_cell(group.rate(*key), k) for key in columns.values())]
        for k, size in enumerate(group.sizes)
    ]
    return markdown(["K", *columns], rows)


def _size_lines(analysis: ReleasedAnalysis) -> list[str]:
    rows = [
        [group.label, reading, f"{t:g}", size_words(o.k_memory), size_words(o.k_generalization)]
        for group in analysis.groups
        for (reading, t), o in group.orders.items()
    ]
    if not rows:
        return []
    return [
        *section("Where M and G pass 1/2, by every reading"),
        *markdown(["network", "reading", "t", "K_M", "K_G"], rows),
    ]


def _file_lines(analysis: ReleasedAnalysis) -> list[str]:
    data, rows = analysis.data, []
    for number_, checkpoint in enumerate(data["checkpoint"].values):
        one = data.isel(checkpoint=number_)
        told = {name: one[name].item() for name in ("network", "train_size", "seed", "parameters")}
        sum_ = str(one["sha256"].item())[:DIGITS] or "by its commit"
        kind = f"{one['source_kind'].item()}, {one['weights'].item()}"
        numbers = [f"{told[name]:,}" for name in ("train_size", "parameters")]
        rows.append(
            [
                str(checkpoint),
                told["network"],
                numbers[0],
                str(told["seed"]),
                numbers[1],
                kind,
                sum_,
            ]
        )
    header = ["checkpoint", "network", "K", "seed", "parameters", "read as", "sha256"]
    records = dict.fromkeys(str(record) for record in data["record"].values)
    return [*section("The networks", *records), *markdown(header, rows)]


def _definitions(analysis: ReleasedAnalysis) -> list[str]:
    config, data = analysis.config, analysis.data
    law = (
        "the exact law of the source"
        if LAW in analysis.actors
        else "the network's own value at its largest K, which stands for the law that nobody knows "
        "(M is 0 and G is 1 there by that)"
    )
    corpus = sorted({f"{n:,}" for n in data["corpus_rows"].values})
    return section(
        "Definitions",
        f"{config.queries:,} queries a split; a training set with fewer sequences repeats them, "
        f"with fresh noise. Uniform noise to level t, then {config.n_steps} reverse steps on the "
        "full interval; of the memorizer one draw of its exact posterior. Recovery: share of the "
        "changed tokens that are restored, pooled. Predicted entropy: of the `loo` law at the "
        f"restored tokens, told t = 1e-5; it vanishes below {VANISHING:g} nats. Clean: the `loo` "
        "entropy of the sequences themselves at t = 1e-5. Nats a token; intervals: 95 %, bootstrap "
        "over sequences, from 5 seeds up over seeds too.",
        "Memorizer: the exact empirical denoiser of the subset that each network was trained on, "
        "on the same noisy inputs. M = (R_train - R_law) / (R_memorizer - R_law), G = (R_held - "
        f"R_memorizer) / (R_law - R_memorizer), R_law being {law}. K_M: the last passage of 1/2, "
        "K_G: the first, linear in log K; undefined where the two ends of the fraction meet, "
        "within two standard errors, before it passes; no interval where that holds of more than "
        "5 % of the replicates.",
        f"The subset of a network is the first K rows of its corpus ({' and '.join(corpus)} rows) "
        "after `numpy.random.default_rng(seed).permutation(rows)`, as "
        "`datasets.Dataset.shuffle(seed).select(range(K))` takes them. It depends on the number of "
        "rows: a corpus with one row more has other subsets.",
    )


def _summary(analysis: ReleasedAnalysis) -> dict[str, Any]:
    found: dict[str, Any] = {"headline_level": analysis.config.headline, "networks": {}}
    for group in analysis.groups:
        rates = {}
        for (reading, split, actor, t), rate in group.rates.items():
            if actor in analysis.actors:
                low, high = rate.ends
                name = f"{reading}, {split}, {actor}, t = {t:g}"
                rates[name] = {"estimate": rate.estimate, "low": low, "high": high}
        orders = {
            f"{reading}, t = {t:g}": {
                "M": order.memory.estimate,
                "G": order.generalization.estimate,
                "K_M": asdict(order.k_memory),
                "K_G": asdict(order.k_generalization),
            }
            for (reading, t), order in group.orders.items()
        }
        found["networks"][group.label] = {
            "train_sizes": group.sizes,
            "seeds": group.seeds,
            "orders": orders,
            "rates (K)": rates,
        }
    return found


def report(analysis: ReleasedAnalysis) -> Report:
    """What the sweep tells."""
    told, warned = headlines(analysis), list(warnings_of(analysis))
    lines = [line for sentence in told for line in (f"**{sentence}**", "")]
    if analysis.config.rehearses:
        lines += ["A rehearsal: small networks, trained here on a source whose law is known.", ""]
    if warned:
        lines += [*section("Before you read on"), *(f"- {text}" for text in warned), ""]
    for group in analysis.groups:
        lines += section(f"{group.label}: recovery at t = {analysis.config.headline:g}")
        lines += _recovery_lines(analysis, group)
        lines += section(f"{group.label}: entropy, nats a token")
        lines += _entropy_lines(analysis, group)
    lines += [*_size_lines(analysis), *_definitions(analysis), *_file_lines(analysis)]
    summary = {**_summary(analysis), "warnings": warned}
    closing = [*told, *(f"note: {text}" for text in warned)]
    return Report("Released networks against their training sets", lines, summary, closing)
