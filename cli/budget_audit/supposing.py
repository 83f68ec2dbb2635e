"""What-ifs of the command line: their options, and their effect on what was loaded."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import wraps
from typing import Any

import click

from budget_audit.formats.values import counted, day
from budget_audit.loading import Loaded
from budget_audit.options import Instant, Replacement, Share
from otelbudget.audit.whatif import WhatIf, suppose


def what_ifs(command: Callable[..., Any]) -> Callable[..., Any]:
    """--reprice, --prices-at and --cache-hit, as one `what_if`."""

    @wraps(command)
    def with_what_if(
        *,
        reprice: tuple[tuple[str, str], ...],
        prices_at: int | None,
        cache_hit: Decimal | None,
        **given: Any,
    ) -> Any:
        models = [old for old, _ in reprice]
        if len(set(models)) < len(models):
            raise click.UsageError("give each OLD of --reprice once")
        return command(what_if=WhatIf(reprice, prices_at, cache_hit), **given)

    wrapped = click.option(
        "--cache-hit",
        type=Share(),
        help="What if this share of the input that was not cached had been read from the cache: "
        "0.5 or 50%.",
    )(with_what_if)
    wrapped = click.option(
        "--prices-at", type=Instant(), help="What if the prices of this day held for every call."
    )(wrapped)
    return click.option(
        "--reprice",
        type=Replacement(),
        multiple=True,
        help="What if calls of model OLD had been calls of NEW: gpt-4o=gpt-4o-mini; may be given "
        "for several models.",
    )(wrapped)


def suppose_loaded(loaded: Loaded, what_if: WhatIf) -> Sequence[str]:
    """Make the model calls what they would have been; what has no effect becomes a warning.

    Returns:
        What is taken to be true beside the assumptions of `what_if`, one sentence each.

    Raises:
        NoPriceError: A model that would have been called has no known price.
    """
    changed = suppose(loaded.store, loaded.book, what_if)
    for model in changed.unused:
        loaded.report.warn("reprice_unused", f"no call is one of model {model!r}")
    if changed.stated:
        stated = counted(changed.stated, "call")
        loaded.report.warn(
            "stated_costs", f"{stated} with a cost that the application stated stay as they are"
        )
    if what_if.prices_at is None or not changed.before_history:
        return ()
    older = counted(changed.before_history, "call")
    said = (
        f"No price of {day(what_if.prices_at)} is known for {older}: the first known price of the "
        "model is used, and it may have been another then."
    )
    return (said,)
