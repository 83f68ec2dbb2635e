"""Random budgets, places and usages for the tests of the engine, small enough to meet at edges."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from otelbudget.budgets.config import Budget, LimitKind, Mode
from otelbudget.budgets.decisions import Hold
from otelbudget.budgets.scopes import Place, RunScope
from otelbudget.genai.usage import TokenUsage
from otelbudget.pricing.billing import Charge
from tests.budgets.plain_model import CLASSES, HELD, SPENT, Amounts

SECOND = 10**9
# Clocks in Berlin go back from 03:00 to 02:00 on 2026-10-25 at 01:00 UTC: 1792890000.
START = 1_792_890_000 * SECOND - 2 * 3_600 * SECOND
QUICK, DEEP = RunScope("r1", "quick"), RunScope("r2", "deep")
PLACES: Sequence[Callable[[], Place]] = [
    lambda: Place("t1", (), {"tenant": "a", "agent": "x"}),
    lambda: Place("t1", (), {"tenant": "a", "agent": "y"}),
    lambda: Place("t2", (QUICK,), {"tenant": "a", "agent": "x"}),
    lambda: Place("t2", (QUICK, DEEP), {"tenant": "b", "agent": "y"}),
    lambda: Place("t3", (DEEP,), {"agent": "z"}, {"tenant": "a"}),
    lambda: Place("t4", (), {}, tier="quick"),
]
THREE_EACH = dict(zip(HELD, (3, 6, 3, 3), strict=True))
STEPS = (1, SECOND, 4 * SECOND, 10 * SECOND, 900 * SECOND, 3_600 * SECOND, 12 * 3_600 * SECOND)
SMALL = {
    LimitKind.COST_USD: st.integers(0, 30),
    LimitKind.CALLS: st.integers(0, 6),
    LimitKind.TOOL_CALLS: st.integers(0, 4),
    LimitKind.SECONDS: st.integers(1, 20),
    **dict.fromkeys((LimitKind.TOKENS, *CLASSES), st.integers(0, 30)),
}
WINDOWS: Sequence[Mapping[str, Any]] = (
    {},
    {"window": "day", "timezone": "Europe/Berlin"},
    {"window": "day", "timezone": "Asia/Kathmandu"},
    {"window": "hour", "timezone": "Asia/Kathmandu"},
    {"window": "hour", "timezone": "Europe/Berlin"},
    {"window": "10s"},
    {"window": "1h"},
)


@st.composite
def budget_lists(draw: st.DrawFn, *, is_bounded: bool) -> list[Budget]:
    """One to four budgets of any kind; bounded: such that holds can keep their limits."""
    names = draw(
        st.lists(
            st.sampled_from(["quick", "deep", "b1", "b2", "b3"]),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    return [_budget(draw, name, is_bounded=is_bounded) for name in names]


def _budget(draw: st.DrawFn, name: str, *, is_bounded: bool) -> Budget:
    keyed = ["trace", "run", "tenant", "process", ["tenant", "agent"], ["run", "tenant"]]
    per = draw(st.sampled_from(keyed)) if name.startswith("b") else None
    window = draw(st.sampled_from(WINDOWS))
    kinds = set(HELD if is_bounded else SMALL)
    if window or per not in (None, "trace", "run"):
        kinds -= {LimitKind.SECONDS}
    chosen = draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=4, unique=True))
    limits: dict[str, Any] = {str(kind): draw(SMALL[kind]) for kind in chosen}
    if LimitKind.COST_USD in chosen:
        limits["cost_usd"] = f"0.{limits['cost_usd']:012d}"
    shares = {"agent": {"x": "0.3", "y": "0.55"}} if draw(st.booleans()) else None
    tools = {"search": draw(st.integers(0, 3))} if draw(st.booleans()) and not is_bounded else None
    return Budget(
        name=name,
        per=per,
        mode=Mode.ENFORCE
        if is_bounded
        else draw(st.sampled_from([Mode.ENFORCE] * 3 + [Mode.AUDIT])),
        where={"tenant": "a"} if draw(st.integers(0, 3)) == 0 else None,
        warn_at=draw(st.sampled_from([(), ("0.5", "0.8", "0.9"), ("1",)])),
        shares=shares,
        reserve=is_bounded or draw(st.booleans()),
        grace=0 if is_bounded else draw(st.integers(0, 2)),
        tool_calls_by_name=tools,
        **window,
        **limits,
    )


@st.composite
def usages(draw: st.DrawFn) -> dict[LimitKind, int]:
    """What a call uses; parts are within their wholes."""
    inputs, outputs = draw(st.integers(0, 20)), draw(st.integers(0, 20))
    reads = draw(st.integers(0, inputs))
    amounts = (
        draw(st.integers(0, 25)),
        inputs + outputs,
        inputs,
        outputs,
        reads,
        draw(st.integers(0, inputs - reads)),
        draw(st.integers(0, outputs)),
    )
    return dict(zip(SPENT, amounts, strict=True))


def charge_of(amounts: Amounts, model: str = "m", *, is_estimate: bool = False) -> Charge:
    """What the engine is told that a call used."""
    cost, tokens, *classes = (amounts[kind] for kind in SPENT)
    usage = TokenUsage(*classes)
    if is_estimate:
        return Charge(model, tokens, None, cost, usage=usage)
    return Charge(model, tokens, cost, usage=usage)


def hold_of(amounts: Amounts | None) -> Hold | None:
    """What the engine is told that a call may use."""
    return None if amounts is None else Hold(*(amounts[kind] for kind in HELD))


def within(amounts: Amounts, bound: Amounts) -> dict[LimitKind, int]:
    """Amounts of which none is above those that are held."""
    inputs = min(amounts[LimitKind.INPUT_TOKENS], bound[LimitKind.INPUT_TOKENS])
    outputs = min(amounts[LimitKind.OUTPUT_TOKENS], bound[LimitKind.OUTPUT_TOKENS])
    cost = min(amounts[LimitKind.COST_USD], bound[LimitKind.COST_USD])
    return dict(zip(SPENT, (cost, inputs + outputs, inputs, outputs, 0, 0, 0), strict=True))
