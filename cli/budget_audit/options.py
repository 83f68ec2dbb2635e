"""Options that several commands share, one decorator each."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from otelbudget.budgets.config import Budget, Budgets, LimitKind
from otelbudget.errors import BudgetConfigError
from otelbudget.pricing.billing import UnknownModel


class Instant(click.ParamType[int]):
    """A time as unix nanoseconds, from RFC 3339 text or a date, UTC where no zone is given."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse the text."""
        if isinstance(value, int):
            return value
        try:
            parsed = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time; write 2026-11-22 or 2026-11-22T10:00:00Z", param, ctx)
        if parsed.tzinfo is None:
            parsed = parsed.replace(tzinfo=UTC)
        seconds = int(parsed.replace(microsecond=0).timestamp())
        return seconds * 10**9 + parsed.microsecond * 1000


class Limit(click.ParamType[tuple[LimitKind, str]]):
    """KIND=AMOUNT, such as cost_usd=0.50."""

    name = "KIND=AMOUNT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[LimitKind, str]:
        """Parse the text; the amount stays text, so that it is exact."""
        if isinstance(value, tuple):
            return value
        kind, separator, amount = str(value).partition("=")
        if not separator or kind not in list(LimitKind):
            self.fail(
                f"{value!r}; write KIND=AMOUNT, where KIND is {', '.join(LimitKind)}",
                param,
                ctx,
            )
        try:
            budget_of([(LimitKind(kind), amount)])
        except BudgetConfigError as error:
            self.fail(error.reason, param, ctx)
        return LimitKind(kind), amount


class Scope(click.ParamType[tuple[str, ...]]):
    """KEY,... such as trace, run, process or tenant.id."""

    name = "KEY,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Parse the text."""
        if isinstance(value, tuple):
            return value
        keys = tuple(part.strip() for part in str(value).split(","))
        try:
            budget_of([(LimitKind.CALLS, "0")], keys)
        except BudgetConfigError:
            self.fail(
                f"{value!r}; write trace, run, process or any key such as tenant.id, or up to 8 of "
                "them joined by commas",
                param,
                ctx,
            )
        return keys


class KeyValue(click.ParamType[tuple[str, str]]):
    """KEY=VALUE, such as tenant.id=acme."""

    name = "KEY=VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Parse the text."""
        if isinstance(value, tuple):
            return value
        key, separator, text = str(value).partition("=")
        if not separator or not key or '"' in key:
            self.fail(f"{value!r}; write KEY=VALUE, such as tenant.id=acme", param, ctx)
        return key, text


class SweepRange(click.ParamType[tuple[LimitKind, Decimal, Decimal, int]]):
    """KIND=FROM:TO:COUNT, such as cost_usd=0.05:2:40."""

    name = "KIND=FROM:TO:COUNT"
    _most = 100_000

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[LimitKind, Decimal, Decimal, int]:
        """Parse the text."""
        if isinstance(value, tuple):
            return value
        kind, _, numbers = str(value).partition("=")
        try:
            lowest, highest, count = numbers.split(":")
            parsed = LimitKind(kind), Decimal(lowest), Decimal(highest), int(count)
            is_right = (
                0 < parsed[1] <= parsed[2] and 2 <= parsed[3] <= self._most  # noqa: PLR2004 - both ends
            )
        except (ValueError, InvalidOperation):
            is_right = False
        if not is_right:
            self.fail(
                f"{value!r}; write KIND=FROM:TO:COUNT with 0 < FROM <= TO and COUNT from 2 to "
                f"{self._most}, where KIND is {', '.join(LimitKind)}",
                param,
                ctx,
            )
        return parsed


class Replacement(click.ParamType[tuple[str, str]]):
    """OLD=NEW, two models such as gpt-4o=gpt-4o-mini."""

    name = "OLD=NEW"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Parse the text."""
        if isinstance(value, tuple):
            return value
        old, _, new = (part.strip() for part in str(value).partition("="))
        if not old or not new:
            self.fail(f"{value!r}; write OLD=NEW, such as gpt-4o=gpt-4o-mini", param, ctx)
        return old, new


class Share(click.ParamType[Decimal]):
    """A share from 0 to 1, such as 0.5 or 50%."""

    name = "SHARE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        """Parse the text; it stays decimal, so that it is exact."""
        if isinstance(value, Decimal):
            return value
        share = _parsed_share(str(value))
        if share is None or share > 1:
            self.fail(f"{value!r}; write a share from 0 to 1, such as 0.5 or 50%", param, ctx)
        return share


class Rise(click.ParamType[Decimal]):
    """A share by which something may rise, such as 10% or 0.1.

    From 1 on it takes the sign: who writes 10 means 10 %, and not ten times as much more.
    """

    name = "PERCENT"
    _most = 1000

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        """Parse the text; it stays decimal, so that it is exact."""
        if isinstance(value, Decimal):
            return value
        text = str(value).strip()
        share = _parsed_share(text)
        if share is None or share > self._most or (share >= 1 and not text.endswith("%")):
            self.fail(
                f"{value!r}; write a percentage such as 10%, or a share below 1 such as 0.1",
                param,
                ctx,
            )
        return share


def budget_of(
    limits: Sequence[tuple[LimitKind, str]], per: Sequence[str] = ("trace",), name: str = "limit"
) -> Budget:
    """The budget that `--limit` options describe.

    Args:
        limits: Kinds and amounts.
        per: What the limits are counted by.
        name: Its name.

    Raises:
        BudgetConfigError: An amount or a key is not allowed.
    """
    arguments: dict[str, Any] = {}
    for kind, text in limits:
        is_decimal = kind in (LimitKind.COST_USD, LimitKind.SECONDS)
        arguments[str(kind)] = text if is_decimal else _whole(text)
    return Budget(name=name, per=per, warn_at=(), **arguments)


def _parsed_share(text: str) -> Decimal | None:
    """A share such as 0.5 or 50%, at least 0; None for anything else."""
    text = text.strip()
    try:
        share = Decimal(text[:-1]) / 100 if text.endswith("%") else Decimal(text)
        is_right = share >= 0  # comparing NaN raises too
    except InvalidOperation:
        return None
    return share if is_right else None


def limited(limits: Sequence[tuple[LimitKind, str]], file: Path | None) -> Budgets | None:
    """The budgets that `limits` asks for; None where none is asked for.

    Raises:
        click.UsageError: Both --limit and --budgets are given, or a kind of limit twice.
        BudgetConfigError: A key or value of the file is not allowed.
    """
    if file is not None and limits:
        raise click.UsageError("give --limit or --budgets, not both")
    if file is not None:
        return Budgets.from_yaml(file)
    if len({kind for kind, _ in limits}) < len(limits):
        raise click.UsageError("give each kind of --limit once")
    return Budgets((budget_of(limits),), UnknownModel.ALLOW) if limits else None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise BudgetConfigError(f"{text!r} is no whole number") from error


MAX_BYTES = "budget_audit.max_bytes"


def _size(ctx: click.Context, param: click.Parameter, value: int) -> None:  # noqa: ARG001 - the signature click asks for
    ctx.meta[MAX_BYTES] = value


def sources(command: Callable[..., Any]) -> Callable[..., Any]:
    """SRC...."""
    return click.argument("sources", metavar="SRC...", nargs=-1, required=True)(command)


def output(command: Callable[..., Any]) -> Callable[..., Any]:
    """--format and --output."""
    command = click.option(
        "--output",
        "-o",
        type=click.Path(dir_okay=False, allow_dash=True),
        default="-",
        help="Write the answer to a file instead of standard output.",
    )(command)
    return format_(command)


def format_(command: Callable[..., Any]) -> Callable[..., Any]:
    """--format."""
    return click.option(
        "--format",
        "format_",
        type=click.Choice(["table", "json", "csv"]),
        default="table",
        show_default=True,
        help="How to write the answer.",
    )(command)


def period(command: Callable[..., Any]) -> Callable[..., Any]:
    """--since and --until."""
    command = click.option(
        "--until",
        type=Instant(),
        help="Leave out what starts at or after this time, and what has no time.",
    )(command)
    return click.option(
        "--since",
        type=Instant(),
        help="Leave out what starts before this time, and what has no time.",
    )(command)


def where(command: Callable[..., Any]) -> Callable[..., Any]:
    """--where."""
    return click.option(
        "--where",
        type=KeyValue(),
        multiple=True,
        help="Keep the calls whose span, nearest ancestor or resource has this attribute.",
    )(command)


def limits(command: Callable[..., Any]) -> Callable[..., Any]:
    """--limit and --budgets; `limited` makes budgets of them."""
    command = click.option(
        "--budgets",
        "file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="A budgets file instead of --limit.",
    )(command)
    return click.option(
        "--limit",
        "limits",
        type=Limit(),
        multiple=True,
        help="A limit of the trace: cost_usd=0.50, tokens=20000, calls=20, tool_calls=10 or "
        "seconds=60; may be given for each kind.",
    )(command)


def success(command: Callable[..., Any]) -> Callable[..., Any]:
    """--success."""
    return click.option(
        "--success",
        type=KeyValue(),
        help="A run is good if its root span has this attribute; else if its root did not fail.",
    )(command)


def prices(command: Callable[..., Any]) -> Callable[..., Any]:
    """--prices."""
    return click.option(
        "--prices",
        "prices_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Your own prices: a `prices` section, alone or in a budgets file.",
    )(command)


def strict(command: Callable[..., Any]) -> Callable[..., Any]:
    """--strict, and --max-bytes, which is kept in the context."""
    command = click.option(
        "--max-bytes",
        type=click.IntRange(min=1 << 10),
        default=1 << 30,
        expose_value=False,
        callback=_size,
        help="Largest JSON document or message that is held in memory whole.  [default: 1 GiB]",
    )(command)
    return click.option(
        "--strict", is_flag=True, help="Exit 1 if anything in the input could not be read."
    )(command)


def on_stop(command: Callable[..., Any]) -> Callable[..., Any]:
    """--on-stop."""
    return click.option(
        "--on-stop",
        type=click.Choice(["call", "run"]),
        default="call",
        show_default=True,
        help="What a refused call ends: itself, so that later calls of its run are asked about as "
        "recorded; or its run, whose later calls are then not made and count as refused.",
    )(command)
