"""A window that rolls: what was used when, so that it can leave again."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from operator import attrgetter

import msgspec

from otelbudget.budgets.spent import NOTHING, OTHERS, Amounts, Part, Spent

_MAX_ENTRIES = 4_096


class Entry(msgspec.Struct, gc=False):
    """What counts for the length of the window: a call, and what it used on one thing.

    Attributes:
        since_ns: Start of the earliest call in it, unix ns.
        at_ns: Start of the latest call in it, unix ns; it leaves with that one.
        part: What the amounts were for, None where nothing was used yet.
        amounts: What was used.
        calls: Calls.
        tool_calls: Calls of tools.
        charges: How many charges the amounts are of.
    """

    since_ns: int
    at_ns: int
    part: Part | None = None
    amounts: Amounts = NOTHING
    calls: int = 0
    tool_calls: int = 0
    charges: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether all that was in it was taken back."""
        return not (self.calls or self.tool_calls or self.charges)


class Entries:
    """What a window of a fixed length up to now holds: calls that start in (now - length, now].

    Bounded: beyond 4,096 entries the older half is put together in pairs, each of which counts
    until its later call leaves the window.

    Args:
        length_ns: Length of the window.
        spent: What the entries were for.
    """

    __slots__ = ("_entries", "_has_left", "_length_ns", "_now_ns", "_spent", "_told_ns")

    def __init__(self, length_ns: int, spent: Spent) -> None:
        self._length_ns = length_ns
        self._spent = spent
        self._now_ns = self._told_ns = 0
        self._has_left = False
        self._entries: list[Entry] = []

    def count(self, at_ns: int, calls: int, tool_calls: int) -> bool:
        """Count calls that start at `at_ns`, or take them back where negative.

        Returns:
            Whether they are in the window.
        """
        if calls + tool_calls > 0:
            entry = self._opened(at_ns, None)
        else:
            entry = next(
                (
                    each
                    for each in self._of(at_ns)
                    if each.calls + calls >= 0 and each.tool_calls + tool_calls >= 0
                ),
                None,
            )
        if entry is None:
            return False
        entry.calls += calls
        entry.tool_calls += tool_calls
        self._drop(entry)
        return True

    def add(self, at_ns: int, part: Part, amounts: Amounts) -> bool:
        """Keep what a call used that started at `at_ns`; False where it has left the window."""
        entry = self._opened(at_ns, part)
        if entry is None:
            return False
        entry.part = part
        entry.amounts = _sum(entry.amounts, amounts) if entry.charges else amounts
        entry.charges += 1
        return True

    def subtract(self, at_ns: int, part: Part, amounts: Amounts) -> Part | None:
        """Undo `add`: what it was counted as, None where it has left the window."""
        held = [each for each in self._of(at_ns) if each.charges]
        entry = next((each for each in held if each.part == part), held[0] if held else None)
        if entry is None:
            return None
        entry.amounts = tuple(map(int.__sub__, entry.amounts, amounts))
        entry.charges -= 1
        counted = entry.part
        if not entry.charges:
            entry.part = None
        self._drop(entry)
        return counted

    def leave(self, now_ns: int) -> Sequence[Entry]:
        """Let time come to `now_ns`; the entries that have left the window."""
        self._now_ns = max(self._now_ns, now_ns)
        first, entries = self._now_ns - self._length_ns, self._entries
        if not entries or entries[0].at_ns > first:
            return ()
        count = bisect_left(entries, first + 1, key=_at)
        gone = entries[:count]
        del entries[:count]
        self._has_left = True
        for entry in gone:
            if entry.part is not None:
                self._spent.change(entry.part, -entry.amounts[0], -entry.charges)
        return gone

    def note_told(self) -> None:
        """Something was told of this window."""
        self._told_ns, self._has_left = self._now_ns, False

    def may_tell_again(self) -> bool:
        """Whether something has left, and a window's length passed, since something was told."""
        if self._has_left and self._now_ns - self._told_ns >= self._length_ns:
            self._has_left = False
            return True
        return False

    @property
    def next_leaves_at(self) -> int | None:
        """When the earliest entry leaves the window, unix ns; None where it is empty."""
        return self._entries[0].at_ns + self._length_ns if self._entries else None

    def are_over(self, now_ns: int) -> bool:
        """Whether all of them have left the window at a time."""
        return not self._entries or self._entries[-1].at_ns <= now_ns - self._length_ns

    def _opened(self, at_ns: int, part: Part | None) -> Entry | None:
        """The entry for what a call used that started at `at_ns`; None where it has left."""
        if at_ns <= self._now_ns - self._length_ns:
            return None
        entries = self._entries
        place = len(entries)
        if entries and at_ns <= entries[-1].at_ns:
            place = bisect_left(entries, at_ns, key=_at)
            for entry in entries[place:]:
                if entry.at_ns > at_ns:
                    break
                if entry.since_ns == at_ns and (part is None or entry.part in (None, part)):
                    return entry
        if len(entries) >= _MAX_ENTRIES:
            self._put_together()
            return self._opened(at_ns, part)
        entry = Entry(at_ns, at_ns)
        entries.insert(place, entry)
        return entry

    def _of(self, at_ns: int) -> Iterator[Entry]:
        """The entries that a call may be in that started at `at_ns`."""
        entries = self._entries
        for place in range(bisect_left(entries, at_ns, key=_at), len(entries)):
            entry = entries[place]
            if entry.since_ns > at_ns:
                return
            yield entry

    def _drop(self, entry: Entry) -> None:
        """Forget an entry of which all was taken back."""
        if entry.is_empty:
            del self._entries[next(at for at, it in enumerate(self._entries) if it is entry)]

    def _put_together(self) -> None:
        half = _MAX_ENTRIES // 2
        pairs = zip(self._entries[:half:2], self._entries[1:half:2], strict=True)
        self._entries[:half] = [self._together(earlier, later) for earlier, later in pairs]

    def _together(self, earlier: Entry, later: Entry) -> Entry:
        """Two entries as one; what they were for is one part too."""
        part = earlier.part or later.part
        if later.part not in (None, part):
            for each in (earlier, later):
                if each.part is not None:
                    self._spent.change(each.part, -each.amounts[0], -each.charges)
                part = self._spent.change(OTHERS, each.amounts[0], each.charges)
        return Entry(
            min(earlier.since_ns, later.since_ns),
            later.at_ns,
            part,
            _sum(earlier.amounts, later.amounts),
            earlier.calls + later.calls,
            earlier.tool_calls + later.tool_calls,
            earlier.charges + later.charges,
        )


_at = attrgetter("at_ns")


def _sum(one: Amounts, other: Amounts) -> Amounts:
    return tuple(map(int.__add__, one, other))
