"""budget-audit prices."""

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from budget_audit import comparing, loading, options
from budget_audit.formats import prices
from budget_audit.formats.rows import flat
from budget_audit.formats.write import Answer, write
from otelbudget.pricing.book import PriceBook
from otelbudget.pricing.files import user_book_path

_SERVICE_TIERS = ("batch", "flex", "priority", "fast")


@click.group("prices")
def command() -> None:
    """Show what a model costs, where its price comes from, and what others say.

    \b
    Example:
      budget-audit prices show gpt-4o
    """


@command.command("show")
@click.argument("name")
@click.option("--provider", help="Provider, as spans name it; where not given, NAME has to tell.")
@click.option("--at", "at_ns", type=options.Instant(), help="Time of the price; now by default.")
@click.option("--service-tier", help="Tier of service: batch, flex, priority or fast.")
@options.prices
@options.output
def show(
    name: str,
    provider: str | None,
    at_ns: int | None,
    service_tier: str | None,
    prices_file: Path | None,
    format_: str,
    output: str,
) -> None:
    """Show the rates of a model, and how sure they are.

    \b
    Example:
      budget-audit prices show gpt-4o --at 2024-06-01
      budget-audit prices show us.anthropic.claude-sonnet-4-6 --provider aws.bedrock
    """
    now_ns = time.time_ns()
    book = loading.own_book(prices_file)
    shown = _shown(book, name, provider, now_ns if at_ns is None else at_ns, service_tier)
    answer = Answer(prices.show_table(shown), prices.show(shown), prices.show_rows(shown))
    write(answer, format_=format_, output=output)
    _warn_of_age(book, now_ns)


@command.command("diff")
@click.option(
    "--against",
    type=click.Choice(["tokencost", "genai-prices"]),
    required=True,
    help="The other price table, which must be installed. Prices of tokencost froze in 2025-09.",
)
@click.option("--at", "at_ns", type=options.Instant(), help="Time of the prices; now by default.")
@options.prices
@options.output
def diff(
    against: str, at_ns: int | None, prices_file: Path | None, format_: str, output: str
) -> None:
    """Compare the price book with another price table.

    \b
    Example:
      budget-audit prices diff --against tokencost
    """
    now_ns = time.time_ns()
    book = loading.own_book(prices_file)
    compared = comparing.compare(book, against, now_ns if at_ns is None else at_ns)
    answer = Answer(
        prices.diff_table(compared), prices.diff(compared), flat(prices.diff_rows(compared))
    )
    write(answer, format_=format_, output=output)
    _warn_of_age(book, now_ns)


@command.command("refresh")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the book to this file instead of the place where otelbudget looks for it.",
)
@click.option(
    "--date",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Day to put into the book; today by default.",
)
def refresh(output: Path | None, day: datetime | None) -> None:
    """Make a price book from an installed genai-prices that is newer.

    Update genai-prices first: nothing is fetched. The new book is used by every otelbudget of this
    user; delete the file to go back.

    \b
    Example:
      pip install --upgrade genai-prices
      budget-audit prices refresh
    """
    packaged = PriceBook.packaged()
    today = datetime.now(UTC).date() if day is None else day.date()
    made = comparing.compiled(packaged, today)
    if made is None and output is None:
        click.echo(
            f"nothing newer is installed than {packaged.source} {packaged.version}, which "
            "otelbudget has; run: pip install --upgrade genai-prices",
            err=True,
        )
        return
    _write_book(output or user_book_path(), made or comparing.recompiled(packaged))


def _write_book(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f"{path.name}.part")
        half.write_bytes(content)
        half.replace(path)
    except OSError as error:
        raise click.FileError(str(path), error.strerror or str(error)) from error
    click.echo(f"wrote {path}", err=True)


def _shown(
    book: PriceBook, name: str, provider: str | None, at_ns: int, service_tier: str | None
) -> prices.Shown:
    price = book.price(provider, name, at_ns, service_tier)
    if price is None:
        at_provider = f" of provider {provider!r}" if provider else ""
        raise click.ClickException(
            f"no price is known for model {name!r}{at_provider}; check the name and --provider, "
            "or give its price in a prices file (--prices)"
        )
    others = {
        tier: other
        for tier in _SERVICE_TIERS
        if service_tier is None
        and (other := book.price(provider, name, at_ns, tier)) is not None
        and other.service_tier == tier
    }
    return prices.Shown(provider or price.provider, name, at_ns, price, others)


def _warn_of_age(book: PriceBook, now_ns: int) -> None:
    stale = book.staleness(now_ns)
    if stale is not None:
        click.echo(f"warning: stale_prices: {stale}", err=True)
