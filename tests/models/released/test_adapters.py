"""A denoiser from a user's own module: taken when it conforms, refused in one sentence."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from am_theory.channel import LogLinear, Uniform, loo_from_full
from models.denoiser import check_denoiser, contract_problems
from models.released import adapters
from models.released.adapters import AdapterError, Guarded, load_denoiser, made_denoiser

USER = '''
import numpy as np
from am_theory.channel import LogLinear

class Unigram:
    """Every token follows one law."""
    vocab_size, seq_len, schedule = 4, None, LogLinear()

    def __init__(self, law=(0.4, 0.3, 0.2, 0.1)):
        self.law = law

    def log_loo(self, x_t, t):
        return np.broadcast_to(np.log(self.law), (*np.shape(x_t), 4))

class Logits(Unigram):
    def log_loo(self, x_t, t):
        return np.zeros((*np.shape(x_t), 4))

class Copies(Unigram):
    def log_loo(self, x_t, t):
        return np.log(np.eye(4)[np.asarray(x_t)] * 0.96 + 0.01)

class Broken(Unigram):
    @property
    def vocab_size(self):
        raise OSError("no weights here")

def load():
    return Unigram()

def load_file(path):
    return Unigram()

def nothing():
    pass

def fails():
    raise OSError("the weights\\nare gone")

def leaves():
    return Logits()

def copies():
    return Copies()

def broken():
    return Broken()

constant = 3
'''


@pytest.fixture
def user(tmp_path, monkeypatch):
    """A folder of modules, as the current one of `python -m`; its modules are forgotten after."""
    (tmp_path / "their_model.py").write_text(USER)
    (tmp_path / "their_package").mkdir()
    (tmp_path / "their_package" / "inner.py").write_text("from their_model import load\n")
    (tmp_path / "their_package" / "lacking.py").write_text("import no_such_framework\n")
    (tmp_path / "their_wrong.py").write_text("def load(:\n")
    (tmp_path / "their_script.py").write_text("import sys\nsys.exit(2)\n")
    (tmp_path / "their_error.py").write_text("x = 1\ny = x / 0\n")
    (tmp_path / "their_empty.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("their_")]:
        del sys.modules[name]


@pytest.mark.parametrize("text", ["their_model:load", "their_package.inner:load"])
def test_a_function_of_the_user(text, user):
    denoiser = load_denoiser(text)
    assert denoiser.vocab_size == 4
    np.testing.assert_allclose(np.exp(denoiser.log_loo([[0, 1]], 0.5))[0, 1], [0.4, 0.3, 0.2, 0.1])


@pytest.mark.parametrize("name", ["leaves", "copies"])
def test_laws_are_looked_at_by_the_one_and_not_by_the_other(name, user):
    with pytest.raises(AdapterError, match="what it returned cannot be used"):
        load_denoiser(f"their_model:{name}")
    assert made_denoiser(f"their_model:{name}").vocab_size == 4


def test_a_class_without_arguments_will_do(user):
    assert load_denoiser("their_model:Unigram").seq_len is None


BAD = {
    "no colon": ("their_model", "names no denoiser: it must be MODULE:FUNCTION"),
    "no function": ("their_model:", "names no denoiser"),
    "no module": (":load", "names no denoiser"),
    "nothing": ("", "names no denoiser"),
    "a file": ("their_model.py:load", r"names no denoiser: .*dots, and no \.py"),
    "a path": ("folder/their_model:load", "names no denoiser"),
    "two colons": ("their_model:load:x", "names no denoiser"),
    "a call": ("their_model:load()", "names no denoiser"),
    "relative": (".their_model:load", "names no denoiser"),
    "absent": ("their_absent:load", "there is no module their_absent. Run `python -m` in the"),
    "absent inside": ("their_package.no:load", r"there is no module their_package\.no\."),
    "inside a module": ("their_model.no:load", r"there is no module their_model\.no\."),
    "lacking": (
        "their_package.lacking:load",
        "importing their_package.lacking raised ModuleNotFoundError: No module named "
        r"'no_such_framework' \(line 1 of .*lacking\.py\); install what it needs",
    ),
    "syntax": ("their_wrong:load", "importing their_wrong raised SyntaxError: .*line 1"),
    "a script": ("their_script:load", "importing their_script raised SystemExit: 2"),
    "an error": ("their_error:load", r"raised ZeroDivisionError: .* \(line 2 of .*error\.py\)"),
    "no attribute": (
        "their_model:laod", "their_model has no `laod`; it defines Unigram, Logits, Copies, Broken"
    ),
    "an empty module": ("their_empty:load", "has no `load`; it defines no function"),
    "no callable": ("their_model:constant", "`constant` is no function but a int"),
    "arguments": ("their_model:load_file", "called without arguments, and it has others .*'path'"),
    "raises": (
        "their_model:fails", r"fails\(\) raised OSError: the weights are gone \(line \d+ of .*py\)"
    ),
    "returns none": ("their_model:nothing", r"nothing\(\) returned cannot be used. NoneType is"),
    "logits": ("their_model:leaves", "Logits is not a Denoiser.*apply log_softmax"),
    "full": ("their_model:copies", "Copies is not a Denoiser.*posterior `full`.*loo_from_full"),
    "a property fails": ("their_model:broken", "checking it raised OSError: no weights here"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_each_thing_that_goes_wrong_is_one_sentence(what, user):
    text, message = BAD[what]
    with pytest.raises(AdapterError, match=message) as caught:
        load_denoiser(text)
    assert str(caught.value).startswith(text) and "\n" not in str(caught.value)


def test_interrupts_are_not_failures_of_the_module(user):
    (user / "their_pause.py").write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_denoiser("their_pause:load")


def test_the_folder_of_python_m_has_the_module(user):
    """As the command is run: `python -m` puts the current folder first on the path."""
    (user / "entry.py").write_text(
        "from models.released.adapters import load_denoiser\n"
        "print(load_denoiser('their_model:load').vocab_size)\n"
    )
    root = str(Path(__file__).resolve().parents[3])
    ran = subprocess.run(
        [sys.executable, "-m", "entry"],
        cwd=user,
        env={**os.environ, "PYTHONPATH": root},
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout.strip() == "4"


class Flax:
    """Called as a network of `hackable_diffusion`: logits that follow the others and the time, and,
    as cross-entropy on all sites leaves them, the token itself."""

    def __init__(self, evidence: bool) -> None:
        self.evidence = evidence

    def apply(self, params, *, time, xt, conditioning, is_training):
        assert xt.shape[-1] == 1 and time.shape == xt.shape[:1]
        assert conditioning is None and is_training is False
        each = params["table"][xt[..., 0]]
        logits = (each.sum(1, keepdims=True) - each) * (1 - time[:, None, None])
        if self.evidence:
            beta = jnp.log1p(4 * (1 - time) / time)[:, None, None]
            logits = logits + beta * jax.nn.one_hot(xt[..., 0], 4)
        return {"logits": logits}


PARAMS = {"table": np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)}


def hackable(evidence, law):
    """What the printed example makes of such a network."""
    block = re.search(r" {4}# example: flax\n((?: {4}.*\n|\n)*)", adapters.__doc__)
    names: dict = {}
    exec(compile(textwrap.dedent(block[1]), "flax", "exec"), names)
    params = jax.tree.map(jnp.asarray, PARAMS)
    return names["hackable"](Flax(evidence), params, 4, 5, law)


@pytest.mark.parametrize("law", ["full", "loo"])
def test_a_network_of_flax_as_it_is_printed(law):
    denoiser = hackable(law == "full", law)
    check_denoiser(denoiser)
    rng = np.random.default_rng(0)
    x_t, t = rng.integers(4, size=(6, 5)), np.linspace(0.05, 0.95, 6, dtype=np.float32)
    asked = {"time": t, "xt": x_t[..., None], "conditioning": None, "is_training": False}
    want = jax.nn.log_softmax(Flax(False).apply(PARAMS, **asked)["logits"])
    # beta, up to 4 nats, is put on and taken off in float32
    np.testing.assert_allclose(denoiser.log_loo(x_t, t), want, atol=2e-5)
    full = jax.nn.log_softmax(Flax(True).apply(PARAMS, **asked)["logits"])
    np.testing.assert_allclose(loo_from_full(full, x_t, 1 - t, Uniform(4)), want, atol=2e-5)


def test_a_posterior_of_flax_that_is_called_loo_is_refused():
    (problem,) = contract_problems(hackable(True, "loo"))
    assert "it is the posterior `full`" in problem


class Counting:
    """A unigram whose device holds few sequences at a time."""

    vocab_size, seq_len, schedule = 4, None, LogLinear()

    def __init__(self, most, error=None):
        full = RuntimeError("CUDA out of memory.\nTried to allocate 20 GiB")
        self.most, self.error, self.asked = most, error or full, []

    def log_loo(self, x_t, t):
        self.asked.append(len(x_t))
        if len(x_t) > self.most:
            raise self.error
        level = np.broadcast_to(t, len(x_t))[:, None, None]
        law = np.log([0.4, 0.3, 0.2, 0.1]) * (1 + level) + 0 * np.eye(4)[x_t]
        return law - np.logaddexp.reduce(law, axis=-1, keepdims=True)


@pytest.mark.parametrize("t", [0.3, np.linspace(0.1, 0.9, 13)], ids=["a number", "one each"])
@pytest.mark.parametrize("most", [1, 3, 5, 64])
def test_a_device_that_is_too_small_is_asked_in_parts(most, t):
    x_t = np.random.default_rng(0).integers(4, size=(13, 6))
    model = Counting(most)
    guarded = Guarded(model)
    expected = Counting(64).log_loo(x_t, t)
    np.testing.assert_array_equal(guarded.log_loo(x_t, t), expected)
    tried = len(model.asked)
    np.testing.assert_array_equal(guarded.log_loo(x_t, t), expected)
    assert max(model.asked[tried:]) <= most  # what has failed is not tried again


class OutOfMemoryError(Exception):
    """As a framework of another kind names it."""


def test_other_frameworks_and_numpy_run_out_of_memory_too():
    for error in (MemoryError(), OutOfMemoryError("x"), RuntimeError("RESOURCE_EXHAUSTED: 2 GiB")):
        assert Guarded(Counting(2, error)).log_loo(np.zeros((4, 6), int), 0.3).shape == (4, 6, 4)


def test_failures_of_a_guarded_model_are_one_sentence():
    x_t = np.zeros((3, 6), int)
    for model, message in (
        (
            Counting(0),
            r"log_loo of Counting, asked about 1 sequences of 6 tokens at t = 0\.3 to 0\.3, raised "
            r"RuntimeError: CUDA out of memory\. Tried to allocate 20 GiB \(line \d+ of ",
        ),
        (Counting(0, KeyError("x")), r"asked about 3 sequences .* raised KeyError: 'x' \(line"),
    ):
        with pytest.raises(AdapterError, match=message) as told:
            Guarded(model).log_loo(x_t, 0.3)
        assert "\n" not in str(told.value)
    late = Counting(9)
    late.log_loo = lambda x_t, t: np.where(np.arange(4) == 1, np.nan, -1.0) + np.zeros((3, 6, 1))
    with pytest.raises(AdapterError, match=r"at t = 0\.2 to 1, returned NaN"):
        Guarded(late).log_loo(x_t, np.array([0.2, 0.5, 1.0]))


def test_a_guarded_model_keeps_the_protocol():
    guarded = Guarded(Counting(2))
    check_denoiser(guarded)
    assert guarded.channel == Uniform(4)
