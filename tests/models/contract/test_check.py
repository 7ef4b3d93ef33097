"""What cannot be used is refused in one sentence; what is not refused is usable everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from am_theory import channel
from am_theory.channel import Absorbing, Cosine, Hybrid, Linear, LogLinear
from models.contract import check, claims
from models.contract.check import examine
from models.contract.rows import few_bits
from models.denoiser import certain_where_visible, check_denoiser, contract_problems, log_full
from models.networks.mlp import MLPDenoiser
from models.released.converted import Converted, Reading
from models.sampler import generate
from models.unmasking import single_mask_laws, unmask_confident
from tests.registry import SOURCES

CHAIN = SOURCES["chain"]
WIDE = 30522


def bfloat16(x):
    """Numbers rounded to bfloat16, in float32."""
    return np.asarray(jnp.asarray(x, jnp.bfloat16).astype(jnp.float32))


@dataclass
class Model:
    """The chain's denoiser, its law as `change(law, x_t, t)` leaves it."""

    change: Any = lambda law, x_t, t: law
    vocab_size: Any = 3
    seq_len: Any = 4
    schedule: Any = LogLinear()

    def log_loo(self, x_t, t):
        return self.change(CHAIN.population_denoiser().log_loo(x_t, t), x_t, t)


@dataclass
class Iid:
    """One law of a large vocabulary at every site."""

    change: Any
    vocab_size: int = WIDE
    seq_len: int = 4
    schedule: Any = LogLinear()

    def log_loo(self, x_t, t):
        logits = 3 * np.random.default_rng(0).normal(size=WIDE)
        return np.broadcast_to(self.change(np.float32(logits)), (*np.shape(x_t), WIDE))


def log_softmax(x):
    return x - np.logaddexp.reduce(x)


class Half:
    """What a framework of another kind returns."""

    def detach(self):
        return self


def late(law, t, value, at=5e-5):
    """`value` in place of the law at levels below `at`."""
    small = np.broadcast_to(np.asarray(t), len(law)) < at
    return np.where(small[:, None, None], value, law)


def small_tokens_only(law, x_t, t):
    if x_t.dtype == np.uint8:
        raise TypeError("indices must be Long\nor Int")
    return law


def one_at_a_time(law, x_t, t):
    return law * (np.float32(1) if float(t) else 0)


def without_last(law):
    kept = np.exp(law) * [1, 1, 0]
    return np.log(kept / kept.sum(-1, keepdims=True))


def at_1e_4(law, x_t, t):
    return np.where(
        (np.abs(np.broadcast_to(t, len(law)) - 1e-4) < 1e-6)[:, None, None], np.nan, law
    )


def in_place(law, x_t, t):
    x_t[:, 0] = 0
    return law


def single(law, x_t, t):
    if np.asarray(t).dtype == np.float64 and np.ndim(t):
        raise TypeError("mat1 and mat2 must have the same dtype")
    return law


REFUSED = {
    "bfloat16 log_softmax, widened": (
        Iid(lambda x: bfloat16(bfloat16(x) - np.logaddexp.reduce(bfloat16(x)))),
        "have the digits of bfloat16 alone, too few for a log_softmax: take it in float32",
    ),
    "bfloat16": (
        Model(lambda law, x_t, t: jnp.asarray(law, jnp.bfloat16)),
        "numbers of type bfloat16; they must be float32 or float64",
    ),
    "float16": (Model(lambda law, x_t, t: law.astype(np.float16)), "numbers of type float16"),
    "logits": (Model(lambda law, x_t, t: law - 2.5), "If these are logits, apply log_softmax"),
    "rows of other sums": (
        Model(lambda law, x_t, t: law - np.arange(4)[None, :, None]), "sums to between 0.0497"
    ),
    "probabilities": (
        Model(lambda law, x_t, t: np.exp(law)), "These are probabilities: take their logarithm"
    ),
    "minus logs": (
        Model(lambda law, x_t, t: -law), "These are minus log-probabilities: change the sign"
    ),
    "base 2": (Model(lambda law, x_t, t: law / np.log(2)), "to the base 2: multiply them by log 2"),
    "base 10": (Model(lambda law, x_t, t: law / np.log(10)), "to the base 10"),
    "NaN": (Model(lambda law, x_t, t: law * np.nan), r"log_loo returned NaN\."),
    "NaN where t is small": (
        Model(lambda law, x_t, t: late(law, t, np.nan)),
        "returned NaN at t = 1e-05, where laws are read too",
    ),
    "NaN at 1e-4": (
        Model(at_1e_4),
        "returned NaN at t = 0.0001",
    ),
    "NaN at t = 1": (
        Model(lambda law, x_t, t: -late(-law, -np.asarray(t), np.nan, -0.99)), "NaN at t = 1,"
    ),
    "infinite": (Model(lambda law, x_t, t: late(law, t, np.inf)), "returned infinity at t = 1e-05"),
    "all zero": (Model(lambda law, x_t, t: late(law, t, -np.inf)), "sums to between 0 and 0"),
    "another framework": (
        Model(lambda law, x_t, t: Half()),
        r"returned a .*Half; it must .*: end it with \.detach\(\)\.cpu\(\)\.float\(\)\.numpy\(\)",
    ),
    "a tuple": (Model(lambda law, x_t, t: (law, None)), "returned a tuple; it must return one"),
    "lists": (Model(lambda law, x_t, t: law.tolist()), "returned a list; it must return one NumPy"),
    "integers": (Model(lambda law, x_t, t: law.astype(int)), "numbers of type int64"),
    "wide tokens only": (
        Model(small_tokens_only),
        r"given tokens .*uint8, and raised TypeError: indices must be Long or Int; begin it with "
        r"x_t = np\.int64\(x_t\)",
    ),
    "t as a number only": (Model(one_at_a_time), "takes t as a number and not as"),
    "t as an array only": (
        Model(lambda law, x_t, t: law + 0 * t[:, None, None]), "takes t as .batch,. and not as a"
    ),
    "t in float32 only": (Model(single), "takes t in float32 and not in float64: TypeError: mat1"),
    "at half only": (
        Model(lambda law, x_t, t: law if not np.any(np.isclose(t, 0.5)) else law[:, 9]),
        "log_loo failed on noisy sequences at t = 0.1 to 0.7: IndexError",
    ),
    "tokens changed": (Model(in_place), "log_loo changes the tokens that it is given"),
    "the class": (Model, "it is the class Model, no object of it: call it"),
    "true values": (Model(vocab_size=True), "`vocab_size` must be an integer of at least 2; got T"),
    "one value": (Model(vocab_size=1), "`vocab_size` must be an integer of at least 2; got 1"),
    "real values": (Model(vocab_size=3.0), r"`vocab_size` .* got 3\.0"),
    "real length": (Model(seq_len=4.0), r"`seq_len` .*, or None for any length; got 4\.0"),
    "no length": (Model(seq_len=0), "`seq_len` must be an integer of at least 1.*; got 0"),
    "true length": (Model(seq_len=True), "`seq_len` must be .*; got True"),
    "text for length": (Model(seq_len="4"), "`seq_len` must be .*; got '4'"),
}  # fmt: skip


@dataclass
class Curve:
    """A schedule from functions."""

    alpha: Any
    alpha_rate: Any = lambda t: -1 + 0 * t
    time_at: Any = lambda alpha: 1 - alpha


SCHEDULES = {
    "none": (None, "with the methods alpha, alpha_rate, .*; got None, without alpha, alpha_rate"),
    "a function": (lambda t: 1 - t, "got a function, without alpha"),
    "a name": ("loglinear", "got 'loglinear', without alpha"),
    "the class": (LogLinear, "got the class LogLinear"),
    "no rate": (Curve(lambda t: 1 - t, None), "without alpha_rate"),
    "rising": (Curve(lambda t: t), "must fall with t, .*; got 0, 0.5 and 1 at t = 0, 0.5 and 1"),
    "constant": (Curve(lambda t: 0.5 + 0 * t), "must fall with t"),
    "sigma": (Curve(lambda t: 4 * t), r"got 1\.2\. Of sigma = -log\(alpha\) take exp\(-sigma\)"),
    "negative": (Curve(lambda t: 1 - 2 * t), "must lie in .0, 1.; got -"),
    "NaN": (Curve(lambda t: 0 * t / t), "must lie in .0, 1.; got nan"),
    "steps": (Curve(lambda step: [1.0, 0.5, 0.0][step]), "it raised TypeError"),
    "a number for all": (Curve(lambda t: float(1 - np.mean(t))), "the same for a number and for"),
    "another rate": (
        Curve(lambda t: 1 - t, lambda t: -2 + 0 * t), "derivative of alpha, which is -1 at"
    ),
    "rate of the wrong sign": (Curve(lambda t: 1 - t, lambda t: 1 + 0 * t), "got 1"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_each_thing_that_cannot_be_used_is_one_sentence(what):
    model, message = REFUSED[what]
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=message) as told:
        check_denoiser(model)
    assert "\n" not in str(told.value)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("what", SCHEDULES)
def test_each_thing_that_is_no_schedule_is_one_sentence(what):
    schedule, message = SCHEDULES[what]
    with pytest.raises(ValueError, match=f"`schedule.*{message}"):
        check_denoiser(Model(schedule=schedule))


def test_a_mask_needs_the_level_of_an_alpha():
    for schedule, message in (
        (Curve(lambda t: 1 - t, time_at=None), "without time_at"),
        (Curve(lambda t: 1 - t, time_at=lambda a: a), "must be the level at which alpha has that"),
    ):
        model = Model(schedule=schedule)
        assert contract_problems(model) == []
        model.channel = Absorbing(3)
        (problem,) = contract_problems(model)
        assert message in problem


@pytest.mark.parametrize("schedule", [Linear(), LogLinear(), Cosine(), Cosine(0.0)], ids=repr)
@pytest.mark.parametrize("kind", [None, Absorbing(3), Hybrid(3, 0.2)], ids=repr)
def test_what_conforms_is_usable_everywhere(schedule, kind):
    model, rng = CHAIN.population_denoiser(schedule, kind), np.random.default_rng(0)
    assert examine(model) == ([], [])
    assert generate(model, rng, 4, 4, 3).shape == (4, 4)
    x_t = rng.integers(3, size=(2, 4)).astype(np.uint8)
    assert np.isfinite(np.asarray(log_full(model, x_t, 1e-5)).max())
    if kind is not None:
        assert unmask_confident(model, rng, np.full((2, 4), 3)).max() < 3
        assert np.isfinite(single_mask_laws(model, x_t, [[0], [1]])).all()


def test_probabilities_of_zero_are_allowed():
    def settled(law, x_t, t):
        return np.where(np.arange(3) == 1, 0.0, -np.inf) + np.zeros((*x_t.shape, 1))

    assert contract_problems(Model(settled)) == []


class Blind:
    """The same law at every mask, whatever the other tokens are."""

    vocab_size, seq_len, schedule, channel = 3, 4, Linear(), Absorbing(3)

    def log_loo(self, x_t, t):
        law = np.zeros((*x_t.shape, 3)) + np.log([0.5, 0.3, 0.2])
        return certain_where_visible(law, x_t, self.channel)


NOTED = {
    "one law at masks": (Blind(), "The law is the same whatever the other tokens are"),
    "one law": (Model(lambda law, x_t, t: np.zeros_like(law) + np.log([0.5, 0.3, 0.2])), "The law"),
    "a token that never comes": (
        Model(lambda law, x_t, t: without_last(law)),
        "gives the token 2 probability 0 everywhere",
    ),
    "few digits": (
        Model(lambda law, x_t, t: np.float64(np.float16(law)) if np.ptp(law) else law),
        "have the digits of float16 alone",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("what", NOTED)
def test_what_a_reader_should_know(what):
    model, message = NOTED[what]
    found = examine(model)
    assert found.problems == [] and any(message in note for note in found.notes)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_damaged_weights_are_named(value):
    model = MLPDenoiser(jax.random.key(0), 3, 4, width=8)
    broken = eqx.tree_at(lambda m: m.readout, model, model.readout.at[1, 2].set(value))
    (problem,) = contract_problems(broken)
    assert "1 of the 96 numbers of readout are NaN or infinite" in problem
    assert contract_problems(model) == []


class Sums(eqx.Module):
    """Logits over W ids that add what every other site's id says."""

    table: jax.Array  # (W, W)

    def __call__(self, ids, t):
        each = self.table[ids]
        return each.sum(1, keepdims=True) - each


@pytest.mark.parametrize(
    "values, mask_id, taken_for",
    [(3, 3, None), (3, 0, None), (4, 4, 3), (3, 7, None)],
    ids=["the last row", "the first row", "no row", "no row, but one is spare"],
)
def test_a_mask_that_the_network_does_not_have_is_seen(values, mask_id, taken_for):
    """JAX reads an id that a table does not have as the last that it has."""
    net = Sums(jnp.asarray(np.random.default_rng(0).normal(size=(4, 4)), jnp.float32))
    reading = Reading("loo", Absorbing(values), mask_id)
    outputs = lambda net, ids, t: net(ids, t)  # noqa: E731
    problems = contract_problems(Converted(net, outputs, reading, LogLinear(), 5))
    if taken_for is None:
        assert problems == []
    else:
        (problem,) = problems
        assert f"takes the mask, whose id is {values} here, for the token {taken_for}" in problem


def test_the_check_asks_for_few_laws():
    """As its docstring has it, and never for more than four at a time."""
    asked = []

    class Counted(Model):
        def log_loo(self, x_t, t):
            asked.append(len(x_t))
            return super().log_loo(x_t, t)

    check_denoiser(Counted())
    assert sum(asked) == 57 and max(asked) == 4
    assert "laws of 57 sequences" in " ".join(check.examine.__doc__.split())


def test_the_type_that_numbers_come_from():
    rng = np.random.default_rng(0)
    law = np.log(rng.dirichlet(np.ones(50), size=20)).astype(np.float32)
    assert few_bits(law) is None and few_bits(np.zeros(3)) is None
    assert few_bits(bfloat16(law)) == "bfloat16"
    assert few_bits(np.float32(np.float16(law))) == "float16"


@pytest.mark.parametrize("kind", ["loo", "full", "batch"])
def test_large_laws_are_looked_at_in_part_and_found_the_same(kind, monkeypatch):
    """Few sequences at a time and some of their sites: what is wrong is found as in the whole."""

    def change(law, x_t, t):
        if kind == "full":
            alpha = LogLinear().alpha(np.broadcast_to(np.asarray(t, float), len(law)))
            return channel.full_from_loo(law, x_t, alpha)
        return law if kind == "loo" or len(law) == 1 else law[::-1]

    whole = examine(Model(change))
    monkeypatch.setattr(claims, "SEEN", 6)  # two sites of V = 3
    monkeypatch.setattr(claims, "LARGE", 6)
    asked: list[int] = []
    part = examine(Model(lambda law, x_t, t: asked.append(len(law)) or change(law, x_t, t)))
    assert max(asked) == 2
    assert len(part.problems) == len(whole.problems) == (kind != "loo")
    assert [words[:30] for words in part.problems] == [words[:30] for words in whole.problems]
