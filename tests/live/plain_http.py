"""Calls of models by plain HTTP, and what live, audit and bill say of them."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budget_audit.loading import load
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otelbudget import Budget, BudgetSpanProcessor, DuckDBSpanExporter
from otelbudget.audit.spend import spend
from otelbudget.budgets.ledger import Account
from otelbudget.testing import FakeProvider, Reply

HELLO: Any = [{"role": "user", "content": "hello"}]
REPLY = Reply(input_tokens=1_000, output_tokens=100)
COST = 3_500_000_000  # gpt-4o: 2.50 USD/Mtok * 1_000 + 10 * 100 = 0.0025 + 0.001 USD, in pico-USD


def post(url: str, body: dict[str, Any]) -> Any:
    """Send a request and decode the answer, with nothing but the standard library."""
    with _opened(url, body) as response:
        return json.load(response)


def stream(url: str, body: dict[str, Any]) -> Iterator[str]:
    """The lines of a streamed answer."""
    with _opened(url, body) as response:
        for line in response:
            yield line.decode().strip()


def _opened(url: str, body: dict[str, Any]) -> Any:
    content = json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"content-type": "application/json"})  # noqa: S310 - our own server
    return urllib.request.urlopen(request)  # noqa: S310 - our own server


@dataclass
class Bench:
    """A watched process whose spans are exported, and the provider that it calls.

    Attributes:
        provider: Makes its spans.
        bill: The provider of models.
        account_of: The one account of a processor, read at rest.
        store: Where its spans go.
    """

    provider: TracerProvider
    bill: FakeProvider
    account_of: Callable[[BudgetSpanProcessor], Account]
    store: Path

    def __post_init__(self) -> None:
        self.bill.reply_with(REPLY)
        self.provider.add_span_processor(SimpleSpanProcessor(DuckDBSpanExporter(self.store)))
        self.processors: list[BudgetSpanProcessor] = []

    def watch(self, *budgets: Budget) -> BudgetSpanProcessor:
        """Add a processor."""
        processor = BudgetSpanProcessor(*budgets)
        self.provider.add_span_processor(processor)
        self.processors.append(processor)
        return processor

    def run(self) -> Any:
        """A span around a run."""
        return self.provider.get_tracer("app").start_as_current_span("run")

    def ask(self) -> Any:
        """The answer of gpt-4o to a request that no gate sees."""
        url = f"{self.bill.openai_base_url}/chat/completions"
        return post(url, {"model": "gpt-4o", "messages": HELLO})

    @property
    def account(self) -> Account:
        """The account of the first processor."""
        return self.account_of(self.processors[0])

    def assert_live_and_audit_say(self, cost_pusd: int, *, calls: int) -> None:
        """Live and audit tell of the same calls, tokens and dollars."""
        account = self.account
        self.provider.shutdown()
        totals = spend(load([str(self.store)]).store).totals

        assert (account.calls, account.cost_pusd) == (calls, cost_pusd)
        assert (totals.model_calls, totals.list_cost_pusd) == (calls, cost_pusd)
        assert totals.input_tokens + totals.output_tokens == account.tokens
        assert (totals.unpriced_calls, totals.calls_without_usage) == (0, 0)

    def assert_all_say(self, cost_pusd: int, *, calls: int) -> None:
        """And so does the provider's bill."""
        self.assert_live_and_audit_say(cost_pusd, calls=calls)
        usages = [billed.usage for billed in self.bill.billed]

        assert len(usages) == calls
        assert self.account.tokens == sum(
            usage.input_tokens + usage.output_tokens for usage in usages
        )
