"""K_half by theory in the main job: where it is said, where not, and what it is held against."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

from simulations.measure.feature_size import FITTED
from simulations.phase import figure
from simulations.phase.analysis import Rate
from simulations.phase.config import Config, preset
from simulations.phase.foretold import TRAINING, Foretold, elsewhere, foretell
from simulations.phase.order import Orders
from simulations.phase.tell import tables
from simulations.phase.tell.summary import _foretold, foretold_words

USUAL = Config(source="iid", vocab_size=8, width=128, training=TRAINING)
SIZES = (16, 64, 128, 256, 512)


def trained(**changes):
    return {"training": dataclasses.replace(TRAINING, **changes)}


def rate(values, spread):
    """A rate over SIZES and the levels of USUAL, with three replicates."""
    table = np.repeat(np.array(values)[:, None], len(USUAL.levels), axis=1)
    rising = np.linspace(0, 1, len(table))[:, None]
    replicates = table + spread * rising * np.array([-1, 0, 1])[:, None, None]
    return Rate(table, table, table, replicates, table[None], "sequences only")


def analysis(config=USUAL, gap=(1.0, 0.8, 0.6, 0.2, 0.1), sizes=SIZES):
    curves = {"train": rate(np.array(gap) + 0.1, 1e-3), "heldout": rate([0.1] * len(gap), 0)}
    asked = {
        ("corrupted recovery", "trained", "ancestral", split): curves[split] for split in curves
    }
    return SimpleNamespace(config=config, train_sizes=list(sizes), rate=lambda *at: asked[at])


def findings(config=USUAL, **known):
    found = analysis(config, **known)
    return SimpleNamespace(analysis=found, orders=Orders({}, {}, {}), foretold=foretell(found))


def test_it_is_said_of_the_networks_of_the_constants_at_every_width_and_time_they_hold_for():
    for width, steps in ((16, 1000), (256, 64_000)):
        config = dataclasses.replace(USUAL, width=width, **trained(steps=steps))
        assert elsewhere(config) == []
        assert foretell(analysis(config)).value == FITTED.size(width, steps, 16, 8)[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"source": "markov"}, "source markov in place of iid"),
        ({"source": "text"}, "source text in place of iid"),
        ({"model": "dit"}, "model dit in place of mlp"),
        ({"channel": "absorbing"}, "channel absorbing in place of uniform"),
        ({"vocab_size": 16}, "vocab size 16 in place of 8"),
        ({"seq_len": 8}, "seq len 8 in place of 16"),
        ({"n_blocks": 2}, "n blocks 2 in place of 1"),
        ({"n_steps": 128}, "n steps 128 in place of 16"),
        ({"levels": (0.1, 0.5)}, "no level t = 0.25"),
        ({"width": 15}, "width 15 outside of 16 to 256"),
        ({"width": 512}, "width 512 outside of 16 to 256"),
        (trained(steps=999), "steps 999 outside of 1,000 to 64,000"),
        (trained(steps=64_001), "steps 64,001 outside of 1,000 to 64,000"),
        (trained(batch=256), "batch 256 in place of 32"),
        (trained(learning_rate=3e-3), "learning rate 0.003 in place of 0.006"),
        (trained(weight_decay=0.02), "weight decay 0.02 in place of 0.0"),
        (trained(noise_draws=4), "noise draws 4 in place of 0"),
        (trained(loss="nelbo"), "loss nelbo in place of loo"),
    ],
)
def test_elsewhere_it_is_left_out_and_the_reason_is_named(changes, words):
    config = dataclasses.replace(USUAL, **changes)
    assert elsewhere(config) == [words]
    told = findings(config)
    assert told.foretold is None
    assert list(_foretold(told)) == []
    assert figure._foretold(told) == ""
    (line, _) = tables._foretold(told)
    assert words in line


@pytest.mark.parametrize("source", ["markov", "iid", "text"])
@pytest.mark.parametrize("model", ["mlp", "dit"])
@pytest.mark.parametrize("name", ["smoke", "small", "paper"])
def test_no_preset_trains_such_networks(name, source, model):
    assert elsewhere(preset(name, source, model))


def test_what_is_measured_refers_to_the_gap_at_64_not_to_that_at_the_smallest_size():
    found = foretell(analysis()).measured
    assert found.value == pytest.approx(128 * 2 ** (0.2 / 0.4))
    assert found.low < found.value < found.high
    assert found.per_seed == pytest.approx([found.value])


@pytest.mark.parametrize("sizes", [(16, 63, 128, 256, 512), (4, 8, 16, 32, 64)])
def test_without_the_gap_at_64_nothing_is_measured(sizes):
    found = foretell(analysis(sizes=sizes))
    assert found.measured is None
    assert found.verdict == "not measured"
    assert "K = 64, which this run has not" in foretold_words(found)


def test_a_verdict_is_whether_the_measured_size_is_in_the_interval():
    low, high = 150.0, 200.0  # measured: 181
    found = Foretold(170.0, low, high, foretell(analysis()).measured)
    assert found.verdict == "held"
    assert foretold_words(found) == "170 [150, 200]; measured 181 [181, 181]: held"
    for ends in ({"high": 180.0}, {"low": 182.0}):
        assert dataclasses.replace(found, **ends).verdict == "missed"
    beyond = foretell(analysis(gap=(1.0, 0.8, 0.7, 0.6, 0.5)))
    assert beyond.verdict == "not measured"
    assert "beyond the largest K: not to be judged" in foretold_words(beyond)


def test_the_figure_has_one_line_with_its_band_where_it_is_said_and_none_elsewhere():
    for config, lines, bands in ((USUAL, 1, 1), (dataclasses.replace(USUAL, width=512), 0, 0)):
        axis, told = Figure().subplots(), findings(config)
        figure._order(axis, told)
        drawn = [line for line in axis.lines if line.get_color() == figure.FORETOLD]
        assert (len(drawn), len(axis.patches)) == (lines, bands)
        entries = [text.get_text() for text in axis.get_legend().get_texts()]
        assert len(entries) == lines
        if told.foretold is not None:
            assert list(drawn[0].get_xdata()) == [told.foretold.value] * 2
            ends = axis.patches[0].get_extents().transformed(axis.transData.inverted())
            assert ends.x0 == pytest.approx(told.foretold.low)
            assert ends.x1 == pytest.approx(told.foretold.high)


def test_a_run_on_the_chain_says_why_it_has_none(tiny_run):
    out = tiny_run("phase_diagram")
    report = (out / "report.md").read_text()
    assert report.count("foretells no K_half here") == 1
    assert "source markov in place of iid" in report
    assert json.loads((out / "summary.json").read_text())["foretold"] is None
