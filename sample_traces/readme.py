"""The README of the sample traces, written around the totals."""

from typing import Any

import totals

_TEXT = """\
# Sample traces

`traces.jsonl` holds {traces} traces of an app that does not exist, as OTLP JSON lines, one trace
a line. The spans are real: they were made by opentelemetry-instrumentation-genai-openai and
-genai-anthropic, by the anthropic SDK and by the app's own tracer, in calls to the fake provider
of `otelbudget.testing`. Ids, times, addresses and token counts come from a seeded plan.
Content was not captured.

Every run is a span `invoke_agent NAME` with `gen_ai.agent.name`, `tenant.id` and
`sample.workflow`. What the workflows are for:

| workflow | agent | what it shows |
|---|---|---|
| quick_answer | quick-answer | one or two calls, half of them streamed |
| research | researcher | a model that calls tools until it has an answer |
| fan_out | comparer | calls that run at the same time, by threads and by asyncio |
| cached_prompt | policy-assistant | cache writes and reads; six runs are instrumented twice, by the SDK and by genai-anthropic, and count once |
| runaway_loop | researcher | an agent that never finishes; its prompt grows; the run fails |
| provider_error | importer | answers 429, 500 and 400, which cost nothing; the run fails |
| local_model | note-tagger | a free model, provider `ollama` |

## What an audit must find

These totals are sums of what the fake provider billed, times published rates, in decimal
arithmetic (`totals.py`). No reader or price table of otelbudget has a part in them.
`expected.json` has the same for programs, and by tenant.

Input tokens include cache reads and writes. Model calls are those that were billed; the
{failed_calls} calls the provider refused are apart.

{everything}

By workflow:

{by_workflow}

By agent:

{by_agent}

By model, as the answer names it:

{by_response_model}

## Rates

US dollars per million tokens:

{rates}

## Make them again

    python sample_traces/make.py

`--check` compares instead of writing. The bytes depend on the versions in `expected.json`.
"""

_COLUMNS = {
    "traces": "traces",
    "spans": "spans",
    "model_calls": "model calls",
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
    "cache_read_input_tokens": "cache read",
    "cache_write_input_tokens": "cache write",
    "list_cost_usd": "list cost USD",
}


def text(expected: dict[str, Any]) -> str:
    """The whole README."""
    everything = expected["totals"]
    return _TEXT.format(
        traces=everything["traces"],
        failed_calls=everything["failed_calls"],
        everything=_table("", {"all": everything}),
        by_workflow=_table("workflow", expected["by_workflow"]),
        by_agent=_table("agent", expected["by_agent"]),
        by_response_model=_table("model", expected["by_response_model"]),
        rates=_rates_table(),
    )


def rates() -> dict[str, dict[str, str | None]]:
    """The rates for programs, by the model as requested."""
    return {
        model: {
            "input": totals.usd(one.input),
            "output": totals.usd(one.output),
            "cache_read": totals.usd(one.cache_read),
            "cache_write": None if one.cache_write is None else totals.usd(one.cache_write),
            "source": one.source,
        }
        for model, one in totals.RATES.items()
    }


def _table(key: str, groups: dict[str, dict[str, Any]]) -> str:
    columns = [name for name in _COLUMNS if name in next(iter(groups.values()))]
    head = f"| {key} | " + " | ".join(_COLUMNS[name] for name in columns) + " |"
    rule = "|---|" + "---:|" * len(columns)
    rows = [
        f"| {group} | " + " | ".join(_cell(row[name]) for name in columns) + " |"
        for group, row in groups.items()
    ]
    return "\n".join([head, rule, *rows])


def _cell(value: int | str) -> str:
    return f"{value:,}" if isinstance(value, int) else value


def _rates_table() -> str:
    head = "| model | input | output | cache read | cache write | source |"
    rows = [
        f"| {model} | {one['input']} | {one['output']} | {one['cache_read']} | "
        f"{one['cache_write'] or '-'} | {one['source']} |"
        for model, one in rates().items()
    ]
    return "\n".join([head, "|---|---:|---:|---:|---:|---|", *rows])
