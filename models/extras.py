"""Packages of the optional extras, imported where they are asked for and not before."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def optional(package: str, extra: str, what: str, error: type[ValueError] = ValueError) -> Any:
    """The module `package`; `error`, with the line to type, where it is not installed.

    `extra` is the group of pyproject.toml that has the package, `what` the thing that needs it.

    >>> optional("no_such_package", "text", "a tokenizer")
    Traceback (most recent call last):
    ValueError: a tokenizer needs the package no_such_package: pip install 'am-theory[text]'
    """
    try:
        return import_module(package)
    except ImportError as problem:
        name = package.split(".")[0]
        raise error(
            f"{what} needs the package {name}: pip install 'am-theory[{extra}]'"
        ) from problem
