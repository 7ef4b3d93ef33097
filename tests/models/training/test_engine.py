"""The engine around the steps: resumed, streamed, sharded, in parts, many at once: the same run."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from models.errors import CheckpointError, TokenRangeError
from models.exact.mapped import StoreFileError, open_patterns
from models.networks.dit import DiT, Shape
from models.networks.mlp import MLPDenoiser
from models.training import train as module
from models.training.config import PAPER, TrainConfig
from models.training.data import fingerprint, repeated
from models.training.log import Table
from models.training.state import NAME, SavedState, alone
from models.training.step import learning_rate, rows_ahead, run_steps
from models.training.train import Saving, TrainingDiverged, train, train_ensemble
from tests.helpers import ROOT, assert_close

STORED = np.random.default_rng(0).integers(3, size=(20, 4)).astype(np.uint8)
SHORT = TrainConfig(steps=12, batch=8, warmup=2, learning_rate=1e-2, loss="nelbo")
KEY = jax.random.key(1)
ROUNDING = {"rtol": 1e-5, "atol": 5e-6}  # of 12 steps that move weights by 0.1; 6e-7 was seen


def network(dropout: float = 0.0) -> DiT:
    return DiT(jax.random.key(0), 3, Shape(8, 1, 2, 8), 4, dropout=dropout)


def leaves(tree) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(eqx.filter(tree, eqx.is_array))]


def same(first, second) -> bool:
    pairs = list(zip(leaves(first), leaves(second), strict=True))
    return all(np.array_equal(a, b) for a, b in pairs)


def run(config=SHORT, size=20, **settings):
    settings.setdefault("steps_per_call", 4)
    return train(KEY, network(), STORED, size, config, **settings)


@pytest.fixture(scope="module")
def whole():
    return run()


def test_block_length_does_not_change_a_bit(whole):
    for block in (1, 5, 12):
        other = run(steps_per_call=block)
        assert same(other.model, whole.model)
        assert same(other.raw, whole.raw)
    assert not same(whole.model, whole.raw)


@pytest.mark.parametrize("stop", [4, 8])
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, whole, stop):
    def interrupt(progress):
        if progress.step == stop:
            raise MemoryError

    saving = Saving(tmp_path, steps=4)
    with pytest.raises(MemoryError):
        run(saving=saving, on_progress=interrupt)
    steps = []
    resumed = run(saving=dataclasses.replace(saving, on_start=steps.append))
    assert steps == [stop]
    assert same(resumed.model, whole.model)
    assert same(resumed.raw, whole.raw)
    np.testing.assert_array_equal(resumed.losses, whole.losses)
    again = run(saving=saving)  # finished: nothing is left to do
    assert same(again.model, whole.model)
    assert os.listdir(tmp_path) == [NAME]


def test_a_mapped_file_gives_the_run_of_the_array(tmp_path, whole):
    np.save(tmp_path / "tokens.npy", STORED)
    mapped = open_patterns(tmp_path / "tokens.npy")
    streamed = train(KEY, network(), mapped, 20, SHORT, steps_per_call=4, stream=True)
    assert same(streamed.model, whole.model)
    on_device = train(KEY, network(), mapped, 20, SHORT, steps_per_call=4)
    assert same(on_device.model, whole.model)


def test_streamed_rows_are_the_rows_of_the_steps():
    ahead = np.asarray(rows_ahead(KEY, jnp.int32(3), 8, 5, jnp.int32(20)))
    assert ahead.shape == (5, 8)
    one = np.asarray(rows_ahead(KEY, jnp.int32(5), 8, 1, jnp.int32(20)))
    np.testing.assert_array_equal(ahead[2], one[0])


def test_a_file_cut_short_while_it_is_read_is_told(tmp_path):
    path = tmp_path / "tokens.npy"
    np.save(path, np.tile(STORED, (500, 1)))
    mapped = open_patterns(path)

    def cut(progress):
        with open(path, "r+b") as file:
            file.truncate(200)

    with pytest.raises(StoreFileError, match="it was cut short"):
        train(KEY, network(), mapped, 20, SHORT, cut, steps_per_call=2, stream=True)


def test_parts_of_a_batch_add_up_to_it(whole):
    parts = run(dataclasses.replace(SHORT, accumulate=4))
    for ours, theirs in zip(leaves(parts.raw), leaves(whole.raw), strict=True):
        assert_close(ours, theirs, **ROUNDING)
    np.testing.assert_allclose(parts.losses, whole.losses, rtol=1e-4)


def test_kept_noise_is_that_of_the_stored_row_however_rows_arrive(tmp_path):
    """Streamed, or stopped and resumed, a run on few noise draws is the same run."""
    config = dataclasses.replace(SHORT, noise_draws=2)
    kept = run(config)
    assert not same(kept.raw, run().raw)
    assert same(kept.raw, run(config, stream=True).raw)
    saving = Saving(tmp_path, steps=4)
    with pytest.raises(KeyboardInterrupt):
        run(config, saving=saving, on_progress=_stop_at(8))
    assert same(kept.raw, run(config, saving=saving).raw)


def _stop_at(step):
    def stop(progress):
        if progress.step == step:
            raise KeyboardInterrupt

    return stop


@pytest.mark.slow
def test_bfloat16_products_keep_float32_weights_and_come_close(whole):
    low = run(dataclasses.replace(SHORT, compute="bfloat16"))
    assert all(leaf.dtype == np.float32 for leaf in leaves(low.raw))
    np.testing.assert_allclose(low.losses, whole.losses, rtol=0.02)
    assert not same(low.raw, whole.raw)


@pytest.mark.slow
def test_dropout_acts_in_training_alone():
    one = train(KEY, network(0.5), STORED, 20, SHORT)
    two = train(KEY, network(0.0), STORED, 20, SHORT)
    assert not same(one.raw, two.raw)
    assert same(one.raw, train(KEY, network(0.5), STORED, 20, SHORT).raw)
    law = one.model.log_loo(STORED[:2], 0.3)
    np.testing.assert_array_equal(law, one.model.log_loo(STORED[:2], 0.3))


@pytest.mark.slow
def test_an_ensemble_is_its_members():
    keys = [jax.random.key(k) for k in (1, 2, 3)]
    models = [DiT(jax.random.key(k), 3, Shape(8, 1, 2, 8), 4) for k in range(3)]
    sizes = [2, 20, 5]
    together = train_ensemble(keys, models, STORED, sizes, SHORT)
    assert together.losses.shape == (3, 1)
    for m in range(3):
        alone = train(keys[m], models[m], STORED, sizes[m], SHORT)
        for ours, theirs in zip(leaves(together.raw), leaves(alone.raw), strict=True):
            assert_close(ours[m], theirs, **ROUNDING)
        np.testing.assert_allclose(together.losses[m], alone.losses, rtol=1e-4)
    apart = train_ensemble(keys, models, np.stack([STORED] * 3), sizes, SHORT)
    for ours, theirs in zip(leaves(apart.raw), leaves(together.raw), strict=True):
        assert_close(ours, theirs, **ROUNDING)


SHARDED = """
import sys
import numpy as np
from tests.models.training.test_engine import SHORT, leaves, run
import dataclasses, jax
assert len(jax.local_devices()) == int(sys.argv[2])
out = {}
for name, settings in (("plain", {}), ("parts", {"accumulate": 2})):
    config = dataclasses.replace(SHORT, **settings)
    out |= {f"{name}{i}": leaf for i, leaf in enumerate(leaves(run(config).raw))}
out |= {f"stream{i}": leaf for i, leaf in enumerate(leaves(run(stream=True).raw))}
np.savez(sys.argv[1], **out)
"""


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2])
def test_several_devices_train_the_model_of_one(tmp_path, devices):
    found = {}
    for n in (1, devices):
        path = tmp_path / f"{n}.npz"
        flags = f"--xla_force_host_platform_device_count={n}"
        subprocess.run(
            [sys.executable, "-c", SHARDED, str(path), str(n)],
            env=os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            check=True,
        )
        found[n] = dict(np.load(path))
    assert found[1].keys() == found[devices].keys()
    for name, leaf in found[1].items():
        assert_close(found[devices][name], leaf, **ROUNDING)


def test_a_batch_that_devices_cannot_share_is_refused(monkeypatch):
    monkeypatch.setattr(module.jax, "local_devices", lambda: [None] * 3)
    with pytest.raises(ValueError, match="a batch of 8 in 1 parts cannot be shared equally by 3"):
        module.data_mesh(SHORT)


def test_divergence_keeps_the_last_good_state(tmp_path):
    wild = TrainConfig(steps=20, batch=8, warmup=4, learning_rate=1e38, loss="nelbo")
    with pytest.raises(TrainingDiverged) as caught:  # step 0 has the rate 0, step 1 moves far
        run(wild, saving=Saving(tmp_path, steps=1), steps_per_call=1)
    assert "lower `learning_rate` or raise `warmup`" in str(caught.value)
    with safe_open(tmp_path / NAME, framework="numpy") as file:
        step = json.loads(file.metadata()["training"])["step"]
        weights = [file.get_tensor(name) for name in file.keys()]
    assert 1 <= step <= int(re.search(r"step (\d+) of 20", str(caught.value))[1])
    assert all(np.isfinite(w).all() for w in weights)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    weights = {"a": jnp.ones(2), "b": jnp.array([1.0, jnp.inf])}
    saved = SavedState((weights, weights, ()), 3, [1.0])
    with pytest.raises(TrainingDiverged, match="a weight became infinite or nan in step 2 of 12"):
        module._save(Saving(tmp_path), saved, "run", SHORT, 20)
    assert os.listdir(tmp_path) == []


def test_nothing_is_saved_of_a_run_that_never_was_good(tmp_path):
    broken = eqx.tree_at(lambda m: m.embedding, network(), replace_fn=lambda a: a * jnp.nan)
    with pytest.raises(TrainingDiverged, match="loss became nan at step 0 of 12"):
        train(KEY, broken, STORED, 20, SHORT, saving=Saving(tmp_path))
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize(
    "change",
    [
        {"config": dataclasses.replace(SHORT, learning_rate=1e-3)},
        {"size": 10},
        {"key": jax.random.key(7)},
        {"stored": STORED[::-1].copy()},
        {"model": network(0.1)},
        {"model": DiT(jax.random.key(5), 3, Shape(8, 1, 2, 8), 4)},
    ],
    ids=["config", "size", "key", "data", "dropout", "start"],
)
def test_the_state_of_another_run_is_refused(tmp_path, change):
    base = {"key": KEY, "model": network(), "stored": STORED, "size": 20, "config": SHORT}
    run_of = lambda s: train(*(s[n] for n in base), saving=Saving(tmp_path))  # noqa: E731
    run_of(base)
    with pytest.raises(CheckpointError, match="Give another --out, or delete that folder"):
        run_of(base | change)


@pytest.mark.parametrize("row", [0, 7, 9999, 19_999])
def test_every_row_is_part_of_what_a_run_is(row):
    stored = np.random.default_rng(0).integers(8, size=(20_000, 4))
    before = fingerprint(stored, len(stored))
    assert fingerprint(stored.astype(np.uint8), len(stored)) == before
    stored[row, 1] = (stored[row, 1] + 1) % 8
    assert fingerprint(stored, len(stored)) != before


def test_one_run_at_a_time_writes_to_a_folder(tmp_path):
    with alone(tmp_path):
        with pytest.raises(CheckpointError, match="another run is writing to"), alone(tmp_path):
            pass
    with alone(tmp_path):  # free again
        pass


@pytest.mark.parametrize("line", ["5", "[]", '{"a": 1}', '{"step": null, "loss": 1.0}', "[" * 9999])
def test_a_line_of_the_log_that_is_no_row_ends_it(tmp_path, line):
    columns = ("step", "loss")
    row = {"step": 1, "loss": 2.0}
    (tmp_path / "log.jsonl").write_text(f"{json.dumps(row)}\n{line}\n{json.dumps(row)}\n")
    table = Table(tmp_path, "log", columns)
    assert table.rows == [row]
    table.resume(1)
    assert (tmp_path / "log.jsonl").read_text() == json.dumps(row) + "\n"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_damaged_state_is_told_in_one_sentence(tmp_path, share):
    run(saving=Saving(tmp_path))
    content = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match="is not a whole saved state") as caught:
        run(saving=Saving(tmp_path))
    assert "\n" not in str(caught.value)


def test_the_state_opens_with_safetensors_and_says_what_it_is(tmp_path):
    run(saving=Saving(tmp_path))
    with safe_open(tmp_path / NAME, framework="numpy") as file:
        header = json.loads(file.metadata()["training"])
        assert header["step"] == 12
        assert header["about"]["train_size"] == 20
        assert any("qkv" in name for name in file.keys())
        assert all(file.get_tensor(name).dtype.kind in "fi" for name in file.keys())


def test_schedules_rise_and_fall_as_they_say():
    cosine = learning_rate(TrainConfig(steps=100, warmup=10, learning_rate=1.0))
    constant = learning_rate(TrainConfig(steps=100, warmup=10, learning_rate=1.0, decay="constant"))
    at = lambda rate: np.array([float(rate(k)) for k in range(100)])  # noqa: E731
    np.testing.assert_allclose(at(cosine)[:11], np.arange(11) / 10, rtol=1e-6)
    np.testing.assert_allclose(at(constant)[:10], np.arange(10) / 10, rtol=1e-6)
    assert (at(constant)[10:] == 1).all()
    assert at(cosine)[55] == pytest.approx(0.5, abs=0.01)
    assert (np.diff(at(cosine)[10:]) < 0).all()
    for decay in ("cosine", "constant"):
        cold = TrainConfig(steps=100, warmup=0, learning_rate=1.0, decay=decay)
        assert float(learning_rate(cold)(0)) == 1.0
    assert PAPER.weight_decay == TrainConfig().weight_decay == 0


@given(st.integers(1, 6), st.integers(1, 5), st.floats(0, 1), st.integers(0, 99))
def test_repeated_sets_are_nested_and_repeat(distinct, repeats, noise, seed):
    stored = np.random.default_rng(seed).integers(4, size=(6, 5)).astype(np.uint8)

    def rows(n):
        rng = np.random.default_rng(seed)
        return repeated(rng, stored, n * repeats, repeats, noise, 4)

    mine = rows(distinct)
    assert mine.shape == (distinct * repeats, 5)
    assert mine.dtype == np.uint8
    np.testing.assert_array_equal(mine, rows(6)[: len(mine)])
    np.testing.assert_array_equal(mine[::repeats], stored[:distinct])
    if noise == 0:
        np.testing.assert_array_equal(mine, np.repeat(stored[:distinct], repeats, axis=0))


def test_repeats_differ_by_the_noise_asked_for():
    stored = np.zeros((200, 50), np.uint8)
    rows = repeated(np.random.default_rng(0), stored, 800, 4, 0.3, 5).reshape(200, 4, 50)
    changed = (rows[:, 1:] != 0).mean(axis=(1, 2))
    error = changed.std(ddof=1) / np.sqrt(200)
    assert abs(changed.mean() - 0.3 * 4 / 5) < 5 * error


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: run(size=21), "`train_size` must lie between 1 and the 20 stored sequences"),
        (lambda: train(KEY, network(), STORED + 1, 20, SHORT), "`stored` holds the token 3"),
        (lambda: TrainConfig(decay="linear"), "`decay` must be one of cosine, constant"),
        (lambda: TrainConfig(compute="float16"), "must be one of float32, bfloat16; got 'float16'"),
        (lambda: TrainConfig(batch=10, accumulate=3), "`accumulate` must divide `batch` = 10"),
        (lambda: TrainConfig(learning_rate=0.0), "`learning_rate` cannot be 0.0"),
        (lambda: TrainConfig(ema_decay=1.0), "`ema_decay` cannot be 1.0"),
        (
            lambda: repeated(np.random.default_rng(0), STORED, 10, 3, 0.0, 3),
            "`repeats` must divide `train_size` = 10, which counts the repeated rows; got 3",
        ),
        (
            lambda: repeated(np.random.default_rng(0), STORED, 50, 2, 0.0, 3),
            "50 rows of 2 repeats need 25 sequences; there are 20",
        ),
        (
            lambda: repeated(np.random.default_rng(0), STORED, 10, 2, 1.5, 3),
            "`repeat_noise` must lie in [0, 1]; got 1.5",
        ),
        (
            lambda: train_ensemble([KEY], [network()], STORED, [1, 2], SHORT),
            "as many keys as models and train sizes; got 1, 1 and 2",
        ),
    ],
)
def test_bad_input_is_refused_in_words(call, message):
    with pytest.raises(ValueError) as caught:
        call()
    assert message in str(caught.value)
    assert not isinstance(caught.value, TokenRangeError) or "token 3" in message


def test_one_compilation_serves_every_size_of_the_transformer():
    run()
    before = run_steps._cache_size()
    for size in (1, 5, 19):
        run(size=size)
    assert run_steps._cache_size() == before


@pytest.mark.slow
def test_mlp_and_transformer_share_the_engine(tmp_path):
    model = MLPDenoiser(jax.random.key(0), 3, 4, width=8)
    whole = train(KEY, model, STORED, 20, SHORT)
    kept = train(KEY, model, STORED, 20, SHORT, saving=Saving(tmp_path), steps_per_call=5)
    assert same(whole.model, kept.model)


COMMAND = [sys.executable, "-m", "models.training"]
WORDS = "--preset mini --data markov --train-size 32 --steps 60 --batch 16 --log-every 10".split()


def command(*words, **settings):
    return subprocess.run([*COMMAND, *words], cwd=ROOT, capture_output=True, text=True, **settings)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("command") / "whole"
    ran = command(*WORDS, "--out", str(out))
    assert ran.returncode == 0, ran.stderr
    assert "60/60" in ran.stdout
    assert "parameters; 32 rows of 16 tokens out of 16" in ran.stdout
    return out


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_command_resumes_to_the_same_weights(tmp_path, undisturbed, how):
    out = tmp_path / "killed"
    words = [*WORDS, "--out", str(out), "--save-minutes", "0"]
    for k in range(3):
        process = subprocess.Popen(
            [*COMMAND, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for line in process.stdout:  # killed at another moment each time
            if line.startswith("step"):
                time.sleep(0.02 * k)
                process.send_signal(how)
                break
        _, errors = process.communicate()
        if process.returncode == 0:
            break
        if how != signal.SIGKILL:
            assert process.returncode == 130
            assert "interrupted; run the same command again" in errors
    last = command(*words)
    assert last.returncode == 0, last.stderr
    for name in ("model.safetensors", "model-raw.safetensors"):
        assert (out / name).read_bytes() == (undisturbed / name).read_bytes()
    steps = [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert steps == [10, 20, 30, 40, 50, 60]
    assert len((out / "log.csv").read_text().splitlines()) == 7


@pytest.mark.slow
@pytest.mark.parametrize(
    "words, message",
    [
        (["--preset", "huge"], "train: there is no preset 'huge'; choose mini, midi, tiny"),
        (["--data", "book.txt"], "train: `data` must be a .npy file of integer tokens (K, L)"),
        (["--data", "no.npy"], "train: a file of tokens needs --vocab-size"),
        (["--data", "no.npy", "--vocab-size", "5"], "train: cannot read no.npy: No such file"),
        (["--repeats", "5"], "train: `repeats` must divide `train_size` = 32"),
        (["--batch", "0"], "`steps` and `batch` must be at least 1"),
        (["--out", __file__], "train: --out must be a folder;"),
    ],
)
def test_the_command_refuses_in_one_sentence(tmp_path, words, message):
    ran = command(*WORDS, "--out", str(tmp_path / "out"), *words)
    assert ran.returncode == 2
    assert message in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr
