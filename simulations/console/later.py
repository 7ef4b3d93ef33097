"""A function by its name, imported when it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any


@dataclass(frozen=True)
class Later:
    """A function of a module that is imported when it is first called, so that `--help` and the
    plan of a sweep need neither JAX nor Matplotlib, and a worker only what it computes."""

    module: str
    name: str

    @property
    def there(self) -> bool:
        """Whether there is such a module; it is not imported."""
        return find_spec(self.module) is not None

    def load(self) -> Any:
        """The function itself."""
        return getattr(import_module(self.module), self.name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.load()(*arguments, **named)
