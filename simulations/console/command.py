"""A command line: words to a record of settings, refusals in one sentence, exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence
from typing import NoReturn, TypeVar

import tyro
from rich.console import Console

from models.surroundings.ambient import NOT_TAKEN, disregard
from models.surroundings.terminal import plain, sentence
from simulations.console.errors import UserError
from simulations.console.settings import either

A = TypeVar("A")


def refuse(program: str, message: str, status: int = 2) -> NoReturn:
    """End the program with one sentence on standard error."""
    print(f"{program}: {sentence(message)}", file=sys.stderr)
    raise SystemExit(status)


def option(arguments: Sequence[str], name: str, default: str) -> str:
    """The value given to `name` on a command line, as `name value` or `name=value`.

    >>> option(["--preset", "smoke", "--source=iid"], "--source", "markov")
    'iid'
    """
    found = default
    for i, word in enumerate(arguments):
        key, _, value = word.partition("=")
        if key == name:
            found = value or (arguments[i + 1] if i + 1 < len(arguments) else "")
    return found


def choice(name: str, value: str, allowed: Collection[str]) -> str:
    """`value` if it is allowed. Raises UserError."""
    if value not in allowed:
        raise UserError(f"there is no {name} {value!r}; choose {either(allowed)}.")
    return value


def parse(kind: type[A], arguments: Sequence[str], default: A, description: str | None) -> A:
    """Command line to a record like `default`. Raises UserError for bad values."""
    try:
        return tyro.cli(kind, args=list(arguments), default=default, description=description)
    except ValueError as error:
        raise UserError(str(error)) from error


def say(console: Console, words: str) -> None:
    """Print a sentence as it is: no markup, no colours, no line breaks of our own."""
    console.print(plain(words), markup=False, highlight=False, soft_wrap=True)


def entry(program: str, run: Callable[[list[str], Console], int]) -> NoReturn:
    """Run a command on the words of the command line; every known failure is one sentence."""
    for setting in disregard():
        print(NOT_TAKEN.format(program, setting), file=sys.stderr)
    try:
        status = run(sys.argv[1:], Console())
    except UserError as error:
        refuse(program, str(error), error.status)
    except KeyboardInterrupt:
        refuse(program, "Interrupted; run the same command again to resume.", 130)
    raise SystemExit(status)
