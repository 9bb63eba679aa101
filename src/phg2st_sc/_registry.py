"""One registry for everything that is found by name: methods, encoders, builders, prompt strategies, further scores."""

from __future__ import annotations

import difflib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from html import escape
from importlib import import_module
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Entry = TypeVar("Entry")


class UnknownNameError(KeyError, ValueError):
    """Nothing is registered under a name; ``except KeyError`` and ``except ValueError`` both catch it."""

    def __str__(self) -> str:
        """Return the sentence itself, where a ``KeyError`` would quote it as a key."""
        return ValueError.__str__(self)


def first_sentence(entry: Any) -> str:
    """First sentence of a docstring, without its stop."""
    paragraph = " ".join((inspect.getdoc(entry) or "").split("\n\n")[0].split())
    return paragraph.split(". ")[0].removesuffix(".")


def _only_its_words(entry: Any) -> Mapping[str, object]:
    return {"what it is": first_sentence(entry)}


def open_rooms(package: str, path: Iterable[str]) -> None:
    """Import the files and rooms directly within a package, so that what they hold registers by being there."""
    for found in pkgutil.iter_modules(path, f"{package}."):
        import_module(found.name)


class Registry(MutableMapping[str, T], Generic[T]):
    """Entries by name, in the order in which they came; shown as a table with a card for each.

    Parameters
    ----------
    kind
        What an entry is, as errors call it, e.g. ``"method"``.
    card
        Facts of an entry, by column of the table. Default: the first sentence of its docstring.
    otherwise
        What is taken beside a name, as errors end.

    Examples
    --------
    >>> colors = Registry("color")
    >>> @colors.register("red")
    ... def red():
    ...     '''The color of eosin.'''
    >>> colors
    name  what it is
    red   The color of eosin
    >>> colors["rde"]
    Traceback (most recent call last):
    phg2st_sc._registry.UnknownNameError: There is no color 'rde': did you mean 'red'? Available: 'red'.
    """

    def __init__(
        self, kind: str, card: Callable[[T], Mapping[str, object]] = _only_its_words, *, otherwise: str = ""
    ) -> None:
        self._kind, self._card, self._otherwise = kind, card, otherwise
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """Make what is decorated available under a name."""

        def add(entry: Entry) -> Entry:
            self._refuse_taken(name, entry)
            self[name] = entry  # type: ignore[assignment]
            return entry

        return add

    def _refuse_taken(self, name: str, entry: Any) -> None:
        """A copy whose name was not changed would take the place of the first; a notebook's cell may run again."""
        there = self._entries.get(name)
        home, new_home = (
            (getattr(one, "__module__", None), getattr(one, "__qualname__", None)) for one in (there, entry)
        )
        if there is not None and None not in (*home, *new_home) and home != new_home:
            msg = (
                f"{name!r} is the {self._kind} {home[1]} of {home[0]} already: give yours another name, or put it in its "
                f"place, `registry[{name!r}] = {new_home[1]}`."
            )
            raise ValueError(msg)

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._entries))

    def __getitem__(self, name: str) -> T:
        """Return the entry of that name, or raise an error that says which there are."""
        if name in self._entries:
            return self._entries[name]
        raise UnknownNameError(self._unknown(str(name)))

    def __setitem__(self, name: str, entry: T) -> None:
        self._entries[name] = entry

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def _unknown(self, name: str) -> str:
        lowered = {known.lower(): known for known in self.names()}
        close = difflib.get_close_matches(name.lower(), lowered, n=1)
        meant = f": did you mean {lowered[close[0]]!r}?" if close else "."
        names = ", ".join(map(repr, self.names())) or "none"
        return f"There is no {self._kind} {name!r}{meant} Available: {names}{self._otherwise}."

    def _rows(self) -> list[list[str]]:
        """Header and one row an entry."""
        cards = [{"name": name, **self._card(entry)} for name, entry in self._entries.items()]
        header = list(cards[0]) if cards else ["name"]
        return [header, *([_word(card[column]) for column in header] for card in cards)]

    def __repr__(self) -> str:
        """Return the table as text."""
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)) for row in rows)
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        """Return the table as a notebook shows it."""
        header, *rows = self._rows()
        return (
            f"<table><thead>{_html(header, 'th')}</thead><tbody>{''.join(_html(r, 'td') for r in rows)}</tbody></table>"
        )


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "-"
    return "-" if value in (None, "") else str(value)


def _html(words: list[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(word)}</{tag}>' for word in words)}</tr>"
