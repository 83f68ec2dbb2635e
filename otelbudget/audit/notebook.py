"""What `budget-audit` answers, as functions."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple, Self

from otelbudget.audit import diff, sources
from otelbudget.audit.diff import Comparison
from otelbudget.audit.forecast import Forecast, forecast
from otelbudget.audit.graduation import Graduation, graduations
from otelbudget.audit.happenings import Recording
from otelbudget.audit.judging import Verdicts, false_stops, judge
from otelbudget.audit.keys import Keys
from otelbudget.audit.outcomes import Replay
from otelbudget.audit.recorded import recorded
from otelbudget.audit.replay import OnStop, replay
from otelbudget.audit.runs_of_workflows import DEFAULT_BY, KINDS
from otelbudget.audit.select import keep_scopes, keep_where
from otelbudget.audit.spend import Spend, spend
from otelbudget.audit.suggest import DEFAULT_COVERS, Suggestions, suggest
from otelbudget.audit.sweep import SweepPoint, sweep
from otelbudget.audit.tables import Table
from otelbudget.audit.trace import TraceTree, find_trace, trace_tree
from otelbudget.audit.workflows import Workflows, workflows
from otelbudget.budgets.config import Budget, Budgets, LimitKind, read_prices
from otelbudget.budgets.windows import DEFAULT_TIMEZONE
from otelbudget.ingest import ReadReport
from otelbudget.pricing.billing import UnknownModel
from otelbudget.pricing.book import PriceBook
from otelbudget.store.store import Store

PathText = str | PathLike[str]
When = str | datetime


class Simulated(NamedTuple):
    """What budgets would have done.

    Attributes:
        replay: Scopes, calls and amounts; `replay.limits` and `replay.stopped` are rows for `table`.
        false_stops: Stopped runs that were good, None where no run can be judged.
        graduations: Whether enforcing each budget is safe.
    """

    replay: Replay
    false_stops: int | None
    graduations: Sequence[Graduation]


class Traces:
    """Recorded traces that can be asked; from `load`.

    Attributes:
        report: What reading found: files, formats, warnings.
    """

    def __init__(self, store: Store, report: ReadReport, book: PriceBook) -> None:
        self._store = store
        self._book = book
        self.report = report

    def close(self) -> None:
        """Let go of everything, such as a store that nobody else can write meanwhile."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def sql(self, query: str, **inputs: Any) -> Table:
        """The rows of a query over `model_calls`, `spans`, `trace_roots` and all that is made of them.

        Args:
            query: One statement, with inputs as `$name`.
            inputs: Their values.
        """
        return Table(self._store.relation(query, inputs))

    def calls(self) -> Table:
        """All model calls, each once; amounts are integers of pico-USD, times unix nanoseconds."""
        return self.sql("select * from model_calls")

    def spend(self, by: Sequence[str] = ("model",), *, timezone: str = DEFAULT_TIMEZONE) -> Spend:
        """What was spent, on what, and what the numbers do not say: `budget-audit audit`.

        Raises:
            UnknownKeyError: A plain word that is no key, and that no span carries.
            BudgetConfigError: There is no such time zone.
        """
        return spend(self._store, Keys(tuple(by), timezone), book=self._book)

    def workflows(self, most: int | None = None) -> Workflows:
        """Runs by workflow, and the dearest runs; of each at most so many."""
        return workflows(self._store, most)

    def forecast(
        self, budgets: Budgets | PathText | None = None, *, timezone: str = DEFAULT_TIMEZONE
    ) -> Forecast:
        """What will be spent if the days go on as they did, and when budgets will be used up."""
        asked = _budgets(budgets).budgets if budgets is not None else ()
        return forecast(self._store, timezone, asked)

    def simulate(
        self,
        budgets: Budgets | PathText,
        *,
        on_stop: str = OnStop.CALL,
        success: tuple[str, str] | None = None,
    ) -> Simulated:
        """What budgets would have done to these calls, by the engine that enforces live.

        Args:
            budgets: Budgets, or their file.
            on_stop: What a refusal ends: "call" or "run".
            success: Attribute of the root span, and its value as text, which say that a run was
                good; by default a run is good if its root did not fail.
        """
        asked, verdicts = _budgets(budgets), self._verdicts(success)
        recording = self._recording(asked.budgets, asked.unknown_model)
        result = replay(recording, asked, OnStop(on_stop))
        known = {run: verdicts[run] for run in recording.runs & verdicts.keys()}
        return Simulated(
            result,
            false_stops(known, result.runs_stopped),
            graduations(recording, asked, known),
        )

    def sweep(
        self,
        kind: str,
        limits: Sequence[str | Decimal | int],
        *,
        per: Sequence[str] = ("trace",),
        success: tuple[str, str] | None = None,
    ) -> Sequence[SweepPoint]:
        """What each of many limits of one kind would have done.

        Args:
            kind: "cost_usd", "tokens", "calls" or another kind of limit.
            limits: USD for cost, seconds for seconds, else counts.
            per: What they are counted by.
            success: As `simulate` takes it.
        """
        parsed = [_limit(LimitKind(kind), limit, per) for limit in limits]
        swept = _limited(LimitKind(kind), limits[0], per)
        recording = self._recording((swept,), UnknownModel.ALLOW)
        verdicts = self._verdicts(success)
        known = {run: verdicts[run] for run in recording.runs & verdicts.keys()}
        return sweep(self._store, recording, swept, LimitKind(kind), parsed, known)

    def suggest(
        self,
        *,
        covers: float = DEFAULT_COVERS,
        by: Sequence[str] = DEFAULT_BY,
        kinds: Sequence[str] = KINDS,
        tiers: int | None = None,
    ) -> Suggestions:
        """Limits for each workflow, from what its runs needed: `budget-audit suggest`."""
        wanted = [LimitKind(kind) for kind in kinds]
        return suggest(self._store, covers=covers, by=by, kinds=wanted, tier_count=tiers)

    def trace(self, trace_id: str) -> TraceTree:
        """One trace as a tree.

        Raises:
            TraceNotFoundError: No trace has an id that begins so, or several have.
        """
        return trace_tree(self._store, find_trace(self._store, trace_id))

    def _recording(self, budgets: Sequence[Budget], unknown_model: UnknownModel) -> Recording:
        return recorded(self._store, self._book, budgets, unknown_model)

    def _verdicts(self, success: tuple[str, str] | None) -> Verdicts:
        return judge(self._store, success)


def load(
    *names: PathText,
    prices: PathText | None = None,
    where: Mapping[str, str] | None = None,
    since: When | None = None,
    until: When | None = None,
) -> Traces:
    """Read traces and count their model calls.

    Args:
        names: Files, folders, globs and DuckDB stores, of any format that `budget-audit` reads.
        prices: A file with prices of your own.
        where: Keys and values that calls must belong to, such as {"tenant.id": "acme"}.
        since: Traces whose first call starts earlier are left out; UTC where no zone is given.
        until: So are those whose first call starts then or later.

    Raises:
        TraceReadError: Nothing could be read.
        StoreError: A store cannot be read.
        BudgetConfigError: A key or value of the prices is not allowed.
    """
    book = PriceBook.load(None if prices is None else read_prices(Path(prices)))
    loaded = sources.load([fspath(name) for name in names], book)
    keep_where(loaded.store, (where or {}).items())
    keep_scopes(loaded.store, _unix_ns(since), _unix_ns(until))
    return Traces(*loaded)


def compare(base: Traces, head: Traces) -> Comparison:
    """What changed from one set of runs to another: `budget-audit diff`."""
    return diff.compare(base._store, head._store)  # noqa: SLF001 - of this module


def _budgets(budgets: Budgets | PathText) -> Budgets:
    return budgets if isinstance(budgets, Budgets) else Budgets.from_yaml(budgets)


def _limited(kind: LimitKind, limit: str | Decimal | int, per: Sequence[str]) -> Budget:
    value: Any = limit if kind in (LimitKind.COST_USD, LimitKind.SECONDS) else int(limit)
    return Budget(name="sweep", per=tuple(per), warn_at=(), **{str(kind): value})


def _limit(kind: LimitKind, limit: str | Decimal | int, per: Sequence[str]) -> int:
    """A limit in the unit of its kind."""
    return _limited(kind, limit, per).limits[kind]


def _unix_ns(when: When | None) -> int | None:
    if when is None:
        return None
    time = when if isinstance(when, datetime) else datetime.fromisoformat(when)
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    seconds = int(time.replace(microsecond=0).timestamp())
    return seconds * 10**9 + time.microsecond * 1_000
