"""The three sizes of arXiv:2604.26841 on one GPU: training steps, reverse steps, memory.

Beside the bfloat16 matrix products that the card does in the same run. Skipped where JAX sees no
GPU: `JAX_PLATFORMS=cuda python -m pytest -n 0 -m benchmark -s tests/benchmarks/test_gpu.py`.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models import thinning
from models.networks.dit import DiT
from models.sampler import _ancestral_jax
from models.thinning import Grid, ancestral_thinned
from models.training.config import PAPER, TrainConfig
from models.training.step import run_steps, start
from tests.benchmarks.timing import interleaved, seconds

# Timings of a GPU say nothing of another device; `make bench` on a processor leaves them out.
pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(jax.default_backend() != "gpu", reason="JAX sees no GPU"),
]
VOCAB, L, BATCH = 30522, 128, 512
SIDE = 8192  # of the matrices that the card is measured with
RNG = np.random.default_rng(0)


def product(dtype):
    """SIDE x SIDE times SIDE x SIDE, ten of them."""
    a, b = (jnp.asarray(RNG.normal(size=(SIDE, SIDE)), dtype) for _ in range(2))
    ten = jax.jit(lambda a, b: jax.lax.fori_loop(0, 10, lambda _, x: (a @ x) / SIDE**0.5, b))
    return lambda: jax.block_until_ready(ten(a, b))


def flops(model: DiT) -> float:
    """Of a token's products in a forward."""
    s = model.shape
    blocks = s.n_blocks * (12 * s.width**2 + 2 * L * s.width)
    return 2.0 * (blocks + model.vocab_size * s.width)


def gigabytes() -> float:
    """The most that lay on the card so far."""
    return jax.devices()[0].memory_stats()["peak_bytes_in_use"] / 1e9


@pytest.fixture(scope="module")
def rates() -> dict[str, float]:
    """Flop a second of matrix products, by type."""
    calls = {"bfloat16": product(jnp.bfloat16), "float32": product(jnp.float32)}
    found = {name: 20 * SIDE**3 / t for name, t in interleaved(calls).items()}
    card = f"{jax.devices()[0].device_kind}, jax {jax.__version__}"
    said = ", ".join(f"{name} {rate / 1e12:.0f} Tflop/s" for name, rate in found.items())
    print(f"\n{card}: products of {SIDE}^3 at {said}")
    return found


@pytest.mark.parametrize(
    "size, compute, accumulate",
    [("tiny", "bfloat16", 1), ("small", "bfloat16", 1), ("medium", "bfloat16", 1),
     ("small", "float32", 1)],
)  # fmt: skip
def test_training_step(rates, size, compute, accumulate):
    model = DiT(jax.random.key(0), VOCAB, size, L)
    words = vars(PAPER) | {"compute": compute, "accumulate": accumulate}
    config = TrainConfig(**words)
    stored = jnp.asarray(RNG.integers(VOCAB, size=(8192, L)).astype(np.uint16))
    params, static = eqx.partition(model, eqx.is_array)
    state, n = [start(params, config)], 10

    def ours():
        given = config, n, jax.random.key(0), jnp.int32(0), stored, jnp.int32(8192)
        state[0], log = run_steps(state[0], static, *given)
        return jax.block_until_ready(log)

    compiled = seconds(ours)
    step = interleaved({"ours": ours}, repeats=3)["ours"] / n
    tokens = BATCH * L
    share = 3 * flops(model) * tokens / step / rates["bfloat16"]
    print(f"\n{size}, {compute}, {BATCH} x {L} in {accumulate}: {1e3 * step:.1f} ms a step, "
          f"{tokens / step:,.0f} tokens/s, {share:.1%} of the bfloat16 rate; compiled in "
          f"{compiled:.0f} s; at most {gigabytes():.1f} GB so far")  # fmt: skip
    assert np.isfinite(ours().loss).all()


@pytest.mark.parametrize("size", ["tiny", "small", "medium"])
def test_reverse_steps(size):
    model = DiT(jax.random.key(0), VOCAB, size, L)
    x_t = RNG.integers(VOCAB, size=(BATCH, L)).astype(np.uint16)
    n, t = 20, 0.2
    tokens, grid = jnp.asarray(x_t, jnp.int32), Grid.uniform(model.schedule, t, n)
    times = interleaved(
        {
            "plain": lambda: jax.block_until_ready(
                _ancestral_jax(model, jax.random.key(0), tokens, jnp.float32(t), jnp.int32(n))
            ),
            "thinning": lambda: ancestral_thinned(model, np.random.default_rng(0), x_t, grid),
        },
        repeats=3,
    )
    taken = "thinning" if thinning.pays(VOCAB, L, n) else "plain"
    print(f"\n{size}, B = {BATCH}, float32, steps/s: "
          + ", ".join(f"{name} {n / t:.1f}" for name, t in times.items())
          + f" ({taken} taken); at most {gigabytes():.1f} GB so far")  # fmt: skip
