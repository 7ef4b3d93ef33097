"""A reference network on text: what it adds to membership, and to the answer on a set.

Two small networks are trained on windows of one text, the reference on others than the target's;
held-out windows are drawn from the same ones, so that the null of the p-value holds exactly.
"""

import jax
import numpy as np
import pytest

from models.networks.dit import PRESETS, DiT
from models.training.config import TrainConfig
from models.training.train import train
from simulations.measure.names import SMALL_LEVEL
from simulations.probe.audit.audit import audit
from simulations.probe.audit.reference import compare, with_reference
from simulations.probe.audit.used import exchange_p_value
from simulations.probe.config import ProbeConfig
from simulations.probe.judge.share import share_above
from simulations.probe.measure.cells import Work
from simulations.probe.measure.dataset import Split
from simulations.probe.measure.law import Reader
from simulations.probe.measure.measures import measure
from tests.helpers import shared

V, L, SETS = 64, 32, 200
TRAINING = TrainConfig(steps=1500, batch=64, loss="nelbo", learning_rate=2e-3)


@pytest.fixture(scope="module")
def text():
    """Windows of four kinds: of the target, of neither network, of the reference, held out."""
    windows = np.load(shared("golden_trained/generalizing/train_ids.npy"))[64:]
    return np.split(windows, [512, 1024, 3008])


@pytest.fixture(scope="module")
def networks(text):
    found = []
    for seed, rows in ((0, text[0]), (1, text[2])):
        k_model, k_train = jax.random.split(jax.random.key(seed))
        model = DiT(k_model, V, PRESETS["mini"], L)
        found.append(train(k_train, model, rows, len(rows), TRAINING).model)
    return found


def told(found):
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


@pytest.mark.slow
def test_a_reference_tells_what_the_loss_alone_does_not(text, networks):
    config = ProbeConfig(sequences=1024, recover=0, generate=0)
    for name, rows, share in (("all", text[0], 1.0), ("half", np.concatenate(text[:2]), 0.5)):
        data = measure(networks[0], config, text[3], rows)
        found = audit(with_reference(data, *networks, config), np.random.default_rng(0), 1000)
        for row in (found.graded[0], found.graded[-1]):
            for which in ("own", "gap"):
                graded = getattr(row, which)
                print(name, row.name, which, *map(told, (graded.auc, *graded.tprs)))
        for cut in found.reductions:
            print(name, cut.name, told(cut.of_sum), told(cut.of_apart))
        alone = audit(data, np.random.default_rng(0), 1000).answers[0]
        answer = found.answers[0]
        print(name, answer, alone, sep="\n")
        first, last = found.graded[0], found.graded[-1]
        assert first.gap.auc.low > first.own.auc.high
        assert last.gap.auc.low > last.own.auc.high
        assert max(cut.of_sum.high for cut in found.reductions) < 0.25
        assert answer.p_value <= 0.001 and 0 < answer.share.low <= share
        assert answer.share.value > alone.share.value


@pytest.mark.slow
def test_sets_that_were_not_used_raise_no_alarm(text, networks):
    config = ProbeConfig()
    works = [Work(Reader(model, L, lambda: None), config) for model in networks]
    unused = np.concatenate([text[1], text[3]])
    used, others = (
        compare(*works, SMALL_LEVEL, Split(name, rows, np.arange(len(rows))))["gap"].values[:, 1]
        for name, rows in (("used", text[0]), ("unused", unused))
    )
    size, sides = 100, np.arange(200) < 100
    for share in (0.0, 0.5):
        alarms, beyond = [], []
        for k in range(SETS):
            rng = np.random.default_rng(k)
            drawn, n = rng.permutation(others), int(share * size)
            mine = np.concatenate([rng.choice(used, n, replace=False), drawn[: size - n]])
            scores = np.concatenate([mine, drawn[size : 2 * size]])
            alarms.append(exchange_p_value(scores, sides, rng, 199) <= 0.05)
            beyond.append(share_above(mine, scores[~sides], rng, 200).low > share)
        print(share, np.mean(alarms), np.mean(beyond))
        assert np.mean(beyond) <= 0.025 + 3 * np.sqrt(0.025 / SETS)
        error = 3 * np.sqrt(0.05 / SETS)
        assert np.mean(alarms) <= 0.05 + error if share == 0 else np.mean(alarms) > 0.95
