"""A window that rolls: what was used when, so that it can leave again."""

from bisect import insort
from collections.abc import Sequence

import msgspec

from otelbudget.budgets.spent import OTHERS, Amounts, Part, Spent

_MAX_ENTRIES = 4_096


class Entry(msgspec.Struct, gc=False):
    """Something that counts for the length of the window.

    Attributes:
        at_ns: Start of its call in unix ns.
        amounts: What the call used; empty where the entry counts the call itself.
        part: What that was for, None where the entry counts the call itself.
        calls: Calls.
        tool_calls: Calls of tools.
        charges: How many calls the amounts are of; negative where they are taken back.
    """

    at_ns: int
    amounts: Amounts = ()
    part: Part | None = None
    calls: int = 0
    tool_calls: int = 0
    charges: int = 0


class Entries:
    """What a window of a fixed length up to now holds: calls that start in (now - length, now].

    Bounded: beyond 4,096 entries the older half is put together in pairs, each of which counts
    until its later call leaves the window.

    Args:
        length_ns: Length of the window.
        spent: What the entries were for.
    """

    __slots__ = ("_entries", "_length_ns", "_now_ns", "_spent", "_told_ns")

    def __init__(self, length_ns: int, spent: Spent) -> None:
        self._length_ns = length_ns
        self._spent = spent
        self._now_ns = self._told_ns = 0
        self._entries: list[Entry] = []

    def add(self, entry: Entry) -> bool:
        """Keep an entry; False where its call has left the window already."""
        if entry.at_ns <= self._now_ns - self._length_ns:
            return False
        if not self._entries or entry.at_ns >= self._entries[-1].at_ns:
            self._entries.append(entry)
        else:
            insort(self._entries, entry, key=_at)
        if len(self._entries) > _MAX_ENTRIES:
            half = _MAX_ENTRIES // 2
            pairs = zip(self._entries[:half:2], self._entries[1:half:2], strict=True)
            self._entries[:half] = [self._together(earlier, later) for earlier, later in pairs]
        return True

    def leave(self, now_ns: int) -> Sequence[Entry]:
        """Let time come to `now_ns`; the entries that have left the window."""
        self._now_ns = max(self._now_ns, now_ns)
        first, entries = self._now_ns - self._length_ns, self._entries
        if not entries or entries[0].at_ns > first:
            return ()
        count = next((at for at, each in enumerate(entries) if each.at_ns > first), len(entries))
        gone, self._entries = entries[:count], entries[count:]
        for entry in gone:
            if entry.part is not None:
                self._spent.change(entry.part, -entry.amounts[0], -entry.charges)
        return gone

    def note_told(self) -> None:
        """Something was told of this window."""
        self._told_ns = self._now_ns

    @property
    def may_tell_again(self) -> bool:
        """Whether a window's length has passed since something was told of it."""
        return self._now_ns - self._told_ns >= self._length_ns

    @property
    def next_leaves_at(self) -> int | None:
        """When the earliest entry leaves the window, unix ns; None where it is empty."""
        return self._entries[0].at_ns + self._length_ns if self._entries else None

    def _together(self, earlier: Entry, later: Entry) -> Entry:
        """Two entries as one; what they were for is one part too."""
        if earlier.part != later.part and earlier.part and later.part:
            for each in (earlier, later):
                self._spent.change(each.part or OTHERS, -each.amounts[0], -each.charges)
                each.part = self._spent.change(OTHERS, each.amounts[0], each.charges)
        return Entry(
            later.at_ns,
            _sum(earlier.amounts, later.amounts),
            earlier.part or later.part,
            earlier.calls + later.calls,
            earlier.tool_calls + later.tool_calls,
            earlier.charges + later.charges,
        )


def _at(entry: Entry) -> int:
    return entry.at_ns


def _sum(one: Amounts, other: Amounts) -> Amounts:
    if not one or not other:
        return one or other
    return tuple(map(int.__add__, one, other))
