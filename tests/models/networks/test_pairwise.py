"""The network of a pairwise field alone: the MLP without its hidden layer."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from models.networks.mlp import MLPDenoiser
from models.networks.pairwise import PairDenoiser
from tests.helpers import assert_close


def test_is_an_mlp_whose_readout_is_zero():
    rng = np.random.default_rng(3)
    net, mlp = PairDenoiser(3, 5), MLPDenoiser(jax.random.key(0), 3, 5, width=4)
    parts = [jnp.asarray(rng.normal(size=p.shape), jnp.float32) for p in net_parts(net)]
    net = eqx.tree_at(net_parts, net, parts)
    mlp = eqx.tree_at(lambda m: (m.pair, m.pair_gain, m.readout_bias), mlp, parts)
    x, t = jnp.asarray(rng.integers(3, size=(7, 5))), jnp.linspace(0.05, 0.95, 7)
    assert_close(net.log_loo(x, t), mlp.log_loo(x, t), rtol=1e-5, atol=1e-5)
    assert_close(jnp.exp(net.log_loo(x, 0.3)).sum(-1), np.ones((7, 5)), rtol=1e-5)


def net_parts(net):
    return net.pair, net.pair_gain, net.bias


def test_no_site_sees_itself_and_it_starts_knowing_nothing():
    net = PairDenoiser(3, 4)
    x = np.zeros((1, 4), int)
    assert_close(net.log_loo(x, 0.5), np.full((1, 4, 3), -np.log(3)), rtol=1e-5)
    net = eqx.tree_at(lambda n: n.pair, net, jax.random.normal(jax.random.key(1), (12, 12)))
    other = x.copy()
    other[0, 2] = 1
    before, after = net.log_loo(x, 0.5), net.log_loo(other, 0.5)
    assert_close(before[0, 2], after[0, 2], rtol=1e-6)
    assert np.abs(before - after).max() > 0.1
    assert {f.name for f in dataclasses.fields(net)} >= {"schedule", "channel"}
