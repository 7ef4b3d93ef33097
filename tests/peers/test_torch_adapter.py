"""The adapter for PyTorch, as it is printed, around a network whose laws are known."""

from __future__ import annotations

import re
import sys
import textwrap
import types
from pathlib import Path

import numpy as np
import pytest

from am_theory import channel
from models.denoiser import check_denoiser, contract_problems, log_full
from models.released import adapters
from models.released.adapters import AdapterError, load_denoiser
from models.sampler import generate

torch = pytest.importorskip("torch", reason="torch, a peer, is not installed: make bench has it")

README = (Path(__file__).parents[2] / "models" / "README.md").read_text()
V, L = 5, 6


def printed() -> dict[str, str]:
    """The code, from the module and, where it stands there, from the README."""
    block = re.search(r" {4}# example: torch\n((?: {4}.*\n|\n)*)", adapters.__doc__)
    found = {"module": textwrap.dedent(block[1])}
    if block := re.search(r"<!-- example: torch -->\n```python\n(.*?)```", README, flags=re.S):
        found["README"] = block[1]
    return found


class Net(torch.nn.Module):
    """Logits of a law that no site's own token enters, and, for `law="full"`, the evidence of it.

    Adding log(1 + V alpha / (1 - alpha)) on the own token is Bayes' rule, so these two networks
    have one leave-one-out law.
    """

    def __init__(self, law: str) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.table = torch.nn.Parameter(torch.randn(V, V, generator=generator))
        self.dropout = torch.nn.Dropout(0.5)
        self.law = law

    def forward(self, x_t, t):
        assert x_t.dtype == torch.int64 and t.dtype == torch.float32 and t.shape == x_t.shape[:1]
        assert not torch.is_grad_enabled()
        each = self.table[x_t]
        logits = self.dropout(each.sum(1, keepdim=True) - each) * (1 - t)[:, None, None]
        if self.law == "full":
            alpha = torch.from_numpy(channel.LogLinear().alpha(t.double().numpy()))
            beta = torch.log1p(V * alpha / (1 - alpha)).float()[:, None, None]
            logits = logits + beta * torch.nn.functional.one_hot(x_t, V)
        return logits

    def exact(self, x_t: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Log leave-one-out law in float64, by NumPy."""
        each = self.table.detach().numpy().astype(float)[x_t]
        logits = (each.sum(1, keepdims=True) - each) * (1 - t)[:, None, None]
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.fixture(params=sorted(printed()))
def adapter(request):
    names: dict = {}
    exec(compile(printed()[request.param], request.param, "exec"), names)
    return names["TorchDenoiser"]


def test_the_adapter_is_ten_lines_and_its_imports():
    for code in printed().values():
        body = code[code.index("class TorchDenoiser") :]
        lines = body.split("\n\n\n")[0].splitlines()
        assert 0 < sum(bool(line.strip()) for line in lines) <= 10


@pytest.mark.parametrize("law", ["loo", "full"])
def test_both_kinds_of_network_give_the_leave_one_out_law(law, adapter):
    net = Net(law)
    denoiser = adapter(net, V, L, law)
    check_denoiser(denoiser)
    rng = np.random.default_rng(0)
    x_t, t = rng.integers(V, size=(7, L)).astype(np.uint8), rng.uniform(0.01, 1, size=7)
    ours = denoiser.log_loo(x_t, t)
    assert type(ours) is np.ndarray and ours.dtype == np.float32
    # beta, up to 6 nats at t = 0.01, is added and taken off again in float32
    np.testing.assert_allclose(ours, net.exact(x_t, t), atol=1e-5)
    np.testing.assert_allclose(
        denoiser.log_loo(x_t, 0.3), net.exact(x_t, np.full(7, 0.3)), atol=1e-5
    )
    posterior = channel.full_from_loo(net.exact(x_t, t), x_t, denoiser.schedule.alpha(t))
    np.testing.assert_allclose(log_full(denoiser, x_t, t), posterior, atol=1e-5)


def test_a_posterior_that_is_called_loo_is_refused(adapter):
    (problem,) = contract_problems(adapter(Net("full"), V, L, "loo"))
    assert "it is the posterior `full`" in problem
    with pytest.raises(AssertionError):  # and the reverse is another law
        np.testing.assert_allclose(
            adapter(Net("loo"), V, L, "full").log_loo(np.zeros((1, L), int), 0.3),
            adapter(Net("loo"), V, L, "loo").log_loo(np.zeros((1, L), int), 0.3),
            atol=1e-2,
        )


def test_the_adapter_runs_in_the_sampler(adapter):
    tokens = generate(adapter(Net("loo"), V, L), np.random.default_rng(0), 8, L, n_steps=4)
    assert tokens.shape == (8, L) and tokens.max() < V


@pytest.mark.parametrize("law, problem", [("loo", None), ("full", "the posterior `full`")])
def test_a_module_with_the_adapter_is_loaded_by_its_name(law, problem, tmp_path, monkeypatch):
    (tmp_path / "their_torch.py").write_text(
        f"{printed()['module']}\n\nfrom tests.peers.test_torch_adapter import Net\n\n"
        f"def load():\n    return TorchDenoiser(Net({law!r}), {V}, {L})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_torch", raising=False)
    if problem is None:
        assert load_denoiser("their_torch:load").seq_len == L
    else:
        with pytest.raises(AdapterError, match=problem):
            load_denoiser("their_torch:load")


class FlowNet(torch.nn.Module):
    """`Net` as flow matching asks it: the token posterior, at a time that is 1 at the data."""

    def __init__(self, exponent: float) -> None:
        super().__init__()
        self.net, self.exponent = Net("loo"), exponent

    def forward(self, x_t, time):
        assert x_t.dtype == torch.int64 and time.dtype == torch.float32
        kept = time.double() ** self.exponent
        beta = torch.log1p(V * kept / (1 - kept)).float()[:, None, None]
        # the law of `Net` at level t = 1 - kept
        return self.net(x_t, (1 - kept).float()) + beta * torch.nn.functional.one_hot(x_t, V)


@pytest.mark.parametrize("exponent", [1.0, 2.0])
def test_a_network_of_flow_matching_gives_the_leave_one_out_law(exponent):
    block = re.search(r" {4}# example: flow_matching\n((?: {4}.*\n|\n)*)", adapters.__doc__)
    names: dict = {}
    exec(compile(textwrap.dedent(block[1]), "flow_matching", "exec"), names)
    net = FlowNet(exponent)
    denoiser = names["flow_matching"](net, V, L, exponent)
    check_denoiser(denoiser)
    rng = np.random.default_rng(0)
    x_t, t = rng.integers(V, size=(7, L)).astype(np.uint8), rng.uniform(0.01, 0.99, size=7)
    # beta, up to 6 nats, of a time that went through float32
    np.testing.assert_allclose(denoiser.log_loo(x_t, t), net.net.exact(x_t, t), atol=1e-4)


class Wide:
    """One law of a large vocabulary, computed in `kind` and handed over by `end`."""

    vocab_size, seq_len, schedule = 30522, 4, channel.LogLinear()

    def __init__(self, kind, end):
        self.kind, self.end = kind, end
        self.logits = 3 * torch.randn(30522, generator=torch.Generator().manual_seed(0))

    def log_loo(self, x_t, t):
        law = self.logits.to(self.kind).log_softmax(-1)
        return self.end(law.expand(*np.shape(x_t), 30522))


END = "end it with .detach().cpu().float().numpy()."
WIDE = {
    "tensors": (torch.float32, lambda law: law, END),
    "tensors with a gradient": (torch.float32, lambda law: law.requires_grad_(), END),
    "bfloat16": (torch.bfloat16, lambda law: law.float().numpy(), "digits of bfloat16 alone"),
    "float16": (torch.float16, lambda law: law.numpy(), "numbers of type float16"),
    "float32": (torch.float32, lambda law: law.detach().cpu().float().numpy(), None),
}


@pytest.mark.parametrize("what", WIDE)
def test_what_a_tensor_becomes_is_said(what):
    kind, end, message = WIDE[what]
    problems = contract_problems(Wide(kind, end))
    assert problems == [] if message is None else message in problems[0]


def test_tokens_of_the_smallest_type_do_not_fit_an_embedding():
    net = Net("loo")
    raw = types.SimpleNamespace(vocab_size=V, seq_len=L, schedule=channel.LogLinear())
    table = torch.nn.functional.embedding
    raw.log_loo = lambda x_t, t: (
        table(torch.as_tensor(x_t), net.table).log_softmax(-1).detach().numpy()
    )
    (problem,) = contract_problems(raw)
    assert "begin it with x_t = np.int64(x_t)" in problem
