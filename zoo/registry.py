"""Names → entries: a registry whose package's modules register them by being there.

Every module of the package is imported at the first look-up, but for helpers, whose names begin
with an underscore.
"""

import importlib
import pkgutil
from typing import Generic, TypeVar

from onebit.errors import UsageError, near_matches
from onebit.imports import import_installed

Entry = TypeVar("Entry")


class Registry(Generic[Entry]):
    """Entries of one kind by name.

    Args:
        kind: What an entry is called in messages.
        package: The package whose modules register the entries; None when only files and packages
            of users do.
    """

    def __init__(self, kind: str, package: str | None = None):
        self.kind = kind
        self._package = package
        self._entries: dict[str, Entry] = {}

    def add(self, name: str, entry: Entry) -> None:
        """Registers an entry.

        Raises:
            ValueError: The name is taken.
        """
        if name in self._entries:
            raise ValueError(f"there are two {self.kind}s named {name}")
        self._entries[name] = entry

    def names(self) -> list[str]:
        """All names in alphabetical order."""
        self._import_modules()
        return sorted(self._entries)

    def get(self, name: str) -> Entry:
        """The entry of that name.

        Raises:
            UsageError: There is none; the message offers near matches.
        """
        known = self.names()
        if name not in self._entries:
            raise UsageError(f"there is no {self.kind} {name!r}; {near_matches(name, known)}")
        return self._entries[name]

    def _import_modules(self) -> None:
        if self._package is not None:
            package = importlib.import_module(self._package)
            for module in pkgutil.iter_modules(package.__path__):
                if not module.name.startswith("_"):
                    importlib.import_module(f"{self._package}.{module.name}")
            self._package = None
        import_installed()
