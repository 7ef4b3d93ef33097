"""Numbers of the text that need no data: each is a call of `am_theory`, or of an exact source."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from am_theory import channel, empirical, scaling
from am_theory.derivations import ALL
from paper.numbers.enumerated import chain_numbers
from paper.quantity import Number, own, plain

SMALL: Mapping[str, Any] = {"train_size": 10**3, "seq_len": 32, "vocab_size": 4}
LARGE: Mapping[str, Any] = {"train_size": 10**6, "seq_len": 64, "vocab_size": 8}
ABOVE: Mapping[str, Any] = {"log_load": 0.7, "vocab_size": 4, "alpha": 0.6}  # beyond capacity
LINEAR: Mapping[str, Any] = {"seq_len": 64, "vocab_size": 4, "alpha": 0.5}
HIERARCHY: Mapping[str, Any] = {"vocab_size": 8, "branching": 2}


@dataclass(frozen=True)
class Call:
    """One call of the calculator `python -m am_theory`.

    function : `module.function` of am_theory. arguments : by name. part : the field of the result
    that is printed, "" for all of it. digits : decimals.
    """

    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    digits: int = 4
    part: str = ""

    def value(self) -> float:
        module, _, name = self.function.partition(".")
        found = getattr(importlib.import_module(f"am_theory.{module}"), name)(**self.arguments)
        return float(getattr(found, self.part) if self.part else found)

    def number(self, key: str) -> Number:
        words = [f"--{name.replace('_', '-')} {value}" for name, value in self.arguments.items()]
        command = " ".join(["python -m am_theory", self.function, *words])
        what = f"{self.function}, `{self.part}`" if self.part else self.function
        return Number(key, plain(self.value(), self.digits), what, command)


CALLS = {
    "channel.capacity": Call("channel.capacity", {"alpha": 0.5, "vocab_size": 16}),
    "memorizer.alpha": Call("empirical.critical_alpha", {"log_load": 0.3, "vocab_size": 4}),
    "memorizer.radius.small": Call("empirical.basin_radius", SMALL),
    "memorizer.radius.large": Call("empirical.basin_radius", LARGE),
    "memorizer.asymptote.small": Call("empirical.shannon_radius", SMALL, part="t_c"),
    "memorizer.asymptote.large": Call("empirical.shannon_radius", LARGE, part="t_c"),
    "memorizer.errors": Call("empirical.retrieval_probability_errors", {**SMALL, "errors": 14}, 3),
    "memorizer.distance": Call("empirical.minimum_distance", SMALL, 0),
    "memorizer.true_weight": Call("empirical.true_weight_exponent", ABOVE),
    "memorizer.strong_converse": Call("empirical.strong_converse_exponent", ABOVE),
    "hopfield.critical": Call("hopfield.critical_load"),
    "hopfield.ground": Call("hopfield.ground_state_load"),
    "hopfield.mixture": Call("hopfield.mixture_limit", {"n_patterns": 3}, part="load"),
    "neurodynamics.critical": Call("neurodynamics.critical_load"),
    "gardner.critical": Call("pseudolikelihood.critical_load", digits=0),
    "dense.critical": Call("dense.critical_load", {"order": 3}, part="distinct"),
    "potts.critical.3": Call("potts.critical_load", {"n_states": 3}),
    "potts.critical.4": Call("potts.critical_load", {"n_states": 4}),
    "potts.critical.8": Call("potts.critical_load", {"n_states": 8}),
    "bits.hopfield": Call("scaling.bits_per_parameter", {"model": "hopfield"}, 3),
    "bits.gardner": Call("scaling.bits_per_parameter", {"model": "gardner"}, 0),
    "bits.linear": Call(
        "scaling.bits_per_parameter", {"model": "linear", "vocab_size": 4, "alpha": 0.5}, 3
    ),
    **{
        f"linear.{criterion}": Call(
            "linear.convergence_size", {**LINEAR, "criterion": criterion}, 3, "ratio"
        )
        for criterion in ("corrupted_recovery", "recovery_gap", "error_gap")
    },
}


def theory_numbers() -> list[Number]:
    """All numbers of theory."""
    count = own("derivations.count", plain(len(ALL), 0), "identities in am_theory.derivations.ALL")
    calls = [call.number(key) for key, call in CALLS.items()]
    return [count, *calls, *chain_numbers(), *_memorizer_numbers(), *_hierarchy_numbers()]


def _memorizer_numbers() -> list[Number]:
    """Numbers that put two calls together, at V = 4 and t = 0.5 but for the first."""
    level = channel.LogLinear().time_at(CALLS["memorizer.alpha"].value())
    what = "noise level of memorizer.alpha on the log-linear schedule, (1 - alpha) / 0.999"
    found = [own("memorizer.level", plain(level, 4), what)]
    alpha = float(channel.LogLinear().alpha(0.5))
    capacity = float(channel.capacity(alpha, 4))
    for length in (12, 24):
        value = float(empirical.train_test_gap_log_size(0.01, length, 4, alpha))
        what = (
            "empirical.train_test_gap_log_size over L times channel.capacity: log K at which train "
            f"and test recovery differ by 0.01, L = {length}, V = 4, t = 0.5"
        )
        ratio = plain(value / (length * capacity), 2)
        found.append(own(f"memorizer.meet.{length}", ratio, what))
    for length in (32, 512):
        size = math.exp(length * capacity + 0.5 * math.log(length))
        share = plain(empirical.retrieval_probability(size, length, 4, alpha), 4)
        what = (
            "empirical.retrieval_probability where the normal approximation says 1/2, "
            f"L = {length}, V = 4, t = 0.5"
        )
        found.append(own(f"memorizer.half.{length}", share, what))
    return found


def _hierarchy_numbers() -> list[Number]:
    """The unstable fixed point of the averaged upward map, one of three."""
    found = []
    for rules in (2, 4):
        fixed = scaling.upward_fixed_points(rules=rules, **HIERARCHY)
        what = f"unstable point of scaling.upward_fixed_points, v = 8, m = {rules}, branching 2"
        inside = plain(fixed.p[~fixed.stable][0], 3)
        found.append(own(f"hierarchy.threshold.{rules}", inside, what))
    return found
