"""Replay of every feature of budgets against lists that are summed from scratch at each start."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from otelbudget.audit.happenings import RecordedCall, Recording, ToolCall
from otelbudget.audit.replay import replay
from otelbudget.budgets.config import Budgets
from otelbudget.budgets.decisions import Hold
from otelbudget.budgets.scopes import Place, RunScope
from otelbudget.pricing.billing import Charge

SECOND = 10**9
HOUR = 3_600 * SECOND
BASE = 1_793_577_600 * SECOND  # 2026-11-02T00:00:00Z, a full hour
MICRO = 10**6  # pico-USD in a micro-USD


class Did(NamedTuple):
    """A call of a model or, with a name, of a tool; times in ns after BASE, amounts in micro-USD."""

    start: int
    length: int
    trace: str
    tenant: str
    agent: str
    tier: str
    cost: int
    tokens: int
    estimate: int
    is_free: bool
    is_wrap_up: bool
    tool: str = ""


# --- the lists ------------------------------------------------------------------------------------


def accounts(spec: dict[str, Any], did: Did) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """What a budget counts something on: the scope with its window, and the limits there."""
    values = {"trace": did.trace, "tenant": did.tenant, "agent": did.agent}
    if spec.get("where", did.tenant) != did.tenant or (
        not spec["per"] and did.tier != spec["name"]
    ):
        return
    window = did.start // HOUR if spec["window"] == "hour" else None
    scope = (spec["name"], *(values[key] for key in spec["per"] or ("trace",)), window)
    yield scope, spec["limits"]
    if did.agent in spec["shares"]:
        ratio = spec["shares"][did.agent]
        shared: dict[str, Any] = {k: limit * ratio // 10 for k, limit in spec["limits"].items()}
        if "cost_usd" in shared:  # money has finer parts
            shared["cost_usd"] = Fraction(spec["limits"]["cost_usd"] * ratio, 10)
        yield (*scope, did.agent), {k: v for k, v in shared.items() if k != "seconds"}
    if did.tool in spec["tools"]:
        yield (*scope, "tool", did.tool), {"tool_calls": spec["tools"][did.tool]}


def brute_force(specs: Sequence[dict[str, Any]], dids: Sequence[Did]) -> tuple[set[int], set[int]]:
    """Which calls of models and of tools are refused, by number."""
    admitted: list[Did] = []
    begun: dict[Any, int] = {}
    graced: dict[Any, int] = {}
    refused: tuple[set[int], set[int]] = set(), set()
    for number in sorted(range(len(dids)), key=lambda at: (dids[at].start, not dids[at].tool, at)):
        did = dids[number]
        asked = [(spec, *each) for spec in specs for each in accounts(spec, did)]
        for _, scope, _ in asked:
            begun.setdefault(scope, did.start)
        shut = [
            (spec, scope)
            for spec, scope, limits in asked
            if is_shut(
                spec, limits, did, [x for x in admitted if counts(spec, scope, x)], begun[scope]
            )
        ]
        has_grace = did.is_wrap_up and not did.tool
        passed = [at for spec, at in shut if has_grace and graced.get(at, 0) < spec["grace"]]
        if len(passed) < len(shut):
            refused[bool(did.tool)].add(number)
            continue
        graced |= {scope: graced.get(scope, 0) + 1 for scope in passed}
        admitted.append(did)
    return refused


def counts(spec: dict[str, Any], scope: Any, did: Did) -> bool:
    return any(scope == each for each, _ in accounts(spec, did))


def is_shut(
    spec: dict[str, Any], limits: dict[str, Any], now: Did, admitted: list[Did], began: int
) -> bool:
    """Whether an account refuses, of what it has admitted and since when."""
    first = now.start - 60 * SECOND if spec["window"] == "60s" else -1
    inside = [each for each in admitted if each.start > first]
    ended = [each for each in inside if not each.tool and end(each) <= now.start]
    held = sum(each.estimate for each in admitted if not each.tool and end(each) > now.start)
    used = {
        "cost_usd": sum(each.cost for each in ended),
        "tokens": sum(each.tokens for each in ended),
        "calls": sum(not each.tool for each in inside),
        "tool_calls": sum(bool(each.tool) for each in inside) - (not now.tool),
        "seconds": now.start - began,
    }
    asked = (
        {"tool_calls", "seconds"}
        if now.tool
        else used.keys() - ({"cost_usd"} if now.is_free else set())
    )
    closed = any(kind in asked and used[kind] >= limit for kind, limit in limits.items())
    holds = {"cost_usd", "tokens"} & asked if spec["reserve"] and not now.tool else set()
    return closed or any(
        kind in holds and used[kind] + held + now.estimate > limit for kind, limit in limits.items()
    )


def end(did: Did) -> int:
    return max(did.start + did.length, did.start + 1)


# --- the same by the engine -----------------------------------------------------------------------


def by_engine(specs: Sequence[dict[str, Any]], dids: Sequence[Did]) -> tuple[int, int, int, int]:
    """Calls refused, pico-USD avoided, calls of tools refused, pico-USD spent."""
    places: dict[Any, Place] = {}
    calls, tools = [], []
    for number, did in enumerate(dids):
        values = {"tenant": did.tenant, "agent": did.agent}
        key = did.trace, did.tier, did.tenant, did.agent
        run = RunScope(did.trace, did.tier or None, is_trace=True)
        place = places.setdefault(key, Place(did.trace, [run], values))
        span_id, start = f"{number:04}", BASE + did.start
        if did.tool:
            tools.append(ToolCall("", span_id, start, did.tool, place))
            continue
        charge = Charge("m", did.tokens, did.cost * MICRO)
        hold = Hold(did.estimate * MICRO, did.estimate)
        finish = BASE + end(did)
        calls.append(
            RecordedCall(
                "", span_id, start, finish, charge, place, hold, did.is_free, did.is_wrap_up
            )
        )
    budgets = Budgets.from_config({"budgets": {spec["name"]: written(spec) for spec in specs}})
    result = replay(Recording(calls, tools=tools), budgets)
    return (
        result.calls_denied,
        result.avoided_pusd,
        result.tool_calls_denied,
        result.spent_pusd,
    )


def written(spec: dict[str, Any]) -> dict[str, Any]:
    """A budget as a file has it."""
    limits = {f"max_{kind}": limit for kind, limit in spec["limits"].items()}
    if "cost_usd" in spec["limits"]:
        digits = f"{spec['limits']['cost_usd']:07}"
        limits["max_cost_usd"] = f"{digits[:-6]}.{digits[-6:]}"
    if "seconds" in spec["limits"]:
        limits["max_seconds"] = spec["limits"]["seconds"] // SECOND
    return {
        **limits,
        **({"per": list(spec["per"])} if spec["per"] else {}),
        **({"window": spec["window"]} if spec["window"] else {}),
        **({"where": {"tenant": spec["where"]}} if "where" in spec else {}),
        **(
            {"shares": {"agent": {k: f"0.{v}" for k, v in spec["shares"].items()}}}
            if spec["shares"]
            else {}
        ),
        **({"max_tool_calls_by_name": spec["tools"]} if spec["tools"] else {}),
        "reserve": spec["reserve"],
        "grace": spec["grace"],
    }


# --- workloads ------------------------------------------------------------------------------------


@st.composite
def one_spec(draw: st.DrawFn) -> dict[str, Any]:
    per = draw(st.sampled_from([("trace",), ("tenant",), ("tenant", "agent"), ()]))
    window = draw(st.sampled_from(["", "hour", "60s"]))
    kinds = ["cost_usd", "tokens", "calls", "tool_calls"]
    if not window and per in (("trace",), ()):
        kinds.append("seconds")
    limits = draw(
        st.dictionaries(st.sampled_from(kinds), st.integers(0, 6), min_size=1, max_size=2)
    )
    if "seconds" in limits:
        limits["seconds"] *= 20 * SECOND
    return {
        "name": "",
        "per": per,
        "window": window,
        "limits": limits,
        "shares": draw(st.sampled_from([{}, {}, {"a": 5}, {"a": 3, "b": 7}])),
        "tools": draw(st.sampled_from([{}, {}, {"search": 1}])),
        "reserve": draw(st.booleans()),
        "grace": draw(st.sampled_from([0, 0, 1, 2])),
        **draw(st.sampled_from([{}, {}, {"where": "acme"}])),
    }


# Few instants and around a full hour, so that ties and edges are the rule.
instants = st.sampled_from([0, 1, SECOND, 59 * SECOND, 60 * SECOND, 61 * SECOND]) | st.sampled_from(
    [HOUR - 60 * SECOND, HOUR - 1, HOUR, HOUR + 1]
)
made = st.builds(
    Did,
    start=instants,
    length=st.sampled_from([0, 1, SECOND, 60 * SECOND, HOUR]),
    trace=st.sampled_from(["1", "2"]),
    tenant=st.sampled_from(["acme", "birch"]),
    agent=st.sampled_from(["a", "b"]),
    tier=st.just(""),
    cost=st.integers(0, 4),
    tokens=st.integers(0, 4),
    estimate=st.integers(0, 4),
    is_free=st.booleans(),
    is_wrap_up=st.booleans(),
    tool=st.sampled_from(["", "", "", "search", "read"]),
)


@settings(max_examples=200, deadline=None)
@given(
    chosen=st.lists(one_spec(), min_size=1, max_size=3),
    dids=st.lists(made, max_size=14),
    tiers=st.sampled_from(["", "budget0"]),
)
def test_replay_refuses_what_lists_refuse(
    chosen: list[dict[str, Any]], dids: list[Did], tiers: str
) -> None:
    specs = [{**spec, "name": f"budget{number}"} for number, spec in enumerate(chosen)]
    # All of a trace asks for one tier; free calls cost nothing.
    dids = [
        did._replace(tier=tiers if did.trace == "1" else "", cost=0 if did.is_free else did.cost)
        for did in dids
    ]
    refused, tools_refused = brute_force(specs, dids)

    denied, avoided, tools_denied, spent = by_engine(specs, dids)

    costs = {at: did.cost * MICRO for at, did in enumerate(dids) if not did.tool}
    assert denied == len(refused)
    assert avoided == sum(costs[at] for at in refused)
    assert tools_denied == len(tools_refused)
    assert spent == sum(costs.values()) - avoided
