"""Print the largest error of every quantity, precision and set of weights as a markdown table.

python -m tests.golden.table
"""

from __future__ import annotations

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from tests.golden.compare_diffusion import NETWORKLESS
from tests.golden.compare_network import NETWORKS
from tests.golden.compare_reverse import REVERSE
from tests.golden.records import Archive, Check


def rows(checks: list[Check]) -> list[str]:
    """One row for each quantity, precision and weights, with the largest error of its arrays.

    Errors are absolute but where the name says otherwise; of ids, the number that differ.
    """
    merged: dict[tuple[str, str, str], list[Check]] = {}
    for check in checks:
        merged.setdefault((check.quantity, check.precision, check.weights), []).append(check)
    lines = []
    for (quantity, precision, weights), found in sorted(merged.items()):
        worst, arrays = max(c.error for c in found), len({c.array for c in found})
        lines.append(
            f"| {quantity} | {precision} | {weights} | {arrays} | {found[0].tolerance:.0e} "
            f"| {worst:.1e} |"
        )
    return lines


def main() -> None:
    checks = [
        check for g in (*NETWORKLESS, *NETWORKS, *REVERSE) for check in g.run(Archive(g.file))
    ]
    print("| quantity | precision | weights | arrays | tolerance | largest error |")
    print("| --- | --- | --- | --- | --- | --- |")
    print("\n".join(rows(checks)))


if __name__ == "__main__":
    main()
