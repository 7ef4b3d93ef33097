"""What a derivation returns, and the checks that its steps go through (private)."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp
from sympy import Expr


class DerivationError(ArithmeticError):
    """An identity that a derivation rests on does not hold.

    Either the formula that is being proved is wrong, or SymPy cannot bring both sides to one form;
    the message shows what is left of their difference.
    """


@dataclass(frozen=True)
class Derivation:
    """A proved statement and its steps.

    Attributes
    ----------
    title : what has been proved, in words.
    steps : LaTeX paragraphs in order. The identities in them were proved when this was made;
        definitions, models and the words that join the steps are for the reader to judge.
    numeric : which part was checked in high precision instead of symbolically; empty if none.
    """

    title: str
    steps: tuple[str, ...]
    numeric: str = ""


def _split_log(argument: Expr) -> Expr:
    """log of a positive product as a sum over its irreducible factors, each up to its sign."""
    total = sp.Integer(0)
    for part, sign in zip(sp.fraction(sp.together(argument)), (1, -1), strict=True):
        constant, factors = sp.factor_list(part)
        total += sign * sp.log(abs(constant))
        for factor, power in factors:
            canonical = -factor if factor.could_extract_minus_sign() else factor
            total += sign * power * sp.expand_log(sp.log(canonical), force=True)
    return total


def vanishes(expr: Expr) -> bool:
    """Tell whether an expression is identically zero, from cheap to thorough.

    Logarithms are of positive numbers throughout, so that they may be split into factors.
    """
    for form in (
        sp.expand,
        sp.cancel,
        lambda e: sp.cancel(e.replace(sp.log, _split_log)),
        lambda e: sp.simplify(sp.expand_log(e, force=True)),
    ):
        expr = form(sp.sympify(expr))
        if expr == 0:
            return True
    return False


def require_equal(left: Expr, right: Expr, claim: str) -> None:
    """Raise DerivationError unless both sides are identical."""
    if not vanishes(left - right):
        raise DerivationError(f"{claim}: the two sides differ by {sp.factor(left - right)}")


def require(holds: object, claim: str) -> None:
    """Raise DerivationError unless SymPy or arithmetic finds the statement true."""
    if holds is not True and holds != sp.true:
        raise DerivationError(f"{claim}: does not hold ({holds})")


def equation(text: str, shown: str, left: Expr, right: Expr) -> str:
    """Prove left = right and typeset it as a step; `shown` is LaTeX for the left side."""
    require_equal(left, right, f"{text} {shown}")
    return display(text, shown, right)


def display(text: str, shown: str, value: Expr) -> str:
    """Typeset a definition, or an equation that has been proved already."""
    return f"{text}\n\\[ {shown} = {sp.latex(value)} \\]".lstrip()
