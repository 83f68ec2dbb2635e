"""A live run, exported and replayed with the same budgets, is refused the same calls."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from budget_audit.app import app
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Tracer

import otelbudget
from otelbudget import BudgetExceededError, Budgets, BudgetSpanProcessor, DuckDBSpanExporter
from otelbudget.live.gates.gated import Passage
from otelbudget.live.request import Request

TENANTS, TIERS = ("acme", "cedar", ""), ("quick", "deep", "")
PRIORITIES = ("batch", "chat", "")
START_NS = 1_793_577_600 * 10**9  # 2026-11-02T00:00:00Z
USD_PER_TOKEN = 0.00001  # gpt-4o, output

# What budgets may say; limits are some hundred tokens, so that a few calls use them up.
BUDGETS = {
    "run": "{per: trace, max_cost_usd: 0.0%(limit)s}",
    "named": "{per: run, max_tokens: %(limit)s0, max_calls: 6}",
    "quick": "{max_calls: 3, max_output_tokens: %(limit)s0}",
    "deep": "{max_cost_usd: 0.0%(limit)s, grace: 1}",
    "daily": "{per: tenant.id, window: day, timezone: Europe/Berlin, max_cost_usd: 0.0%(limit)s}",
    "hourly": "{per: [tenant.id, service.name], window: hour, max_calls: 4}",
    "rolling": "{per: tenant.id, window: 15m, max_cost_usd: 0.0%(limit)s}",
    "shared": (
        "{per: tenant.id, max_calls: 9, shares: {otelbudget.priority: {batch: 0.5, chat: 0.4}}}"
    ),
    "agents": "{per: run, max_cost_usd: 0.1, shares: {gen_ai.agent.name: {a: 0.2, b: 0.%(share)s}}}",
    "some": "{per: process, where: {tenant.id: [acme, cedar]}, max_tokens: %(limit)s00}",
    "held": "{per: trace, reserve: true, max_cost_usd: 0.0%(limit)s}",
    "watched": "{per: trace, mode: audit, max_calls: 1}",
    "tools": "{per: trace, max_tool_calls: 2, max_tool_calls_by_name: {search: 1}}",
}


@dataclass
class Opened:
    """A run of the application: what code runs in there, and what it has under way."""

    context: Context
    stack: ExitStack
    calls: list[tuple[Passage, int]] = field(default_factory=list)


class Application:
    """Makes calls as it is told, on a clock of its own."""

    def __init__(self, budgets: str, store: Path) -> None:
        self.now_ns = START_NS
        self.provider = TracerProvider(
            resource=Resource({"service.name": "shop"}), shutdown_on_exit=False
        )
        self.provider.add_span_processor(SimpleSpanProcessor(DuckDBSpanExporter(store)))
        self.processor = BudgetSpanProcessor(Budgets.from_yaml(budgets), clock=lambda: self.now_ns)
        self.provider.add_span_processor(self.processor)
        self.tracer: Tracer = self.provider.get_tracer("app")
        self.runs: list[Opened] = []
        self.denied: Counter[tuple[str, str]] = Counter()
        self.tools_denied = 0

    def do(self, step: tuple[str, int, int]) -> None:
        """Take a step: what, which of those there are, and an amount."""
        what, which, amount = step
        act: Callable[[int, int], None] = getattr(self, what)
        act(which, amount)

    def open(self, which: int, amount: int) -> None:
        """Begin a run, inside of another or not, opened by name or by a span."""
        is_inside = bool(self.runs) and amount % 3 == 0
        outer = self.runs[which % len(self.runs)].context if is_inside else Context()
        context, stack = outer.run(copy_context), ExitStack()
        tenant, tier = TENANTS[which % 3], TIERS[amount % 3]
        attributes = {"tenant.id": tenant, "otelbudget.priority": PRIORITIES[amount % 3]}
        told = {key: value for key, value in attributes.items() if value}
        if which % 2:
            run = otelbudget.run(
                "run", tier=tier or None, scope=told, tracer_provider=self.provider
            )
            context.run(stack.enter_context, run)
        else:
            asked = {**told, **({"otelbudget.tier": tier} if tier else {})}
            span = self.tracer.start_as_current_span("run", attributes=asked)
            context.run(stack.enter_context, span)
        self.runs.append(Opened(context, stack))

    def agent(self, which: int, amount: int) -> None:
        """Go on as an agent, on a span of its own."""
        if self.runs:
            run = self.runs[which % len(self.runs)]
            named = {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": "abc"[amount % 3],
            }
            span = self.tracer.start_as_current_span("agent", attributes=named)
            run.context.run(run.stack.enter_context, span)

    def call(self, which: int, amount: int) -> None:
        """Begin a call with a cap on its output."""
        if not self.runs:
            return
        run = self.runs[which % len(self.runs)]
        body = {"model": "gpt-4o", "max_tokens": amount, "messages": []}
        request = Request("openai", "gpt-4o", "chat", body)
        try:
            passage = run.context.run(Passage.open, request)
        except BudgetExceededError as error:
            self.denied[error.budget, error.kind] += 1
            return
        assert passage is not None
        run.calls.append((passage, amount))

    def end(self, which: int, amount: int) -> None:
        """Answer a call: it uses as many tokens of output as its cap, or fewer."""
        run = self.runs[which % len(self.runs)] if self.runs else None
        if run is None or not run.calls:
            return
        passage, cap = run.calls.pop(amount % len(run.calls))
        used = cap if amount % 2 else cap // 2
        usage = {"prompt_tokens": 0, "completion_tokens": used}
        run.context.run(passage.read, {"model": "gpt-4o", "usage": usage})

    def tool(self, which: int, amount: int) -> None:
        """Call a tool."""
        if not self.runs:
            return
        name = "search" if amount % 2 else "read"
        told = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
        try:
            span = self.runs[which % len(self.runs)].context.run(
                self.tracer.start_span, "execute_tool", attributes=told
            )
        except BudgetExceededError:
            self.tools_denied += 1
            return
        span.end()

    def tick(self, which: int, amount: int) -> None:
        """Let time pass, from some milliseconds to days."""
        self.now_ns += (1, 60, 600, 3600, 40_000)[which % 5] * amount * 10**7

    def close(self) -> None:
        """End all calls and runs, and write the spans."""
        for run in reversed(self.runs):
            while run.calls:
                self.end(self.runs.index(run), 1)
            run.context.run(run.stack.close)
        self.provider.shutdown()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "agent", "call", "call", "call", "end", "end", "tick", "tool"]),
        st.integers(0, 9),
        st.integers(1, 900),
    ),
    max_size=60,
)
CHOSEN = st.lists(st.sampled_from(sorted(BUDGETS)), min_size=1, max_size=4, unique=True)


def _yaml(names: Sequence[str], limit: int) -> str:
    values = {"limit": limit, "share": limit % 8 + 1}
    return "budgets:\n" + "".join(f"  {name}: {BUDGETS[name] % values}\n" for name in names)


def _simulated(store: Path, budgets: Path) -> dict[str, Any]:
    arguments = ["simulate", str(store), "--budgets", str(budgets), "--format", "json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=False
)
@example(names=["run"], limit=12, steps=[("open", 1, 1), *[("call", 0, 900), ("end", 0, 1)] * 40])
@given(names=CHOSEN, limit=st.integers(10, 60), steps=STEPS)
def test_a_replay_refuses_what_was_refused_live(
    names: list[str], limit: int, steps: list[tuple[str, int, int]]
) -> None:
    with TemporaryDirectory() as folder:
        budgets, store = Path(folder) / "budgets.yaml", Path(folder) / "live.duckdb"
        budgets.write_text(_yaml(names, limit))
        application = Application(str(budgets), store)
        try:
            for step in [("open", 0, 1), *steps]:
                application.do(step)
        finally:
            application.close()
        answer = _simulated(store, budgets)

    note(json.dumps(answer, indent=1))
    replayed: Counter[tuple[str, str]] = Counter()
    for row in answer["limits"]:
        if row["kind"] != "tool_calls":
            replayed[row["budget"], row["kind"]] += row["calls_denied"]
    assert +replayed == application.denied
    assert answer["totals"]["calls_denied"] == application.denied.total()
    assert answer["totals"]["tool_calls_denied"] == application.tools_denied
