"""The examples of the README run and print what they claim."""

import re
from pathlib import Path

import numpy as np
import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()


def example(name):
    block = re.search(rf"<!-- example: {name} -->\n```python\n(.*?)```", README, flags=re.S)
    return block[1]


def test_the_library_example_agrees_with_theory(capsys):
    exec(compile(example("library"), "README", "exec"), {})
    lines = dict(line.rsplit(" ", 1) for line in capsys.readouterr().out.splitlines()[:3])
    recovered, exact = float(lines["recovered"]), float(lines["exact theory"])
    # 500 sequences; recovery of a sequence lies in [0, 1], so its standard deviation is below 1/2
    assert abs(recovered - exact) < 5 * 0.5 / 500**0.5
    assert 0 < float(lines["basin radius"]) < 1


def test_the_denoiser_example_conforms_and_generates_its_law(capsys):
    exec(compile(example("denoiser"), "README", "exec"), {})
    first = capsys.readouterr().out.splitlines()[0]
    shares = [float(word) for word in first.strip("[]").split()]
    for share, wanted in zip(shares, (0.4, 0.3, 0.2, 0.1), strict=True):
        assert abs(share - wanted) < 5 * (wanted * (1 - wanted) / 6000) ** 0.5


def test_the_memory_example_restores_what_theory_says_it_can(capsys):
    exec(compile(example("memory"), "README", "exec"), {})
    overlap, restored = (line.split() for line in capsys.readouterr().out.splitlines())
    # load 0.04 from overlap 0.7: far inside the basin, m = 0.9999994 at the fixed point
    assert float(overlap[1]) > 0.999
    # no rule beats MAP, which loses 3.4e-4 here
    assert float(restored[2]) > 0.99


def test_the_transformer_example_memorizes_and_comes_back(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(example("transformer"), "README", "exec"), names)
    assert float(capsys.readouterr().out.split()[-1]) > 0.9
    law = names["again"].log_loo(names["x_t"], 0.3)
    np.testing.assert_array_equal(law, names["trained"].model.log_loo(names["x_t"], 0.3))


@pytest.mark.parametrize("name", re.findall(r"`([\w/]+\.py)`", README))
def test_files_named_in_the_readme_exist(name):
    root = Path(__file__).parents[1]
    assert any((root / folder / name).exists() for folder in ("", "models", "simulations"))
