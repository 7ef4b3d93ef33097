"""Our transformer and its training loss against an equal network in PyTorch."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.networks.dit import DiT, Shape
from models.training.loss import Corrupted, nelbo_loss

torch = pytest.importorskip("torch", reason="torch, a peer, is not installed: make bench has it")

from tests.peers import torch_dit  # noqa: E402

RNG = np.random.default_rng(0)
X_0 = RNG.integers(11, size=(4, 6))
X_T = np.where(RNG.random((4, 6)) < 0.4, RNG.integers(11, size=(4, 6)), X_0)
T = np.array([0.05, 0.3, 0.6, 0.95], np.float32)


@pytest.fixture(scope="module")
def pair():
    ours = DiT(jax.random.key(0), 11, Shape(16, 2, 2))
    arrays, rest = eqx.partition(ours, eqx.is_array)
    arrays = jax.tree.map(lambda a: a + 0.1 * RNG.normal(size=a.shape).astype(np.float32), arrays)
    ours = eqx.combine(arrays, rest)
    theirs = torch_dit.TorchDiT(11, 16, 2, 2)
    theirs.load_state_dict(torch_dit.weights_from(ours))
    return ours, theirs


def torch_loss(theirs):
    alpha = torch.from_numpy(1 - (1 - torch_dit.EPS) * T)
    log_x = torch.log_softmax(theirs(torch.from_numpy(X_T), -alpha.log()), -1)
    rate = -(1 - torch_dit.EPS)
    tokens = torch.from_numpy(X_T), torch.from_numpy(X_0)
    return log_x, torch_dit.nelbo(log_x, *tokens, alpha[:, None], rate)


def our_loss(params, rest):
    noisy = Corrupted(jnp.asarray(X_T), jnp.ones(X_T.shape))
    return jnp.mean(nelbo_loss(eqx.combine(params, rest), noisy, jnp.asarray(X_0), jnp.asarray(T)))


def test_laws_losses_and_gradients_agree(pair):
    ours, theirs = pair
    log_x, loss = torch_loss(theirs)
    np.testing.assert_allclose(ours.log_loo(X_T, T), log_x.detach().numpy(), atol=1e-4)
    params, rest = eqx.partition(ours, eqx.is_array)
    value, gradient = jax.value_and_grad(our_loss)(params, rest)
    assert float(value) == pytest.approx(loss.item(), rel=1e-4)
    loss.backward()
    expected = torch_dit.weights_from(eqx.combine(gradient, rest))
    for name, parameter in theirs.named_parameters():
        scale = float(expected[name].abs().max()) + 1e-6
        found = parameter.grad.numpy()
        np.testing.assert_allclose(found, expected[name].numpy(), atol=2e-3 * scale, err_msg=name)
