"""The empirical denoiser against one-hot matrix products, in torch and in NumPy."""

import numpy as np
import pytest

from am_theory import channel
from models.exact.empirical import EmpiricalDenoiser
from models.noise import noise
from tests.peers.forms import one_hot, product_posterior, torch_posterior

torch = pytest.importorskip("torch")

# Weights of the products are exponentials of up to beta L = 400 in float32: 400 times 6e-8.
FLOAT32_WEIGHTS = 5e-5


@pytest.mark.parametrize("t", [0.1, 0.25, 0.5, 0.7, 0.95])
@pytest.mark.parametrize(("n", "seq_len", "vocab_size"), [(40, 9, 3), (2000, 64, 32)])
def test_laws_and_entropies_equal_the_products(n, seq_len, vocab_size, t):
    rng = np.random.default_rng(n)
    patterns = rng.integers(vocab_size, size=(n, seq_len))
    memory = EmpiricalDenoiser(patterns, vocab_size)
    alpha = float(memory.schedule.alpha(t))
    x_t = noise(rng, patterns[:20], alpha, vocab_size)
    beta = float(channel.inverse_temperature(alpha, vocab_size))
    query, stored = one_hot(x_t, vocab_size), one_hot(patterns, vocab_size)
    ours = memory.posterior(x_t, t, rng)
    tensors = torch_posterior(torch.from_numpy(query), torch.from_numpy(stored), beta, vocab_size)
    matches = (x_t[:, None] == patterns).sum(-1)
    for form in (product_posterior(query, stored, beta, vocab_size), [a.numpy() for a in tensors]):
        full, loo, entropy, best = form
        np.testing.assert_allclose(np.exp(ours.log_full), full, atol=FLOAT32_WEIGHTS)
        np.testing.assert_allclose(np.exp(ours.log_loo), loo, atol=FLOAT32_WEIGHTS)
        np.testing.assert_allclose(ours.entropy, entropy, atol=FLOAT32_WEIGHTS * np.log(n))
        np.testing.assert_array_equal(matches[np.arange(20), best], ours.max_matches)
