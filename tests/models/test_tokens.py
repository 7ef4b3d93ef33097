"""Token arrays and noise levels from outside: what is taken, and the sentence for what is not."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.errors import NumbaInsideJitError, TokenRangeError
from models.tokens import check_level, check_tokens, check_vocabulary, is_tracer, token_dtype


@pytest.mark.parametrize(
    "vocab_size, dtype",
    [(2, np.uint8), (256, np.uint8), (257, np.uint16), (65536, np.uint16), (65537, np.uint32)],
)
def test_smallest_dtype_holds_every_token(vocab_size, dtype):
    assert token_dtype(vocab_size) is dtype
    top = check_tokens(np.array([[0, vocab_size - 1]]), vocab_size)
    assert top.dtype == dtype
    assert top.tolist() == [[0, vocab_size - 1]]


@pytest.mark.parametrize(
    "given",
    [
        [[0, 1, 2]],
        np.array([[0, 1, 2]], np.int64),
        np.array([[0, 1, 2]], np.uint32),
        np.asfortranarray(np.array([[0, 1, 2]] * 2, np.int16)),
        jnp.array([[0, 1, 2]]),
    ],
    ids=["list", "int64", "uint32", "fortran", "jax"],
)
def test_integer_tokens_of_any_kind_are_taken(given):
    tokens = check_tokens(given, 3, 3)
    assert tokens.dtype == np.uint8
    assert tokens.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(tokens, np.asarray(given))


BAD_TOKENS = [
    ("floats", np.zeros((1, 3)), "`x_t` must hold integers; got dtype float64"),
    ("booleans", np.zeros((1, 3), bool), "must hold integers; got dtype bool"),
    ("text", np.array([["a", "b", "c"]]), "must hold integers"),
    ("one sequence", np.zeros(3, int), "must have shape (batch, L); got (3,)"),
    ("no sites", np.zeros((2, 0), int), "must have shape (batch, L); got (2, 0)"),
    ("three axes", np.zeros((1, 3, 3), int), "got (1, 3, 3)"),
    ("wrong length", np.zeros((1, 4), int), "of length 4; this model takes length 3"),
    ("negative", np.array([[0, -1, 2]]), "holds the token -1; allowed are 0 to 4"),
    ("too large", np.array([[0, 5, 2]]), "holds the token 5; allowed are 0 to 4"),
    ("wraps in uint8", np.array([[0, 256, 2]]), "holds the token 256"),
]


@pytest.mark.parametrize(
    "tokens, message", [row[1:] for row in BAD_TOKENS], ids=[row[0] for row in BAD_TOKENS]
)
def test_bad_tokens_are_refused_in_words(tokens, message):
    with pytest.raises(TokenRangeError) as caught:
        check_tokens(tokens, 5, 3)
    assert message in str(caught.value)


def test_an_empty_batch_is_taken():
    assert check_tokens(np.zeros((0, 3), int), 5, 3).shape == (0, 3)
    assert check_level(0.5, 0).shape == (0,)


def test_argument_is_named():
    with pytest.raises(TokenRangeError, match="`patterns` must have shape"):
        check_tokens(np.zeros(3, int), 5, name="patterns")


def test_levels_become_one_per_sequence():
    np.testing.assert_array_equal(check_level(0.25, 3), [0.25] * 3)
    np.testing.assert_array_equal(check_level(np.float32([0, 0.5, 1]), 3), [0, 0.5, 1])
    given = np.array([0.1, 0.2])
    check_level(given, 2)[:] = 0
    assert given.tolist() == [0.1, 0.2]


@pytest.mark.parametrize(
    "t, message",
    [
        (1.3, "`t` must lie in [0, 1]; got 1.3"),
        (-0.1, "`t` must lie in [0, 1]; got -0.1"),
        (np.nan, "`t` must lie in [0, 1]; got nan"),
        (250, "A step index must be divided by the number of steps."),
        ([0.1, 0.2], "have shape (batch,) = (3,); got (2,)"),
        ([[0.1], [0.2], [0.3]], "got (3, 1)"),
    ],
)
def test_bad_levels_are_refused_in_words(t, message):
    with pytest.raises(ValueError) as caught:
        check_level(t, 3)
    assert message in str(caught.value)


def test_tracers_are_refused_by_name():
    assert not is_tracer(jnp.zeros(3))
    with pytest.raises(NumbaInsideJitError, match="`x_t` is a JAX tracer: a numba kernel"):
        jax.jit(lambda x: check_tokens(x, 3))(jnp.zeros((1, 3), int))
    with pytest.raises(NumbaInsideJitError, match="`t` is a JAX tracer"):
        jax.jit(lambda t: check_level(t, 1))(0.5)


def test_vocabulary():
    assert check_vocabulary(np.int64(2)) == 2
    for bad in (1, 0, 2.5):
        with pytest.raises(ValueError, match="must be an integer of at least 2; got"):
            check_vocabulary(bad)
