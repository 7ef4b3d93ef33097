"""What the report of a probe says, section by section."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

import xarray as xr

from simulations.measure.names import SMALL_LEVEL, SPLITS
from simulations.probe.judge.statistics import NAMES, LawRow, Statistics
from simulations.probe.judge.verdict import Verdict
from simulations.probe.measure.estimate import Estimate
from simulations.probe.measure.kind import noise_of, small
from simulations.probe.tell.estimates import GRADES, graded, rates_words, shown
from simulations.probe.tell.page import Section, Table

SHOWN_LEVEL = 0.25  # the measured level next to it stands for all
DECODER_NAMES = {
    "ancestral": "reverse process",
    "argmax": "one-shot argmax of full",
    "best_change": "one-shot best change",
}
OF_ERASURES = {"ancestral": "reverse process", "best_change": "one-shot most probable token"}
LOST = {
    "uniform": "redrawn uniformly over the vocabulary",
    "absorbing": "masked",
    "hybrid": "redrawn uniformly over the vocabulary, or masked, more often the larger t",
}
CHANGED = {"uniform": "changed", "absorbing": "masked", "hybrid": "changed or masked"}


def verdict_sections(verdicts: Sequence[Verdict]) -> list[Section]:
    """The first page: what the headline rests on, what would make it wrong and whether that was
    looked for, and its reasons; then the other verdict."""
    found, told = [], set[str]()
    for k, verdict in enumerate(verdicts):
        rows = tuple((words, shown(value)) for words, value in verdict.numbers if value.known)
        rest = Table("The numbers it rests on, with 95 % intervals", ("number", "value"), rows)
        order = ("failed", "not tested", "passed")
        checks = sorted(verdict.checks, key=lambda check: order.index(check.result))
        listed = [f"{c.result}: {c.asked} {c.said}" for c in checks if c.asked not in told]
        told.update(check.asked for check in checks)
        title, words = "The answer", list[str]()
        if k:
            title = f"The other verdict, by {verdict.basis}"
            words = [f"{verdict.label}: {verdict.sentence}."]
        found.append(Section(title, words, tables=[rest] if rows else ()))
        found.append(Section("What would make it wrong", points=listed))
        found.append(Section("Because", points=verdict.reasons))
    return found


def short_section(data: xr.Dataset, found: Statistics) -> Section:
    """The few numbers that say most, those that were measured."""
    t = min(data["t"].values.tolist(), key=lambda level: abs(level - SHOWN_LEVEL))
    rows: list[tuple[str, Estimate]] = []
    for decoder, words in decoder_names(found).items():
        gaps = found.gap(f"recovery, train - held-out, {decoder}")
        rows += [(f"recovery, train - held-out, t = {t:g}, {words}", gaps[t])] if t in gaps else []
    for split in SPLITS[:3]:
        name = f"on {NAMES[split]} sequences, loo at {small(data)}, nats a token"
        for law in found.law(split, "loo")[:1]:
            rows.append((f"entropy {name}", law.entropy))
            rows.append((f"calibration gap {name}", law.calibration_gap))
    for row in found.splits:
        name = NAMES[row.split]
        rows.append((f"perplexity of {name} sequences", row.perplexity))
        rows.append((f"{name} sequences that repeat another one", row.repeats))
        rows.append((f"{name} sequences that copy a training sequence", row.copies))
    rows += [(f"membership AUC by {m.score}", m.auc) for m in found.membership[:1]]
    cells = tuple((name, shown(value), str(value.n)) for name, value in rows if value.known)
    table = Table("Estimates with 95 % intervals, n sequences", ("quantity", "value", "n"), cells)
    return Section("In short", tables=[table] if cells else ())


def result_sections(data: xr.Dataset, found: Statistics) -> list[Section]:
    """Tables with intervals."""
    return [
        Section("Recovery, damage, exact match", tables=_recovery_tables(found)),
        Section("Conditional entropy", tables=_entropy_tables(found)),
        Section("NELBO, repeats, copies", tables=[_sequence_table(data, found)]),
        _membership_section(found),
    ]


def decoder_names(found: Statistics) -> dict[str, str]:
    """The decoders that differ, in words: a masked token has no present value to change."""
    return OF_ERASURES if found.erases else DECODER_NAMES


Columns = dict[str, dict[float, Estimate]]


def _levels(title: str, columns: Columns, erases: bool = False) -> list[Table]:
    """A table with a row a level and a column a name; none where nothing was measured."""
    found = {name: by for name, by in columns.items() if any(e.known for e in by.values())}
    levels = sorted({t for by in found.values() for t in by})
    missing = Estimate(math.nan, math.nan, math.nan, 0)
    names = ["→ 0" if erases and t == SMALL_LEVEL else f"{t:g}" for t in levels]
    rows = [
        (names[k], *(shown(by.get(t, missing)) for by in found.values()))
        for k, t in enumerate(levels)
    ]
    return [Table(title, ("t", *found), tuple(rows))] if found else []


def _columns(
    found: Statistics, rows: Callable[[str, str], list[Any]], what: str, value: Callable[[Any], Any]
) -> Columns:
    """A column a split: `value` of its rows, `found.rate` or `found.law` of `what`, by level."""
    return {NAMES[s.split]: {r.t: value(r) for r in rows(s.split, what)} for s in found.splits}


def _recovery_tables(found: Statistics) -> list[Table]:
    tables: list[Table] = []
    for decoder, words in decoder_names(found).items():
        columns = _columns(found, found.rate, decoder, attrgetter("recovery"))
        columns["train - held-out"] = found.gap(f"recovery, train - held-out, {decoder}")
        tables += _levels(f"Recovery, {words}", columns)
    wholes = {"Damage": attrgetter("damage"), "Exact match": attrgetter("exact")}
    if found.erases:  # no visible token is ever changed
        del wholes["Damage"]
    for name, value in wholes.items():
        columns = _columns(found, found.rate, "ancestral", value)
        tables += _levels(f"{name}, {DECODER_NAMES['ancestral']}", columns)
    return tables


def _entropy_tables(found: Statistics) -> list[Table]:
    rows: list[tuple[str, str, Callable[[Any], Any]]] = [
        ("Entropy of loo, nats a token", "loo", attrgetter("entropy")),
        ("Log loss of loo, nats a token", "loo", attrgetter("log_loss")),
        ("Calibration gap of loo, nats a token", "loo", attrgetter("calibration_gap")),
    ]
    for k, epsilon in enumerate(found.epsilons):
        title = f"Share of tokens with loo entropy below {epsilon:g} nats"
        rows.append((title, "loo", partial(_vanishing, k)))
    if not found.erases:
        rows.append(("Entropy of full, nats a token", "full", attrgetter("entropy")))
    tables: list[Table] = []
    for title, law, value in rows:
        columns = _columns(found, found.law, law, value)
        for other in ("train", "held-out") if title.startswith("Entropy") else ():
            columns[f"generated - {other}"] = found.gap(f"{law} entropy, generated - {other}")
        tables += _levels(title, columns, found.erases)
    return tables


def _vanishing(k: int, row: LawRow) -> Estimate:
    return row.vanishing[k]


def _sequence_table(data: xr.Dataset, found: Statistics) -> Table:
    header = (
        "split",
        "sequences",
        f"NELBO from t_0 = {data.attrs['nelbo_start']:g}, nats a token",
        "perplexity",
        "repeat another one",
        "copies of train",
        "tokens away from nearest train",
    )
    rows = []
    for row in found.splits:
        cells = [shown(row.nelbo), shown(row.perplexity, 2), shown(row.repeats)]
        cells += [shown(row.copies), shown(row.distance, 2)]
        rows.append((NAMES[row.split], str(row.n), *cells))
    return Table("Sequences by split", header, tuple(rows))


def _membership_section(found: Statistics) -> Section:
    rows = [
        (row.score, f"{row.n_train}, {row.n_heldout}", *graded(row)) for row in found.membership
    ]
    table = Table(
        "Train against held-out by a score", ("score", "train, held-out", *GRADES), tuple(rows)
    )
    return Section("Membership", rates_words(found.membership), tables=[table] if rows else ())


def definitions(data: xr.Dataset, found: Statistics) -> Section:
    """What every number means, two lines each."""
    noise = noise_of(data)
    one_shot = "the most probable token of full, or the most probable other one."
    laws = (
        "loo is p(token | the others), full is p(token | all, its own noisy value too). At small t "
        "only loo tells anything."
    )
    if found.erases:
        one_shot = "the most probable token at every masked site. Visible tokens are never changed."
        laws = (
            "loo is p(token | the others). At masked sites full is the same law, and visible "
            "tokens are certain, so entropies and log losses are means over masked tokens alone. "
            f"As t → 0: {data.attrs['alone']} sites of each sequence, each masked alone with all "
            "others visible."
        )
    elif noise != "uniform":
        laws += " At a masked site the two are one law."
    return Section(
        "What is measured",
        points=(
            f"Noise level t: every token is kept with probability alpha(t), else {LOST[noise]}. 0 "
            "is clean, 1 is noise alone.",
            f"Recovery: of the tokens that noise {CHANGED[noise]}, the share restored. Damage: of "
            "the others, the share broken. Exact match: the whole sequence is right. Pooled "
            "counts.",
            f"Reverse process: ancestral sampling, {data.attrs['n_steps']} steps on the full "
            f"interval. One-shot: {one_shot}",
            laws,
            "Entropy: of the law at a token, mean over tokens. Near 0 on train and generated "
            "sequences where they are stored; a generalizer keeps the entropy of its source.",
            "Calibration gap: mean -log loo(true token), capped at 20 nats a token, minus the "
            "entropy. Near 0 for a calibrated model; on held-out text large for a memorizer, "
            "which is confident and wrong.",
            "NELBO: bound on the negative log likelihood, nats a token, from t_0 to 1 alone, so "
            "smaller than the whole; perplexity is its exponential. Compare at equal t_0.",
            "Membership: AUC is the probability that a training sequence scores higher than a "
            "held-out one; TPR at 1 % FPR is the share of train found at 1 % false alarms.",
            f"Intervals: 95 %, {found.replicates} bootstrap replicates over sequences, never "
            "tokens; Clopper and Pearson's for shares of sequences, and for rates of exactly 0 "
            "or 1. They speak of other sequences, not of other trainings of the model.",
            "Verdict without training data: by a law fitted to small networks of many families (V "
            "= 4 to 256, L = 8 to 64; uniform, absorbing and hybrid noise), each of which was "
            "judged by one fitted to the others (`simulations/probe/calibration`); for any other "
            "kind of network it extrapolates.",
            "What makes a verdict wrong: a source of little entropy, where there is nothing to "
            "separate; repeated sequences; training sequences among the held-out ones; a network "
            "whose softmax is full and not loo (cross-entropy to the clean token). Each is looked "
            "for, and named beside the verdict where it is seen.",
        ),
    )


def source_section(data: xr.Dataset, tables: str) -> Section:
    """Model, weights, data, how sequences were packed, sizes, command, provenance."""
    attrs = data.attrs
    points = [f"Model: {attrs['model']}", f"Checkpoint: {attrs['checkpoint'] or 'none'}"]
    if attrs["weights"] != "-":
        points.append(f"Weights: {attrs['weights']} (the authors' scripts evaluate raw weights)")
    if attrs.get("reference"):
        points.append(f"Reference: {attrs['reference']}")
    points += [
        f"V = {attrs['vocab_size']}, L = {attrs['seq_len']}; protocol {attrs['protocol']}; root "
        f"seed {attrs['root_seed']}",
        f"Test sequences: {attrs['test_file'] or 'none given'}",
        f"Training sequences: {attrs['train_file'] or 'none given'}",
        f"Sizes: {attrs['budget']}",
    ]
    if attrs.get("reproduce"):
        points.append(f"Command: {attrs['reproduce']}")
    points.append(tables)
    signs = ("commit", "toolkit_version", "python_version", "start_time", "host_class")
    signed = [f"{key.replace('_', ' ')} {attrs[key]}" for key in signs if key in attrs]
    if signed:
        points.append("Made with: " + ", ".join(signed))
    return Section("Where the numbers come from", points=points)


def warnings_of(data: xr.Dataset) -> list[str]:
    """What a reader should know of the data first."""
    listed = data.attrs.get("warnings", [])
    return [words for words in ([listed] if isinstance(listed, str) else listed) if words]
