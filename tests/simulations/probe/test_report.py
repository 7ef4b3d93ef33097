"""The report of a probe, on made-up datasets whose every rate is known."""

import csv
import importlib.util
import io
import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from simulations.measure.names import DECODERS, EPSILONS, LAWS, LOG_LOSS_CAP
from simulations.probe.judge.checks import Check
from simulations.probe.judge.evidence import UNKNOWN
from simulations.probe.judge.membership import membership
from simulations.probe.judge.statistics import statistics
from simulations.probe.judge.verdict import Verdict
from simulations.probe.measure.estimate import Estimate
from simulations.probe.tell.excerpts import most_memorized, restored
from simulations.probe.tell.figures import draw_all
from simulations.probe.tell.page import visible
from simulations.probe.tell.report import write_reports
from simulations.probe.tell.sections import result_sections, verdict_sections
from simulations.probe.tell.tables import csv_text, write_tables
from simulations.results.files import read_dataset, write_dataset

LEVELS = (0.05, 0.1, 0.25, 0.5)
SPLITS = ("train", "heldout", "generated", "random")
VOCAB, LENGTH, BINS = 16, 24, 40
RECOVERY = {"memorizer": {"train": 0.9, "heldout": 0.2}, "generalizer": {}}
HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='y'>",
    "a\x00b\x1b[31m\x7f",
    "\u202eright to left\u2066",
    "\ud800",
    "|`*_[x](javascript:y)~",
    "w" * 5000,
    " ",
    "\n\n# heading\n<!-- ",
    "]]>&lt;&amp;",
    "</style></main>",
    "{kept}",
    "שלום",
    "\u2028\ufeff",
    "e\u0301" * 40,
    "plain",
)


UNLIKE = Check("domain", "The text is <b>of the source</b>.", "failed", "Of it 0.50 is not.")
LEARNT = Check("learning", "Something was learnt.", "passed", "It was.")
FIRST = Verdict(
    label="memorizing",
    basis="training data",
    answer="M = 0.97 [0.90, 0.99], by training data",
    settle="",
    numbers=(("M", Estimate(0.97, 0.9, 0.99, 40)), ("unknown", UNKNOWN)),
    order=Estimate(0.97, 0.9, 0.99, 40),
    chances=None,
    share=UNKNOWN,
    reasons=("train recovery exceeds held-out recovery by 0.7",),
    checks=(LEARNT, UNLIKE),
)
SECOND = replace(
    FIRST,
    label="withheld",
    basis="own sequences alone",
    answer="no right text",
    settle="A text would do.",
)
VERDICTS = (FIRST, SECOND)


def spread_out(rng, rate, changed):
    """Counts of at most `changed` each that pool to `rate` of its sum, unequal between rows."""
    total = round(rate * int(changed.sum()))
    slots = rng.permutation(np.repeat(np.arange(len(changed)), changed))[:total]
    return np.bincount(slots, minlength=len(changed))


def made_up(kind="memorizer", train=True, test=True, n=40, recover=24, generate=16, seed=1):
    """A dataset in the schema of a memorizer or a generalizer, with rates known from outside.

    Corrupted tokens of a sequence at level t: about t L. Recovery: memorizer .9 on train and
    generated, .2 on held-out; generalizer .5 throughout; 0.1 of the others broken at t = 0.5.
    Entropies: memorizer 0.01 at 1e-5, log loss 0.01 on train and 5 on held-out; generalizer 1.
    """
    rng = np.random.default_rng(seed)
    sizes = {"train": n if train else 0, "heldout": n if test else 0}
    sizes |= {"generated": generate, "random": 8}
    split = np.repeat(list(SPLITS), [sizes[s] for s in SPLITS])
    index = np.concatenate([np.arange(sizes[s]) for s in SPLITS]).astype(np.int32)
    total, memorizes = len(split), kind == "memorizer"
    tokens = rng.integers(VOCAB, size=(total, LENGTH)).astype(np.int32)
    shape, t_entropy = (total, len(LEVELS), len(DECODERS)), (1e-5, *LEVELS)
    counts = {name: np.full(shape, -1, np.int32) for name in ("recovered", "broken")}
    changed = {name: np.full(shape[:2], -1, np.int32) for name in ("one", "run")}
    places = {s: np.flatnonzero(split == s) for s in SPLITS}
    for s, (k, t), d in itertools.product(SPLITS, enumerate(LEVELS), range(len(DECODERS))):
        rows = places[s][:recover] if d == 0 else places[s]
        if not len(rows) or (s == "random" and d == 0):
            continue
        which = changed["run" if d == 0 else "one"]
        if (which[rows, k] < 0).all():
            which[rows, k] = np.maximum(1, round(t * LENGTH) + rng.integers(-1, 2, len(rows)))
        rate = (0.2 if s in ("heldout", "random") else 0.9) if memorizes else 0.5
        counts["recovered"][rows, k, d] = spread_out(rng, rate, which[rows, k])
        damage = 0.1 if t == 0.5 else 0.0
        counts["broken"][rows, k, d] = spread_out(rng, damage, LENGTH - which[rows, k])
    mean = np.full((total, 2, 5), 0.01 if memorizes else 1.0)
    mean += np.linspace(0, 0.5, 5)
    wrong = 5.0 if memorizes else 0.0
    loss = mean + np.where(np.isin(split, ("heldout", "random")), wrong, 0.0)[:, None, None]
    noise = rng.normal(0, 0.005, mean.shape)
    noise -= np.stack([noise[split == s].mean(0) for s in SPLITS if (split == s).any()]).repeat(
        [sizes[s] for s in SPLITS if sizes[s]], axis=0
    )
    histogram = np.zeros((total, 2, 5, BINS), np.uint16)
    first = np.minimum((mean / (np.log(VOCAB) / BINS)).astype(int), BINS - 1)
    np.put_along_axis(histogram, first[..., None], LENGTH, axis=-1)
    below = LENGTH * (mean[..., None] < np.array(EPSILONS))
    repeats, nearest, distance = (np.full(total, -1, np.int32) for _ in range(3))
    drawn = places["generated"]
    repeats[drawn] = 0
    if train:
        other = np.concatenate([places["heldout"], drawn])
        nearest[other], distance[other] = 3, 12
        if memorizes:
            copied = drawn[: generate // 2]
            tokens[copied] = tokens[places["train"][min(7, n - 1)]]
            nearest[copied], distance[copied] = min(7, n - 1), 0
    if memorizes and generate:
        repeats[drawn[: generate // 2]] = generate // 2 - 1
        tokens[drawn[: generate // 2]] = tokens[drawn[0]]
    nelbo = np.where(split == "random", np.nan, np.where(split == "heldout", 2.0, 0.5))
    shown = np.concatenate([places[s][:5] for s in SPLITS[:3]])
    noisy, output = tokens[shown].copy(), tokens[shown].copy()
    if len(shown):
        noisy[:, 2:6] = (noisy[:, 2:6] + 1) % VOCAB  # four corrupted, of which
        output[:, 5] = (output[:, 5] + 2) % VOCAB  # one is missed
        output[:, 10] = (output[:, 10] + 3) % VOCAB  # and one other is broken
    dims = ("sequence", "law", "t_entropy")
    return xr.Dataset(
        {
            "tokens": (("sequence", "position"), tokens),
            "corrupted": (("sequence", "t"), changed["one"]),
            "corrupted_ancestral": (("sequence", "t"), changed["run"]),
            **{name: (("sequence", "t", "decoder"), counts[name]) for name in counts},
            "entropy": (dims, mean.astype(np.float32)),
            "log_loss": (dims, (loss + noise).astype(np.float32)),
            "vanishing": ((*dims, "epsilon"), below.astype(np.int32)),
            "entropy_histogram": ((*dims, "bin"), histogram),
            "nelbo": ("sequence", nelbo.astype(np.float32)),
            "nearest_train": ("sequence", nearest),
            "nearest_distance": ("sequence", distance),
            "repeats": ("sequence", repeats),
            "example_sequence": ("example", shown.astype(np.int32)),
            "example_t": ("example", np.full(len(shown), 0.25)),
            "example_noisy": (("example", "position"), noisy),
            "example_output": (("example", "position"), output),
        },
        coords={
            "split": ("sequence", split),
            "index": ("sequence", index),
            "t": list(LEVELS),
            "t_entropy": list(t_entropy),
            "law": list(LAWS),
            "decoder": list(DECODERS),
            "epsilon": list(EPSILONS),
            "bin_edge_low": ("bin", np.log(VOCAB) / BINS * np.arange(BINS)),
        },
        attrs={
            "vocab_size": VOCAB,
            "seq_len": LENGTH,
            "n_steps": 100,
            "nelbo_start": 0.05,
            "model": "a made-up model",
            "weights": "raw",
            "protocol": "ours",
            "checkpoint": "made_up.ckpt, sha256 00",
            "test_file": "test.npy, sha256 11. Given as an array." if test else "",
            "train_file": "train.npy, sha256 22. Given as an array." if train else "",
            "root_seed": 3,
            "budget": "The sizes were given.",
            "reproduce": "python -m simulations.probe --checkpoint made_up.ckpt",
            "warnings": ["2 of the 40 test sequences repeat another one.", "Packed differently."],
            "configuration": json.dumps({"replicates": 200}),
        },
    )


def numbered(tokens):
    return " ".join(str(int(token)) for token in tokens)


def hostile(tokens):
    return "".join(HOSTILE[int(token)] for token in tokens)


def find(rows, **wanted):
    (row,) = [r for r in rows if all(getattr(r, k) == v for k, v in wanted.items())]
    return row


def rates_of(data, replicates=200):
    return statistics(data, np.random.default_rng(0), replicates)


@pytest.mark.parametrize(
    ("kind", "train", "heldout"), [("memorizer", 0.9, 0.2), ("generalizer", 0.5, 0.5)]
)
def test_recovery_damage_and_gap_are_those_built_in(kind, train, heldout):
    data = made_up(kind)
    found = rates_of(data)
    for t, decoder in itertools.product(LEVELS, DECODERS):
        for split, rate in (("train", train), ("heldout", heldout)):
            row = find(found.rates, split=split, t=t, decoder=decoder)
            changed = data["corrupted_ancestral" if decoder == "ancestral" else "corrupted"]
            changed = changed.sel(t=t).values[data["split"].values == split]
            # a count is rounded to a whole token
            assert row.recovery.value == pytest.approx(rate, abs=0.51 / changed.clip(0).sum())
            assert row.recovery.low < rate < row.recovery.high
            assert row.recovery.n == (24 if decoder == "ancestral" else 40)
            assert row.damage.value == pytest.approx(0.1 if t == 0.5 else 0.0, abs=2e-3)
            assert row.damage.high > 0
        gap = find(found.gaps, what=f"recovery, train - held-out, {decoder}", t=t).gap
        assert gap.value == pytest.approx(train - heldout, abs=0.05)
        assert gap.low < gap.value < gap.high
        assert gap.n == (24 if decoder == "ancestral" else 40)
    assert not find(found.rates, split="random", t=0.05, decoder="ancestral").recovery.known


def test_exact_match_is_counted_sequence_by_sequence():
    data = made_up()
    row = find(rates_of(data).rates, split="train", t=0.1, decoder="ancestral")
    part = data.isel(sequence=data["split"].values == "train").sel(t=0.1)
    right = [
        r == c and b == 0
        for r, c, b in zip(
            part["recovered"].values[:, 0],
            part["corrupted_ancestral"].values,
            part["broken"].values[:, 0],
            strict=True,
        )
        if c >= 0
    ]
    assert row.exact.value == sum(right) / len(right)
    proper = stats.binomtest(sum(right), len(right)).proportion_ci(method="exact")
    assert (row.exact.low, row.exact.high) == pytest.approx(tuple(proper))


def test_entropy_calibration_and_vanishing_are_those_built_in():
    found = rates_of(made_up())
    train, heldout = (find(found.laws, split=s, law="loo", t=1e-5) for s in SPLITS[:2])
    assert train.entropy.value == pytest.approx(0.01, rel=1e-5)
    assert train.calibration_gap.value == pytest.approx(0.0, abs=1e-6)
    assert train.calibration_gap.low < 0 < train.calibration_gap.high
    assert heldout.calibration_gap.value == pytest.approx(5.0, rel=1e-6)
    assert heldout.log_loss.value == pytest.approx(5.01, rel=1e-6)
    assert [e.value for e in train.vanishing][1:] == [1.0, 1.0]  # below 0.05 and 0.2
    late = find(found.laws, split="train", law="loo", t=0.5)
    assert [e.value for e in late.vanishing] == [0.0, 0.0, 0.0]  # 0.51 nats
    assert late.vanishing[0].high == pytest.approx(stats.binomtest(0, 40).proportion_ci().high)
    gap = find(found.gaps, what="loo entropy, generated - train", t=1e-5).gap
    assert gap.value == pytest.approx(0.0, abs=1e-6)


def test_calibration_gap_is_paired_within_the_sequence():
    """Entropies far apart between sequences cancel in the gap; unpaired, they would not."""
    data = made_up("generalizer")
    shift = np.random.default_rng(0).normal(0, 3, data.sizes["sequence"])[:, None, None]
    wide = data.assign(entropy=data["entropy"] + shift, log_loss=data["log_loss"] + shift)
    row = find(rates_of(wide).laws, split="train", law="loo", t=0.1)
    assert row.entropy.high - row.entropy.low > 1
    assert row.calibration_gap.high - row.calibration_gap.low < 0.01


def test_copies_repeats_and_perplexity():
    found = rates_of(made_up())
    row = find(found.splits, split="generated")
    assert (row.copies.value, row.repeats.value) == (0.5, 0.5)
    assert row.distance.value == 6.0
    heldout = find(found.splits, split="heldout")
    assert heldout.perplexity.value == pytest.approx(np.exp(2.0), rel=1e-6)
    assert not find(found.splits, split="random").nelbo.known


def test_rates_do_not_depend_on_the_order_of_sequences():
    data = made_up()
    mixed = data.isel(sequence=np.random.default_rng(2).permutation(data.sizes["sequence"]))
    for a, b in zip(rates_of(data).rates, rates_of(mixed).rates, strict=True):
        np.testing.assert_equal(a.recovery.value, b.recovery.value)


def test_an_interval_covers_the_truth_as_often_as_it_says():
    """All-or-none sequences: an interval over tokens would be far too short."""
    data = made_up(n=60, recover=60, generate=0)
    data = data.isel(sequence=data["split"].values == "train")
    rng, runs, hits = np.random.default_rng(5), 60, 0
    for _ in range(runs):
        whole = rng.random(60) < 0.3
        data["recovered"].values[..., 0] = data["corrupted_ancestral"].values * whole[:, None]
        found = find(rates_of(data, 100).rates, split="train", t=0.25, decoder="ancestral")
        hits += found.recovery.low <= 0.3 <= found.recovery.high
    assert hits >= runs * 0.93 - 5 * np.sqrt(runs * 0.93 * 0.07)


def brute_auc(ins, outs):
    return np.mean([(a > b) + 0.5 * (a == b) for a in ins for b in outs])


def brute_tpr(ins, outs, rate=0.01):
    best = 0.0
    for threshold in [*ins, *outs, np.inf]:
        if np.mean(outs >= threshold) <= rate:
            best = max(best, np.mean(ins >= threshold))
    return best


@pytest.mark.parametrize("step", [0.0, 0.5])  # with 0.5 many scores are equal
def test_auc_and_tpr_by_two_other_ways(step):
    rng = np.random.default_rng(4)
    ins, outs = rng.normal(0.8, 1, 150), rng.normal(0, 1, 230)
    if step:
        ins, outs = (np.round(x / step) * step for x in (ins, outs))
    found = membership("s", ins, outs, rng, 300)
    assert found.auc.value == pytest.approx(brute_auc(ins, outs))
    rank = stats.mannwhitneyu(ins, outs).statistic / (len(ins) * len(outs))
    assert found.auc.value == pytest.approx(rank)
    assert found.tpr.value == pytest.approx(brute_tpr(ins, outs))
    assert found.auc.low < found.auc.value < found.auc.high
    # the spread of Hanley and McNeil (1982)
    a = found.auc.value
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    error = a * (1 - a) + (len(ins) - 1) * (q1 - a * a) + (len(outs) - 1) * (q2 - a * a)
    error = np.sqrt(error / (len(ins) * len(outs)))
    assert (found.auc.high - found.auc.low) / 3.92 == pytest.approx(error, rel=0.25)
    false, true = found.roc
    assert np.trapezoid(true, false) == pytest.approx(found.auc.value)


def test_one_in_a_thousand_needs_a_thousand_held_out():
    rng = np.random.default_rng(6)
    ins, outs = rng.normal(3, 1, 200), rng.normal(0, 1, 1100)
    found = membership("s", ins, outs, rng, 200)
    assert found.tpr_strict.value == pytest.approx(brute_tpr(ins, outs, 0.001))
    assert found.tpr_strict.low < stats.norm.cdf(3 - stats.norm.isf(0.001)) < found.tpr.high
    few = membership("s", ins, outs[:999], rng, 200)
    assert few.tpr.known and not few.tpr_strict.known and np.isnan(few.tpr_strict.low)


def test_few_sequences_have_no_rate_at_one_percent_and_say_so():
    found = rates_of(made_up())
    assert found.membership and not any(rate.known for m in found.membership for rate in m.tprs)
    (section,) = [s for s in result_sections(made_up(), found) if s.title == "Membership"]
    assert "at least 100 held-out" in section.paragraphs[0]
    assert {row[-1] for row in section.tables[0].rows} == {"not resolvable"}
    many = membership("s", np.zeros(20), np.ones(100), np.random.default_rng(0), 50)
    assert (many.tpr.value, many.auc.value, many.auc.low) == (0.0, 0.0, 0.0)
    assert many.auc.high == pytest.approx(stats.binomtest(0, 20).proportion_ci().high)


def test_scores_of_a_memorizer_separate_and_of_a_generalizer_do_not():
    for kind, low, high in (("memorizer", 0.999, 1.0), ("generalizer", 0.3, 0.7)):
        found = rates_of(made_up(kind)).membership
        loss = find(found, score="-log loss, loo, t = 1e-5")
        assert low <= loss.auc.value <= high
    assert not rates_of(made_up(train=False)).membership


def test_table_has_a_row_a_sequence_and_level_with_gaps_where_nothing_was_measured():
    data = made_up(n=5, generate=4, recover=3)
    rows = list(csv.DictReader(io.StringIO(csv_text(data))))
    assert len(rows) == data.sizes["sequence"] * data.sizes["t_entropy"]
    part = {k: v for k, v in zip(data["split"].values, range(99), strict=False) if k == "train"}
    assert rows[2]["id"] == "train-0" and rows[2]["t"] == "0.1" and part
    assert rows[2]["recovered_ancestral"] == str(data["recovered"].values[0, 1, 0])
    assert rows[0]["corrupted"] == "" and rows[0]["t"] == "1e-05"
    assert float(rows[2]["entropy_loo"]) == pytest.approx(data["entropy"].values[0, 0, 2], rel=1e-5)
    late = rows[4 * 5 + 1]  # train-4, not among the three that were restored
    assert late["recovered_ancestral"] == "" and late["recovered_argmax"] != ""
    assert rows[0]["nearest_train"] == "" and rows[-1]["nelbo"] == ""


def test_parquet_is_written_or_said_to_be_missing(tmp_path):
    words = write_tables(made_up(n=5), tmp_path)
    has = importlib.util.find_spec("pyarrow") is not None
    assert (tmp_path / "sequences.parquet").exists() == has
    assert has or "pip install pyarrow" in words


def test_most_memorized_come_first_with_their_nearest():
    data = made_up()
    data["log_loss"].values[4, 0, 0] = 0.0  # train 4: surest, and wholly restored
    data["recovered"].values[4, :, 0] = data["corrupted_ancestral"].values[4]
    found = most_memorized(data, numbered)
    assert found["train"][0].name == "train 4" and len(found["train"]) == 10
    drawn = found["generated"]
    assert "exact copy of train 7" in drawn[0].facts and "drawn 8 times" in drawn[0].facts
    assert drawn[0].nearest == "" and len(drawn) == 9  # eight equal ones are shown once
    assert "12 of 24 tokens differ from train 3" in drawn[1].facts
    assert drawn[1].nearest == numbered(data["tokens"].values[3])
    alone = made_up("generalizer", train=False)
    alone["log_loss"].values[alone["split"].values == "generated", 0, 0] = np.arange(16)[::-1]
    (only,) = most_memorized(alone, numbered).values()  # the surest first
    assert only[0].name == "generated 15" and "log loss 0.000" in only[0].facts
    alone = most_memorized(made_up(train=False), numbered)["generated"]
    assert len(alone) == 9 and "drawn 8 times" in alone[0].facts


def test_tokens_are_marked_by_what_became_of_them():
    found = restored(made_up(), numbered)
    assert len(found) == 12 and found[0].gap == " "
    kinds = [mark.kind for mark in found[0].output]
    assert kinds == ["kept", *["recovered"] * 3, "missed", "kept", "broken", "kept"]
    assert [mark.kind for mark in found[0].noisy] == ["kept", *["corrupted"] * 4, "kept"]
    letters = restored(made_up(), lambda row: "".join(chr(97 + int(i)) for i in row))
    assert letters[0].gap == "" and len(letters[0].output[0].text) == 2


@pytest.mark.parametrize("text", HOSTILE)
def test_visible_text_has_nothing_hidden(text):
    shown = visible(text, 48)
    assert len(shown) <= 49 * 6
    assert not re.search(r"[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069\u2028\ud800-\udfff]", shown)
    shown.encode()


class Checker(HTMLParser):
    """Every element closed in order, and which elements and attributes there are."""

    VOID = frozenset(("meta", "img"))

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.texts.append(data)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    data = made_up(n=12, generate=6, recover=8).assign_attrs(
        model="<script>x</script>", checkpoint="a|b`c\u202e.ckpt"
    )
    write_reports(data, VERDICTS, hostile, folder)
    return folder


def test_html_is_well_formed_and_holds_no_foreign_element(report):
    text = (report / "report.html").read_text()
    found = Checker(text)
    assert not set(found.tags) & {"script", "link", "iframe", "object", "form", "a", "svg"}
    names = {name for _, name, _ in found.attributes}
    assert not any(name.startswith("on") or name in ("style", "href") for name in names)
    sources = [value for tag, name, value in found.attributes if (tag, name) == ("img", "src")]
    assert len(sources) == 5
    assert all(value.startswith("data:image/png;base64,") for value in sources)
    assert text.count("<script") == 0 and "&lt;script&gt;alert(1)" in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202a-\u202e\u2066-\u2069]", text)


def test_html_policy_allows_the_one_style_by_its_hash(report):
    import base64
    import hashlib

    text = (report / "report.html").read_text()
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.S)
    key = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="(.*?)"', text)
    assert policy.startswith("default-src 'none'") and f"'sha256-{key}'" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert not re.search(r"url\(|@import|https?:", style)


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_every_text_colour_has_contrast_in_light_and_dark():
    from simulations.probe.tell.html import STYLE

    light, dark = re.findall(r":root\{(.*?)\}", STYLE.read_text().replace("\n", ""))
    for theme in (light, dark):
        colours = dict(re.findall(r"--(\w+):(#\w+)", theme))
        colours = {k: "#ffffff" if v == "#fff" else v for k, v in colours.items()}
        for ink in ("ink", "quiet", "rec", "miss", "brk", "cor"):
            for ground in ("paper", "soft"):
                a, b = sorted((luminance(colours[ink]), luminance(colours[ground])))
                assert (b + 0.05) / (a + 0.05) >= 4.5, (ink, ground)


def test_marks_are_told_by_words_and_title_too(report):
    text = (report / "report.html").read_text()
    for kind in ("corrupted", "recovered", "missed", "broken"):
        assert f'title="{kind}: ' in text
        assert f'<span class="away">{kind}: </span>' in text


def test_markdown_cannot_be_broken_out_of(report):
    text = (report / "report.md").read_text()
    assert "# heading" not in [line.strip() for line in text.splitlines()]
    plain = [line for line in text.splitlines() if not line.startswith("    ")]
    assert not any("<script>" in line for line in plain)
    tables = [line for line in plain if line.startswith("| ")]
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in tables]
    assert all(1 < width < 9 for width in widths)
    assert "&lt;b&gt;" in text


def test_report_says_what_a_stranger_needs(report):
    text = (report / "report.md").read_text()
    first = text.splitlines()[2]
    assert "memorizing" in first and "0.97" in first and "[0.90, 0.99]" in first
    for words in (
        "The numbers it rests on",
        "What would make it wrong",
        "## Because",
        "The other verdict, by own sequences alone",
        "withheld: no right text. A text would do.",
        "raw (the authors' scripts evaluate raw weights)",
        "Given as an array",
        "NELBO from t_0 = 0.05",
        "Command: python -m simulations.probe",
        "What is measured",
    ):
        assert words in text
    summary = json.loads((report / "summary.json").read_text())
    assert summary["verdicts"][0]["label"] == "memorizing"
    rates = summary["statistics"]["rates"]
    assert {"value", "low", "high", "n"} == set(rates[0]["recovery"])
    assert summary["statistics"]["replicates"] == 200


@pytest.mark.parametrize(("train", "test"), [(False, True), (True, False), (False, False)])
@pytest.mark.parametrize("generate", [0, 6])
def test_reports_of_what_there_is(tmp_path, train, test, generate):
    data = made_up("generalizer", train, test, n=8, generate=generate, recover=4)
    write_dataset(data, tmp_path / "probe.nc")
    write_reports(read_dataset(tmp_path / "probe.nc"), VERDICTS[:1], numbered, tmp_path, False)
    Checker((tmp_path / "report.html").read_text())
    text = (tmp_path / "report.md").read_text()
    assert ("## Membership" in text) == (train and test)
    assert "nan" not in text.lower().split() and "inf" not in text.split()


def test_one_sequence_has_no_interval(tmp_path):
    data = made_up(n=1, generate=1, recover=1)
    write_reports(data, VERDICTS, numbered, tmp_path, figures=False)
    assert "(no interval)" in (tmp_path / "report.md").read_text()


@pytest.mark.slow
def test_figures_are_drawn_for_what_there_is(tmp_path):
    data = made_up(train=False, n=8, generate=0, recover=0)
    pictures = draw_all(data, rates_of(data), tmp_path)
    assert [p.stem.name for p in pictures] == [
        "probe_recovery",
        "probe_entropy_tokens",
        "probe_entropy",
        "probe_calibration",
    ]
    assert all(p.stem.with_suffix(s).exists() for p in pictures for s in (".png", ".pdf"))


def test_same_data_give_the_same_report(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_reports(made_up(n=8), VERDICTS, numbered, tmp_path / name, figures=False)
    for file in ("report.md", "report.html", "summary.json", "sequences.csv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_cap_in_the_definitions_is_the_one_in_use(report):
    assert f"capped at {LOG_LOSS_CAP:g} nats" in (report / "report.md").read_text()


def test_the_first_page_has_what_failed_first_and_no_number_that_is_unknown():
    first, wrong, because, _, again, _ = verdict_sections(VERDICTS)
    (numbers,) = first.tables
    assert [row[0] for row in numbers.rows] == ["M"]
    assert [point.partition(":")[0] for point in wrong.points] == ["failed", "passed"]
    assert because.points == FIRST.reasons
    assert again.empty  # a check is told once
