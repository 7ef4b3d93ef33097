"""The transformer: forward, reverse step, training step, recovery, long runs, ensembles.

Beside the equal network in PyTorch, and beside the float32 matrix products of this machine,
timed by turns in one process.
"""

from __future__ import annotations

import resource
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from models import thinning
from models.networks.dit import DiT, Shape
from models.sampler import _ancestral_jax
from models.thinning import Grid, ancestral_thinned
from models.training.config import TrainConfig
from models.training.step import run_steps, start
from models.training.train import data_mesh, train, train_ensemble
from tests.benchmarks.timing import interleaved, seconds, show

torch = pytest.importorskip("torch")

from tests.peers import torch_dit  # noqa: E402

pytestmark = pytest.mark.benchmark
VOCAB, L = 30522, 128
RNG = np.random.default_rng(0)
PRODUCT = 2048


def moved(model: DiT) -> DiT:
    """Weights off their start, whose law is uniform."""
    arrays, rest = eqx.partition(model, eqx.is_array)
    arrays = jax.tree.map(lambda a: a + 0.02 * RNG.normal(size=a.shape).astype(np.float32), arrays)
    return eqx.combine(arrays, rest)


def rate_call():
    """A float32 product of 17 Gflop: what this machine gives to matrix products."""
    a = jnp.asarray(RNG.normal(size=(PRODUCT, PRODUCT)).astype(np.float32))
    product = jax.jit(lambda a: a @ a)
    return lambda: jax.block_until_ready(product(a))


def flops(model: DiT, length: int) -> float:
    """Of a token's products in a forward."""
    s = model.shape
    blocks = s.n_blocks * (12 * s.width**2 + 2 * length * s.width)
    return 2.0 * (blocks + model.vocab_size * s.width)


@pytest.fixture(scope="module")
def tiny() -> DiT:
    return moved(DiT(jax.random.key(0), VOCAB, "tiny"))


def test_tiny_forward_and_one_reverse_step(tiny):
    torch.set_num_threads(2)
    peer = torch_dit.TorchDiT(VOCAB, 256, 8, 8).eval()
    peer.load_state_dict(torch_dit.weights_from(tiny))
    x = RNG.integers(VOCAB, size=(8, L)).astype(np.uint16)
    tokens = jnp.asarray(x, jnp.int32)
    law = eqx.filter_jit(lambda m, x: m.log_loo(x, 0.1))
    logits = eqx.filter_jit(lambda m, x: m.head(*expand(m.trunk(x, 0.1))))
    theirs = torch.from_numpy(x.astype(np.int64))
    sigma = torch.full((8,), -float(np.log(1 - 0.999 * 0.1)))

    def peer_forward(normalize):
        with torch.no_grad():
            out = peer(theirs, sigma)
            return torch.log_softmax(out, -1) if normalize else out

    last = Grid.uniform(tiny.schedule, 0.01, 1)  # every token is a candidate
    first = Grid(*(a[:1] for a in vars(Grid.uniform(tiny.schedule, 0.1, 10)).values()))
    rng = np.random.default_rng(0)
    times = interleaved(
        {
            "forward: log_loo (8, 128, 30522)": lambda: jax.block_until_ready(law(tiny, tokens)),
            "forward: logits alone": lambda: jax.block_until_ready(logits(tiny, tokens)),
            "reverse step, first of ten": lambda: ancestral_thinned(tiny, rng, x, first),
            "reverse step, last: all tokens": lambda: ancestral_thinned(tiny, rng, x, last),
            "torch forward and log_softmax": lambda: peer_forward(True),
            "torch forward, logits": lambda: peer_forward(False),
            "matrix product of 17.2 Gflop": rate_call(),
        },
        repeats=9,
    )
    show("tiny, B = 8, L = 128, V = 30,522", times, "forward: log_loo (8, 128, 30522)")
    rate = 2 * PRODUCT**3 / times["matrix product of 17.2 Gflop"]
    work = flops(tiny, L) * x.size
    for name in list(times)[:2]:
        print(f"  {name}: {work / times[name] / rate:.0%} of the rate {rate / 1e9:.0f} GFLOP/s")
    gap = np.abs(np.asarray(law(tiny, tokens)) - peer_forward(True).numpy()).max()
    print(f"  largest difference of log-probabilities to torch {gap:.1e}")
    assert gap < 1e-3


def expand(trunk):
    hidden, condition = trunk
    return hidden, condition[:, None]


def needed(function, *arguments) -> float:
    """MiB of buffers of a compiled call beyond its arguments: XLA's own count."""
    found = function.lower(*arguments).compile().compiled.memory_analysis()
    return (found.temp_size_in_bytes + found.output_size_in_bytes) / 2**20


def test_memory_of_a_reverse_step(tiny):
    tokens, t = jnp.zeros((8, L), jnp.int32), jnp.full(8, 0.1)
    rows = 137  # as `thinning` has at this vocabulary
    index, level = jnp.zeros(rows, jnp.int32), jnp.full(rows, 0.5)
    hidden, condition = jnp.zeros((8, L, 256)), jnp.zeros((8, 128))
    trunk = needed(thinning._trunk, tiny, tokens, t)
    move = needed(
        thinning._move, tiny, hidden, condition, index, index, index, level, level,
        jnp.zeros((3, rows)),
    )  # fmt: skip
    forward = needed(eqx.filter_jit(lambda m: m.log_loo(tokens, t)), tiny)
    logits = 8 * L * VOCAB * 4 / 2**20
    print(f"\nMiB beyond the weights: forward {forward:.0f}, of which logits {logits:.0f}; "
          f"reverse step {max(trunk, move + hidden.nbytes / 2**20):.0f}")  # fmt: skip
    assert max(trunk, move) < 1.2 * logits


def test_training_step_of_the_small_network():
    torch.set_num_threads(2)
    model = DiT(jax.random.key(0), 64, Shape(64, 2, 4), 32)
    config = TrainConfig(steps=10**6, batch=128, loss="nelbo", decay="constant")
    stored = RNG.integers(64, size=(4096, 32)).astype(np.uint8)
    params, static = eqx.partition(model, eqx.is_array)
    mesh = data_mesh(config)  # two devices with XLA_FLAGS=--xla_force_host_platform_device_count=2
    given = start(params, config), jnp.asarray(stored), jnp.int32(4096), jax.random.key(0)
    if mesh is not None:
        given = jax.device_put(given, NamedSharding(mesh, PartitionSpec()))
    state, tokens, size, key = [given[0]], *given[1:]

    def ours(n=10):
        step = jnp.int32(0), tokens, size, None, mesh
        state[0], log = run_steps(state[0], static, config, n, key, *step)
        jax.block_until_ready(log)

    peer = torch_dit.TorchDiT(64, 64, 2, 4)
    optimizer = torch.optim.AdamW(peer.parameters(), lr=1e-3, weight_decay=0.0)
    ema = [p.detach().clone() for p in peer.parameters()]
    t = (torch.arange(128) + 0.5) / 128

    def theirs(n=10):
        for _ in range(n):
            x_0 = torch.from_numpy(stored[RNG.integers(4096, size=128)].astype(np.int64))
            torch_dit.training_step(peer, optimizer, ema, x_0, t)

    names = ("ten training steps, 64 wide, 2 blocks", "torch, the same")
    times = interleaved(dict(zip(names, (ours, theirs), strict=True)) | {
        "matrix product of 17.2 Gflop": rate_call()}, repeats=9)  # fmt: skip
    show(f"training step, L = 32, V = 64, B = 128, {len(jax.devices())} device(s)", times, names[0])
    work = 3 * flops(model, 32) * 128 * 32 * 10
    rate = 2 * PRODUCT**3 / times["matrix product of 17.2 Gflop"]
    print(f"  products alone at the machine's rate: {1e3 * work / rate:.0f} ms;"
          f" reached {work / times[names[0]] / rate:.0%}; ours / torch "
          f"{times[names[0]] / times[names[1]]:.2f}")  # fmt: skip


def test_recovery_of_a_hundred_sequences(tiny):
    x_t = RNG.integers(VOCAB, size=(100, L)).astype(np.uint16)
    grid = Grid.uniform(tiny.schedule, 0.1, 10)
    rng = np.random.default_rng(0)
    ancestral_thinned(tiny, rng, x_t, Grid.uniform(tiny.schedule, 0.1, 1))  # compiles
    took = seconds(lambda: ancestral_thinned(tiny, rng, x_t, grid))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\nrecovery of 100 sequences, tiny, 10 of 100 steps: {took:.1f} s; "
          f"peak of this process so far {peak:.2f} GiB")  # fmt: skip
    assert took < 60


@pytest.mark.parametrize(
    "vocab, length, size, batch, t, n_steps",
    [
        (16, 16, "mini", 1024, 1.0, 64),
        (64, 32, "mini", 128, 1.0, 100),
        (64, 32, "mini", 128, 1.0, 1000),
        (64, 32, "midi", 32, 0.25, 1000),
        (1024, 32, "mini", 128, 0.25, 100),
    ],
)
def test_long_runs_by_thinning_and_by_plain_steps(vocab, length, size, batch, t, n_steps):
    model = moved(DiT(jax.random.key(0), vocab, size, length))
    x_t = RNG.integers(vocab, size=(batch, length)).astype(np.uint16)
    n = max(1, round(t * n_steps))
    grid = Grid.uniform(model.schedule, t, n)
    rng = np.random.default_rng(0)
    tokens = jnp.asarray(x_t, jnp.int32)
    plain = partial(_ancestral_jax, model, jax.random.key(0), tokens, jnp.float32(t), jnp.int32(n))
    times = interleaved(
        {
            "thinning": lambda: ancestral_thinned(model, rng, x_t, grid),
            "plain steps, one compiled loop": lambda: jax.block_until_ready(plain()),
        },
        repeats=3,
    )
    rounds = len(thinning.draw_events(rng, grid, *x_t.shape).step)
    taken = "taken" if thinning.pays(vocab, length, n) else "not taken"
    show(f"{size}, V = {vocab}, L = {length}, B = {batch}, {n} steps from t = {t}: "
         f"{rounds} rounds, thinning {taken}", times, "thinning")  # fmt: skip


@pytest.mark.parametrize("members, batch", [(4, 128), (4, 16)])
def test_an_ensemble_beside_its_members_one_by_one(members, batch):
    config = TrainConfig(steps=100, batch=batch, loss="nelbo")
    stored = RNG.integers(16, size=(1024, 16)).astype(np.uint8)
    models = [DiT(jax.random.key(k), 16, "mini", 16) for k in range(members)]
    keys = [jax.random.key(k) for k in range(members)]
    sizes = [1024] * members
    times = interleaved(
        {
            "one program": lambda: train_ensemble(keys, models, stored, sizes, config),
            "one after the other": lambda: [
                train(key, model, stored, 1024, config)
                for key, model in zip(keys, models, strict=True)
            ],
        },
        repeats=3,
    )
    show(f"{members} mini networks, 100 steps, B = {batch}", times, "one program")
