"""The probe: its laws against dense ones, its sizes, its parts, its resumption, its refusals."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import types

import equinox as eqx
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from am_theory import channel
from models import slices
from models.denoiser import log_full
from models.exact.empirical import EmpiricalDenoiser
from models.networks.mlp import MLPDenoiser
from models.noise import noise
from models.released.checkpoint import save_model
from models.released.paper_protocol import law_of
from models.sampler import decode_argmax, decode_best_change
from models.streams import stream
from simulations.console.errors import UserError
from simulations.measure.counts import count_tokens, law_statistics, nelbo_rates
from simulations.probe.api import ProbeResult, probe
from simulations.probe.command import execute, repeated
from simulations.probe.config import LEAST, ProbeConfig, parse_duration
from simulations.probe.measure import law as probe_law
from simulations.probe.measure.budget import BudgetError, Costs, choose_sizes
from simulations.probe.measure.law import Reader, read_law, scalars
from simulations.probe.measure.measures import measure
from simulations.probe.measure.paper import csv_text, log_law, paper_table
from simulations.results.files import ResultsError, read_dataset
from tests.helpers import ROOT, assert_close

V, L, LEVELS = 5, 6, (0.1, 0.4)
FIXED = {"sequences": 12, "recover": 6, "generate": 8, "n_steps": 5, "levels": LEVELS}


def tokens(n, seed=0, seq_len=L):
    return np.random.default_rng(seed).integers(V, size=(n, seq_len)).astype(np.uint8)


def network(seed=0):
    """A small MLP whose law is not uniform."""
    model = MLPDenoiser(jax.random.key(seed), V, L, 16)
    readout = np.random.default_rng(seed).normal(size=(16, L * V)).astype(np.float32)
    return eqx.tree_at(lambda m: m.readout, model, jax.numpy.asarray(readout))


LAW = eqx.filter_jit(lambda model, x_t, t: model.log_loo(x_t, t))


class Plain:
    """The same model for NumPy alone."""

    def __init__(self, model):
        self.model, self.schedule = model, model.schedule
        self.vocab_size, self.seq_len = model.vocab_size, model.seq_len

    def log_loo(self, x_t, t):
        return np.asarray(LAW(self.model, np.asarray(x_t, np.int32), np.float32(t)))


# Laws


@st.composite
def laws(draw):
    size, rows = draw(st.integers(2, 7)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = draw(st.sampled_from([0.1, 1.0, 10.0, 100.0])) * rng.normal(size=(2, rows, size))
    if draw(st.booleans()):
        logits = np.where(rng.random(logits.shape) < 0.4, -np.inf, logits)
        logits[..., rng.integers(size)] = 0.0
    law = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    x_t, x_0 = rng.integers(size, size=(2, 2, rows))
    return law, x_t, x_0, draw(st.sampled_from([0.0, 0.2, 0.7, 1 - 1e-5]))


@settings(max_examples=200, deadline=None)
@given(laws())
def test_scalars_give_both_laws(case):
    law, x_t, x_0, alpha = case
    beta = float(channel.inverse_temperature(alpha, law.shape[-1]))
    found = scalars(law, x_t, x_0)
    dense = channel.full_from_loo(law, x_t, alpha)
    for reading, log_law_ in (
        (read_law(found, x_t, x_0), law),
        (read_law(found, x_t, x_0, beta), dense),
    ):
        expected = law_statistics(log_law_, x_0)
        assert_close(reading.entropy.mean(1), expected.entropy, rtol=1e-9, atol=1e-12)
        loss = np.minimum(-reading.log_true, 20.0).mean(1)
        assert_close(loss, expected.log_loss, rtol=1e-9, atol=1e-12)
        best = np.take_along_axis(log_law_, reading.argmax[..., None], -1)[..., 0]
        assert_close(best, log_law_.max(-1), rtol=1e-12, atol=1e-12)
    change = decode_best_change(dense, x_t)
    others = np.take_along_axis(dense, change[..., None], -1)
    assert_close(np.take_along_axis(dense, found.best_other[..., None], -1), others)


def test_entropies_near_zero_keep_their_digits_in_float32():
    law = np.log(np.float32([[[1 - 3e-6, 1e-6, 2e-6]]]))
    x_t, p = np.array([[0]]), np.array([1e-6, 2e-6])
    expected = -(p * np.log(p)).sum() - (1 - 3e-6) * np.log1p(-3e-6)
    found = read_law(scalars(law, x_t, x_t), x_t, x_t).entropy[0, 0]
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("block", [1 << 24, 3 * L * V, L * V - 1])
def test_reader_agrees_with_dense_laws(block, monkeypatch):
    monkeypatch.setattr(probe_law, "BLOCK", block)
    monkeypatch.setattr(slices, "SLICE", 4 * V)
    monkeypatch.setattr(slices, "SLICE_IN_JAX", 4 * V)
    model, x_0 = network(), tokens(11)
    x_t = noise(np.random.default_rng(1), x_0, 0.6, V)
    law = Plain(model).log_loo(x_t, 0.4).astype(np.float64)
    expected = law_statistics(law, x_0)
    t = np.linspace(0.1, 0.9, len(x_0))
    rates = nelbo_rates(Plain(model).log_loo(x_t, t), x_t, x_0, t[:, None], model.schedule)
    for denoiser in (model, Plain(model)):
        ticks = []
        reader = Reader(denoiser, L, lambda ticks=ticks: ticks.append(1))
        found = read_law(reader.scalars(x_t, x_0, 0.4), x_t, x_0)
        assert len(ticks) == -(-len(x_0) // reader.rows)
        assert_close(found.entropy.mean(1), expected.entropy, rtol=1e-5)
        assert_close(reader.nelbo_rates(x_t, x_0, t), rates, rtol=1e-4)


# Measures


@pytest.fixture(scope="module")
def memorizer():
    """The exact denoiser of eight sequences, and what a probe measures of it."""
    stored = tokens(8, 1, 12)
    model = EmpiricalDenoiser(stored, V)
    config = ProbeConfig(**{**FIXED, "recover": 8, "n_steps": 20})
    return model, stored, config, measure(model, config, tokens(40, 2, 12), stored)


def of_split(data, name):
    return data.isel(sequence=np.flatnonzero(data["split"].values == name))


def test_shapes_and_order(memorizer):
    data = memorizer[3]
    splits = data["split"].values.tolist()
    assert list(dict.fromkeys(splits)) == ["train", "heldout", "generated", "random"]
    assert [splits.count(s) for s in dict.fromkeys(splits)] == [8, 12, 8, 12]
    assert data["t_entropy"].values.tolist() == [1e-5, *LEVELS]
    assert (data["entropy_histogram"].sum("bin") == 12).all()
    assert np.isfinite(data["entropy"]).all() and np.isfinite(data["log_loss"]).all()
    unmeasured = of_split(data, "random")
    assert np.isnan(unmeasured["nelbo"]).all() and (unmeasured["corrupted_ancestral"] == -1).all()
    assert (data["recovered"].sel(decoder=["argmax", "best_change"]) >= 0).all()


@pytest.fixture(scope="module")
def learned():
    """A network, whose law has no ties, and what a probe measures of it."""
    model, config = network(), ProbeConfig(**{**FIXED, "recover": 0, "generate": 0})
    return Plain(model), None, config, measure(model, config, tokens(40), tokens(20, 3))


@pytest.mark.parametrize("split", ["train", "heldout"])
@pytest.mark.parametrize("kind", ["memorizer", "learned"])
def test_readings_against_dense_laws(kind, split, request):
    model, stored, config, data = request.getfixturevalue(kind)
    mine = of_split(data, split)
    x_0 = mine["tokens"].values.astype(np.uint8)
    for t in LEVELS:
        alpha = float(model.schedule.alpha(t))
        names = (config.root_seed, "channel", split, f"{t:g}")
        rows = zip(x_0, mine["index"].values, strict=True)
        x_t = np.concatenate([noise(stream(*names, i), x[None], alpha, V) for x, i in rows])
        at = mine.sel(t=t, t_entropy=t)
        full = log_full(model, x_t, t)
        for law, logs in (("loo", model.log_loo(x_t, t)), ("full", full)):
            expected = law_statistics(logs, x_0)
            assert_close(at["entropy"].sel(law=law).values, np.float32(expected.entropy), atol=1e-5)
            loss = np.float32(expected.log_loss)
            assert_close(at["log_loss"].sel(law=law).values, loss, atol=1e-5)
            assert (at["vanishing"].sel(law=law).values.T == expected.vanishing).all()
        assert (at["corrupted"].values == (x_t != x_0).sum(1)).all()
        if stored is not None:
            continue  # its ties fall by rounding
        for name, output in (
            ("argmax", decode_argmax(full)),
            ("best_change", decode_best_change(full, x_t)),
        ):
            counts = count_tokens(x_0, x_t, output)
            assert (at["recovered"].sel(decoder=name).values == counts.recovered).all()
            assert (at["broken"].sel(decoder=name).values == counts.broken).all()


def test_a_memorizer_restores_what_it_stores_and_repeats_it(memorizer):
    _, stored, _, data = memorizer
    train, held_out = (
        of_split(data, s).sel(t=0.1, decoder="ancestral").isel(sequence=slice(8))
        for s in ("train", "heldout")
    )
    assert (train["recovered"] == train["corrupted_ancestral"]).all()
    assert (held_out["recovered"].sum() < held_out["corrupted_ancestral"].sum()).item()
    generated = of_split(data, "generated")
    assert (generated["nearest_distance"] == 0).all()
    made = generated["tokens"].values
    assert (stored[generated["nearest_train"].values] == made).all()
    others = (made[:, None] == made).all(2).sum(1) - 1
    assert (generated["repeats"].values == others).all()
    held = of_split(data, "heldout")
    distances = (held["tokens"].values[:, None] != stored).sum(2)
    assert (held["nearest_distance"].values == distances.min(1)).all()
    assert (held["nearest_train"].values == distances.argmin(1)).all()


def test_examples_are_restored_sequences(memorizer):
    data = memorizer[3]
    assert set(data["example_t"].values) == {0.1}
    place = data["example_sequence"].values
    x_0, x_t = data["tokens"].values[place], data["example_noisy"].values
    found = data.isel(sequence=place).sel(t=0.1)
    counts = count_tokens(x_0, x_t, data["example_output"].values)
    assert (found["corrupted_ancestral"].values == (x_0 != x_t).sum(1)).all()
    assert (found["recovered"].sel(decoder="ancestral").values == counts.recovered).all()


def test_more_sequences_leave_the_first_as_they_are():
    model, test = network(), tokens(60)
    few = measure(model, ProbeConfig(**FIXED), test)
    many = measure(model, ProbeConfig(**{**FIXED, "sequences": 30, "recover": 20}), test)
    a, b = of_split(few, "heldout"), of_split(many, "heldout").isel(sequence=slice(12))
    assert (a["index"].values == b["index"].values).all()
    for name in ("tokens", "corrupted", "vanishing"):
        assert (a[name].values == b[name].values).all(), name
    for name in ("entropy", "log_loss", "nelbo"):
        assert_close(a[name].values, b[name].values, rtol=1e-5)
    restored = [x["recovered"].sel(decoder="ancestral")[:6] for x in (a, b)]
    assert (restored[0].values == restored[1].values).all()


def test_nelbo_is_an_unbiased_mean():
    """Against a fine grid of levels, with the same corruption law."""
    model, x_0 = network(), tokens(8)
    config = ProbeConfig(
        **{**FIXED, "sequences": 8, "nelbo_draws": 400, "nelbo_start": 0.5, "recover": 0}
    )
    found = of_split(measure(model, config, x_0), "heldout")
    x_0 = found["tokens"].values.astype(np.uint8)
    rng, total = np.random.default_rng(5), []
    for t in 0.5 + 0.5 * (np.arange(400) + 0.5) / 400:
        x_t = noise(rng, x_0, float(model.schedule.alpha(t)), V)
        total.append(nelbo_rates(Plain(model).log_loo(x_t, t), x_t, x_0, t, model.schedule))
    rates = 0.5 * np.array(total)
    error = np.hypot(rates.mean(1).std(), rates.mean(1).std()) / 20
    assert abs(found["nelbo"].values.mean() - rates.mean()) < 5 * error


def test_paper_protocol_adds_its_table():
    model = network()
    config = ProbeConfig(**FIXED, protocol="paper")
    data = measure(model, config, tokens(30), tokens(20, 3))
    rows = {(r.split, r.t, r.measure): r for r in paper_table(data)}
    held = of_split(data, "heldout")
    entropies = held["entropy"].sel(law="loo", t_entropy=0.4).values.astype(float)
    row = rows["heldout", 0.4, "cond_entropy"]
    assert row.mean == pytest.approx(entropies.mean()) and row.n == 12
    assert row.standard_error == pytest.approx(entropies.std(ddof=1) / np.sqrt(12))
    assert rows["train", 0.1, "is_exact_match"].n == 6
    assert not any(split in ("generated", "random") and m != "cond_entropy" for split, _, m in rows)
    ours = measure(model, ProbeConfig(**FIXED), tokens(30), tokens(20, 3))
    assert "paper" not in ours
    assert np.array_equal(ours["recovered"].values, data["recovered"].values)
    assert csv_text(paper_table(data)).startswith("split,t,measure,mean,standard_error,n\n")


def test_law_by_sigma_is_the_law_by_level():
    from models.networks.dit import DiT, Shape

    plain = network()
    x, t = tokens(3), 0.3
    sigma = np.full(3, -np.log(plain.schedule.alpha(t)))
    assert_close(np.asarray(log_law(plain)(x, sigma)), np.asarray(plain.log_loo(x, t)), atol=1e-5)
    model = DiT(jax.random.key(0), V, Shape(8, 1, 2, 8), L)
    assert_close(np.asarray(log_law(model)(x, sigma)), np.asarray(law_of(model)(x, sigma)))


def test_without_data_what_is_generated_is_measured():
    data = measure(network(), ProbeConfig(**FIXED))
    assert set(data["split"].values) == {"generated", "random"}
    assert (data["nearest_train"] == -1).all() and (data["corrupted_ancestral"][:6] >= 0).all()


# Sizes


def test_durations():
    assert [parse_duration(x) for x in ("90s", "5min", "1.5h", " 2 min ")] == [90, 300, 5400, 120]
    for text in ("5", "min", "-3s", "5 days", "", "1e3s"):
        with pytest.raises(ValueError, match="90s, 5min or 1h"):
            parse_duration(text)


@settings(max_examples=100, deadline=None)
@given(st.floats(1e-5, 0.1), st.floats(1e-5, 1.0), st.floats(0, 50), st.integers(20, 10000))
def test_chosen_sizes_fit_the_budget(read, step, start, there):
    config, costs = ProbeConfig(budget="5min"), Costs(read, step, 0.0, start)
    sizes = choose_sizes(config, costs, there, there)
    assert 0 < sizes.recover <= sizes.sequences <= there or sizes.recover == 0
    n, reading, levels = sizes.sequences, costs.of_reading(config), 5
    total = start + 2 * n * reading + min(n, 128) * levels * read + min(n, 64) * read
    total += 3 * sizes.recover * costs.of_recover(config)
    own = sizes.generate
    total += own * (step * config.steps + reading) + (16 * min(own, 256) + 2 * min(own, 64)) * read
    assert total <= 0.93 * 300 + 0.07 * start + 1e-6
    for name in ("recover", "generate"):
        assert getattr(sizes, name) == 0 or getattr(sizes, name) >= LEAST[name]
    for name in ("sequences", "recover", "generate"):
        assert f"--{name} {getattr(sizes, name)}" in sizes.sentence


def test_sizes_that_are_given_stay():
    costs = Costs(10.0, 10.0, 0.0, 1000.0)
    sizes = choose_sizes(ProbeConfig(sequences=50, recover=9, generate=0), costs, None, 40)
    assert (sizes.sequences, sizes.recover, sizes.generate) == (40, 9, 0)
    assert sizes.sentence.startswith("The sizes were given")


def test_a_budget_too_small_is_refused_with_one_that_would_do():
    with pytest.raises(
        BudgetError, match=r"too small to measure anything.*at least (\d+)s"
    ) as told:
        choose_sizes(ProbeConfig(budget="10s"), Costs(1.0, 1.0, 0.0, 5.0), None, 100)
    seconds = str(told.value).split("at least ")[1].split("s,")[0]
    enough = choose_sizes(ProbeConfig(budget=f"{seconds}s"), Costs(1.0, 1.0, 0.0, 5.0), None, 100)
    assert enough.sequences >= LEAST["sequences"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"levels": ()}, "at least one noise level"),
        ({"levels": (0.5, 0.1)}, "must increase"),
        ({"levels": (0.0, 0.1)}, r"lie in \(1e-5, 1\)"),
        ({"levels": (0.1, 1.0)}, r"lie in \(1e-5, 1\)"),
        ({"levels": (float("nan"),)}, r"lie in \(1e-5, 1\)"),
        ({"sequences": 2}, "`sequences` must be at least 8"),
        ({"recover": -1}, "`recover` must be at least 4, or 0 for none"),
        ({"sequences": 10, "recover": 20}, "must be at most 10"),
        ({"budget": "0s"}, "positive time"),
        ({"budget": "soon"}, "90s, 5min or 1h"),
        ({"n_steps": 0}, "`n_steps` must be at least 1"),
        ({"nelbo_start": 1.5}, "`nelbo_start`"),
        ({"root_seed": -1}, "`root_seed`"),
        ({"protocol": "theirs"}, "ours or paper"),
    ],
)
def test_settings_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        ProbeConfig(**setting)


def test_the_command_that_repeats():
    words = "--checkpoint 'my model.ckpt' --budget 2min --test a.npy --recover=5 --out x"
    assert repeated(shlex.split(words), [64, 8, 0], "runs/one") == (
        "python -m simulations.probe --checkpoint 'my model.ckpt' --test a.npy "
        "--sequences 64 --recover 8 --generate 0 --out runs/one-again"
    )


# Python and the command line


@pytest.fixture
def files(tmp_path):
    save_model(network(), tmp_path / "model")
    np.save(tmp_path / "test.npy", tokens(40))
    np.save(tmp_path / "train.npy", tokens(30, 3))
    return tmp_path


def words_of(files, *more):
    flags = [f"--{name}" if name != "n_steps" else "--n-steps" for name in FIXED]
    sizes = [
        w
        for f, v in zip(flags, FIXED.values(), strict=True)
        for w in (f, *map(str, v if isinstance(v, tuple) else [v]))
    ]
    given = ["--checkpoint", files / "model", "--test", files / "test.npy"]
    return [str(w) for w in (*given, "--out", files / "out", *sizes, *more)]


def test_command_writes_what_python_measures(files, capsys):
    console = Console(file=sys.stdout, width=100)
    assert execute(words_of(files, "--train", files / "train.npy"), console) == 0
    said = capsys.readouterr().out
    assert "To repeat these numbers" in said
    data = read_dataset(files / "out" / "probe.nc")
    here = probe(network(), tokens(40), tokens(30, 3), **FIXED)
    assert isinstance(here, ProbeResult)
    for verdict in here.verdicts:
        assert f"{verdict.label}: {verdict.sentence}." in said
    headline = (files / "out" / "report.md").read_text().splitlines()[2]
    assert headline.startswith(f"**{here.verdict.label}**")
    for name, values in here.data.data_vars.items():
        assert np.array_equal(values.values, data[name].values, equal_nan=values.dtype.kind == "f")
    attrs = data.attrs
    assert attrs["weights"] == "-" and "sha256" in attrs["checkpoint"]
    assert attrs["test_file"].startswith("test.npy, sha256 ")
    assert "MLPDenoiser" in attrs["model"] and "V = 5" in attrs["model"]
    assert attrs["reproduce"].endswith("out-again")
    assert json.loads(attrs["configuration"])["levels"] == list(LEVELS)


def test_warnings():
    test, train = tokens(20), tokens(30, 3)
    test[4], test[5], train[7] = test[3], train[9], train[9]
    found = probe(network(), test, train, **FIXED, about={"notes": "a note"}).data.attrs["warnings"]
    assert found[0] == "a note"
    assert found[1] == "Repeats among the 20 test sequences: 1."
    assert found[2] == "Repeats among the 30 training sequences: 1."
    assert found[3].startswith("1 of the 20 test sequences are in the training file")
    assert len(found) == 4


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--test", "nowhere.npy"], "nowhere.npy"),
        (["--checkpoint", "nowhere.ckpt"], "nowhere.ckpt"),
        (["--denoiser", "tests.nothing:load"], "give the model, by --checkpoint or"),
        (["--levels", "0.1", "1.5"], "must lie in"),
        (["--budget", "5"], "90s, 5min or 1h"),
        (["--seq-len", "9"], "seq_len"),
        (["--test", "large.npy"], "0 to 4 (vocab_size=5)"),
        (["--test", "long.npy"], "6"),
        (["--train", "long.npy"], "6"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(files, more, message, capsys):
    np.save(files / "large.npy", tokens(9) + 3)
    np.save(files / "long.npy", tokens(9, 0, 8))
    paths = [str(files / w) if w.endswith(".npy") else w for w in more]
    with pytest.raises((UserError, SystemExit)) as told:  # settings end the program in tyro
        execute(words_of(files, *paths), Console(file=sys.stdout))
    assert message in f"{told.value} {capsys.readouterr().err}"


def test_missing_parts_of_the_command_line():
    for words, message in (([], "--checkpoint"), (["--denoiser", "a:b"], "--test")):
        with pytest.raises(UserError, match=message):
            execute(words, Console(file=sys.stdout))


# Interruption


def test_a_folder_of_another_probe_is_refused(files):
    test = tokens(40)
    out = files / "other"
    probe(network(), test, out=out, **FIXED)
    with pytest.raises(ResultsError, match="another probe"):
        probe(network(), test, out=out, **{**FIXED, "root_seed": 1})
    with pytest.raises(ResultsError, match="another probe"):
        probe(network(), tokens(40, 9), out=out, **FIXED)
    with pytest.raises(ResultsError, match="another model"):
        probe(network(1), test, out=out, **FIXED)


def test_a_damaged_part_is_computed_again(files):
    test, out = tokens(40), files / "other"
    first = probe(network(), test, out=out, **FIXED).data
    part = out / "cells" / "heldout-t0.1-read.nc"
    part.write_bytes(part.read_bytes()[:-3])
    lines = []
    console = Console(file=types.SimpleNamespace(write=lines.append, flush=lambda: None))
    again = probe(network(), test, out=out, console=console, **FIXED).data
    assert np.array_equal(first["entropy"].values, again["entropy"].values)
    said = "".join(lines)
    assert "heldout-t0.1-read" in said and "heldout-t0.4-read" not in said


def launch(words):
    return subprocess.Popen(
        [sys.executable, "-m", "simulations.probe", "--no-figures", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_an_interrupted_probe_resumes_to_the_same_numbers(files, how):
    words = words_of(files, "--train", files / "train.npy", "--sequences", "40")
    words += ["--n-steps", "40", "--budget", "1h"]
    rng = np.random.default_rng(os.getpid())
    cells, stops = files / "out" / "cells", 0
    for attempt in range(4):
        process = launch(words)
        before = len(list(cells.glob("[!.]*.nc"))) if cells.exists() else 0
        wanted = before + int(rng.integers(1, 4))  # of few in all: the first stop must be in time
        while (
            process.poll() is None
            and attempt < 3
            and (not cells.exists() or len(list(cells.glob("[!.]*.nc"))) < wanted)
        ):
            time.sleep(0.002)
        time.sleep(0.02 * rng.random())
        if process.poll() is None and attempt < 3:
            process.send_signal(how)
            if how == signal.SIGINT:  # and a second one, at once
                process.send_signal(how)
        _, said = process.communicate()
        if process.returncode == 0:
            break
        stops += 1
        assert process.returncode == (-how if how == signal.SIGKILL else 130), said
        assert "Traceback" not in said
    assert process.returncode == 0 and stops > 0
    straight = launch([*words, "--out", str(files / "straight")])
    said = straight.communicate()[1]
    assert straight.returncode == 0, said
    resumed, whole = (read_dataset(files / name / "probe.nc") for name in ("out", "straight"))
    differ = [name for name, x in whole.variables.items() if not x.equals(resumed[name].variable)]
    assert not differ
    for name in ("configuration", "config_hash", "sizes", "warnings"):
        assert np.array_equal(whole.attrs[name], resumed.attrs[name]), name


# What is claimed of the model


class Law(Plain):
    """The small network's law, as `change(law, x_t, t)` leaves it."""

    def __init__(self, change):
        super().__init__(network())
        self.change = change

    def log_loo(self, x_t, t):
        return self.change(super().log_loo(x_t, t), x_t, t)


def over_rows(law, x_t, t):
    if len(x_t) > 5:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
    return law


def at_half(law, x_t, t):
    """A model that fails where no check has looked."""
    if np.ndim(t) and np.allclose(t, 0.4) and len(x_t) > 4:
        raise ValueError("a shape\nthat was not expected")
    return law


def as_full(law, x_t, t):
    return channel.full_from_loo(law, x_t, channel.LogLinear().alpha(np.asarray(t, float)))


CLAIMS = {
    "logits": (lambda law, x_t, t: law + 3, "apply log_softmax"),
    "probabilities": (lambda law, x_t, t: np.exp(law), "These are probabilities"),
    "base 2": (lambda law, x_t, t: law / np.float32(np.log(2)), "to the base 2"),
    "NaN at 1e-5": (
        lambda law, x_t, t: np.where(np.min(t) < 2e-5, np.float32(np.nan), law), "NaN at t = 1e-05"
    ),
    "full": (as_full, "it is the posterior `full`, not the leave-one-out law"),
    "fails later": (at_half, "raised ValueError: a shape that was not expected"),
}  # fmt: skip


@pytest.mark.parametrize("what", CLAIMS)
def test_python_and_the_command_refuse_what_is_not_claimed(what, files, monkeypatch):
    change, message = CLAIMS[what]
    with pytest.raises(ValueError, match=message) as told:
        probe(Law(change), tokens(40), **FIXED)
    assert "\n" not in str(told.value)
    monkeypatch.setitem(sys.modules, "their_law", types.SimpleNamespace(load=lambda: Law(change)))
    words = words_of(files)
    words[:2] = ["--denoiser", "their_law:load"]
    with pytest.raises(UserError, match=message):
        execute(words, Console(file=sys.stdout))


def test_a_device_that_is_too_small_gives_the_same_numbers():
    whole = Law(lambda law, x_t, t: law)
    small, large = (probe(model, tokens(40), **FIXED).data for model in (Law(over_rows), whole))
    for name in ("entropy", "log_loss", "nelbo"):  # of products of other shapes
        assert_close(small[name].values, large[name].values, rtol=1e-5)


def test_a_law_that_is_loo_in_part_is_noted_in_the_report():
    memory = EmpiricalDenoiser(tokens(300, 1), V)

    class Partly(Plain):
        def log_loo(self, x_t, t):
            law = memory.log_loo(x_t, t)
            both = 0.7 * law + 0.3 * as_full(law, x_t, t)
            return both - np.logaddexp.reduce(both, axis=-1, keepdims=True)

    found = probe(Partly(memory), tokens(40), **FIXED, about={"notes": "another"})
    other, note = found.data.attrs["warnings"]
    assert other == "another" and note.startswith("The law called loo is one in part")
    assert "move by 0.30 (0.30 to 0.30, 32 swaps) of what the posterior `full` has" in note
    (law,) = (check for check in found.verdict.checks if check.name == "law")
    assert (
        law.result == "not tested" and law.said.endswith(note) and law.said in found.verdict.caveats
    )


def test_a_budget_that_leaves_nothing_to_write_is_in_the_first_sentence(monkeypatch):
    short = Costs(0.003, 0.01, 0.0, 0.0)
    monkeypatch.setattr("simulations.probe.measure.budget.time_costs", lambda *_: short)
    found = probe(network(), tokens(40), tokens(40, 1), budget="2s", recover=0)
    assert not (found.data["split"] == "generated").any()
    for verdict in found.verdicts:
        assert "it wrote nothing, as the budget was too small" in verdict.answer
    asked = probe(network(), tokens(40), sequences=8, recover=0, generate=0)
    assert asked.verdict.answer == "it wrote nothing, as it was not asked to"


def test_a_network_with_damaged_weights_is_refused():
    model = network()
    broken = eqx.tree_at(lambda m: m.readout, model, model.readout.at[0, 0].set(np.nan))
    with pytest.raises(ValueError, match="its weights are damaged: 1 of the 480 numbers"):
        probe(broken, tokens(40), **FIXED)
