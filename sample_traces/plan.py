"""What the sample app does in two weeks: every run, with its model calls, tools and times.

All of it comes from one seed, so that running the plan twice writes the same traces.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from otelbudget.testing import Reply, ToolCall

SEED = 20_261_102
FIRST_DAY = datetime(2026, 11, 2, tzinfo=UTC)
DAYS = 14
RUNS = {
    "quick_answer": 90,
    "research": 50,
    "fan_out": 25,
    "cached_prompt": 20,
    "runaway_loop": 3,
    "provider_error": 7,
    "local_model": 8,
}

MICROSECOND_NS = 1_000
MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000

GPT_4O = "gpt-4o"
GPT_4O_MINI = "gpt-4o-mini"
SONNET = "claude-sonnet-4-5"
LLAMA = "llama3.2:3b"
ANSWERED_AS = {
    GPT_4O: "gpt-4o-2024-08-06",
    GPT_4O_MINI: "gpt-4o-mini-2024-07-18",
    SONNET: "claude-sonnet-4-5-20250929",
    LLAMA: LLAMA,
}
_AGENTS = {
    "quick_answer": "quick-answer",
    "research": "researcher",
    "fan_out": "comparer",
    "cached_prompt": "policy-assistant",
    "runaway_loop": "researcher",
    "provider_error": "importer",
    "local_model": "note-tagger",
}
_TENANTS = ("acme", "acme", "acme", "birch", "birch", "cedar", "dune")
_TOOLS = ("search_web", "read_page", "query_tickets")
_CACHE_BLOCK_TOKENS = 128
_CACHE_MINIMUM_TOKENS = 1_024


@dataclass(frozen=True, slots=True)
class Step:
    """One span of the app: a model call or a tool.

    Attributes:
        key: Unique among all steps of the plan.
        start_ns: When it starts, in unix nanoseconds.
        end_ns: When it ends, in unix nanoseconds.
        name: Model for a model call, else the tool.
        reply: What the provider answers; None for a tool.
        is_streamed: Whether the model call is streamed.
    """

    key: str
    start_ns: int
    end_ns: int
    name: str
    reply: Reply | None = None
    is_streamed: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """One run of an agent: one trace.

    Attributes:
        key: Unique among all runs.
        workflow: Name of the workflow, a key of `RUNS`.
        tenant: Who the run is for.
        start_ns: When it starts, in unix nanoseconds.
        end_ns: When it ends, in unix nanoseconds.
        stages: What it does in turn; the steps of one stage run at the same time.
        failure: Why the run failed, or None.
        variant: Number of the run within its workflow, from 0.
    """

    key: str
    workflow: str
    tenant: str
    start_ns: int
    end_ns: int
    stages: tuple[tuple[Step, ...], ...]
    failure: str | None
    variant: int

    @property
    def agent(self) -> str:
        """Name of the agent that runs."""
        return _AGENTS[self.workflow]

    @property
    def step_key(self) -> str:
        """Key of the run's own span."""
        return f"{self.key}/root"


class _Draft:
    """A run in the making: it keeps the clock."""

    def __init__(self, workflow: str, variant: int) -> None:
        self.key = f"{workflow}-{variant}"
        self.workflow = workflow
        self.variant = variant
        self.random = random.Random(f"{SEED}/{self.key}")  # noqa: S311  (not for secrets)
        self.tenant = self.random.choice(_TENANTS)
        self.start_ns = self._office_hour()
        self.now_ns = self.start_ns + self.milliseconds(1, 12)
        self.stages: list[tuple[Step, ...]] = []
        self.failure: str | None = None

    def tokens(self, median: int, spread: float = 0.5) -> int:
        """A token count, lognormal around a median."""
        return max(1, round(median * math.exp(self.random.gauss(0, spread))))

    def milliseconds(self, low: int, high: int) -> int:
        """A duration between two bounds in milliseconds, in nanoseconds to the microsecond."""
        return self.random.randrange(low * 1_000, high * 1_000) * MICROSECOND_NS

    def call(self, model: str, reply: Reply, *, is_streamed: bool = False) -> None:
        """Add a model call after all before it."""
        self.together([(model, reply)], is_streamed=is_streamed)

    def together(self, calls: list[tuple[str, Reply]], *, is_streamed: bool = False) -> None:
        """Add model calls that run at the same time, each starting shortly after the one before."""
        steps: list[Step] = []
        start_ns = self.now_ns
        for model, reply in calls:
            speed = self.random.uniform(0.7, 1.3)
            thinking_ns = round(reply.output_tokens * 9_000 * speed) * MICROSECOND_NS
            end_ns = start_ns + self.milliseconds(350, 900) + thinking_ns
            key = self._step_key(len(steps))
            steps.append(Step(key, start_ns, end_ns, model, reply, is_streamed))
            start_ns += self.milliseconds(4, 20)
        self._add(steps)

    def tool(self, name: str) -> None:
        """Add a tool after all before it."""
        end_ns = self.now_ns + self.milliseconds(40, 1_500)
        self._add([Step(self._step_key(0), self.now_ns, end_ns, name)])

    def done(self) -> Run:
        """The run as planned."""
        return Run(
            self.key,
            self.workflow,
            self.tenant,
            self.start_ns,
            self.now_ns,
            tuple(self.stages),
            self.failure,
            self.variant,
        )

    def _step_key(self, place: int) -> str:
        return f"{self.key}/{len(self.stages)}.{place}"

    def _add(self, steps: list[Step]) -> None:
        self.stages.append(tuple(steps))
        self.now_ns = max(step.end_ns for step in steps) + self.milliseconds(1, 12)

    def _office_hour(self) -> int:
        is_weekend = [(FIRST_DAY + timedelta(day)).weekday() > 4 for day in range(DAYS)]  # noqa: PLR2004
        weights = [1 if weekend else 4 for weekend in is_weekend]
        (day,) = self.random.choices(range(DAYS), weights)
        second = round(self.random.triangular(7, 20, 14) * 3_600)
        moment = FIRST_DAY + timedelta(days=day, seconds=second)
        return int(moment.timestamp()) * SECOND_NS + self.milliseconds(0, 1_000)


def plan() -> list[Run]:
    """Every run, ordered by start time."""
    runs = [_run(workflow, index) for workflow, count in RUNS.items() for index in range(count)]
    return sorted(runs, key=lambda run: run.start_ns)


def model_steps(run: Run) -> Iterator[Step]:
    """The model calls of a run."""
    return (step for stage in run.stages for step in stage if step.reply is not None)


def _run(workflow: str, variant: int) -> Run:
    draft = _Draft(workflow, variant)
    _WORKFLOWS[workflow](draft)
    return draft.done()


def _quick_answer(draft: _Draft) -> None:
    for _ in range(draft.random.choice((1, 1, 2))):
        reply = Reply(draft.tokens(520), draft.tokens(140))
        draft.call(GPT_4O_MINI, reply, is_streamed=draft.variant % 2 == 1)


def _research(draft: _Draft) -> None:
    _loop(draft, draft.random.randint(4, 10), draft.tokens(1_300, 0.4), 450)


def _runaway_loop(draft: _Draft) -> None:
    calls = (46, 61, 78)[draft.variant]
    _loop(draft, calls, draft.tokens(5_000, 0.1), 620, always_calls_tools=True)
    draft.failure = f"no answer after {calls} steps"


def _loop(
    draft: _Draft, calls: int, prompt: int, growth: int, *, always_calls_tools: bool = False
) -> None:
    """A model that calls tools until it has an answer; its prompt keeps all that was said."""
    cached = 0
    for turn in range(calls):
        has_tools = always_calls_tools or turn < calls - 1
        output = draft.tokens(90 if has_tools else 600, 0.4)
        tools = [draft.random.choice(_TOOLS) for _ in range(draft.random.choice((1, 1, 1, 2)))]
        tool_calls = tuple(ToolCall(name, {"turn": turn}) for name in tools) if has_tools else ()
        hit = cached if draft.random.random() < 0.8 else 0  # noqa: PLR2004  (share of cache hits)
        draft.call(GPT_4O, Reply(prompt, output, hit, tool_calls=tool_calls))
        cached = _cacheable(prompt)
        for called in tool_calls:
            draft.tool(called.name)
        prompt += output + draft.tokens(growth, 0.5)


def _fan_out(draft: _Draft) -> None:
    draft.call(GPT_4O, Reply(draft.tokens(900, 0.3), draft.tokens(220, 0.3)))
    workers = [
        (GPT_4O_MINI, Reply(draft.tokens(2_600), draft.tokens(380, 0.4)))
        for _ in range(draft.random.randint(4, 8))
    ]
    draft.together(workers)
    answers = sum(reply.output_tokens for _, reply in workers)
    draft.call(GPT_4O, Reply(answers + draft.tokens(400, 0.2), draft.tokens(520, 0.3)))


def _cached_prompt(draft: _Draft) -> None:
    """A long prompt that the first call writes to the cache, and the later calls read from it."""
    prefix, written = draft.tokens(9_000, 0.3), 0
    for turn in range(draft.random.randint(3, 6)):
        read, written = written, prefix if turn == 0 else written + draft.tokens(320, 0.4)
        fresh = draft.tokens(45, 0.4)
        reply = Reply(
            written + fresh,
            draft.tokens(310),
            cache_read_input_tokens=read,
            cache_write_input_tokens=written - read,
        )
        draft.call(SONNET, reply)


def _provider_error(draft: _Draft) -> None:
    status, good_calls, model = (
        (429, 2, GPT_4O),
        (500, 0, GPT_4O_MINI),
        (400, 3, GPT_4O),
    )[draft.variant % 3]
    for _ in range(good_calls):
        draft.call(model, Reply(draft.tokens(1_800, 0.3), draft.tokens(160, 0.3)))
        draft.tool("read_page")
    draft.call(model, Reply(0, 0, status=status))
    draft.failure = f"the provider answered {status}"


def _local_model(draft: _Draft) -> None:
    for _ in range(draft.random.randint(1, 3)):
        draft.call(LLAMA, Reply(draft.tokens(700), draft.tokens(60)))


def _cacheable(prompt: int) -> int:
    """Tokens of a prompt that OpenAI's cache keeps: whole blocks, from a minimum on."""
    blocks = prompt // _CACHE_BLOCK_TOKENS
    return blocks * _CACHE_BLOCK_TOKENS if prompt >= _CACHE_MINIMUM_TOKENS else 0


_WORKFLOWS = {
    "quick_answer": _quick_answer,
    "research": _research,
    "fan_out": _fan_out,
    "cached_prompt": _cached_prompt,
    "runaway_loop": _runaway_loop,
    "provider_error": _provider_error,
    "local_model": _local_model,
}
