"""Pages and code name what is there: no path from before the move, no broken reference."""

from __future__ import annotations

import importlib.util
import re

import pytest

from tests.helpers import ROOT

# Modules as they were called before they had rooms, by package.
OLD = {
    "models": "_hamming_kernels _kernels _memory_kernels adapters authors_layout checkpoint dense "
    "dit dit_layers empirical hamming hopfield hub linear linear_filter loss mapped mlp "
    "paper_protocol pickle_reader pickle_values potts products pseudolikelihood retrieval "
    "safe_tensors torch_archive torch_tensors train train_command train_config train_data "
    "train_state train_step",
    "paper": r"fig_\w+ numbers_\w+ tables_methods commands",
    "simulations": "analysis bootstrap cell check checkpoint cluster comparison config content "
    "contents corpora engine exact_checks figures lock manifest measures merge merge_parts "
    "merge_scale merged paper_measures passage pool problem progress provenance radius report seal "
    r"show sink steps survey tables threads transition verify worker results_\w+ theory_\w+ "
    r"(?:basins|capacity|engine_scale|entropy|linear|novelty|probe|scaling)_(?!curves\b)\w+ "
    r"linear_curves_\w+",
}
ALONE = (  # old modules by their file's name, whatever stands before it
    r"(?:basins|capacity|engine_scale|entropy|novelty|probe|scaling|theory|train|results)"
    r"_(?:analysis|bands|budget|calibration|caveats|cells?|checks|codec|collapse|command|config|data"
    r"|dataset|features|figures|findings|html|hypothesis|inputs|laws|measures|membership|memories"
    r"|packing|parts|readings|report|separation|sizes|state|statistics|step|tables|text|verdict)\.py"
)
PATTERNS = [
    *(rf"\b{package}[./](?:{'|'.join(stems.split())})\b(?!/)" for package, stems in OLD.items()),
    *(
        rf"\bfrom {package} import [\w, ]*\b(?:{'|'.join(stems.split())})\b"
        for package, stems in OLD.items()
    ),
    rf"(?<![\w/]){ALONE}",
    r"python (?:-u )?simulations/(?!phase_diagram\.py)[\w/]+\.py",
    r"python -m (?:simulations\.[\w.]+\.study|models\.train)\b",
    r"\bnovelty_config\b|\bprobe_verdict\b",
]
OLD_NAME = re.compile("|".join(PATTERNS))
SUFFIXES = {".py", ".md", ".tex", ".toml", ".txt", ""}
FOLDERS = ("am_theory", "models", "simulations", "paper", "tests", ".ci")


def texts():
    files = [*ROOT.glob("*.md"), ROOT / "Makefile", ROOT / "pyproject.toml"]
    for folder in FOLDERS:
        files += (ROOT / folder).rglob("*")
    for path in sorted(files):
        if path.suffix in SUFFIXES and path.is_file() and path.name != "test_pages.py":
            if not {"__pycache__", "build", "golden"} & set(path.parts):
                yield path


@pytest.mark.parametrize(
    "old",
    [
        "simulations/probe_verdict.py",
        "`probe_verdict.py`",
        "from simulations.novelty_config import preset",
        "python simulations/novelty.py",
        "python -m simulations.novelty.study",
        "python -m models.train --preset mini",
        "models/train_command.py",
        "from models import dense, hopfield",
        "simulations.bootstrap",
    ],
)
def test_an_old_name_is_noticed(old):
    assert OLD_NAME.search(old)


@pytest.mark.parametrize(
    "new",
    [
        "python simulations/phase_diagram.py --model dit",
        "python -m simulations.novelty --preset smoke",
        "simulations/probe/judge/verdict.py",
        "models.training.train.train",
        "`probe_calibration.json`",
        "simulations.linear_curves.config",
        "from models import sampler, thinning",
    ],
)
def test_a_new_name_is_left_alone(new):
    assert not OLD_NAME.search(new)


def test_no_old_path_is_left():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if OLD_NAME.search(line)
    ]
    assert not found, "\n".join(found)


def test_pages_are_no_longer_than_promised():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 180
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) <= 60


@pytest.fixture(scope="module")
def docs():
    spec = importlib.util.spec_from_file_location("docs", ROOT / ".ci" / "docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_every_reference_of_pages_and_docstrings_leads_somewhere(docs):
    assert docs.problems() == []


def test_broken_references_are_noticed(docs, tmp_path, monkeypatch):
    text = (
        "`simulations.results.files.read_dataset` and `simulations.results.files.read_nothing`, "
        "`models.nowhere`; python -m simulations.novelty, python -m simulations.nothing; "
        "python simulations/phase_diagram.py, python simulations/nothing.py"
    )
    assert list(docs.broken_names("here", text)) == [
        "here: `simulations.results.files.read_nothing` is no module, function, class or field",
        "here: `models.nowhere` is no module, function, class or field",
        "here: `python -m simulations.nothing` is no command",
        "here: there is no script simulations/nothing.py",
    ]
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("# A page of mine\n[a](page.md#a-page-of-mine) [b](other.md) [c](#nowhere)\n")
    assert list(docs.broken_links(page)) == [
        "page.md: there is no other.md",
        "page.md: it has no heading #nowhere",
    ]


def test_fields_of_records_are_found(docs):
    assert docs.resolves("models.training.config.TrainConfig.noise_draws")
    assert docs.resolves("simulations.study.Study.numerics")
    assert not docs.resolves("simulations.study.Study.nothing")
