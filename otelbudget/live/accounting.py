"""What one processor keeps: engine, prices and span links, and how a call goes through them."""

import os
from collections.abc import Callable, Iterable, Sequence

from otelbudget.budgets.config import Mode
from otelbudget.budgets.decisions import Admission, Notice
from otelbudget.budgets.engine import Engine
from otelbudget.budgets.runs import RunAccounts
from otelbudget.genai import counting, semconv
from otelbudget.genai.usage import ModelCall, TokenUsage
from otelbudget.live.callbacks import Caller
from otelbudget.live.emitter import Emitter
from otelbudget.live.estimates import Estimate, Estimator
from otelbudget.live.news import News
from otelbudget.live.places import Places
from otelbudget.live.request import Request
from otelbudget.live.spans import Link, OpenTrace, SpanLinks
from otelbudget.live.told import Changes, ResponseTwins, Told, Verdicts
from otelbudget.live.unmatched import Unmatched
from otelbudget.pricing.billing import Charge, UnknownModel, bill
from otelbudget.pricing.book import PriceBook

_MODEL_CALL_OPERATIONS = semconv.MODEL_CALL_OPERATIONS
_ALLOWED, _AUDITED = semconv.Decision.ALLOWED, semconv.Decision.AUDITED


class Accounting:
    """Admits, counts and releases calls of a trace, each once, and tells what that brought about.

    Only the innermost span with usage counts, whatever the order in which spans end, and of several
    spans that tell of one call the best; what was charged for the others is taken back.

    Attributes:
        engine: Decides and keeps count.
        emitter: Tells the user.
        links: Spans and gated calls; held with `lock`.
        places: Finds what calls belong to.
        news: Tells what is otherwise only counted.
        caller: Calls the application before a stop.
        unmatched: Warns of keys and tiers that budgets and calls do not agree about.
        corrected: Charges that were taken back.
        lock: Held around every use of `links` and of the ledger; reentrant.
        clock: Unix nanoseconds.
        on_notice: Called with each notice after it was told, without the lock; or None.
    """

    def __init__(
        self,
        engine: Engine,
        emitter: Emitter,
        *,
        book: PriceBook,
        unknown_model: UnknownModel,
        clock: Callable[[], int],
    ) -> None:
        self.engine = engine
        engine.runs = engine.runs or RunAccounts()
        self.emitter = emitter
        self._metrics = emitter.metrics
        self.links = SpanLinks(clock)
        self.links.on_quiet = emitter.trace_ended if emitter.has_audit_log else None
        self.places = Places(engine.keys)
        self.news = News(emitter, self.links, engine.ledger)
        self.caller = Caller(engine.ledger, emitter)
        self.unmatched = Unmatched(engine.budgets, emitter)
        self.corrected = 0
        self._process = os.getpid()
        self.lock = engine.ledger.lock
        self.clock = clock
        self._latest_ns = 0
        self._responses = ResponseTwins()
        self._book = book
        self._unknown_model = unknown_model
        self._estimator = Estimator(book, unknown_model)
        self.on_notice: Callable[[Notice], None] | None = None
        stale = book.staleness(clock())
        if stale is not None:
            emitter.once("stale prices", "%s", stale)

    def now(self) -> int:
        """The time in unix ns, later each time: what happens in order is recorded in order."""
        with self.lock:
            self._latest_ns = max(self.clock(), self._latest_ns + 1)
            return self._latest_ns

    def is_free(self, request: Request, at_ns: int) -> bool:
        """Whether a request is known to cost nothing."""
        return self._book.is_free(request.provider, request.model, at_ns)

    def estimate(self, request: Request, told: TokenUsage | None = None) -> Estimate:
        """What a request may use at most, with what a broken answer told of it."""
        with self.lock:
            return self._estimator.estimate(request, self.clock(), told)

    def end_at_estimate(self, admission: Admission, estimate: Charge, link: Link | None) -> Changes:
        """Charge a gated call whose usage is unknown. Called with the lock held.

        Args:
            admission: The call's.
            estimate: What it is charged.
            link: The span around it, where its response broke off: what that one and those above
                told of it is part of the estimate.
        """
        changes = (self._take_back(link.explain()) if link is not None else None) or Changes()
        notices = self.engine.settle_at_estimate(admission, estimate)
        changes.notices = [*changes.notices, *notices]
        return changes

    def end_span(self, told: Told, link: Link | None, *, is_failed: bool) -> Changes | None:
        """Count what a span told of a call when it ended. Called with the lock held."""
        admission = None
        if link is not None:
            admission, link.admission = link.admission, None
        if told.call.usage is None:
            changes = self._end_without_usage(told, link, admission, is_failed=is_failed)
        elif told.is_borrowed:
            changes = self._end_borrowed(told, link, admission)
        else:
            changes = self._end_with_usage(told, link, admission)
        if admission is not None and not told.is_charged:
            self.engine.release(admission)
        return changes

    def record(self, told: Told) -> Changes | None:
        """Charge a call that was made already; None where what has its id is charged.

        Called with the lock held.
        """
        if told.response_id is not None and self._responses.knows(told):
            return None
        return self._apply({told: True}) if told.call.usage is None else self.end_gated(told)

    def end_gated(self, told: Told, admission: Admission | None = None) -> Changes:
        """Charge a gated call, now that its usage is known. Called with the lock held."""
        self._estimator.learn(told.call)
        link = self.links.link(told.trace_id, told.span_id)
        verdicts: Verdicts = {}
        self._withdraw(link.explain() if link is not None else (), verdicts)
        self._find_twins(told, self.links.trace(told.trace_id), verdicts)
        verdicts[told] = True
        return self._apply(verdicts, told, admission)

    def end_failed(self, trace_id: int, span_id: int) -> Changes | None:
        """Note that a gated call has failed, of which the spans above it may tell again.

        Called with the lock held.
        """
        link = self.links.link(trace_id, span_id)
        return None if link is None else self._take_back(link.note_unknown_below())

    def is_told_above(self, trace_id: int, span_id: int) -> bool:
        """Whether a span or one above it is charged for usage. Called with the lock held."""
        link = self.links.link(trace_id, span_id)
        return link is not None and any(
            each.told is not None and each.told.is_charged and each.told.call.usage is not None
            for each in link.lineage()
        )

    def explained(self, link: Link | None, call: ModelCall) -> Changes | None:
        """Note that a span told of a gated call. Called with the lock held."""
        if link is None:
            return None
        self.release(link)
        if call.usage is None:
            return self._take_back(link.parent.note_unknown_below()) if link.parent else None
        link.explains = call.is_model_operation
        return self._take_back(link.parent.explain()) if link.parent is not None else None

    def release(self, link: Link) -> None:
        """Take the admission of a span back that turned out to be no call of its own."""
        admission, link.admission = link.admission, None
        if admission is not None:
            self.engine.release(admission)

    def tell(self, changes: Changes | None) -> None:
        """Tell the user what changed. Called without the lock: log handlers may call models."""
        self.news.tell()
        if changes is None:
            return
        if changes.corrected:
            self.emitter.corrected()
        for told in changes.unpriced:
            if told.charge is not None:
                self.emitter.unknown_price(told.call, told.charge)
        self.tell_notices(changes.notices)

    def tell_notices(self, notices: Sequence[Notice]) -> None:
        """Tell the user what budgets have to say. Called without the lock.

        The application comes before what ends calls in flight: it may extend what is used up.
        """
        if not notices:
            return
        self.emitter.tell(notices)
        self.caller.tell(notices)
        if self.on_notice is not None:
            for notice in notices:
                self.on_notice(notice)

    def provider_of(self, model: str | None) -> str:
        """The provider that a model's name tells, "" where it tells none."""
        price = self._book.price(None, model, self.clock())
        return "" if price is None else semconv.PROVIDER_OF.get(price.provider, price.provider)

    def is_denied_model(self, provider: str | None, model: str | None) -> bool:
        """Whether a model is refused because it has no known price."""
        return (
            self._unknown_model is UnknownModel.DENY
            and any(budget.mode is Mode.ENFORCE for budget in self.engine.budgets)
            and self._book.price(provider, model, self.clock()) is None
        )

    def renew_after_fork(self) -> None:
        """Begin anew in a forked child, where nobody is left to give locks back or to end calls."""
        self.engine.renew_after_fork()
        self.lock = self.engine.ledger.lock
        self.links.forget_calls()
        self.places.renew_after_fork()
        self.emitter.renew_after_fork()
        self.news.forked(self._process)
        self._process = os.getpid()

    def _end_without_usage(
        self, told: Told, link: Link | None, admission: Admission | None, *, is_failed: bool
    ) -> Changes | None:
        """Count a call of unknown usage: the innermost, unless a span above or below tells more."""
        changes = None
        if link is not None:
            if link.parent is not None:
                changes = self._take_back(link.parent.note_unknown_below())
            if link.is_explained or link.has_unknown or link.is_below_explaining():
                return changes
        if is_failed:
            return changes
        trace = self.links.trace(told.trace_id)
        if link is not None and trace is not None:
            link.told = told
            trace.add_unknown(link)
        return self._charge(told, admission, changes)

    def _end_with_usage(
        self, told: Told, link: Link | None, admission: Admission | None
    ) -> Changes | None:
        trace = self.links.trace(told.trace_id)
        withdrawn: Sequence[Told] = ()
        if link is not None:
            if told.call.operation in _MODEL_CALL_OPERATIONS:
                link.explains = True
                if link.has_unknown and trace is not None:
                    withdrawn = trace.take_unknown_below(link)
            if link.is_explained:
                return self._take_back(withdrawn)
            link.told = told
            withdrawn = [*withdrawn, *_told_above(link, told, trace)]
        verdicts: Verdicts = {}
        if withdrawn:
            self._withdraw(withdrawn, verdicts)
        self._find_twins(told, trace, verdicts)
        if not verdicts:
            return self._charge(told, admission)
        verdicts.setdefault(told, True)
        return self._apply(verdicts, told, admission)

    def _end_borrowed(
        self, told: Told, link: Link | None, admission: Admission | None
    ) -> Changes | None:
        trace = self.links.trace(told.trace_id)
        if link is None or trace is None:
            return self._end_with_usage(told, link, admission)
        place = trace.borrow(link, told)
        return None if place is None else self._end_with_usage(told, place, admission)

    def _find_twins(self, told: Told, trace: OpenTrace | None, verdicts: Verdicts) -> None:
        """Judge a teller beside those that may tell of the same call."""
        has_id = told.call.response_id is not None
        if has_id:
            self._responses.add(told, verdicts)
        if trace is None:
            return
        if trace.twins is None and (has_id or not counting.may_be_repeated_by_usage(told)):
            return
        by_usage: Verdicts = {}
        trace.find_twins(told).add(told, by_usage)
        self._count_matches(by_usage)
        verdicts.update(by_usage)

    def _withdraw(self, withdrawn: Iterable[Told], verdicts: Verdicts) -> None:
        """Judge what no longer counts, and what it had been the twin of."""
        for told in withdrawn:
            if told.call.response_id is not None:
                self._responses.remove(told, verdicts)
            trace = self.links.trace(told.trace_id)
            if trace is not None and trace.twins is not None:
                trace.twins.remove(told, verdicts)
        for told in withdrawn:
            verdicts[told] = False

    def _count_matches(self, verdicts: Verdicts) -> None:
        for told, counts in verdicts.items():
            if not counts and not told.is_matched:
                told.is_matched = True
                self.news.matched()

    def _take_back(self, withdrawn: Sequence[Told]) -> Changes | None:
        if not withdrawn:
            return None
        verdicts: Verdicts = {}
        self._withdraw(withdrawn, verdicts)
        return self._apply(verdicts)

    def _apply(
        self, verdicts: Verdicts, ended: Told | None = None, admission: Admission | None = None
    ) -> Changes:
        """Charge what counts and is not charged, after taking back what is charged and does not."""
        changes = Changes()
        for told, counts in verdicts.items():
            if not counts and told.is_charged and told.charge is not None:
                self.engine.take_back(told.accounts or (), told.charge, told.at_ns)
                told.is_charged = False
                changes.corrected += 1
                decision = _AUDITED if told.is_audited else _ALLOWED
                self._metrics.corrected(told.call, told.charge, decision)
        self.corrected += changes.corrected
        for told, counts in verdicts.items():
            if counts and not told.is_charged:
                self._charge(told, admission if told is ended else None, changes)
        return changes

    def _charge(
        self, told: Told, admission: Admission | None, changes: Changes | None = None
    ) -> Changes | None:
        """Price a call and charge it; returns `changes` with what there is to tell about it."""
        charge = told.charge
        if charge is None:
            charge = told.charge = bill(
                told.call,
                self._book,
                self._unknown_model,
                agent=told.agent,
                operation=told.operation or told.call.operation,
            )
        decision = None
        if admission is None:
            place = told.place or self.places.of_span(told.trace_id, None, {}, None, None)
            self.emitter.called(place, told.agent)
            told.at_ns = told.at_ns or told.start or told.end or self.now()
            told.accounts = told.accounts or self.engine.accounts(place, told.at_ns)
            audited, notices = self.engine.charge(told.accounts, charge, told.at_ns)
            told.is_audited = audited is not None
            decision = _AUDITED if told.is_audited else _ALLOWED
        else:
            told.accounts, told.at_ns = admission.accounts, admission.at_ns
            told.is_audited = admission.is_audited
            notices = self.engine.settle(admission, charge)
        told.is_charged = True
        self._metrics.charged(told.call, charge, decision)
        is_unpriced = charge.list_cost_pusd is None and told.call.usage is not None
        if notices or is_unpriced:
            changes = changes or Changes()
            changes.notices = [*changes.notices, *notices]
            if is_unpriced:
                changes.unpriced.append(told)
        return changes


def _told_above(link: Link, told: Told, trace: OpenTrace | None) -> list[Told]:
    """What spans above told of the same call, and is withdrawn."""
    parent = link.parent
    withdrawn = [] if parent is None or parent.is_explained else parent.explain()
    if trace is not None and trace.borrowed:
        withdrawn += trace.give_back(link, told)
    return withdrawn
