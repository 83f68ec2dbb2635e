"""What was spent as rows of the FinOps Open Cost and Usage Specification (FOCUS) 1.2.

Source: https://focus.finops.org, specification 1.2 (May 2025), dataset Cost and Usage; its category
"AI and Machine Learning", subcategory "Generative AI", and its unit "Tokens".
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec

from otelbudget.audit.keys import Keys, check_told
from otelbudget.audit.spend import Totals, group_calls
from otelbudget.budgets.scopes import NONE
from otelbudget.genai.usage import TokenUsage
from otelbudget.pricing.book import PriceBook
from otelbudget.pricing.price import Price
from otelbudget.store.store import Store

VERSION = "1.2"
TOKENS, REQUESTS, SEARCHES = "Tokens", "Requests", "Searches"
UNDIVIDED = "All Tokens"
_OWN_KEYS = ("day", "provider", "model", "service_tier")


class Charge(msgspec.Struct, frozen=True):
    """What was used of one meter of a model in a day.

    Attributes:
        day: The day in UTC, None for calls without a time.
        provider: Provider as the spans name it, None where they do not.
        model: The model, None where not named.
        service_tier: Tier of service that answered, None for the standard one.
        meter: What is counted: a class of tokens, requests or searches; "All Tokens" where the cost of
            the day's calls does not follow from one set of rates.
        quantity: How much of it.
        unit: What it is counted in.
        list_cost_pusd: List cost in pico-USD, None where the model has no known price.
        rate_pusd: List price of one unit in pico-USD; None where there is no single one.
        calls: Model calls that it is part of.
        tags: Values by key, of the keys that were asked for.
    """

    day: date | None
    provider: str | None
    model: str | None
    service_tier: str | None
    meter: str
    quantity: int
    unit: str
    list_cost_pusd: int | None
    rate_pusd: int | None
    calls: int
    tags: dict[str, str]

    @property
    def period(self) -> tuple[datetime, datetime] | None:
        """Start and end of the day; None for calls without a time."""
        return None if self.day is None else _from_day(self.day, self.day + timedelta(days=1))

    @property
    def month(self) -> tuple[datetime, datetime] | None:
        """Start and end of the month; None for calls without a time."""
        if self.day is None:
            return None
        first = self.day.replace(day=1)
        return _from_day(first, (first + timedelta(days=31)).replace(day=1))


def charges(store: Store, book: PriceBook, by: Sequence[str] = ()) -> Iterator[Charge]:
    """What was spent by day, model, class of tokens and any keys.

    The list costs of all add up to what `spend` says, to the last pico-dollar.

    Args:
        store: A store on which `build_model_calls` has run.
        book: The prices by which the calls were counted.
        by: Further keys, such as "tenant.id".

    Raises:
        UnknownKeyError: A key means nothing, and no span carries it.
    """
    tags = [key for key in by if key not in _OWN_KEYS]
    grouped = group_calls(store, Keys((*_OWN_KEYS, *tags)))
    check_told(grouped.keys_without_values)
    for group in sorted(grouped.groups, key=lambda group: tuple(group.key.values())):
        yield from _charges(group.key, group.totals, book, tags)


def _charges(
    key: dict[str, str], totals: Totals, book: PriceBook, tags: Sequence[str]
) -> Iterator[Charge]:
    told = {name: None if value == NONE else value for name, value in key.items()}
    day = date.fromisoformat(told["day"]) if told["day"] else None
    at_ns = book.compiled_at_ns if day is None else _noon_ns(day)
    price = book.price(told["provider"], told["model"], at_ns, told["service_tier"])
    for meter, unit, quantity, cost, rate in _meters(totals, price):
        if quantity or cost:
            yield Charge(
                day,
                told["provider"],
                told["model"],
                told["service_tier"],
                meter,
                quantity,
                unit,
                cost,
                rate,
                totals.model_calls,
                {name: key[name] for name in tags},
            )


_Meter = tuple[str, str, int, int | None, int | None]


def _meters(totals: Totals, price: Price | None) -> Sequence[_Meter]:
    """Meter, unit, quantity, cost and rate; the costs add up to that of the calls."""
    parts = _parts(totals)
    if totals.list_cost_pusd is None:
        return [(*part[:3], None, None) for part in parts if part[1] == TOKENS]
    if price is not None:
        costs = [_cost(price, part) for *_, part in parts]
        costs[-1] = totals.model_calls * price.pusd_per_request
        costs[-2] = totals.web_searches * price.pusd_per_web_search
        if sum(costs) == totals.list_cost_pusd:
            return [
                (meter, unit, quantity, cost, cost // quantity if quantity else None)
                for (meter, unit, quantity, _), cost in zip(parts, costs, strict=True)
                if unit == TOKENS or cost
            ]
    tokens = totals.input_tokens + totals.output_tokens
    return [(UNDIVIDED, TOKENS, tokens, totals.list_cost_pusd, None)]


def _parts(totals: Totals) -> list[tuple[str, str, int, TokenUsage]]:
    """Each meter, its unit, how much of it was used, and that alone as the usage of a call."""
    read, written = totals.cache_read_input_tokens, totals.cache_write_input_tokens
    hour = min(totals.cache_write_1h_input_tokens, written)
    fresh = max(totals.input_tokens - read - written, 0)
    reasoning = min(totals.reasoning_output_tokens, totals.output_tokens)
    answer = totals.output_tokens - reasoning
    nothing = TokenUsage(0, 0)
    return [
        ("Input Tokens", TOKENS, fresh, TokenUsage(fresh, 0)),
        ("Cache Read Input Tokens", TOKENS, read, TokenUsage(read, 0, read)),
        (
            "Cache Write Input Tokens",
            TOKENS,
            written - hour,
            TokenUsage(written - hour, 0, 0, written - hour),
        ),
        (
            "Cache Write 1h Input Tokens",
            TOKENS,
            hour,
            TokenUsage(hour, 0, 0, hour, cache_write_1h_input_tokens=hour),
        ),
        ("Output Tokens", TOKENS, answer, TokenUsage(0, answer)),
        (
            "Reasoning Output Tokens",
            TOKENS,
            reasoning,
            TokenUsage(0, reasoning, reasoning_output_tokens=reasoning),
        ),
        ("Web Searches", SEARCHES, totals.web_searches, nothing),
        ("Requests", REQUESTS, totals.model_calls, nothing),
    ]


def _cost(price: Price, part: TokenUsage) -> int:
    """What the tokens of one class cost at the rates of ordinary requests, in pico-USD."""
    return price.cost_pusd(part) - price.pusd_per_request


def _noon_ns(day: date) -> int:
    """A time of a day in UTC; rates change at midnight."""
    return int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()) * 10**9


def _from_day(*days: date) -> tuple[datetime, datetime]:
    start, end = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days)
    return start, end
