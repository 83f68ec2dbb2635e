"""What calls would have cost: with another model, at other prices, with more of the input cached."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from otelbudget.audit.recorded import recorded
from otelbudget.audit.replay import replay
from otelbudget.audit.spend import spend
from otelbudget.audit.sweep import sweep
from otelbudget.audit.whatif import NoPriceError, WhatIf, suppose
from otelbudget.budgets.config import Budget, Budgets, LimitKind
from otelbudget.pricing.billing import UnknownModel

Make = Callable[..., Any]
MTOK = 1_000_000
READ, WRITTEN = "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens"


@pytest.fixture
def cost(counted: Make, span: Make) -> Make:
    """What a call of each attributes costs in all if something had been otherwise, in pico-USD."""

    def cost(what_if: WhatIf, *calls: dict[str, Any]) -> int | None:
        spans = [span(number + 1, 1, **told) for number, told in enumerate(calls)]
        store, _, book = counted(spans)
        suppose(store, book, what_if)
        return spend(store).totals.list_cost_pusd

    return cost


def usd(text: str) -> int:
    return int(Decimal(text) * 10**12)


def test_a_model_is_priced_as_another(cost: Make, usage: Make) -> None:
    """gpt-4o-mini: 1 Mtok x 0.15 USD + 0.1 Mtok x 0.60 USD = 0.21 USD."""
    reprice = WhatIf((("gpt-4o", "gpt-4o-mini"),))

    assert cost(reprice, usage(MTOK, MTOK // 10)) == usd("0.21")


def test_other_models_stay_as_they_are(cost: Make, usage: Make) -> None:
    """gpt-4o-mini: 0.21 USD; gpt-4.1: 1 Mtok x 2 USD + 0.1 Mtok x 8 USD = 2.80 USD."""
    calls = [usage(MTOK, MTOK // 10, model=model) for model in ("gpt-4o", "gpt-4.1")]
    reprice = WhatIf((("gpt-4o", "gpt-4o-mini"),))

    assert cost(reprice, *calls) == usd("3.01")


def test_a_model_is_known_by_the_version_that_answered_and_by_its_provider(
    cost: Make, usage: Make
) -> None:
    """Dated versions belong to gpt-4o; a model of another provider does not."""
    dated = usage(MTOK, 0, model="gpt-4o-2024-08-06")
    reprice = WhatIf((("openai/gpt-4o", "openai/gpt-4o-mini"),))

    assert cost(reprice, dated) == usd("0.15")
    assert cost(WhatIf((("anthropic/gpt-4o", "gpt-4o-mini"),)), dated) == usd("2.50")


def test_a_model_without_a_known_price_is_refused_in_one_sentence(cost: Make, usage: Make) -> None:
    with pytest.raises(NoPriceError, match=r"^Model 'gtp-5' has no known price.*--prices\.$"):
        cost(WhatIf((("gpt-4o", "gtp-5"),)), usage())


def test_a_model_of_which_there_is_no_call_is_named(counted: Make, span: Make, usage: Make) -> None:
    store, _, book = counted([span(1, 1, **usage())])

    result = suppose(store, book, WhatIf((("gpt-3", "gpt-4o"), ("gpt-4o", "gpt-4.1"))))

    assert (result.calls, result.unused) == (1, ("gpt-3",))


def test_calls_are_priced_at_the_rates_of_a_day(cost: Make, usage: Make) -> None:
    """gpt-4o cost 5 USD per Mtok of input until 2024-10-01, and 2.50 USD from then on."""
    before = WhatIf(prices_at=1_717_200_000 * 10**9)  # 2024-06-01

    assert cost(before, usage(MTOK, 0)) == usd("5")
    assert cost(WhatIf(), usage(MTOK, 0)) == usd("2.5")


def test_a_share_of_the_input_that_was_not_cached_would_have_been(cost: Make, usage: Make) -> None:
    """gpt-4o: of 1 Mtok 0.2 were read; half of the other 0.8 too: 0.4 x 2.50 + 0.6 x 1.25 USD."""
    called = usage(MTOK, 0) | {READ: MTOK // 5}

    assert cost(WhatIf(cache_hit=Decimal("0.5")), called) == usd("1.75")
    assert cost(WhatIf(cache_hit=Decimal(0)), called) == usd("2.25")


def test_cache_writes_stay_and_are_not_read_too(cost: Make, usage: Make) -> None:
    """claude-sonnet-4-5: 0.5 Mtok written at 3.75 USD, the other 0.5 Mtok read at 0.30 USD."""
    called = usage(MTOK, 0, model="claude-sonnet-4-5") | {WRITTEN: MTOK // 2}
    called["gen_ai.provider.name"] = "anthropic"
    # Requests above 200,000 tokens of input cost twice the input.
    small = {key: value // 10 if isinstance(value, int) else value for key, value in called.items()}

    assert cost(WhatIf(cache_hit=Decimal(1)), small) == usd("0.2025")


def test_models_without_a_rate_for_cache_reads_stay_as_they_are(cost: Make, usage: Make) -> None:
    called = usage(1_000, 0, model="gpt-4")

    assert cost(WhatIf(cache_hit=Decimal(1)), called) == cost(WhatIf(), called)


def test_what_ifs_hold_together(cost: Make, usage: Make) -> None:
    """gpt-4o-mini, half of the input cached: 0.5 Mtok x 0.15 + 0.5 Mtok x 0.075 USD."""
    both = WhatIf((("gpt-4o", "gpt-4o-mini"),), cache_hit=Decimal("0.5"))

    assert cost(both, usage(MTOK, 0)) == usd("0.1125")


def test_replay_and_sweep_are_about_the_calls_as_they_would_have_been(
    counted: Make, span: Make, usage: Make
) -> None:
    """Three calls of 2.50 USD each, that would have cost 0.15 USD: a limit of 1 USD stops nothing."""
    calls = [
        span(1, 2 + number, 1, at=(number * 1_000, number * 1_000 + 10), **usage(MTOK, 0))
        for number in range(3)
    ]
    store, _, book = counted([span(1, 1, at=(0, 9_000)), *calls])
    budget = Budget(name="limit", per="trace", cost_usd="1")
    limits = [usd("0.2"), usd("1")]
    before = recorded(store, book, [budget], UnknownModel.ALLOW)

    suppose(store, book, WhatIf((("gpt-4o", "gpt-4o-mini"),)))

    after = recorded(store, book, [budget], UnknownModel.ALLOW)
    points = sweep(store, after, budget, LimitKind.COST_USD, limits, {})
    assert replay(before, Budgets((budget,))).calls_denied == 2
    assert replay(after, Budgets((budget,))).calls_denied == 0
    assert [point.calls_denied for point in points] == [1, 0]


def test_a_cost_that_the_application_stated_stays(counted: Make, span: Make) -> None:
    told = {"otelbudget.cost_usd": "7"}
    made = span(1, 1, at=(0, 1_000))
    made["events"] = [
        {
            "name": "otelbudget.call",
            "timeUnixNano": made["startTimeUnixNano"],
            "attributes": [
                {"key": key, "value": {"stringValue": value}}
                for key, value in {
                    "gen_ai.operation.name": "chat",
                    "gen_ai.request.model": "gpt-4o",
                    "otelbudget.call.id": "1",
                    **told,
                }.items()
            ]
            + [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": "1000"}}],
        }
    ]
    store, _, book = counted([made])
    before = spend(store).totals.list_cost_pusd

    result = suppose(store, book, WhatIf((("gpt-4o", "gpt-4o-mini"),)))

    assert (result.calls, result.stated) == (0, 1)
    assert spend(store).totals.list_cost_pusd == before == usd("7")


def test_assumptions_are_said() -> None:
    what_if = WhatIf((("a", "b"),), 1_717_200_000 * 10**9, Decimal("0.5"))

    first, second, third, _ = what_if.assumptions
    assert first.startswith("Calls of a are priced as calls of b")
    assert second == "Every call is priced at the rates of 2024-06-01."
    assert third.startswith("50 % of the input tokens")
    assert WhatIf().assumptions == ()


def test_prices_of_a_day_before_any_known_price_are_counted(
    counted: Make, span: Make, usage: Make
) -> None:
    before, after = (
        suppose(loaded.store, loaded.book, WhatIf(prices_at=day * 86_400 * 10**9))
        for day in (10_000, 20_600)  # 1997, 2026
        for loaded in [counted([span(1, 1, at=(0, 9), **usage())])]
    )

    assert (before.calls, before.before_history) == (1, 1)
    assert (after.calls, after.before_history) == (1, 0)
