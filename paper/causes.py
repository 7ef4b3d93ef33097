"""Why comparisons of simulation with theory deviate, by the run and the name of a row."""

from __future__ import annotations

import re
from dataclasses import dataclass

UNKNOWN = "Not known."


@dataclass(frozen=True)
class Cause:
    """What rows of some runs have in common: a pattern of their names, words for it, and why.

    `known` where a formula or another measurement shows it; else the cause is a likely one.
    """

    runs: tuple[str, ...]
    pattern: str
    words: str
    reason: str
    known: bool = False

    @property
    def why(self) -> str:
        return f"{'Known' if self.known else 'Likely'}: {self.reason}" if self.reason else UNKNOWN


PHASES = ("markov", "iid", "dit")
UNLEARNED = "a finite network after finite training is smoother than the exact law"
FINITE = "theory of infinite size"
ORDER = "corrections of order $1/d$."
CAUSES = (
    Cause(
        PHASES,
        r"train, against empirical",
        "smallest $K$ against the optimal memorizer",
        "the network holds its sequences, but not the optimal decision where most is noise.",
    ),
    Cause(
        PHASES,
        r"against population, corrupted recovery",
        "largest $K$ against the source, corrupted tokens",
        f"{UNLEARNED}; at low noise it changes more tokens, right and wrong ones.",
    ),
    Cause(
        PHASES,
        r"against population, all-token recovery",
        "largest $K$ against the source, all tokens",
        f"{UNLEARNED}.",
    ),
    Cause(
        PHASES,
        r"loo entropy",
        r"\texttt{loo} entropy at $t=10^{-5}$",
        f"{UNLEARNED}; training sequences are not all forgotten.",
    ),
    Cause(
        ("basins",),
        r"^empirical",
        "radius of the empirical denoiser",
        "chance alone, one interval in twenty.",
        known=True,
    ),
    Cause(
        ("basins",),
        r"^Hopfield",
        "Hopfield radius, Amari--Maginu",
        "the approximation is optimistic, and for many neurons.",
        known=True,
    ),
    Cause(
        ("basins",),
        r"",
        "radius of other memories, many neurons",
        "a theory of one update, or of infinite size; further updates repair more.",
        known=True,
    ),
    Cause(
        ("capacity",),
        r"^critical load",
        "critical load at infinite size",
        "sizes too small for the form of the correction; states near the pattern that are not on "
        "the retrieval branch count as retrieval.",
    ),
    Cause(
        ("capacity",),
        r"of the critical load: overlap",
        "overlap of the fixed point",
        f"{FINITE}; corrections grow towards the critical load.",
    ),
    Cause(("capacity",), r"^pseudo-likelihood", "stable bits", f"{FINITE}."),
    Cause(("capacity",), r"^structured examples", "structured examples, one step", f"{FINITE}."),
    Cause(("linear",), r"^one draw", "errors of fits to one noise draw", ORDER),
    Cause(("linear",), r"^training time", "errors at finite training time", ORDER),
    Cause(
        ("linear",),
        r": error,",
        "errors of fits to all noise",
        f"{ORDER[:-1]}; figure~\\ref{{fig:linear}}c shows them to fall so.",
        known=True,
    ),
    Cause(
        ("linear",),
        r"recovery",
        "token recovery of fits to all noise",
        "as the errors; at small $K$ also of order $1/K$.",
    ),
    Cause(
        ("scaling",),
        r"K\* / d",
        "linear denoiser, $K^*/d$",
        f"{ORDER[:-1]}, which the limit of long sequences is free of.",
        known=True,
    ),
    Cause(
        ("entropy",),
        r" from K=",
        r"separation $d'$, best level $t^*$",
        "networks are not the two exact denoisers, least of all at middle $K$.",
    ),
    Cause(
        ("entropy",),
        r"entropy of the run",
        "networks' runs against exact denoisers",
        f"{UNLEARNED}.",
    ),
    Cause(
        ("entropy",),
        r"^trained .*against the channel",
        "networks: own run against the channel",
        "their samples are not the sequences that they are compared with.",
        known=True,
    ),
    Cause(
        ("entropy",),
        r"^empirical .*on heldout",
        "empirical denoiser: own run against held-out sequences",
        "its runs end in stored sequences.",
        known=True,
    ),
    Cause(
        ("entropy",),
        r"^(empirical|population)\b",
        "exact denoisers: own run against the channel",
        "a run of finitely many steps draws the tokens of a step independently.",
    ),
    Cause(("novelty",), r"", "labels of fresh sequences against chance", ""),
)


def cause_for(run: str, what: str) -> Cause:
    """The first cause whose pattern a row has.

    >>> cause_for("linear", "V=4 L=16 alpha=0.5 x=0.15: error, train").words
    'errors of fits to all noise'
    >>> cause_for("linear", "something new").why
    'Not known.'
    """
    for cause in CAUSES:
        if run in cause.runs and re.search(cause.pattern, what):
            return cause
    return Cause((run,), "", "other", "")
