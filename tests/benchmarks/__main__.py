"""Measures the paths that must be fast, each beside its anchor, in interleaved rounds.

Machines are shared and noisy: medians and spreads are shown, and ratios count, which are taken
round by round.
"""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import genai_prices
from genai_prices import Usage
from rich.console import Console
from rich.table import Table

from otelbudget.genai.reading import read_call
from otelbudget.genai.usage import TokenUsage
from otelbudget.pricing.book import PriceBook
from tests.benchmarks import auditing, importing, live, replay, starting, timing
from tests.benchmarks.timing import measure, row

PACKAGES = ("otelbudget", "duckdb", "msgspec", "opentelemetry-sdk", "genai-prices", "langfuse")
PEERS = ("tracelift", "tokenjam")
MILLION = 1_000_000


class Size(NamedTuple):
    """How much is measured.

    Attributes:
        bytes: Of each imported file.
        spans: Of the audited stores.
        calls: That are swept.
        replayed: Calls replayed by the engine.
        runs: That limits are suggested from.
        rounds: Of what takes seconds.
    """

    bytes: int
    spans: tuple[int, ...]
    calls: int
    replayed: int
    runs: int
    rounds: int


SIZES = {
    "small": Size(20 * MILLION, (10_000, 100_000), MILLION, 100_000, 100_000, 3),
    "usual": Size(200 * MILLION, (10_000, 100_000, MILLION), 10 * MILLION, 100_000, MILLION, 3),
    "full": Size(
        200 * MILLION, (10_000, 100_000, MILLION, 10 * MILLION), 10 * MILLION, MILLION, MILLION, 3
    ),
}


def processor(table: Table) -> None:
    """What an application pays, and what reading and pricing one call takes."""
    live.spans(table)
    live.gates(table)
    live.many_budgets(table)
    live.threads(table)
    live.memory(table)
    prices(table)


def prices(table: Table) -> None:
    """Reading and pricing one call."""
    book = PriceBook.load()
    usage = TokenUsage(1200, 300)
    at = 1_795_000_000_000_000_000
    attributes = {**live.CHAT, **live.USED}
    results = measure(
        {
            "price": (lambda: book.price("openai", "gpt-4o", at).list_cost_pusd(usage), 20_000),  # type: ignore[union-attr] # gpt-4o has a price
            "anchor": (
                lambda: genai_prices.calc_price(
                    Usage(input_tokens=1200, output_tokens=300), "gpt-4o", provider_id="openai"
                ),
                200,
            ),
            "read": (lambda: read_call(attributes), 10_000),
        }
    )
    row(table, "price of a call", results["price"])
    row(table, "  anchor: genai_prices.calc_price", results["anchor"], ours=results["price"])
    row(table, "read_call", results["read"])


def parts(size: Size, folder: Path) -> dict[str, Callable[[Table], None]]:
    """What can be measured, by name."""
    rounds = size.rounds
    return {
        "live": processor,
        "start": lambda table: starting.starts(table, 5 * rounds),
        "append": lambda table: importing.appending(table, folder),
        "import": lambda table: importing.imports(table, folder, size.bytes, rounds),
        "audit": lambda table: auditing.audits(table, folder, size.spans, rounds),
        "sweep": lambda table: replay.sweeps(table, size.calls, rounds),
        "replay": lambda table: auditing.replays(table, folder, size.replayed),
        "suggest": lambda table: starting.suggestions(table, size.runs, rounds),
    }


def about() -> str:
    """Where and with what it was measured."""
    found = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    found += [f"{name} {peer}" for name in PEERS if (peer := importing.peer_version(name))]
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} processors "
        f"({platform.machine()}), load {load}\n{', '.join(found)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.benchmarks", description=__doc__)
    names = list(parts(SIZES["usual"], Path()))
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(names)}; all")
    parser.add_argument("--size", choices=SIZES, default="usual")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(names):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    console = Console(width=None if sys.stdout.isatty() else 150)
    with tempfile.TemporaryDirectory() as folder:
        for name, part in parts(SIZES[asked.size], Path(folder)).items():
            if not asked.parts or name in asked.parts:
                table = timing.table()
                console.print(f"\n{name}: {about()}", highlight=False)
                part(table)
                console.print(table)


if __name__ == "__main__":
    main()
