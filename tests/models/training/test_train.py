"""Training: reproducible, blind to rows it was not given, compiled once, loud on NaN."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.errors import TokenRangeError
from models.exact.empirical import EmpiricalDenoiser
from models.networks.mlp import MLPDenoiser
from models.training import step as train_step
from models.training import train as module
from models.training.config import TrainConfig
from models.training.loss import LOSSES
from models.training.train import Progress, TrainingDiverged, train
from tests import oracles

STORED = np.array([[0, 1, 2], [2, 0, 1], [1, 1, 1], [0, 2, 2]], dtype=np.uint8)
# One configuration and one block length, hence one compilation, for nearly every test.
SHORT = TrainConfig(steps=300, batch=64, warmup=20, learning_rate=1e-2)
BLOCK = 100


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    monkeypatch.setattr(module, "STEPS_PER_CALL", BLOCK)


def fresh_model() -> MLPDenoiser:
    return MLPDenoiser(jax.random.key(0), 3, 3, width=16)


def run(key: int = 1, stored=STORED, size: int = 2, config: TrainConfig = SHORT):
    return train(jax.random.key(key), fresh_model(), stored, size, config)


def leaves(trained) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(trained.model)]


def same(first, second) -> bool:
    pairs = zip(leaves(first), leaves(second), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_training_repeats_with_its_key_and_changes_with_it():
    first = run()
    assert same(first, run())
    assert not same(first, run(key=2))
    assert first.steps == 300
    assert first.losses.shape == (3,)


def test_rows_beyond_the_training_set_never_matter():
    changed = STORED.copy()
    changed[2:] = [[2, 2, 2], [0, 0, 0]]
    assert same(run(), run(stored=changed))
    assert not same(run(size=4), run(stored=changed, size=4))


def test_one_compilation_serves_every_training_size():
    run(size=1)
    before = train_step.run_steps._cache_size()
    for size in (2, 3, 4):
        run(size=size)
    assert train_step.run_steps._cache_size() == before


def test_the_callers_model_is_left_alone():
    model = fresh_model()
    before = [np.array(leaf) for leaf in jax.tree.leaves(model)]
    train(jax.random.key(1), model, STORED, 2, SHORT)
    for ours, theirs in zip(jax.tree.leaves(model), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_nan_in_the_model_stops_at_the_first_step():
    model = eqx.tree_at(lambda m: m.embed, fresh_model(), replace_fn=lambda a: a * jnp.nan)
    with pytest.raises(TrainingDiverged, match="loss became nan at step 0 of 300; lower `learning"):
        train(jax.random.key(1), model, STORED, 2, SHORT)


@pytest.mark.slow
def test_divergence_names_its_step():
    wild = TrainConfig(steps=20, batch=8, warmup=1, learning_rate=1e38)
    with pytest.raises(TrainingDiverged) as caught:
        run(config=wild)
    step = int(str(caught.value).split("at step ")[1].split(" of 20")[0])
    assert 1 <= step < 20  # the first update is made after the first loss


def test_a_tiny_store_is_memorized_and_progress_is_told():
    calls: list[Progress] = []
    done = train(jax.random.key(1), fresh_model(), STORED, 2, SHORT, calls.append)
    assert [call.step for call in calls] == [100, 200, 300]
    np.testing.assert_allclose([call.loss for call in calls], done.losses)
    assert all(call.steps == 300 and call.steps_per_second > 0 for call in calls)
    assert all(call.gradient_norm > 0 for call in calls)
    assert calls[0].learning_rate > calls[1].learning_rate > calls[2].learning_rate > 0
    assert done.losses[2] < done.losses[0]
    law = np.exp(np.asarray(done.model.log_loo(STORED[:2], 0.05)))
    own = np.take_along_axis(law, STORED[:2, :, None].astype(int), axis=-1)
    assert own.min() > 0.9  # two sequences that differ everywhere name each other's tokens


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: run(size=0), ValueError, "`train_size` must lie between 1 and the 4 stored"),
        (lambda: run(size=5), ValueError, "stored sequences; got 5"),
        (lambda: run(stored=STORED + 1), TokenRangeError, "`stored` holds the token 3; allowed"),
        (lambda: run(stored=STORED[:, :2]), TokenRangeError, "this model takes length 3"),
        (lambda: run(stored=STORED / 1.0), TokenRangeError, "`stored` must hold integers"),
        (lambda: TrainConfig(loss="mse"), ValueError, "must be one of nelbo, full, loo; got 'mse'"),
        (lambda: TrainConfig(steps=0), ValueError, "must be at least 1; got 0 and 128"),
        (lambda: TrainConfig(batch=0), ValueError, "must be at least 1; got 4000 and 0"),
    ],
)
def test_bad_input_is_refused_in_words(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_learns_the_exact_law_of_its_store(loss):
    config = TrainConfig(steps=4000, batch=256, learning_rate=5e-3, loss=loss)
    model = MLPDenoiser(jax.random.key(0), 3, 3, width=64)
    trained = train(jax.random.key(1), model, STORED, 4, config).model
    exact = EmpiricalDenoiser(STORED, 3)
    x_t = oracles.all_sequences(3, 3)
    for t in (0.2, 0.5, 0.8):  # weighed by how often training sees each noisy sequence
        weight = np.exp(exact.log_prob_noisy(x_t, t))
        gap = np.abs(np.exp(trained.log_loo(x_t, t)) - np.exp(exact.log_loo(x_t, t)))
        assert weight @ gap.max(axis=(1, 2)) < 0.05
