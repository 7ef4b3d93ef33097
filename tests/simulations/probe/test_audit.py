"""The audit in the call, the command and the report."""

import json
import sys

import numpy as np
import pytest
from rich.console import Console

from am_theory.channel import Absorbing
from models.exact.empirical import EmpiricalDenoiser
from models.released.checkpoint import save_model
from simulations.console.errors import UserError
from simulations.probe.api import probe
from simulations.probe.audit.audit import audit
from simulations.probe.audit.extraction import extraction
from simulations.probe.claims import ModelError
from simulations.probe.command import execute
from simulations.probe.tell.audit import audit_sections
from tests.simulations.probe.test_reference import FIXED, network, tokens

SIZES = ("--sequences", "12", "--recover", "0", "--generate", "0", "--levels", "0.1", "0.4")


@pytest.fixture
def files(tmp_path):
    for name, seed in (("model", 1), ("other", 2)):
        save_model(network(seed), tmp_path / name)
    save_model(network(3, vocab_size=7), tmp_path / "wide")
    np.save(tmp_path / "test.npy", tokens(40))
    np.save(tmp_path / "train.npy", np.concatenate([tokens(30, 3), tokens(5, 3)]))
    return tmp_path


def words_of(files, *more):
    given = ["--checkpoint", files / "model", "--test", files / "test.npy", "--no-figures"]
    return [str(w) for w in (*given, "--out", files / "out", *SIZES, "--n-steps", "5", *more)]


def test_the_command_reads_a_reference_and_says_so(files):
    console = Console(quiet=True)
    plain = words_of(files, "--train", files / "train.npy")
    assert execute(plain, console) == 0
    before = (files / "out" / "report.md").read_text()
    assert "## Was this set used?" in before and "reference network" not in before
    # a reference that is given later goes on from what was measured
    assert execute([*plain, "--reference", str(files / "other")], console) == 0
    report = (files / "out" / "report.md").read_text()
    assert "## Membership against a reference network" in report
    assert "Reference: MLPDenoiser" in report and "--reference" in report
    told = json.loads((files / "out" / "summary.json").read_text())
    assert len(told["audit"]["answers"]) == 2 and len(told["audit"]["graded"]) == 6
    here = probe(
        network(1), tokens(40), np.load(files / "train.npy"), reference=network(2), **FIXED
    )
    found = audit(here.data, np.random.default_rng(0), 100)
    mine = told["audit"]["graded"][0]["gap"]["auc"]["value"]
    assert found.graded[0].gap.auc.value == pytest.approx(mine, abs=0.02)
    assert here.data.attrs["reference"].startswith("MLPDenoiser")


def test_what_the_reference_extracts_too_is_taken_away(tmp_path):
    """A reference that stores half of the training sequences; told of a finished probe."""
    train, test = tokens(20, 2), tokens(20, 3)
    models = [EmpiricalDenoiser(x, 5, channel=Absorbing(5)) for x in (train, train[:10])]
    sizes = FIXED | {"sequences": 20, "recover": 20, "prefix": 4, "draws": 5}
    plain = probe(models[0], test, train, out=tmp_path, **sizes)
    beyond = probe(models[0], test, train, reference=models[1], out=tmp_path, **sizes)
    (row, *_), (both, *_) = (
        extraction(each.data, np.random.default_rng(0), 200) for each in (plain, beyond)
    )
    assert row.beyond_reference is None and both.train == row.train
    mine = beyond.data["split"].values == "train"
    drawn = beyond.data["extract_edits_reference"].values == 0
    stored = beyond.data["index"].values[mine] < 10
    hit = drawn[mine].any(1)
    assert hit[stored].all() and hit[~stored].sum() <= 2  # two tokens are found by chance at times
    theirs = drawn[mine].mean() - drawn[beyond.data["split"].values == "heldout"].mean()
    assert both.beyond_reference.value == pytest.approx(both.excess.value - theirs)
    assert 0.3 < theirs < 0.6
    beyond.write(tmp_path, figures=False)
    assert "beyond the reference" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--reference", "other"], "--train FILE"),
        (["--train", "train.npy", "--reference", "wide"], "vocabulary.*5 values.*of 7"),
        (["--train", "train.npy", "--reference", "nowhere"], "nowhere"),
    ],
)
def test_a_reference_that_cannot_be_is_refused_in_a_sentence(files, more, message):
    words = [w if w.startswith("--") else str(files / w) for w in more]
    with pytest.raises(UserError, match=message) as told:
        execute(words_of(files, *words), Console(file=sys.stdout))
    assert "\n" not in str(told.value)


def test_a_reference_without_sequences_or_a_law_is_refused():
    with pytest.raises(ModelError, match="a reference needs"):
        probe(network(1), reference=network(2), **FIXED)
    with pytest.raises(ModelError, match="log_loo"):
        probe(network(1), tokens(20), tokens(20, 1), reference=object(), **FIXED)


def test_the_sections_say_the_null_and_what_is_missing():
    train, test = tokens(17, 2), tokens(30, 3)
    train[1] = train[0]
    sizes = FIXED | {"sequences": 30}
    reference = EmpiricalDenoiser(tokens(9, 5), 5)
    for n, words in ((17, "p ≤ 0.0001. Share of them that was used, at least: not res"), (6, "No")):
        data = probe(
            EmpiricalDenoiser(train, 5), test, train[:n], reference=reference, **sizes
        ).data
        used, membership = audit_sections(audit(data, np.random.default_rng(0), 100))
        assert words in used.paragraphs[0]
        assert "1 further copies were left out" in used.paragraphs[1]
        (table,) = membership.tables[:1]
        assert {len(row) for row in table.rows} == {len(table.header)}
        assert "not resolvable" in table.rows[0] and "at least 100 held-out" in " ".join(
            membership.paragraphs
        )
    assert audit_sections(None) == []
