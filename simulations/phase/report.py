"""What the main job tells: what happened in ten lines, definitions, then the tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table

from simulations.data.problem import make_source
from simulations.measure.checks import Row
from simulations.measure.names import EPSILONS, LOG_LOSS_CAP
from simulations.measure.tables import number, section, spread
from simulations.phase.analysis import Analysis
from simulations.phase.attractors import LEVEL_OF_FULL
from simulations.phase.comparison import Findings
from simulations.phase.order import TITLES
from simulations.phase.tell import tables
from simulations.phase.tell.summary import happened
from simulations.results.report import Report


def acceptance(analysis: Analysis) -> dict[str, Any]:
    """The numbers by which one judges whether the two ends are reached."""
    config = analysis.config
    found: dict[str, Any] = {}
    for end, k in (("smallest K", 0), ("largest K", -1)):
        levels = {}
        for i, t in enumerate(config.levels):
            row = {}
            for name in ("corrupted recovery", "all-token recovery"):
                for denoiser, split in (
                    ("trained", "train"),
                    ("trained", "heldout"),
                    ("empirical", "train"),
                    ("population", "heldout"),
                ):
                    if denoiser not in analysis.denoisers:
                        continue
                    rate = analysis.rate(name, denoiser, "ancestral", split)
                    ends = [rate.low[k, i], rate.high[k, i]]
                    row[f"{name}, {denoiser} {split}"] = [rate.estimate[k, i], *ends]
            levels[f"t={t:g}"] = row
        entropy = {
            split: analysis.law("entropy", "trained", "loo", split).estimate[k, 0]
            for split in ("train", "heldout", "generated", "random")
        }
        found[end] = {
            "train_size": analysis.train_sizes[k],
            "recovery (estimate, low, high)": levels,
            "loo entropy at t=1e-5, nats a token": entropy,
        }
    if config.source != "text":
        law = make_source(config.source, config.vocab_size, config.seq_len).loo_entropy_law()
        found["source loo entropy, nats a token"] = law.mean()
        found["source fraction of tokens below"] = {
            f"{eps:g} nats": law.fraction_below(eps) for eps in EPSILONS
        }
    return found


def _definitions(findings: Findings) -> list[str]:
    config = findings.analysis.config
    law = (
        "the denoiser itself at its largest K (the law of a text is unknown: relative)"
        if config.source == "text"
        else "the exact law of the source"
    )
    units = (
        "sequences and seeds."
        if config.seeds >= 5
        else "sequences, the seeds held fixed (fewer than 5); each seed's own estimate is in "
        "`summary.json`."
    )
    lines = [
        f"Source `{config.source}`, V = {config.vocab_size}, L = {config.seq_len}; a token that "
        f"the channel does not keep is {config.fate}; {config.queries} corrupted inputs per split "
        f"and noise level; {config.seeds} seed(s). " + findings.notes,
        f"Two ends, exact: the optimal memorizer of the same K sequences, and {law}. Memory "
        "fraction M = (R_train - R_law) / (R_memorizer - R_law) on training inputs. "
        "Generalization fraction G = (R_held - R_memorizer) / (R_law - R_memorizer) on held-out "
        "inputs, with the memorizer's own held-out curve, which rises with K. K_M: the last "
        "passage of 1/2, K_G: the first, linear in log K. A fraction is undefined where its two "
        "ends are within two standard errors.",
        "Corrupted recovery: of the tokens that the channel changed, those restored (pooled "
        "ratio). All-token recovery: of all tokens, those right. Single-token recovery: the mean "
        "of `loo` on the true token at t = 1e-5, the limit of corrupted recovery as t -> 0.",
        f"Decoder `ancestral`: {config.n_steps} stochastic reverse steps on the full interval "
        "(a run from t uses its share); for the exact denoisers one exact joint posterior draw. "
        "`argmax`: Bayes token decision on `full`. `best_change`: argmax of `full` over the other "
        f"tokens. Generated sequences: {config.generation_steps} steps from pure noise.",
        "Entropies are of the named law in nats a token: `loo` is p(x_0^i | x_t without i), "
        f"`full` is p(x_0^i | x_t). Log losses are capped at {LOG_LOSS_CAP:g} nats a token. "
        f"NELBO: diffusion term from t_0 = {config.nelbo_start:g} to 1. K_H: K_M read off the "
        "`loo` entropy of training sequences at t = 1e-5.",
        "Tail: gap of train and held-out recovery = d_eff / K, fitted over the last factor of 32 "
        "in K; its interval covers where the tail begins (a factor of 32, 16 or 8).",
        "Fixed point: a sequence each of whose tokens is the likeliest of the `loo` law at "
        f"t = 1e-5 (of `full`: at t = {LEVEL_OF_FULL:g}). Attractors: where all sites at once, "
        f"again and again, take their likeliest token, from {config.starts} starts of a split. "
        "Effective number: one over the chance that two random starts end in the same one.",
        "Pseudo-likelihood memory: pairwise conditional laws with site biases, fitted row by row "
        "on the same K sequences; it knows no noise level and has no energy unless its couplings "
        "are symmetric. It is fitted, and a second network trained by the NELBO, for the first "
        "seed alone.",
        f"Intervals: 95 %, {config.replicates} bootstrap replicates over {units}",
    ]
    if not config.noise.redraws:
        lines.insert(
            5,
            "A visible token of this channel is a fact: no decoder changes it, `full` is the point "
            "mass on it, and it has no `loo` law. Laws at t = 1e-5 are those of each site masked "
            "alone, one pass a site. Where no stored sequence agrees with what is visible, the "
            "memorizer's law is that of the sequences that agree most, the limit of a little "
            f"uniform noise; in its NELBO a token so ruled out costs {LOG_LOSS_CAP:g} nats. t is "
            "not the t of another channel: compare at equal corrupted fraction or information.",
        )
    return ["## What is measured", "", *(f"- {line}" for line in lines), ""]


def _closing(findings: Findings) -> Table:
    """The comparisons that the terminal shows."""
    table = Table(title="Theory against simulation", title_justify="left")
    for name in ("what", "simulated", "predicted", "95 % of the gap", "verdict"):
        table.add_column(name, justify="left" if name in ("what", "verdict") else "right")
    shown: list[Row] = [
        row
        for row in findings.rows
        if "argmax" not in row.what and ("t=0.25" in row.what or "entropy" in row.what)
    ]
    for row in shown:
        numbers = (number(row.simulated), number(row.predicted), spread(row.low, row.high))
        table.add_row(row.what, *numbers, row.verdict)
    return table


def report(findings: Findings) -> Report:
    """What the main job tells."""
    from simulations.phase.tell.explorer import explorer_page

    analysis, orders = findings.analysis, findings.orders
    lines = happened(findings)
    summary = {
        "happened": lines,
        "trained": findings.trained_words,
        "order_parameters": {
            f"{TITLES[name]}: {reading}, t={t:g}": _order_record(order)
            for (name, reading, t), order in orders.orders.items()
        },
        "entropy_against_recovery": {
            TITLES[name]: {**asdict(ratio), "verdict": ratio.verdict}
            for name, ratio in orders.limits.items()
        },
        "tails": {
            f"{TITLES[name]}: t={t:g}": {**asdict(tail), "verdict": tail.verdict}
            for (name, t), tail in orders.tails.items()
        },
        "attractors": tables.attractor_records(analysis),
        "circulation": tables.circulation_records(analysis),
        "acceptance": acceptance(analysis),
        "transition_sizes": {name: asdict(size) for name, size in analysis.sizes.items()},
        "basin_radii": {
            f"{d} {s} {c} K={k}": asdict(radius) for (d, s, c, k), radius in analysis.radii.items()
        },
        "mutual_information": {f"t={t:g}": list(v) for t, v in analysis.information.items()},
        "foretold": findings.foretold and asdict(findings.foretold),
        "trap_onset": {f"t={t:g}": list(v) for t, v in findings.traps.items()},
        "theory_against_simulation": [asdict(row) for row in findings.rows],
    }
    body = [
        *("## What happened", "", *(f"{k}. {line}" for k, line in enumerate(lines, 1)), ""),
        "[Explorer](explorer.html): every curve, phase and sequence of this run, to be moved "
        "through. [Other readings](readings.png).",
        "",
        *_definitions(findings),
        *section("Order parameters"),
        *tables.order_lines(findings),
        *section("The tail: gap = d_eff / K"),
        *tables.tail_lines(findings),
        *section("Attractors"),
        *tables.attractor_lines(analysis),
        *section("Has it an energy?"),
        *tables.circulation_lines(analysis),
        *tables.entropy_lines(analysis),
        *tables.radius_lines(analysis),
        *tables.bias_lines(findings),
        *tables.comparison_lines(findings),
    ]
    return Report(
        f"Phase diagram: source {analysis.config.source}",
        body,
        summary,
        [*lines[:4], _closing(findings)],
        findings.exact,
        findings.bounds,
        {"explorer.html": explorer_page(analysis, orders)},
    )


def _order_record(order: Any) -> dict[str, Any]:
    return {
        "train_sizes": order.memory.train_sizes,
        "memory": order.memory.estimate,
        "generalization": order.generalization.estimate,
        "K_M": asdict(order.k_memory),
        "K_G": asdict(order.k_generalization),
        "window K_M / K_G": asdict(order.window),
    }
