"""Numbers, intervals and tables as TeX."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

_SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "α": r"\ensuremath{\alpha}",
    "β": r"\ensuremath{\beta}",
    "τ": r"\ensuremath{\tau}",
    "χ": r"\ensuremath{\chi}",
    "–": "--",
    "√": r"\ensuremath{\surd}",
    "²": r"\ensuremath{^2}",
    "∞": r"\ensuremath{\infty}",
}


def escape(text: str) -> str:
    r"""Plain text as TeX; words in backticks become typewriter.

    >>> escape("5 % of `loo` at x_t")
    '5 \\% of \\texttt{loo} at x\\_t'
    """
    found = "".join(_SPECIAL.get(c, c) for c in text)
    return re.sub(r"`([^`]*)`", r"\\texttt{\1}", found)


def typewriter(command: str) -> str:
    r"""A command line in typewriter that may break at spaces and keeps its double hyphens.

    >>> typewriter("python -m a_b --out c")
    '\\texttt{python} \\texttt{-m} \\texttt{a\\_b} \\texttt{-{}-out} \\texttt{c}'
    """
    words = (escape(word).replace("--", "-{}-") for word in command.split())
    return " ".join(rf"\texttt{{{word}}}" for word in words)


def wrapped(width: str) -> str:
    """A column of this width whose cells break into lines."""
    return rf">{{\raggedright\arraybackslash}}p{{{width}}}"


def number(value: float, digits: int = 3) -> str:
    r"""A number with `digits` decimals; powers of ten where these would show zero alone.

    >>> number(0.12345), number(-0.5, 2), number(2e-6), number(float("nan"))
    ('0.123', '$-$0.50', '$2.0\\times10^{-6}$', '--')
    """
    if math.isnan(value):
        return "--"
    if math.isinf(value):
        return r"$\infty$" if value > 0 else r"$-\infty$"
    if 0 < abs(value) < 0.5 * 10**-digits:
        mantissa, power = f"{value:.1e}".split("e")
        return rf"${mantissa}\times10^{{{int(power)}}}$"
    text = f"{abs(value):,.{digits}f}"
    return f"$-${text}" if value < 0 and float(text.replace(",", "")) else text


def power(value: float) -> str:
    r"""A power of ten for math mode.

    >>> power(1e-5), power(0.25)
    ('10^{-5}', '0.25')
    """
    exponent = math.log10(value)
    return f"10^{{{exponent:.0f}}}" if abs(exponent - round(exponent)) < 1e-9 else f"{value:g}"


def counted(number: int, noun: str) -> str:
    """A count with its noun.

    >>> counted(1, "seed"), counted(4096, "sequence")
    ('1 seed', '4,096 sequences')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def interval(value: float, low: float, high: float, digits: int = 3) -> str:
    """A number with its interval; a dash for the interval where an end is missing.

    >>> interval(0.5, 0.4, 0.6, 1), interval(0.5, float("nan"), 0.6, 1)
    ('0.5 [0.4, 0.6]', '0.5 [--]')
    """
    if math.isnan(value):
        return "--"
    if math.isnan(low) or math.isnan(high):
        return f"{number(value, digits)} [--]"
    return f"{number(value, digits)} [{number(low, digits)}, {number(high, digits)}]"


def listing(values: Sequence[float | int | str]) -> str:
    """Values as words of a sentence.

    >>> listing([16, 64, 1024]), listing([0.5])
    ('16, 64 and 1,024', '0.5')
    """
    words = [f"{v:,}" if isinstance(v, int) else f"{v:g}" if isinstance(v, float) else v
             for v in values]  # fmt: skip
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def table(
    name: str,
    caption: str,
    columns: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    size: str = "footnotesize",
    long: bool = False,
) -> str:
    """A table with its caption and label `tab:name`; cells are TeX already. `long` breaks over
    pages (longtable)."""
    head = " & ".join(rf"\textbf{{{h}}}" if h else "" for h in header) + r" \\"
    body = "\n".join(" & ".join(row) + r" \\" for row in rows)
    label = rf"\caption{{{caption}}}\label{{tab:{name}}}"
    if long:
        return (
            rf"{{\{size}\begin{{longtable}}{{{columns}}}" + "\n"
            rf"{label}\\" + "\n"
            rf"\toprule {head}\midrule\endfirsthead" + "\n"
            rf"\toprule {head}\midrule\endhead" + "\n"
            r"\bottomrule\endfoot" + "\n"
            f"{body}\n"
            r"\end{longtable}}" + "\n"
        )
    return (
        rf"\begin{{table}}[htbp]\centering\{size}" + "\n"
        rf"{label}" + "\n"
        rf"\begin{{tabular}}{{{columns}}}" + "\n"
        rf"\toprule {head}" + "\n"
        r"\midrule" + "\n"
        f"{body}\n"
        r"\bottomrule\end{tabular}\end{table}" + "\n"
    )
