"""The derivations of `am_theory.derivations` as files of TeX that the text includes.

Each is proved again when it is written: a formula that does not hold stops the build.
"""

from __future__ import annotations

from pathlib import Path

from am_theory.derivations import ALL, Derivation
from simulations.results.files import write_text


def file_name(name: str) -> str:
    """Name of the file of a derivation.

    >>> file_name("channel.leave_one_out")
    'derivation_channel_leave_one_out.tex'
    """
    return f"derivation_{name.replace('.', '_')}.tex"


def as_tex(name: str, found: Derivation) -> str:
    """A derivation as an environment with its title, steps and where it comes from."""
    source = name.replace("_", r"\_")
    lines = [rf"\begin{{derivation}}{{{found.title}}}{{{source}}}", "\n\n".join(found.steps)]
    if found.numeric:
        lines.append(f"\nIn high precision, not symbolically: {found.numeric}.")
    return "\n".join([*lines, r"\end{derivation}", ""])


def write(build: Path) -> None:
    """Prove all derivations and write one file for each. Raises DerivationError."""
    build.mkdir(parents=True, exist_ok=True)
    for name, prove in ALL.items():
        write_text(as_tex(name, prove()), build / file_name(name))
