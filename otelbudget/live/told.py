"""What spans and gates have told of calls, and which of them tell of one call."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import islice

import msgspec

from otelbudget.budgets.decisions import Accounts, Notice
from otelbudget.budgets.scopes import Place
from otelbudget.genai import counting
from otelbudget.genai.usage import ModelCall
from otelbudget.pricing.billing import Charge

_MAX_RESPONSES = 8_192
_MAX_PERIODS = 64
_MAX_IN_PERIOD = 256
_MAX_USAGES = 4_096
_MAX_SAME_USAGE = 64


class Told(msgspec.Struct, eq=False):
    """What one span, or one gate, told of a call; a `counting.Teller`.

    Attributes:
        call: The call.
        trace_id: Its trace.
        span_id: Its span.
        scope_name: Instrumentation scope of the span.
        span_name: Name of the span.
        call_id: Id of the gated call that tells it, None for a span.
        charge: What the call costs, None before it was priced.
        accounts: What it was charged on last, None before.
        at_ns: When the call started, by which it falls into a window; 0 before it was charged.
        place: What the call belongs to.
        agent: The agent that made it, where the call itself does not say.
        operation: What the application calls what it did.
        is_charged: It is charged.
        is_matched: It was taken for a gated call by usage and time only.
        is_audited: An enforcing budget would have refused it.
        is_borrowed: A library wrote it onto its caller's span, beside which the calls below count.
    """

    call: ModelCall
    trace_id: int
    span_id: int
    scope_name: str = ""
    span_name: str = ""
    call_id: str | None = None
    charge: Charge | None = None
    accounts: Accounts | None = None
    at_ns: int = 0
    place: Place | None = None
    agent: str | None = None
    operation: str | None = None
    is_audited: bool = False
    is_charged: bool = False
    is_matched: bool = False
    is_borrowed: bool = False

    @property
    def is_gate(self) -> bool:
        """A gate tells it, from the response itself."""
        return self.call_id is not None

    @property
    def source(self) -> str:
        """What tells it: scope and span name, "" for a gate."""
        return "" if self.is_gate else f"{self.scope_name} {self.span_name}"

    @property
    def response_id(self) -> str | None:
        """The provider's id of the response, None where not told."""
        return self.call.response_id

    @property
    def response_model(self) -> str | None:
        """The model that answered, None where not told."""
        return self.call.response_model

    @property
    def tokens(self) -> tuple[int, int]:
        """Input and output."""
        usage = self.call.usage
        return (0, 0) if usage is None else (usage.input_tokens, usage.output_tokens)

    @property
    def detail(self) -> int:
        """How many kinds of cached tokens it tells."""
        return 0 if self.call.usage is None else counting.detail_of(self.call.usage)

    @property
    def start(self) -> int | None:
        """Start in unix ns, None where unknown."""
        return self.call.start_time_unix_nano

    @property
    def end(self) -> int | None:
        """End in unix ns, None where unknown."""
        return self.call.end_time_unix_nano


# Whether each of some tellers counts.
Verdicts = dict[Told, bool]


class Changes:
    """What the end of one call brought about, to be told once no lock is held.

    Attributes:
        unpriced: What was charged without a known price.
        corrected: How many charges were taken back.
        notices: What budgets have to say.
    """

    __slots__ = ("corrected", "notices", "unpriced")

    def __init__(self) -> None:
        self.unpriced: list[Told] = []
        self.corrected = 0
        self.notices: Sequence[Notice] = ()


class _Period:
    """Tellers of one response id that overlap in time."""

    __slots__ = ("end", "start", "tellers")

    def __init__(self, start: int, end: int, tellers: list[Told]) -> None:
        self.start = start
        self.end = end
        self.tellers = tellers

    @classmethod
    def of(cls, tellers: list[Told]) -> "_Period":
        times = [counting.period_of(each) for each in tellers]
        return cls(min(start for start, _ in times), max(end for _, end in times), tellers)

    def judge(self, verdicts: Verdicts) -> None:
        verdicts.update(dict.fromkeys(self.tellers, True))
        verdicts.update(dict.fromkeys(counting.repeats(self.tellers), False))


class ResponseTwins:
    """Finds what tells of one call by its response id, in any trace.

    Bounded: the latest 8,192 ids, and for servers that give every response one id the latest 64
    periods in which calls overlap.

    Not safe for threads by itself: its owner holds a lock around each method.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, Told | list[_Period]] = {}

    def is_first(self, told: Told) -> bool:
        """Keep a teller that has a response id, if it is the first; else it is to be added."""
        response_id = told.call.response_id or ""
        by_id = self._by_id
        if response_id in by_id:
            return False
        by_id[response_id] = told
        if len(by_id) > _MAX_RESPONSES:
            for oldest in list(islice(by_id, _MAX_RESPONSES // 2)):
                del by_id[oldest]
        return True

    def knows(self, told: Told) -> bool:
        """Whether another source told of a teller's response id, or the same one of its tokens."""
        known = self._by_id.get(told.call.response_id or "", ())
        tellers = (
            [known]
            if isinstance(known, Told)
            else [each for period in known for each in period.tellers]
        )
        return any(
            each.scope_name != told.scope_name or each.tokens == told.tokens for each in tellers
        )

    def add(self, told: Told, verdicts: Verdicts) -> None:
        """Keep a teller that has a response id; judges it and those that it changes."""
        if self.is_first(told):
            return
        response_id = told.call.response_id or ""
        known = self._by_id[response_id]
        if isinstance(known, Told):
            known = self._by_id[response_id] = [_Period.of([known])]
        _insert(known, told, verdicts)
        if len(known) > _MAX_PERIODS:
            del known[0]

    def remove(self, told: Told, verdicts: Verdicts) -> None:
        """Forget a teller that counts no more; judges those that it changes."""
        response_id = told.call.response_id or ""
        known = self._by_id.get(response_id)
        if known is told:
            del self._by_id[response_id]
        if not isinstance(known, list):
            return
        for index, period in enumerate(known):
            if told in period.tellers:
                rest = sorted(
                    (each for each in period.tellers if each is not told), key=counting.age
                )
                parts = [_Period.of(tellers) for tellers in counting.periods(rest)]
                for part in parts:
                    part.judge(verdicts)
                known[index : index + 1] = parts
                return


def _insert(periods: list[_Period], told: Told, verdicts: Verdicts) -> None:
    """Add a teller to periods that are sorted and do not overlap; it may join some of them."""
    call = told.call
    start = call.start_time_unix_nano or 0
    end = max(start, call.end_time_unix_nano or 0)
    if periods and start > periods[-1].end:
        periods.append(_Period(start, end, [told]))
        return
    last = bisect_right(periods, end, key=lambda period: period.start)
    first = last
    while first and periods[first - 1].end >= start:
        first -= 1
    if first == last:
        periods.insert(first, _Period(start, end, [told]))
        return
    tellers = [each for period in periods[first:last] for each in period.tellers]
    if len(tellers) >= _MAX_IN_PERIOD:
        del tellers[: _MAX_IN_PERIOD // 2]
    joined = _Period.of([*tellers, told])
    periods[first:last] = [joined]
    joined.judge(verdicts)


class UsageTwins:
    """Finds the spans of one trace without response id that tell what another teller tells.

    Bounded: the latest 4,096 pairs of input and output tokens, and of each the latest 64 tellers.

    Not safe for threads by itself: its owner holds a lock around each method.
    """

    def __init__(self) -> None:
        self._by_tokens: dict[tuple[int, int], list[Told]] = {}

    def add(self, told: Told, verdicts: Verdicts) -> None:
        """Keep a teller; judges the spans without response id that it changes."""
        same = self._by_tokens.setdefault(told.tokens, [])
        same.append(told)
        if len(same) > _MAX_SAME_USAGE:
            del same[: _MAX_SAME_USAGE // 2]
        if len(self._by_tokens) > _MAX_USAGES:
            for oldest in list(islice(self._by_tokens, _MAX_USAGES // 2)):
                del self._by_tokens[oldest]
        if len(same) > 1:
            _judge(same, verdicts)

    def has_gate(self, tokens: tuple[int, int]) -> bool:
        """Whether a gate told of these tokens."""
        return any(told.is_gate for told in self._by_tokens.get(tokens, ()))

    def remove(self, told: Told, verdicts: Verdicts) -> None:
        """Forget a span that counts no more; judges those that it changes."""
        same = self._by_tokens.get(told.tokens, [])
        if told in same:
            same.remove(told)
            _judge(same, verdicts)


def _judge(same: list[Told], verdicts: Verdicts) -> None:
    verdicts.update((each, True) for each in same if not each.is_gate and each.response_id is None)
    verdicts.update(dict.fromkeys(counting.repeats_by_usage(same), False))
