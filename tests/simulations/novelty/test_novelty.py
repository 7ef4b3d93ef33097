"""The novelty command: labels and chance by brute force, verdicts that can go either way, and the
command end to end at a tiny size."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from models.sources import IidSource, MarkovSource
from models.streams import stream
from simulations import trained
from simulations.measure.bootstrap import bootstrap_ratio
from simulations.measure.checks import NOT_DECIDABLE, NOT_SUPPORTED, SUPPORTED
from simulations.novelty import cells as novelty_cells
from simulations.novelty import study as novelty
from simulations.novelty.analysis import Series, analyse, headline_distance, source_law
from simulations.novelty.cells import (
    against_stored,
    among_generated,
    chance_checks,
    chance_shares,
    classify,
    near_probability,
    pair_probability,
    pieces,
    unconditional,
)
from simulations.novelty.config import CONTROLS, NoveltyConfig, make_cells, preset
from simulations.novelty.findings import (
    at_picked,
    chance_rows,
    findings_of,
    judge,
    phase,
    picked_by_others,
)
from simulations.novelty.report import report as report_of
from simulations.novelty.study import STUDY
from simulations.phase import config as main_job
from simulations.results.report import write_report
from tests import oracles, strategies
from tests.helpers import ROOT, assert_close, assert_drawn
from tests.simulations.registry import STUDIES

WORDS = ["--preset", "smoke", *STUDIES["novelty"].tiny.split(), "--workers", "1"]


@st.composite
def two_sets(draw):
    """Generated (n, L), n a multiple of 2, and stored (K, L) sequences."""
    vocab_size, length = draw(st.integers(2, 3)), draw(st.integers(1, 5))
    n, size = 2 * draw(st.integers(1, 4)), draw(strategies.train_sizes)
    made = draw(strategies.tokens((n, length), vocab_size))
    return vocab_size, made, draw(strategies.tokens((size, length), vocab_size))


def nearest(sequence, others):
    return min((int((sequence != other).sum()) for other in others), default=len(sequence) + 1)


@given(two_sets())
def test_labels_are_those_of_a_search_through_all_pairs(problem):
    vocab_size, made, stored = problem
    n = len(made)
    config = dataclasses.replace(preset("smoke"), vocab_size=vocab_size)
    at = against_stored(config, made, stored)["stored_distance"]
    other, part, equal = among_generated(made, vocab_size, 2)
    for i, sequence in enumerate(made):
        others = [made[j] for j in range(n) if j != i]
        half = [made[j] for j in range(n) if j != i and j // (n // 2) == i // (n // 2)]
        assert at[i] == nearest(sequence, stored)
        assert other[i] == nearest(sequence, others)
        assert part[i] == nearest(sequence, half)
        assert equal[i] == sum((sequence == o).all() for o in others)
        for d in range(3):
            label = (
                0 if nearest(sequence, stored) <= d else 1 if nearest(sequence, others) <= d else 2
            )
            assert classify(at, other, d)[i].tolist() == [k == label for k in range(3)]


def fewest_pieces(sequence, stored):
    """By trying every way to cut the sequence."""
    length, best = len(sequence), [0]
    for stop in range(1, length + 1):
        whole = [
            start
            for start in range(stop)
            if start == stop - 1 or (stored[:, start:stop] == sequence[start:stop]).all(1).any()
        ]
        best.append(1 + min(best[start] for start in whole))
    return best[length]


@given(two_sets())
def test_pieces_are_the_fewest_over_all_ways_to_cut(problem):
    _, made, stored = problem
    assert pieces(made, stored).tolist() == [fewest_pieces(x, stored) for x in made]


def test_pieces_of_copies_splices_and_of_what_was_never_stored():
    stored = np.array([[0, 0, 0, 0], [1, 1, 1, 1]])
    made = np.array([[0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 1, 0], [2, 2, 2, 2], [0, 2, 1, 1]])
    assert pieces(made, stored).tolist() == [1, 2, 3, 4, 3]


@pytest.mark.parametrize(
    "source",
    [
        IidSource(3, 4, [0.5, 0.3, 0.2]),
        MarkovSource(oracles.CHAIN, 4),
        MarkovSource([[0.0, 1.0], [0.4, 0.6]], 5, [0.3, 0.7]),
    ],
)
def test_the_chance_to_lie_near_is_a_sum_over_all_sequences(source):
    everything = oracles.all_sequences(source.vocab_size, source.seq_len)
    law, length = np.exp(source.log_prob(everything)), source.seq_len
    gaps = (everything[:, None] != everything[None]).sum(-1)
    expected = np.array([(gaps <= d) @ law for d in range(length + 1)]).T
    near = near_probability(source, everything, length)
    assert_close(near, expected)
    assert_close(near[:, -1], np.ones(len(law)))
    assert_close(pair_probability(source, length), law @ expected)
    assert_close(pair_probability(source, 1), (law @ expected)[:2])


def test_chance_shares_at_their_limits():
    near = np.array([0.0, 0.01, 0.3])
    assert_close(chance_shares(near, 7, 20).sum(-1), np.ones(3))
    assert_close(chance_shares(near, 7, 1)[:, 1], np.zeros(3))  # nobody to repeat
    assert chance_shares(near, 7, 20)[0].tolist() == [0, 0, 1]
    assert_close(chance_shares(near, 1, 2)[:, 0], near)
    assert_close(chance_shares(near, 1, 2)[:, 1], (1 - near) * near)


@pytest.mark.parametrize("source", ["markov", "iid"])
def test_labels_of_fresh_sequences_come_at_the_exact_rates(source, monkeypatch):
    config = preset("smoke", source)
    assert all(check.agrees for check in chance_checks(config))
    monkeypatch.setattr(novelty_cells, "classify", lambda a, b, d: classify(a, b + 1, d))
    assert not all(check.agrees for check in chance_checks(config))


@pytest.fixture(scope="module")
def law():
    return source_law(NoveltyConfig())


def test_the_headline_distance_is_the_largest_that_chance_allows(law):
    config = NoveltyConfig()
    taken = 1 - law.chance[-1, :, 2]
    assert (np.diff(taken) > 0).all()
    for chance, expected in ((0.999, 2), (taken[1] * 1.01, 1), (taken[0] * 1.01, 0), (1e-9, 0)):
        assert headline_distance(dataclasses.replace(config, chance=chance), law) == expected
    assert headline_distance(config, law) == 1  # that of the reported run


def test_the_law_of_the_source(law):
    assert law.low < law.entropy < law.high
    assert 0 < law.deviation < law.entropy
    assert law.chance_error < 0.01
    assert (law.part_chance[..., 1] < law.chance[..., 1]).all()
    assert_close(law.part_chance[..., 0], law.chance[..., 0])
    flat = source_law(preset("small", "iid"))
    assert flat.deviation < 1e-12 and flat.low == flat.high  # every sequence is as probable
    assert flat.pairs[0] == pytest.approx(16.0**-16)


def series(per_seed, replicates=None):
    """A series over K from each seed's own values (S, K); no spread over sequences by default."""
    table = np.asarray(per_seed, dtype=float)
    own = np.repeat(table[:, None], 100, axis=1) if replicates is None else replicates
    return Series(table.mean(0), own.mean(0), table, own, "")


VERDICTS = [
    ([0.3, 0.4], SUPPORTED),
    ([0.001, 0.004], NOT_SUPPORTED),  # above 0, yet smaller than anything of interest
    ([-0.2, -0.1], NOT_SUPPORTED),
    ([-0.1, 0.2], NOT_DECIDABLE),
]


@pytest.mark.parametrize(("ends", "verdict"), VERDICTS)
def test_verdicts(ends, verdict):
    table = np.linspace(*ends, 5)[:, None]
    spread = np.repeat(ends, 50)[None, :, None].repeat(5, axis=0)
    found = judge("it is so", series(table, spread), 0.01, "share")
    assert (found.verdict, found.low, found.high) == (verdict, *ends)
    assert bool(found.decides) == (verdict == NOT_DECIDABLE)
    few = judge("it is so", series(table[:4], spread[:4]), 0.01, "share")
    assert few.verdict == NOT_DECIDABLE and "5 seeds" in few.decides
    ended = judge("it is so", series(table, spread), 0.01, "share", "larger K")
    assert (ended.verdict, ended.decides) == (NOT_DECIDABLE, "larger K")
    nothing = judge("it is so", series(table, np.full_like(spread, np.nan)), 0.01, "share")
    assert nothing.verdict == NOT_DECIDABLE and np.isnan(nothing.low)


def test_a_seed_is_read_where_the_others_have_their_largest():
    one = series([[0.0, 5.0, 1.0], [9.0, 0.0, 1.0], [0.0, 4.0, 1.0], [0.0, 0.0, 1.0]])
    assert picked_by_others(one) == [0, 1, 0, 0]
    read = at_picked(preset("smoke"), one, [0, 1, 0, 0])
    assert read.per_seed[:, 0].tolist() == [0.0, 0.0, 0.0, 0.0]
    assert picked_by_others(series([[1.0, 2.0]])) == [1]


def test_choosing_k_by_the_other_seeds_does_not_make_an_excess_of_noise():
    rng, config = np.random.default_rng(0), preset("smoke")
    found, chosen = [], []
    for _ in range(400):
        noise = series(rng.normal(size=(5, 10)))
        found.append(float(at_picked(config, noise, picked_by_others(noise)).estimate[0]))
        chosen.append(float(noise.estimate.max()))
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 5 * error
    assert np.mean(chosen) > 0.5  # what the correction is for


def test_labels_resampled_at_most_halve_the_variance_of_the_spurious_share():
    """n draws of equally likely states: repeats come in groups, which resampling leaves out."""
    rng, n = np.random.default_rng(1), 64
    for states in (60, 1000):
        share, error = [], []
        for _ in range(500):
            drawn = rng.integers(states, size=n)
            label = (np.bincount(drawn, minlength=states)[drawn] > 1).astype(float)
            share.append(label.mean())
            error.append(label.var() / n)  # of the bootstrap with many replicates
        assert 0.9 < np.var(share) / np.mean(error) < 2.3
    label = np.repeat([1.0, 0.0], 32)
    spread = bootstrap_ratio(rng, label, np.ones(n), np.arange(n), 4000)[1]
    assert np.var(spread) == pytest.approx(label.var() / n, rel=0.1)


@pytest.fixture(scope="module")
def config():
    return STUDY.parse(WORDS).config


@pytest.fixture(scope="module")
def merged(config):
    """Merged data whose `networks` copy stored sequences less and less, and else repeat one
    state, draw fresh sequences of the source, or noise."""
    cells = {}
    for cell in make_cells(config):
        place = cell.coordinates
        if place["kind"] == "controls":
            cells[cell.name] = novelty_cells.controls(config, place["seed"])
        elif place["kind"] == "model":
            cells[cell.name] = fake_network(config, place["train_size"], place["seed"])
    with pytest.MonkeyPatch.context() as patch:
        for module in (novelty, trained):
            patch.setattr(module, "load_cells", lambda _, wanted: [cells[c.name] for c in wanted])
        return novelty.merge(Path("nowhere"), config)


def fake_network(config, size, seed):
    problem = config.problem(seed, 1)
    rng = stream(5, size, seed)
    n, length = config.sequences, config.seq_len
    copies, repeats = {4: (1.0, 0.0), 16: (0.3, 0.3), 64: (0.05, 0.0)}[size]
    tokens = problem.source.sample(rng, n)
    kind = rng.random(n)
    tokens[kind < copies] = problem.stored[:size][rng.integers(size, size=(kind < copies).sum())]
    state = np.zeros(length, tokens.dtype)
    tokens[(kind >= copies) & (kind < copies + repeats)] = state
    found = against_stored(config, tokens, problem.stored[:size])
    alone = unconditional(config, problem.source, tokens)
    out = novelty_cells._dataset({**found, **alone}, ("sample",))
    return out.assign(generated=(("sample", "position"), tokens))


def test_merged_data_hold_every_model_at_every_place(merged, config):
    assert merged["model"].values.tolist() == ["trained", *CONTROLS]
    assert dict(merged.sizes) == {
        "model": 4,
        "train_size": 3,
        "seed": 5,
        "sample": 64,
        "position": 8,
        "stepped": 8,
    }
    problem = config.problem(2, 1)
    tokens = merged["generated"].isel(train_size=1, seed=2).values
    place = merged.sel(model="trained", train_size=16).isel(seed=2)
    stored = problem.stored[:16]
    assert place["stored_distance"].values.tolist() == [nearest(x, stored) for x in tokens]
    np.testing.assert_allclose(place["log_prob"], problem.source.log_prob(tokens))
    memorizer = merged.sel(model="empirical")
    assert (memorizer["stored_distance"] == 0).all() and (memorizer["pieces"] == 1).all()
    level = problem.source.log_prob(stored).mean()
    assert merged["stored_log_prob"].isel(seed=2, train_size=1) == pytest.approx(level)


def test_reported_numbers_are_those_of_the_raw_ones(merged, config):
    analysis = analyse(config, merged, [])
    d = analysis.headline
    assert d == 0  # sequences are short: chance alone makes repeats
    part = merged.sel(model="trained")
    far, again = part["stored_distance"] > d, part["other_distance"] <= d
    trained, axes = analysis.means["trained"], ["seed", "sample"]
    for label, mask in (("memorized", ~far), ("spurious", far & again), ("novel", far & ~again)):
        assert_close(trained.share(d, label).estimate, mask.mean(axes).values)
        mean = -part["log_prob"].where(mask).mean(axes).values / 8 - analysis.law.entropy
        assert_close(analysis.surprisal("trained", label).estimate, mean, rtol=1e-9)
        assert_close(
            trained.of("distance", d, label).estimate,
            part["stored_distance"].where(mask).mean(axes).values,
        )
        inside = (-part["log_prob"] / 8 >= analysis.law.low - 1e-9) & (
            -part["log_prob"] / 8 <= analysis.law.high + 1e-9
        )
        assert_close(trained.of("typical", d, label).estimate, inside.where(mask).mean(axes).values)
    quarters = (far & (part["part_distance"] <= d)).mean(axes).values
    assert_close(trained.mean(("part", d, "spurious")).estimate, quarters)
    tokens = part["generated"].values
    states = []
    for k in range(3):
        count = 0
        for s in range(5):
            rows = tokens[k, s][part["stored_distance"].values[k, s] > 0]
            count += (np.unique(rows, axis=0, return_counts=True)[1] > 1).sum()
        states.append(count / 5)
    assert_close(trained.mean(("states", 0, "spurious")).estimate * 64, np.array(states))
    low, high = trained.share(d, "spurious").ends
    assert (low <= trained.share(d, "spurious").estimate).all()
    assert (high >= trained.share(d, "spurious").estimate).all()


def test_the_effective_number_of_states_does_not_depend_on_n():
    """Its inverse is unbiased: pairs among n draws of M equally likely states."""
    rng, states = np.random.default_rng(3), 50
    for n in (16, 64):
        rates = []
        for _ in range(400):
            equal = np.bincount(drawn := rng.integers(states, size=n), minlength=states)[drawn] - 1
            rates.append(equal.mean() / (n - 1))
        error = np.std(rates) / np.sqrt(len(rates))
        assert abs(np.mean(rates) - 1 / states) < 5 * error


def test_the_report_and_the_summary_say_what_was_found(merged, config, tmp_path):
    analysis = analyse(config, merged, [])
    findings = findings_of(analysis)
    write_report(report_of(analysis), tmp_path, "novelty.png", config.as_dict(), 1.0, 0.0)
    assert findings[0].verdict == SUPPORTED  # one state in 30 % of the draws at K = 16
    assert "most at K = 16" in findings[0].claim
    assert findings[0].value == pytest.approx(analysis.excess.estimate[1])
    assert findings[4].verdict == SUPPORTED  # and it is one state, an attractor
    assert phase(findings).count(SUPPORTED) >= 2
    report = (tmp_path / "report.md").read_text()
    assert phase(findings) in report
    for heading in (
        "In short",
        "Caveats",
        "What is measured",
        "depends on N",
        "Quality",
        "Provenance",
    ):
        assert heading in report
    assert " nan" not in report
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert len(summary["findings"]) == 10
    assert set(summary["means over sequences (K)"]) == {"trained", *CONTROLS}
    assert len(chance_rows(analysis)) == 3 * 3 * 2
    trained = summary["means over sequences (K)"]["trained"]
    assert len(trained["share, d = 1, novel"]["low"]) == 3
    assert summary["passages"]["memorized, d = 0"]["status"] == "ok"


def test_a_label_never_seen_agrees_with_a_chance_that_is_small_enough(merged, config):
    data = merged.copy(deep=True)
    for name in ("stored_distance", "other_distance"):
        data[name].loc[{"model": "source"}] = 8
    rows = chance_rows(analyse(config, data, []))
    verdicts = {row.verdict for row in rows if row.predicted <= 3 / 320}
    assert all(row.simulated == 0 for row in rows) and verdicts == {"agree"}
    assert {row.verdict for row in rows if row.predicted > 3 / 320} == {"deviate"}


def test_the_networks_are_those_of_the_main_job():
    for name in ("smoke", "small", "paper"):
        for model in ("mlp", "dit"):
            ours = preset(name, model=model)
            theirs = main_job.preset(name, model=model)
            for key in ("source", "vocab_size", "seq_len", "root_seed", "model", "width"):
                assert getattr(ours, key) == getattr(theirs, key), key
            for key in ("n_blocks", "n_heads", "train_sizes"):
                assert getattr(ours, key) == getattr(theirs, key), key
            if (name, model) != ("small", "mlp"):  # said in the docstring of `preset`
                assert ours.training == theirs.training
    stored = [one.problem(1, 1).stored for one in (preset("smoke"), main_job.preset("smoke"))]
    np.testing.assert_array_equal(*stored)


def test_folders_say_what_differs_from_the_default():
    assert preset("small") == NoveltyConfig()
    names = {
        "": "small",
        "--preset smoke --source iid": "iid-smoke",
        "--model dit": "dit-small",
        "--source iid --model dit --preset paper": "iid-dit-paper",
    }
    for words, name in names.items():
        parsed = STUDY.parse(words.split())
        assert STUDY.place(parsed.config, parsed.preset) == Path("results/novelty") / name


@pytest.mark.slow
def test_a_tiny_run_is_drawn_for_the_appendix(tiny_run):
    out = tiny_run("novelty")
    with xr.open_dataset(out / "novelty.nc", engine="h5netcdf") as data:
        assert data["stored_distance"].attrs["units"] == "tokens"
        assert data["train_size"].values.tolist() == [4, 16, 64]
    assert_drawn("novelty", "novelty", out, STUDY.parse(WORDS).config)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mlp", "dit"])
def test_independent_tokens_and_both_networks_run(tmp_path, model):
    words = [*WORDS, "--source", "iid", "--model", model, "--seeds", "1", "--out", str(tmp_path)]
    ran = subprocess.run(
        [sys.executable, "-m", "simulations.novelty", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "not decidable" in ran.stdout
