"""The denoiser contract: every denoiser of ours keeps it, and every breach is put in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from am_theory.channel import LogLinear
from models.denoiser import Denoiser, channel_of, check_denoiser, contract_problems, log_full
from models.errors import DenoiserContractError
from tests import oracles
from tests.helpers import assert_close
from tests.registry import DENOISERS, SOURCES, cases, source_law

LEVELS = [1e-4, 0.3, 1.0]


@pytest.mark.parametrize("name", cases(DENOISERS))
def test_every_denoiser_conforms(name):
    denoiser = DENOISERS[name]
    assert isinstance(denoiser, Denoiser)
    assert contract_problems(denoiser) == []
    check_denoiser(denoiser)


@pytest.mark.parametrize("name", cases(DENOISERS))
@pytest.mark.parametrize("t", LEVELS)
def test_rows_are_normalized_and_blind_to_their_own_token(name, t):
    denoiser = DENOISERS[name]
    rng = np.random.default_rng(1)
    x_t = rng.integers(denoiser.vocab_size, size=(3, denoiser.seq_len))
    law = np.exp(np.asarray(denoiser.log_loo(x_t, t)))
    assert law.shape == (3, denoiser.seq_len, denoiser.vocab_size)
    np.testing.assert_allclose(law.sum(-1), 1, atol=1e-5)
    full = np.exp(np.asarray(log_full(denoiser, x_t, t)))
    np.testing.assert_allclose(full.sum(-1), 1, atol=1e-5)
    if name.startswith(("mlp", "transformer")):  # a network learns this; it is not built in
        return
    if not channel_of(denoiser).redraws:  # of a visible token there is no law but the fact
        return
    other = x_t.copy()
    other[:, 0] = (other[:, 0] + 1) % denoiser.vocab_size
    moved = np.exp(np.asarray(denoiser.log_loo(other, t)))
    tolerance = 1e-5 if "JAX" in name else 1e-9
    np.testing.assert_allclose(moved[:, 0], law[:, 0], rtol=1e-5, atol=tolerance)


@pytest.mark.parametrize("name", cases(SOURCES))
def test_full_of_a_population_denoiser_is_the_enumerated_posterior(name):
    denoiser, law = SOURCES[name].population_denoiser(), source_law(name)
    x_t = oracles.all_sequences(denoiser.vocab_size, denoiser.seq_len)
    alpha = denoiser.schedule.alpha(0.4)
    full = np.exp(log_full(denoiser, x_t, 0.4))
    assert_close(full, oracles.full(law, x_t, alpha, denoiser.vocab_size))


@dataclass
class Probe:
    """A conforming denoiser whose answer goes through `change(answer, x_t, t)`."""

    change: Any
    vocab_size: int = 3
    seq_len: int = 4
    schedule: Any = LogLinear()

    def log_loo(self, x_t, t):
        return self.change(SOURCES["chain"].population_denoiser().log_loo(x_t, t), x_t, t)


def sentence(change) -> str:
    with pytest.raises(DenoiserContractError) as caught:
        check_denoiser(Probe(change))
    message = str(caught.value)
    assert message.startswith("Probe is not a Denoiser: ")
    return message


def test_the_probe_itself_conforms():
    check_denoiser(Probe(lambda law, x_t, t: law))


def test_logits_are_recognized():
    message = sentence(lambda law, x_t, t: law + 0.7)
    assert "sums to between 2.014 and 2.014" in message
    assert "If these are logits, apply log_softmax over the last axis." in message


def test_huge_logits_are_recognized_without_an_overflow():
    assert "apply log_softmax" in sentence(lambda law, x_t, t: 1e4 * (law + 2))


def test_wrong_axis_order_is_recognized():
    message = sentence(lambda law, x_t, t: np.moveaxis(law, -1, 1))
    assert "returned shape (4, 3, 4); expected (batch, L, V) = (4, 4, 3)" in message
    assert "The last axis must be the vocabulary." in message


def test_a_dropped_batch_axis_is_recognized():
    assert "returned shape (4, 3); expected" in sentence(lambda law, x_t, t: law[0])


def test_nan_is_recognized():
    assert "log_loo returned NaN." in sentence(lambda law, x_t, t: law * np.nan)


def test_full_sold_as_loo_is_recognized():
    def as_full(law, x_t, t):
        return np.log(np.exp(log_full(SOURCES["chain"].population_denoiser(), x_t, t)))

    message = sentence(as_full)
    assert "it is the posterior `full`, not the leave-one-out law" in message
    assert "am_theory.channel.loo_from_full" in message


def test_batch_coupling_is_recognized():
    def coupled(law, x_t, t):
        mean = np.exp(law).mean(0, keepdims=True) + 0 * law
        return np.log(mean)

    assert "depends on the other sequences of its batch" in sentence(coupled)


def test_nondeterminism_is_recognized():
    rng = np.random.default_rng(0)

    def shaky(law, x_t, t):
        noisy = np.exp(law + 0.1 * rng.standard_normal(law.shape))
        return np.log(noisy / noisy.sum(-1, keepdims=True))

    assert "the same input gives different laws: switch dropout off." in sentence(shaky)


def test_a_scalar_level_read_differently_is_recognized():
    def scalar_ignored(law, x_t, t):
        if np.ndim(t) == 0:
            return SOURCES["chain"].population_denoiser().log_loo(x_t, 0.9)
        return law

    message = sentence(scalar_ignored)
    assert "a scalar t and the same t given as (batch,) return different laws." in message


def test_raising_is_reported_with_its_reason():
    def broken(law, x_t, t):
        raise RuntimeError("no weights loaded")

    message = sentence(broken)
    assert "log_loo(x_t, t) raised RuntimeError: no weights loaded" in message


def test_raising_on_a_batch_of_one_is_reported():
    def broken(law, x_t, t):
        if len(x_t) == 1:
            raise IndexError("squeezed")
        return law

    assert "log_loo failed on a batch of one: IndexError: squeezed" in sentence(broken)


def test_raising_only_at_small_noise_is_reported():
    def broken(law, x_t, t):
        if np.min(t) < 5e-5:
            raise ZeroDivisionError("sigma is 0")
        return law

    message = sentence(broken)
    assert "log_loo failed at t = 1e-05: ZeroDivisionError: sigma is 0" in message


def test_missing_attributes_are_all_named():
    class Nothing:
        def log_loo(self, x_t, t):
            return None

    problems = contract_problems(Nothing())
    assert problems == [
        f"it has no attribute `{name}`." for name in ("vocab_size", "seq_len", "schedule")
    ]
    with pytest.raises(DenoiserContractError, match="Also: it has no attribute `schedule`"):
        check_denoiser(Nothing())


def test_any_length_is_asked_for_by_none():
    class AnyLength(Probe):
        def log_loo(self, x_t, t):
            return np.full((*x_t.shape, 3), -np.log(3))

    check_denoiser(AnyLength(None, seq_len=None))


def test_a_vocabulary_that_is_no_number_is_reported():
    assert "`vocab_size` must be an integer" in contract_problems(Probe(None, vocab_size=None))[0]


def test_the_check_of_a_large_vocabulary_asks_for_few_laws():
    """All values of an own token at once would be V^2 L numbers: 22 GB at V = 30,522 and L = 6."""

    class Wide:
        vocab_size, seq_len, schedule, largest = 30522, None, LogLinear(), 0

        def log_loo(self, x_t, t):
            self.largest = max(self.largest, len(x_t))
            return np.broadcast_to(-np.log(np.float32(self.vocab_size)), (*np.shape(x_t), 30522))

    denoiser = Wide()
    check_denoiser(denoiser)
    assert denoiser.largest <= 4
