"""The report of the comparison of channels."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from simulations.channels.analysis import Findings, Part, order_at
from simulations.channels.config import CHANNELS, Config
from simulations.channels.levels import information, told_at
from simulations.measure.names import SMALL_LEVEL
from simulations.measure.order import Ratio
from simulations.measure.radius import Radius
from simulations.measure.tables import markdown, number, with_spread
from simulations.phase.config import ChannelName
from simulations.phase.tell.summary import size_words
from simulations.results.report import Report

RADII = (
    ("train", "exact"),
    ("heldout", "exact"),
    ("train", "token_recovery"),
    ("heldout", "token_recovery"),
)


def ratio_words(ratio: Ratio | None) -> str:
    """A ratio with its interval, or "undefined"."""
    if ratio is None or not ratio.value > 0:
        return "undefined"
    return with_spread(ratio.value, ratio.low, ratio.high, 2)


def headline_level(findings: Findings) -> int:
    """Number of the level that the first line reads: the one nearest to t = 0.25."""
    levels = findings.config.levels
    return min(range(len(levels)), key=lambda i: abs(levels[i] - 0.25))


def first_line(findings: Findings) -> str:
    """Whether the transition is there under masked noise, and where, against uniform noise."""
    level = headline_level(findings)
    masked = order_at(findings.parts["absorbing"], level)
    if masked is None:
        return "Too few training-set sizes for order parameters: take two or more."
    ratios = [findings.ratios.get((name, level)) for name in ("K_M", "K_G")]
    sizes = (masked.k_generalization, masked.k_memory)
    told = findings.parts["absorbing"].told[level]
    there = all(size.status == "ok" for size in sizes)
    return (
        ("**Under masked noise the transition is there too" if there else "**Under masked noise")
        + f": K_G = {size_words(sizes[0])}, K_M = {size_words(sizes[1])} at {told:.2f} nats a "
        f"token. At that information its sizes are those of uniform noise times "
        f"{ratio_words(ratios[1])} (K_G) and {ratio_words(ratios[0])} (K_M)**."
    )


def report(findings: Findings) -> Report:
    """What the comparison tells."""
    config = findings.config
    lines = ["## What happened", "", f"1. {first_line(findings)}"]
    lines += [f"{i}. {text}" for i, text in enumerate(_others(findings), 2)]
    lines += ["", *_definitions(findings)]
    lines += ["## Predictions", "", *_prediction_table(findings)]
    lines += ["## Sizes at equal information", "", *_size_table(findings)]
    lines += ["## Entropy and fixed points", "", *_end_table(findings)]
    lines += ["## Basins at equal information", "", *_radius_table(findings)]
    summary = {
        "first_line": first_line(findings).replace("*", ""),
        "levels": {name: part.analysis.config.levels for name, part in findings.parts.items()},
        "information": {name: part.told for name, part in findings.parts.items()},
        "corrupted": {name: part.lost for name, part in findings.parts.items()},
        "seeds": config.seeds,
        "headline_level": headline_level(findings),
        "law_entropy": findings.law_entropy,
        "sizes": {name: _size_summary(part) for name, part in findings.parts.items()},
        "ratios": {
            f"{name} level {level}": dataclasses.asdict(ratio)
            for (name, level), ratio in findings.ratios.items()
        },
        "predictions": [dataclasses.asdict(one) for one in findings.predictions],
    }
    checks = [
        dataclasses.replace(check, name=f"{channel}: {check.name}")
        for channel, found in findings.checks.items()
        for check in found
    ]
    closing = [first_line(findings).replace("*", "")]
    closing += [f"{one.verdict}: {one.what}" for one in findings.predictions]
    title = f"Channels: source {config.source}, V = {config.vocab_size}, L = {config.seq_len}"
    return Report(title, lines, summary, closing, checks)


def _size_summary(part: Part) -> dict[str, Any]:
    """K_G and K_M at every level, by its number, and K_H."""
    found: dict[str, Any] = {}
    for level in range(len(part.told)):
        order = order_at(part, level)
        if order is not None:
            found[f"K_G level {level}"] = dataclasses.asdict(order.k_generalization)
            found[f"K_M level {level}"] = dataclasses.asdict(order.k_memory)
    small = part.orders.orders.get(("trained", "entropy", SMALL_LEVEL))
    if small is not None:
        found["K_H"] = dataclasses.asdict(small.k_memory)
    return found


def _others(findings: Findings) -> list[str]:
    small = {
        name: part.orders.orders.get(("trained", "entropy", SMALL_LEVEL))
        for name, part in findings.parts.items()
    }
    by_entropy = ", ".join(
        f"{name} {size_words(order.k_memory)}" for name, order in small.items() if order is not None
    )
    last = len(findings.config.train_sizes) - 1
    ends = ", ".join(
        f"{name} {part.analysis.law('entropy', 'trained', 'loo', 'heldout').estimate[last, 0]:.3f}"
        for name, part in findings.parts.items()
    )
    supported = sum(one.verdict == "supported" for one in findings.predictions)
    return [
        f"By entropy alone, at t -> 0: K_H = {by_entropy}; absorbing over uniform "
        f"{ratio_words(findings.ratios.get(('K_H', -1)))}.",
        f"At the largest K the network's held-out entropy at t -> 0 is {ends} (law "
        f"{findings.law_entropy:.3f}).",
        f"{supported} of {len(findings.predictions)} predictions on the order of the channels are "
        "supported; the table below has what was found for each.",
    ]


def _definitions(findings: Findings) -> list[str]:
    config = findings.config
    error = max(information(config, name)[1].max() for name in CHANNELS) / config.seq_len
    lines = [
        f"Networks, sequences and K are the same under every channel; {config.seeds} seed(s), "
        f"{config.queries} inputs per split and level. Hybrid: p_uniform = {config.p_uniform:g}.",
        "Levels of the hybrid and the absorbing channel are those at which I(x_0; x_t) of the "
        "source, by Monte Carlo on a grid of kept fractions, is that of the uniform channel "
        f"(standard error at most {error:.3f} nats a token). A level t means another thing under "
        "each.",
        "K_M, K_G: where M falls below, G rises above 1/2 between the exact ends of that channel "
        "(`simulations.phase`). Ratios: absorbing over uniform, the same sequences resampled "
        "together.",
        "Laws at t -> 0: uniform and hybrid at t = 1e-5; absorbing with each site masked alone.",
        "95 % intervals over sequences, seeds held fixed where fewer than 5.",
    ]
    return ["## What is measured", "", *(f"- {line}" for line in lines), ""]


def _prediction_table(findings: Findings) -> list[str]:
    rows = [[one.what, one.found, one.verdict] for one in findings.predictions]
    return markdown(["prediction", "found", "verdict"], rows)


def _size_table(findings: Findings) -> list[str]:
    rows = []
    for level in range(len(findings.config.levels)):
        for name in CHANNELS:
            part = findings.parts[name]
            order, t = order_at(part, level), part.analysis.config.levels[level]
            tail = part.orders.tails.get(("trained", t))
            numbers = [f"{part.told[level]:.3f}", f"{t:g}", f"{part.lost[level]:.3f}"]
            if order is None:
                rows.append([*numbers, name, "–", "–", "–", "–"])
                continue
            d_eff = (
                with_spread(tail.effective_dimension, tail.low, tail.high, 0)
                if tail is not None
                else "–"
            )
            sizes = [size_words(order.k_generalization), size_words(order.k_memory)]
            rows.append([*numbers, name, *sizes, ratio_words(order.window), d_eff])
    head = ["I, nats a token", "t", "tokens lost", "channel", "K_G", "K_M", "K_M / K_G", "d_eff"]
    return markdown(head, rows)


def _radius_table(findings: Findings) -> list[str]:
    """The network's basin radii as the information that is left there."""
    config, rows = findings.config, []
    for k in config.train_sizes:
        for name in CHANNELS:
            analysis = findings.parts[name].analysis
            levels = analysis.config.levels
            words = []
            for split, criterion in RADII:
                radius = analysis.radii.get(("trained", split, criterion, k))
                words.append(_told_words(config, name, radius, levels))
            rows.append([f"{k:,}", name, *words])
    text = (
        "Network: least information, nats a token, from which half of the sequences are found "
        "(`exact`: the query is the sequence nearest to the output) or half of the lost tokens "
        "restored; the smaller, the larger the basin. Interpolated between the levels measured."
    )
    head = ["K", "channel", *(f"{split}, {criterion}" for split, criterion in RADII)]
    return [text, "", *markdown(head, rows)]


def _told_words(
    config: Config, channel: ChannelName, radius: Radius | None, levels: tuple[float, ...]
) -> str:
    if radius is None or radius.status == "undefined":
        return "–"
    if radius.status == "censored above":
        return f"< {told_at(config, channel, levels[-1]):.2f}"
    if radius.status == "censored below":
        return f"> {told_at(config, channel, levels[0]):.2f}"
    ends = [
        told_at(config, channel, t) if np.isfinite(t) else np.nan
        for t in (radius.value, radius.high, radius.low)
    ]
    return with_spread(ends[0], ends[1], ends[2], 2)


def _end_table(findings: Findings) -> list[str]:
    rows = []
    for k, size in enumerate(findings.config.train_sizes):
        for name in CHANNELS:
            analysis = findings.parts[name].analysis
            entropies = [
                analysis.law("entropy", "trained", "loo", split)
                for split in ("train", "heldout", "generated")
            ]
            fixed = [analysis.share("fixed", "trained", split) for split in ("train", "heldout")]
            cells = [
                with_spread(rate.estimate[k, 0], rate.low[k, 0], rate.high[k, 0])
                for rate in entropies
            ]
            cells += [with_spread(rate.estimate[k], rate.low[k], rate.high[k], 2) for rate in fixed]
            rows.append([f"{size:,}", name, *cells])
    text = (
        "Network: `loo` entropy at t -> 0, nats a token (law "
        f"{number(findings.law_entropy)}), and whole sequences that are fixed points."
    )
    head = ["K", "channel", "train", "held-out", "generated", "fixed, train", "fixed, held-out"]
    return [text, "", *markdown(head, rows)]
