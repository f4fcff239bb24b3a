"""Where a campaign's plug-ins come from: installed packages, or a test's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from heuresis import registry

INSTALLED = "heuresis.registry:load"


@dataclass(frozen=True)
class Plugins:
    """A loader of plug-in classes, by the name that workers in other processes find it by.

    A campaign file never chooses it; only the code that starts a session does.
    """

    loader: str = INSTALLED
    """``module:function``, called as ``function(group, name)``."""

    def load(self, group: str, name: str) -> Any:
        """Return the class registered under ``name``; raises `UnknownNameError`."""
        module, _, attribute = self.loader.partition(":")
        function: Callable[[str, str], Any] = getattr(import_module(module), attribute)
        return function(group, name)

    def names(self, group: str) -> list[str]:
        """Return the names that are registered."""
        return registry.names(group)
