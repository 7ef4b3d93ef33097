"""The numbers, sentences, derivations and references of the appendix."""

import itertools
import math
import re
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from am_theory import channel
from am_theory.__main__ import functions, value_of
from am_theory.derivations import ALL
from paper.claims import Claim, Printed, failing, read_back
from paper.derivations import as_tex, file_name
from paper.numbers import book as numbers
from paper.numbers import enumerated as numbers_enumerated
from paper.numbers import laws as numbers_laws
from paper.numbers import memories as numbers_memories
from paper.numbers import networks as numbers_networks
from paper.numbers import theory as numbers_theory
from paper.numbers.readings import _share
from paper.quantity import MISSING, Number, own, plain, ranged
from paper.sentences import CLAIMS
from paper.sources import RUNS, Results, StaleResultsError
from tests.helpers import assert_digits

PAPER = numbers.TEXT
RESULTS = PAPER.parent / "results"
SECTIONS = {path.stem: path.read_text() for path in (PAPER / "sections").glob("*.tex")}
TEXT = "\n".join(SECTIONS.values())
# Settings and limits of the text; any other decimal number is read from results or computed.
TYPED = {"0.01", "0.05", "0.1", "0.2", "0.25", "0.3", "0.5", "0.6", "0.7", "0.9", "3.6"}


@pytest.fixture(scope="module")
def theory() -> dict[str, Number]:
    return {number.key: number for number in numbers_theory.theory_numbers()}


# Reference values, computed apart from this code.
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("memorizer.alpha", 0.48932304),
        ("memorizer.level", 0.51118815),
        ("memorizer.radius.small", 0.642914),
        ("memorizer.radius.large", 0.728213),
        ("memorizer.asymptote.small", 0.588359),
        ("memorizer.asymptote.large", 0.703855),
        ("memorizer.errors", 0.90627656),
        ("memorizer.true_weight", 0.045280),
        ("memorizer.strong_converse", 0.03351626),
        ("memorizer.meet.12", 10.1637 / 3.7603),
        ("memorizer.meet.24", 15.9183 / (2 * 3.7603)),
        ("memorizer.half.512", 0.5015),
        ("hopfield.critical", 0.1379055665),
        ("hopfield.ground", 0.05185433),
        ("hopfield.mixture", 0.02994176),
        ("neurodynamics.critical", 0.159610),
        ("gardner.critical", 2.0),
        ("dense.critical", 0.12609522),
        ("potts.critical.3", 0.41441244),
        ("potts.critical.4", 0.82764161),
        ("potts.critical.8", 3.79023834),
        ("linear.corrupted_recovery", 0.382520),
        ("linear.recovery_gap", 2.082216),
        ("linear.error_gap", 5.495136),
        ("bits.hopfield", 0.2758),
        ("bits.linear", 0.255),
        ("bits.gardner", 2.0),
        ("hierarchy.threshold.2", 1 / 6),
        ("hierarchy.threshold.4", 0.75),
        ("nelbo.loo", 2.1341437836),
        ("nelbo.information", 2.1341437836),
        ("nelbo.full", 2.9782134389),
        ("nelbo.uniform", 2.3932804095),
        ("chain.loo", 0.83307438),
        ("chain.entropy", 3.8057399613 / 4),
        ("plateau.argmax.all", 0.67120579),
        ("plateau.draw.all", 0.53538625),
        ("plateau.argmax.corrupted", 0.06137862),
        ("plateau.draw.corrupted", 0.21826318),
        ("plateau.change.corrupted", 0.63823385),
    ],
)
def test_numbers_of_theory_are_the_known_ones(theory, key, value):
    assert_digits(value, theory[key].text)


@pytest.mark.parametrize("key", sorted(numbers_theory.CALLS))
def test_the_command_of_a_number_gives_it(key):
    number = numbers_theory.CALLS[key].number(key)
    program, name, *words = number.command.removeprefix("python -m ").split()
    assert program == "am_theory"
    pairs = zip(words[::2], words[1::2], strict=True)
    arguments = {k.removeprefix("--").replace("-", "_"): value_of(v) for k, v in pairs}
    found = functions()[name](**arguments)
    part = re.search(r", `(\w+)`", number.what)
    assert plain(getattr(found, part[1]) if part else found, numbers_theory.CALLS[key].digits) == (
        number.tex
    )


def test_the_nelbo_of_the_exact_law_is_information_and_that_of_a_guess_is_capacity():
    loo, guess = (numbers_enumerated.nelbo_of_chain(law) for law in ("loo", "uniform"))
    assert abs(loo - numbers_enumerated.information_lost()) < 1e-9
    high, low = (float(channel.capacity(alpha, 3)) for alpha in numbers_enumerated.KEPT)
    assert abs(guess - 3 * (high - low)) < 1e-9
    assert numbers_enumerated.nelbo_of_chain("full") > guess


@pytest.mark.parametrize(
    ("t", "shares"),
    [
        (0.2, (0.86727732, 0.78398567, 0.03223315, 0.14763648, 0.70654002)),
        (0.8, (0.47122507, 0.37218844, 0.05972007, 0.27909369, 0.56715552)),
    ],
)
def test_recovery_of_the_chain_at_other_levels(t, shares):
    found = numbers_enumerated.recovery_of_chain(t)
    keys = ("argmax.all", "draw.all", "argmax.corrupted", "draw.corrupted", "change.corrupted")
    np.testing.assert_allclose([found[key] for key in keys], shares, atol=1e-7)
    changed = (1 - float(channel.LogLinear().alpha(t))) * 2 / 3
    assert math.isclose(found["change.all"], changed * found["change.corrupted"], rel_tol=1e-12)


@given(
    st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-3),
    st.floats(0, 1e3),
    st.integers(3, 6),
)
def test_a_printed_number_is_read_back(value, width, digits):
    number = Number("a", ranged(value, value - width, value + width, digits), "", "")
    found = read_back(number.text)
    ends = (value, value - width, value + width)
    for got, meant in zip((found.value, found.low, found.high), ends, strict=True):
        assert abs(got - meant) <= max(0.51 * 10**-digits, 0.06 * abs(meant) * (abs(meant) < 1e-3))
    assert read_back(Number("a", plain(value, digits), "", "").text).value == found.value


@pytest.mark.parametrize("value", [None, math.nan, "nan"])
def test_what_is_absent_is_missing_and_says_so(value):
    assert plain(value) == ranged(0.5, value, 1.0) == ranged(value, 0.0, 1.0) == MISSING
    assert Number("a", plain(value), "", "").missing
    with pytest.raises(ValueError, match="n/a"):
        read_back(MISSING)


def test_radii_beyond_the_levels_are_bounds():
    record = {"value": "inf", "low": 0.7, "high": "inf", "status": "censored above"}
    text = numbers_networks.radius(record, [0.05, 0.75])
    assert Number("a", text, "", "").text == ">0.75"
    assert read_back(">0.75").value == math.inf
    assert read_back("0.02 [<0.02, 0.03]") == Printed(0.02, -math.inf, 0.03)
    assert read_back("10^6.5 [10^6,10^7]").high == 1e7
    assert numbers_networks.radius(None, [0.1]) == MISSING


def test_the_largest_gap_is_the_farthest_row():
    rows = [
        {"what": "near", "simulated": 1.0, "predicted": 0.9, "low": 0.0, "high": 0.2},
        {"what": "far", "simulated": 0.5, "predicted": 0.9, "low": -0.5, "high": -0.3},
    ]
    text, where = numbers_networks.largest_gap(rows, 1)
    assert (Number("a", text, "", "").text, where) == ("-0.4 [-0.5, -0.3]", "far")
    assert numbers_networks.largest_gap([]) == (MISSING, "nowhere in this run")


def test_a_law_is_picked_over_all_steps_and_a_linear_one_over_its_largest_sizes():
    def law(group, statement, quantity):
        return {"group": group, "statement": statement, "quantity": quantity}

    laws = [
        law("steps", "time binds (iid, N = 9)", "K_H, first two T"),
        law("steps", "time binds (iid, N = 9)", "K_H, all T"),
        law("steps", "time binds (markov, N = 9)", "K_H, all T"),
        law("linear", "(V = 4)", "slope of log K* on log d"),
        law("linear", "(V = 4)", "slope of log K* on log d, two largest d"),
    ]
    assert numbers_laws.pick(laws, ("steps", "(iid", "K_H")) is laws[1]
    assert numbers_laws.pick(laws, ("linear", "(V = 4)", "log d")) is laws[4]
    assert numbers_laws.pick(laws, ("steps", "(hmm", "K_H")) is None


@pytest.mark.parametrize("key", sorted(numbers_laws.LARGE))
def test_laws_kept_in_the_repository_are_found_once(key):
    laws = numbers_laws.read_laws(numbers_laws.LAWS_FILE)
    group, statement, quantity = numbers_laws.LARGE[key]
    found = [
        one
        for one in laws
        if one["group"] == group and statement in one["statement"] and quantity in one["quantity"]
    ]
    assert len(found) == 1
    assert numbers_laws.pick(laws, numbers_laws.LARGE[key]) == found[0]


def test_a_share_has_wilsons_interval():
    n, p, z = 20, 0.9, 1.959964
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)
    low, high = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    assert _share(18, 20) == f"18 of 20 (0.90 [{low:.2f}, {high:.2f}])"
    assert _share(0, 0) == MISSING


def test_missing_results_are_refused_with_their_command(tmp_path):
    with pytest.raises(StaleResultsError, match=r"simulations\.basins --preset small"):
        numbers_memories.basin_numbers(Results(tmp_path))
    with pytest.raises(StaleResultsError, match="make it by `python -m simulations"):
        numbers.write(tmp_path, tmp_path / "build")
    assert not (tmp_path / "build").exists()


def test_the_list_has_a_row_for_every_number_and_its_command():
    found = [own("a.b", "$-$0.5", "|z| of it"), own("c", "1,000", "count")]
    rows = numbers.as_list(found).splitlines()[-2:]
    assert rows == [
        "| `a.b` | -0.5 | &#124;z&#124; of it | `python -m paper.numbers a.b` |",
        "| `c` | 1,000 | count | `python -m paper.numbers c` |",
    ]
    assert all(row.count("|") == 5 for row in rows)


def test_the_macros_define_each_number_once_and_name_sentences_without_support():
    claim = Claim("linear", "K* holds", lambda n: n["c"].value > 5)
    text = numbers.as_tex([own("c", "1,000", "count")], "smoke", [claim])
    assert text.splitlines()[1:] == [
        r"\setvalue{preset}{smoke}",
        r"\setvalue{unsupported}{\item K* holds (section~\ref{sec:linear})}",
        r"\setvalue{c}{1,000}",
    ]


def test_an_unknown_number_is_refused(capsys):
    with pytest.raises(numbers.UnknownNumberError, match=r"markov\.half"):
        numbers.of_the_text([])
    assert numbers.main(["nelbo.loo"]) == 0
    assert capsys.readouterr().out.startswith("nelbo.loo = 2.1341 ")


class Recorder(dict):
    """Numbers that remember what was asked of them."""

    def __init__(self, make):
        super().__init__()
        self.make = make

    def __missing__(self, key):
        self[key] = self.make()
        return self[key]


def draws(rng):
    """A number with its interval, at random."""
    return lambda: Printed(*np.sort(rng.normal(size=3) * 10.0 ** rng.integers(-2, 4))[[1, 0, 2]])


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: f"{c.section}: {c.says}"[:60])
def test_every_sentence_can_fail_and_rests_on_printed_numbers(claim):
    rng, asked, outcomes = np.random.default_rng(0), set(), set()
    for _ in range(200):
        record = Recorder(draws(rng))
        outcomes.add(bool(claim.holds(record)))
        asked |= set(record)
    assert False in outcomes
    assert asked <= numbers.named_in()
    assert f"\\label{{sec:{claim.section}}}" in TEXT


def test_a_sentence_on_a_missing_number_fails():
    claim = Claim("linear", "so", lambda n: n["c"].value > 5)
    assert list(failing([own("c", "6", "")], [claim])) == []
    assert list(failing([own("c", MISSING, "")], [claim])) == [claim]
    assert list(failing([own("c", "4", "")], [claim])) == [claim]


# A fresh clone has no results; whoever has made them holds the text to them.
@pytest.mark.skipif(
    not all(RUNS[run].data_file(RESULTS, "small").exists() for run in RUNS if run != "dit"),
    reason="needs the results of the preset small",
)
@pytest.mark.slow
def test_saved_results_give_every_number_and_bear_out_every_sentence(tmp_path):
    view = tmp_path / "results"  # without the optional run
    for path in RESULTS.glob("*/*"):
        if not path.name.startswith("markov-dit"):
            (view / path.parent.name).mkdir(parents=True, exist_ok=True)
            (view / path.parent.name / path.name).symlink_to(path)
    assert numbers.write(view, tmp_path / "build") == []
    found = numbers.of_the_text(numbers.numbers_of(view))
    assert list(failing(found, CLAIMS)) == []
    assert {n.key for n in found} == {
        key
        for key in numbers.named_in() - numbers.OF_THE_BUILD
        if not key.startswith(numbers.OPTIONAL) or key == "command.dit"
    }
    assert all(number.command.startswith("python ") for number in found)


def test_decimal_numbers_of_the_text_are_settings():
    bare = re.sub(r"(?<!\\)%.*|\\(?:val|ifvalue|ref|fn|cite)\w*(?:\[[^]]*\])?\{[^}]*\}", "", TEXT)
    assert set(re.findall(r"(?<![\d.])\d+\.\d+", bare)) <= TYPED


def test_every_source_is_cited_and_every_citation_has_a_source():
    library = (PAPER / "references.bib").read_text()
    known = re.findall(r"^@\w+\{(\w+),", library, re.M)
    cited = re.findall(r"\\cite\w*(?:\[[^]]*\])?\{([^}]*)\}", TEXT)
    assert len(known) == len(set(known))
    assert set(itertools.chain.from_iterable(keys.split(",") for keys in cited)) == set(known)


@pytest.mark.parametrize("entry", (PAPER / "references.bib").read_text().split("\n\n"))
def test_a_source_says_who_what_where_and_when(entry):
    kind = re.match(r"@(\w+)\{", entry)[1]
    fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", entry, re.M))
    where = {"article": "journal", "inproceedings": "booktitle", "book": "publisher"}[kind]
    assert {"author", "title", "year", where} <= set(fields)
    assert 1900 < int(fields["year"]) < 2100
    assert entry.count("{") == entry.count("}")
    numbered = re.findall(r"\d{4}\.\d{5}", fields.get("note", ""))
    assert len(set(numbered)) <= 1
    if kind == "article" and fields["journal"] != "Preprint":
        assert {"volume", "pages"} <= set(fields)


def test_every_derivation_is_included_once():
    included = re.findall(r"\\paperderivation\{(\w+)\}", TEXT)
    assert sorted(f"derivation_{name}.tex" for name in included) == sorted(map(file_name, ALL))


def test_a_derivation_is_proved_when_it_is_written():
    name = "linear.ridge_form"
    text = as_tex(name, ALL[name]())
    assert text.startswith(
        r"\begin{derivation}{Noise is a ridge for the linear denoiser}{linear.ridge\_form}"
    )
    assert text.rstrip().endswith(r"\end{derivation}")
    assert text.count("$") % 2 == 0


def test_labels_are_defined_where_they_are_used():
    defined = set(re.findall(r"\\label\{(sec:\w+)\}", TEXT))
    assert {label for label in re.findall(r"\\ref\{(sec:\w+)\}", TEXT)} <= defined
    shown = defaultdict(list)
    for kind, name in re.findall(r"\\paper(figure|table)\{(\w+)\}", TEXT):
        shown["fig" if kind == "figure" else "tab"].append(name)
    for kind, names in shown.items():
        assert len(names) == len(set(names))
        used = set(re.findall(rf"\\ref\{{{kind}:(\w+)\}}", TEXT))
        assert used <= set(names)


def test_every_memory_has_a_name_in_the_text():
    printed = numbers.named_in()
    assert all(
        {f"basins.binary.{key}", f"basins.tokens.{key}"} & printed
        for key in numbers_memories.MEMORIES
    )
