"""The same problems in the words of other libraries, for correctness and for timings.

Nothing here is imported outside `tests/peers` and `tests/benchmarks`; a library is imported
where it is used, so that this module loads without any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# --- Hamming distances: FAISS


def one_hot_bits(tokens: np.ndarray, vocab_size: int) -> np.ndarray:
    """Tokens (n, L) as one-hot bits, packed, (n, L V / 8 rounded up): distances are doubled."""
    onehot = np.zeros((*tokens.shape, vocab_size), np.uint8)
    np.put_along_axis(onehot, tokens[..., None].astype(np.int64), 1, axis=2)
    return np.packbits(onehot.reshape(len(tokens), -1), axis=1)


def faiss_index(patterns: np.ndarray, vocab_size: int) -> Any:
    """Exhaustive binary index of FAISS over the one-hot bits of patterns (K, L)."""
    import faiss

    bits = one_hot_bits(patterns, vocab_size)
    index = faiss.IndexBinaryFlat(8 * bits.shape[1])
    index.add(bits)
    return index


# --- the empirical denoiser as matrix products of one-hot tokens, float32


def one_hot(tokens: np.ndarray, vocab_size: int) -> np.ndarray:
    """Tokens (n, L) as float32 one-hot rows, (n, L V)."""
    return np.eye(vocab_size, dtype=np.float32)[tokens].reshape(len(tokens), -1)


def product_posterior(
    query: np.ndarray, stored: np.ndarray, beta: float, vocab_size: int
) -> tuple[np.ndarray, ...]:
    """Laws full and loo (B, L, V), entropy over patterns (B,), best pattern (B,), by NumPy.

    query (B, L V) and stored (K, L V) as `one_hot` makes them.
    """
    logits = query @ stored.T
    logits -= logits.max(1, keepdims=True)
    logits *= np.float32(beta)
    weights = np.exp(logits)
    total = weights.sum(1, keepdims=True)
    best = weights.argmax(1)
    entropy = np.log(total[:, 0]) - np.einsum("bk,bk->b", weights, logits) / total[:, 0]
    full = (weights @ stored / total).reshape(len(query), -1, vocab_size)
    loo = full * np.where(query.reshape(full.shape) > 0, np.float32(np.exp(-beta)), np.float32(1))
    loo /= loo.sum(-1, keepdims=True)
    return full, loo, entropy, best


def torch_posterior(query: Any, stored: Any, beta: float, vocab_size: int) -> tuple[Any, ...]:
    """The same by torch, of torch tensors."""
    import torch

    logits = query @ stored.T
    logits -= logits.max(1, keepdim=True).values
    logits *= beta
    weights = torch.exp(logits)
    total = weights.sum(1, keepdim=True)
    best = weights.argmax(1)
    entropy = torch.log(total[:, 0]) - torch.einsum("bk,bk->b", weights, logits) / total[:, 0]
    full = (weights @ stored / total).reshape(len(query), -1, vocab_size)
    own = query.reshape(full.shape) > 0
    loo = torch.where(own, full * float(np.exp(-beta)), full)
    loo /= loo.sum(-1, keepdim=True)
    return full, loo, entropy, best


# --- smoothing of hidden Markov models: hmmlearn and dynamax


def noisy_emission(source: Any, alpha: float) -> np.ndarray:
    """Law of the noisy token of each state, (H, V)."""
    return alpha * source.emission + (1 - alpha) / source.vocab_size


def hmmlearn_smoother(source: Any, alpha: float) -> Callable[[np.ndarray], np.ndarray]:
    """Tokens (B, L) to the laws of the states (B, L, H), float64, one thread."""
    from hmmlearn.hmm import CategoricalHMM

    n_states = len(source.initial)
    model = CategoricalHMM(n_states, n_features=source.vocab_size, implementation="scaling")
    model.startprob_, model.transmat_ = source.initial, source.transition
    model.emissionprob_ = noisy_emission(source, alpha)

    def smooth(x_t: np.ndarray) -> np.ndarray:
        column = x_t.reshape(-1, 1).astype(np.int64)
        return model.predict_proba(column, [x_t.shape[1]] * len(x_t)).reshape(*x_t.shape, n_states)

    return smooth


def dynamax_smoother(source: Any, alpha: float) -> Callable[[Any], Any]:
    """Tokens (B, L) to the laws of the states (B, L, H), float32, compiled."""
    import jax
    import jax.numpy as jnp
    from dynamax.hidden_markov_model import CategoricalHMM

    model = CategoricalHMM(len(source.initial), 1, source.vocab_size)
    params, _ = model.initialize(
        jax.random.key(0),
        initial_probs=jnp.asarray(source.initial),
        transition_matrix=jnp.asarray(source.transition),
        emission_probs=jnp.asarray(noisy_emission(source, alpha))[:, None, :],
    )

    @jax.jit
    def smooth(x_t: Any) -> Any:
        return jax.vmap(lambda row: model.smoother(params, row[:, None]).smoothed_probs)(x_t)

    return smooth


def full_law(states: np.ndarray, x_t: np.ndarray, source: Any, alpha: float) -> np.ndarray:
    """p(x_0^i | x_t), (B, L, V), from the laws of the states (B, L, H) given x_t."""
    kernel = alpha * np.eye(source.vocab_size) + (1 - alpha) / source.vocab_size
    joint = source.emission[:, None, :] * kernel.T[None]  # (H, noisy, clean)
    given = joint / joint.sum(-1, keepdims=True)
    return np.einsum("blh,hblv->blv", states, given[:, x_t])
