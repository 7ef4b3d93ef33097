"""What a checkpoint says of itself: its settings, as one flat table of dotted names.

Settings come as plain dicts, as omegaconf's nodes in a Lightning checkpoint (read as `Inert`, by
`pickle_reader`, and never made), or as a config.json. Nothing in them is ever imported or called.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from models.errors import CheckpointError
from models.released.files.pickle_values import Inert
from models.released.files.torch_archive import open_file

CONFIG = 1 << 20  # bytes of a config.json
NESTED = 8  # of settings within settings
MOST = 20_000  # settings
PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Settings:
    """Dotted names with plain values, where they were read: "config.json", or such, and what they
    were read from.

    A leading `config.` is dropped, so that `algo.name` is the same however it was saved.
    """

    where: str
    values: Mapping[str, Any]
    tree: Mapping[str, Any] = field(default_factory=dict)

    def get(self, *names: str) -> Any:
        """The value of the first of these names that is set, else None."""
        return next((self.values[n] for n in names if self.values.get(n) is not None), None)

    def text(self, *names: str) -> str | None:
        """As `get`, of a text, in lower case."""
        found = self.get(*names)
        return found.lower() if isinstance(found, str) else None

    def whole(self, *names: str) -> int | None:
        """As `get`, of a whole number above 0."""
        found = self.get(*names)
        return found if type(found) is int and found > 0 else None

    def network(self, name: str) -> Any:
        """A setting of the network, at the top or under `algo` or `model`."""
        return self.get(f"model.{name}", f"algo.{name}", name)

    def named(self, *names: str) -> str:
        """Where the first of these names was read, for messages: `config.json: graph.type`."""
        found = next((n for n in names if self.values.get(n) is not None), names[0])
        return f"{self.where}: {found}"


NOTHING = Settings("", {})


def of_tree(tree: Any, where: str) -> Settings:
    """The settings of nested dicts or omegaconf nodes; CheckpointError for too many."""
    found: dict[str, Any] = {}
    for name, value in _leaves(tree, "", 0):
        found.setdefault(name.removeprefix("config."), value)
        if len(found) > MOST:
            raise CheckpointError(f"{where} holds more than {MOST} settings.")
    return Settings(where, found)


def of_file(file: Path) -> Settings:
    """The settings of a config.json. Raises CheckpointError where it is no JSON object."""
    with open_file(file) as stream:
        content = stream.read(CONFIG + 1)
    try:
        config = json.loads(content) if len(content) <= CONFIG else None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is no JSON that can be read.") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{file} holds no settings.")
    return replace(of_tree(config, file.name), tree=config)


def plain_value(value: Any) -> Any:
    """What an omegaconf node, read as an Inert, holds; anything else as it is."""
    for _ in range(NESTED):
        state = value.state if isinstance(value, Inert) else None
        if not isinstance(state, dict):
            return value
        value = state.get("_content", state.get("_val"))
    return None


def _leaves(value: Any, name: str, depth: int) -> Iterator[tuple[str, Any]]:
    value = plain_value(value)
    if isinstance(value, dict) and depth < NESTED:
        for key, item in value.items():
            if isinstance(key, str):
                yield from _leaves(item, f"{name}.{key}" if name else key, depth + 1)
    elif type(value) in PLAIN and name:
        yield name, value
    elif isinstance(value, list) and name and all(type(v) in PLAIN for v in value):
        yield name, tuple(value)
