"""What the report says to an auditor: was this set used, by a reference network or without."""

from __future__ import annotations

import math
from collections.abc import Sequence

from simulations.measure.tables import number
from simulations.probe.audit.audit import Audit
from simulations.probe.audit.used import EXCHANGES, LEAST, Used
from simulations.probe.judge.membership import Membership
from simulations.probe.tell.estimates import GRADES, graded, rates_words, shown
from simulations.probe.tell.page import Section, Table

WAYS = ("fixed beforehand", "chosen on one half, judged on the other")


def used_words(answer: Used) -> str:
    """The answer in a sentence."""
    if math.isnan(answer.p_value):
        return (
            f"No p-value: it needs at least {LEAST} distinct sequences on either side, and there "
            f"are {answer.n_candidates} and {answer.n_heldout}."
        )
    least = answer.p_value <= 1 / (1 + EXCHANGES)
    told = f"p {'≤' if least else '='} {number(answer.p_value, 4)}"
    share = shown(answer.share, 2) if answer.share.known else "not resolvable"
    return (
        f"If none of the {answer.n_candidates:,} training sequences had been used, and they and "
        f"the {answer.n_heldout:,} held-out ones were random parts of one source, they would score "
        f"as high with {told}. Share of them that was used, at least: {share}."
    )


def audit_sections(found: Audit | None) -> list[Section]:
    """The dataset-level answer; and membership against the reference, where there is one."""
    if found is None:
        return []
    sections = [_used_section(found)]
    if found.graded:
        sections.append(_reference_section(found))
    return sections


def _used_section(found: Audit) -> Section:
    rows = [
        (
            way,
            answer.score,
            f"{answer.n_candidates:,}, {answer.n_heldout:,}",
            "–" if math.isnan(answer.p_value) else number(answer.p_value, 4),
            shown(answer.share),
        )
        for way, answer in zip(WAYS, found.answers, strict=True)
    ]
    header = ("score", "which", "training, held-out", "p-value", "share used, at least")
    return Section(
        "Was this set used?",
        [used_words(found.answers[0]), *found.notes],
        [
            "p-value: the share of exchanges of training with held-out sequences, drawn at random, "
            f"that raise the mean score as far ({EXCHANGES:,} and the one that is). It holds if "
            "both files are random parts of one source; held-out text that is later, cleaner or "
            "harder can alone make it small.",
            "The first row is the answer: its score was fixed before any number was seen. The "
            "second is by whichever score separates best on one half, on sequences of the other.",
            "Share: of training sequences that score above what held-out ones do, at a threshold "
            "chosen on one half and judged on the other. A lower bound: used sequences that score "
            "like others are not seen, so that its upper end does not bound what was used.",
        ],
        [Table("By distinct sequences", header, tuple(rows))],
    )


def _reference_section(found: Audit) -> Section:
    rows = [
        (row.name, *_cells(row.own), *_cells(row.gap), _auc(row.votes), _auc(row.subsets))
        for row in found.graded
    ]
    grades = [f"{name}, {which}" for which in ("alone", "less reference") for name in GRADES]
    header = ("score", *grades, "AUC, votes of sites", "AUC, votes of subsets")
    tables = [Table("Train against held-out, without and with the reference", header, tuple(rows))]
    cuts = [
        (row.name, number(row.variance), shown(row.of_sum), shown(row.of_apart))
        for row in found.reductions
        if row.of_sum.known
    ]
    if cuts:
        names = ("score", "Var(A - B)", "of Var A + Var B", "of Var(A - B'), noise of its own")
        tables.append(Table("Variance of held-out scores on common noise", names, tuple(cuts)))
    best = found.chosen
    chosen = (
        [
            f"Chosen on one half: {best.score}. On the other half ({best.n_train} training and "
            f"{best.n_heldout} held-out sequences) its AUC is {shown(best.auc)}."
        ]
        if best is not None
        else []
    )
    graded_rows = [m for row in found.graded for m in (row.own, row.gap) if m is not None]
    return Section(
        "Membership against a reference network",
        [*chosen, *rates_words(graded_rows)],
        [
            "A score less the reference's at the same noisy sequences: what is left is what this "
            "model knows of a sequence and the reference does not. The best row of the table is "
            "the best of many: name a row before looking, or take the one chosen on one half.",
            "A reference helps as far as it models the source and saw none of the sequences. One "
            "that is worse than the model at the source itself hides what it should show, and one "
            "that saw the training sequences too takes the sign of memory away.",
            "Votes: the share of sites, or of 8 disjoint subsets of them, at which the model beats "
            "the reference.",
        ],
        tables,
    )


def _cells(row: Membership | None) -> Sequence[str]:
    return ("–",) * len(GRADES) if row is None else graded(row)


def _auc(row: Membership | None) -> str:
    return "–" if row is None else shown(row.auc)
