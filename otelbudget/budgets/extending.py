"""Raises the limits of a run while it goes on."""

from collections.abc import Sequence
from decimal import Context, Decimal

from otelbudget.budgets.config import LimitKind
from otelbudget.budgets.decisions import Accounts, Notice, NoticeKind
from otelbudget.budgets.ledger import Account, MemoryLedger
from otelbudget.budgets.limits import Limits
from otelbudget.budgets.scopes import RunScope

_UTILIZATION = Context(prec=28)  # apart from the application's own decimal context


def raise_limits(
    ledger: MemoryLedger,
    accounts: Accounts,
    run: RunScope,
    kind: LimitKind,
    by: int,
    budget: str | None,
) -> Sequence[Notice]:
    """Raise the limits of one kind that count a run, and the shares of them. Called with the lock.

    Args:
        ledger: Where the accounts of the shares are.
        accounts: What the run's calls are counted on.
        run: The run.
        kind: The kind of limit.
        by: How much more may be used, in the unit of the kind.
        budget: Name of the only budget to extend, or None for all that limit the run.

    Returns:
        One notice for each limit that was raised.
    """
    notices = []
    for each, account in accounts:
        is_meant = budget is None or each.name == budget
        if is_meant and account.scope == run.scope and kind in account.limits.by_kind:
            _give(account, account.limits.raised(kind, by), kind)
            _share_out(ledger, account, kind)
            limit, usage = account.limits.by_kind[kind], account.usage(kind)
            ratio = _UTILIZATION.divide(Decimal(usage), limit) if limit else Decimal(1)
            notices.append(Notice(NoticeKind.EXTENDED, each, account, kind, limit, usage, ratio))
    return notices


def _give(account: Account, limits: Limits, kind: LimitKind) -> None:
    account.limits = limits
    # A new limit, of which nobody has been told.
    account.exceeded = tuple(each for each in account.exceeded if each is not kind)
    limits.rearm(account)


def _share_out(ledger: MemoryLedger, whole: Account, kind: LimitKind) -> None:
    """Give the shares of a scope that are open their part of its limits by now."""
    for _, account in ledger.accounts():
        ratio, (name, scope, window) = account.limits.ratio, account.key
        if ratio is not None and (name, scope[:-1], window) == whole.key:
            _give(account, whole.limits.share(ratio), kind)
