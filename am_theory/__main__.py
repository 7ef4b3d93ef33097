"""The library as a calculator: python -m am_theory FUNCTION --argument value ...

python -m am_theory list
python -m am_theory hopfield.critical_load
python -m am_theory empirical.basin_radius --train-size 500 --seq-len 32 --vocab-size 4
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import difflib
import importlib
import inspect
import json
import math
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import am_theory

USAGE = (
    "python -m am_theory FUNCTION --argument value ... [--json]\n"
    "       python -m am_theory FUNCTION --help\n"
    "       python -m am_theory list"
)


def functions() -> dict[str, Callable[..., Any]]:
    """Every public function of the library by the name `module.function`; bare array helpers,
    which predict nothing, are left out."""
    found: dict[str, Callable[..., Any]] = {}
    for module_name in am_theory.__all__:
        module = importlib.import_module(f"am_theory.{module_name}")
        for name in getattr(module, "__all__", ()):
            member = getattr(module, name)
            if inspect.isfunction(member) and member.__module__ != "am_theory._arrays":
                found[f"{module_name}.{name}"] = member
    return found


def first_sentence(function: Callable[..., Any]) -> str:
    """What a function gives, in one line."""
    paragraph = inspect.getdoc(function).split("\n\n")[0]  # type: ignore[union-attr]
    return " ".join(paragraph.split()).removeprefix("Return ").removeprefix("the ").rstrip(".")


def note(function: Callable[..., Any], heading: str) -> str:
    """The paragraph of a docstring that starts with `heading:`, "" without one."""
    found = re.search(
        rf"^{heading}: (.*?)(?:\n\s*\n|\n[A-Z]\w+: |\n>>>|\Z)",
        inspect.getdoc(function) or "",
        re.MULTILINE | re.DOTALL,
    )
    return " ".join(found[1].split()).rstrip(".") if found else ""


def value_of(text: str) -> Any:
    """A number, a list such as 0.1,0.2 or [[1, 2], [3, 4]] (an array), None, or a word."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return np.array(value) if isinstance(value, list | tuple) else value


def parser_of(name: str, function: Callable[..., Any]) -> argparse.ArgumentParser:
    """Options from the signature: --seq-len for `seq_len`; without a default it is required."""
    parser = argparse.ArgumentParser(
        prog=f"python -m am_theory {name}",
        description=inspect.getdoc(function),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for argument, parameter in inspect.signature(function).parameters.items():
        required = parameter.default is inspect.Parameter.empty
        parser.add_argument(
            f"--{argument.replace('_', '-')}",
            type=value_of,
            required=required,
            default=argparse.SUPPRESS,
            metavar="VALUE",
            help="required" if required else f"default {parameter.default!r}",
        )
    parser.add_argument("--json", action="store_true", help="print JSON", dest="as_json")
    return parser


def plain(value: Any) -> Any:
    """A result as what JSON can hold; NaN and infinities become null."""
    if dataclasses.is_dataclass(value):
        fields = [field.name for field in dataclasses.fields(value)]
        return {name: plain(getattr(value, name)) for name in fields}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def shown(value: Any) -> str:
    """A result for people: ten digits, a field a line."""
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        width = max(map(len, names))
        return "\n".join(f"{name:<{width}}  {shown(getattr(value, name))}" for name in names)
    if isinstance(value, np.ndarray):
        return np.array2string(value, formatter={"float_kind": lambda x: f"{x:.10g}"})
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def listing() -> str:
    known = functions()
    width = max(map(len, known))
    return "\n".join(f"{name:<{width}}  {first_sentence(f)}" for name, f in known.items())


def fail(message: str) -> int:
    print(f"am_theory: {message}", file=sys.stderr)
    return 2


def main(arguments: list[str]) -> int:
    """Run one command line; returns the exit status."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"{__doc__}\nusage: {USAGE}")
        return 0
    name, *options = arguments
    if name == "list":
        print(listing())
        return 0
    known = functions()
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
        return fail(
            f"there is no function {name!r}; the nearest is {nearest}. "
            "`python -m am_theory list` shows them all."
        )
    function = known[name]
    given = vars(parser_of(name, function).parse_args(options))
    as_json = given.pop("as_json")
    try:
        result = function(**given)
    except (ValueError, TypeError, ArithmeticError) as error:
        return fail(str(error))
    unit, source = note(function, "Unit"), note(function, "Source")
    if as_json:
        print(
            json.dumps({"function": name, "value": plain(result), "unit": unit, "source": source})
        )
    else:
        print(shown(result))
        print(f"unit: {unit or 'see --help'}\nsource: {source or 'see --help'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
