"""When the curvature of networks agrees with the measured gap: the rule, and what it should give.

The rule of a case (a system at one level): tr(C F(H)) of the models of the largest K over K times
the gap of these models, F the filter of the training time; both means over seeds, their 95 %
interval resamples networks and blocks of held-out sequences (curvature), training sets and
sequences (gap). The case agrees if the interval holds 1; it counts if the gap is told from 0.

It compares at the K of the model alone. A first one, all K together, was given up after results of
the root seed in EARLIER had been seen, where K times the gap of networks falls with K. What those
seeds say therefore confirms nothing: EXPECTED was written after them and before any other seed was
drawn, and the verdict is that of other seeds.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import binom

LEAST_COVERAGE = 0.84  # of the interval of five seeds: `measure.bootstrap.hierarchical`
UNLIKELY = 0.05  # chance, if curvature and gap are one, of no more agreements than `enough` - 1

EARLIER = 2604  # the root seed, one network each: cases that agree, that count, median ratio
EARLIER_CASES = {
    "linear iid": (4, 4, 0.94),
    "features iid": (3, 3, 1.04),
    "pairwise iid": (3, 4, 1.09),
    "pairwise markov": (4, 4, 0.95),
    "mlp iid 1000 steps": (1, 4, 1.46),
    "mlp iid 8000 steps": (4, 4, 1.08),
    "mlp markov 1000 steps": (1, 1, 0.75),
    "mlp markov 8000 steps": (3, 3, 1.29),
}


@dataclass(frozen=True)
class Expected:
    """What fresh seeds should give: whether curvature and gap are one, and the median ratio."""

    agrees: bool
    low: float
    high: float


EXPECTED = {
    "linear iid": Expected(True, 0.9, 1.1),
    "features iid": Expected(True, 0.9, 1.15),
    "pairwise iid": Expected(True, 0.9, 1.15),
    "pairwise markov": Expected(True, 0.8, 1.25),
    "mlp iid 1000 steps": Expected(False, 1.25, 1.65),
    "mlp iid 8000 steps": Expected(True, 0.9, 1.25),
    "mlp markov 1000 steps": Expected(True, 0.6, 1.6),
    "mlp markov 8000 steps": Expected(True, 0.7, 1.6),
}


def enough(cases: int) -> int:
    """Least number of agreements out of `cases` that speaks for curvature and gap being one.

    The interval of each holds the truth at least with LEAST_COVERAGE; fewer agreements than this
    come in no more than UNLIKELY of draws. Levels of one network are not independent: a guide.

    >>> enough(4), enough(12), enough(15)
    (2, 8, 10)
    """
    return int(binom.ppf(UNLIKELY, cases, LEAST_COVERAGE))
