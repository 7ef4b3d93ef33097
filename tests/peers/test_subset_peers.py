"""The rows that a training subset has, against the package whose shuffle took them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulations.released.material import rows_of, size_of

datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 3000), seed=st.integers(0, 2**32 - 1), share=st.floats(1e-3, 1))
def test_a_subset_is_what_datasets_selects_after_its_shuffle(n, seed, share):
    size = int(n * share)
    whole = datasets.Dataset.from_dict({"row": list(range(n))})
    theirs = np.array(whole.shuffle(seed=seed).select(range(size))["row"], np.int64)
    np.testing.assert_array_equal(rows_of(n, seed)[:size], theirs)
    if size:
        assert size_of(n, None, share) == size
