"""Figures look alike whatever the user's own settings of matplotlib say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from simulations.plots import panels, save


@panels(1, 1, (2, 2))
def square(axes: Any, _: None) -> tuple[str, str]:
    """A figure with a formula."""
    axes[0, 0].plot([0, 1], [0, 1], label="$K_M$")
    axes[0, 0].legend()
    return "heading", "caption"


def test_a_file_of_settings_changes_no_figure(tmp_path: Path) -> None:
    save(square(None), tmp_path / "plain")
    others = {"text.usetex": True, "lines.linewidth": 9, "savefig.dpi": 20, "font.family": "serif"}
    with plt.rc_context(others):
        save(square(None), tmp_path / "other")
        assert mpl.rcParams["lines.linewidth"] == 9  # the user's own are as before
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "other.png").read_bytes()
