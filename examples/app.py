"""Agents with a budget: a run may spend 0.25 USD, and the one that never finishes is stopped.

It needs no API key: a fake provider on this machine answers as OpenAI would.

    python examples/app.py
    python examples/app.py --prometheus 9464 --runs 600 --seconds 600   # for the dashboard
"""

import argparse
import time
from contextlib import suppress
from itertools import cycle, islice
from typing import Any, NamedTuple

from openai import OpenAI
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import start_http_server

from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor, DuckDBSpanExporter
from otelbudget.testing import Billed, FakeProvider, Reply, Request, ToolCall


class Workflow(NamedTuple):
    """What an agent is called, which model it asks, and how many searches lead it to an answer."""

    name: str
    model: str
    searches: int


WORKFLOWS = (
    Workflow("triage", "gpt-4o-mini", 1),
    Workflow("research", "gpt-4o", 4),
    Workflow("draft", "gpt-4.1", 2),
    Workflow("runaway", "gpt-4o", 1_000),
)
MAX_CALLS = 20  # what the agents themselves do against running away
TOOLS: Any = [{"type": "function", "function": {"name": "search", "parameters": {}}}]
RESOURCE = Resource.create({"service.name": "example-app"})
tracer = trace.get_tracer("example-app")


def set_up_telemetry(options: argparse.Namespace) -> None:
    """Set OpenTelemetry up as usual, with a store for the spans and a budget for every trace."""
    if options.prometheus is not None:
        server, _ = start_http_server(options.prometheus, addr="127.0.0.1")
        metrics.set_meter_provider(MeterProvider([PrometheusMetricReader()], RESOURCE))
        print(f"Metrics are on http://127.0.0.1:{server.server_port}/metrics", flush=True)
    provider = TracerProvider(resource=RESOURCE)
    if options.otlp:
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(options.otlp)))
    provider.add_span_processor(BatchSpanProcessor(DuckDBSpanExporter(options.store)))
    budget = Budget(cost_usd="0.25", name="per-run", mode=options.mode)
    provider.add_span_processor(BudgetSpanProcessor(budget))  # after the others
    trace.set_tracer_provider(provider)
    OpenAIInstrumentor().instrument()


def run_agent(client: OpenAI, workflow: Workflow) -> None:
    """Ask the model and search until it has an answer."""
    chat = client.chat.completions
    name = f"invoke_agent {workflow.name}"
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": workflow.name}
    messages: list[Any] = [{"role": "system", "content": workflow.name}]
    with tracer.start_as_current_span(name, attributes=attributes):
        for _ in range(MAX_CALLS):
            completion = chat.create(model=workflow.model, messages=messages, tools=TOOLS)
            message = completion.choices[0].message
            messages.append(message)
            if not message.tool_calls:
                break
            messages.extend(search(call.id) for call in message.tool_calls)


def search(call_id: str) -> dict[str, str]:
    """Search, as the model asks for; the only tool of the agents."""
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
    with tracer.start_as_current_span("execute_tool search", attributes=attributes):
        return {"role": "tool", "tool_call_id": call_id, "content": "A page on something else."}


def answer(request: Request) -> Reply:
    """Play the model: each search makes the prompt longer, and all but its end is cached."""
    messages = request.body["messages"]
    workflow = next(each for each in WORKFLOWS if each.name == messages[0]["content"])
    searches = sum(message["role"] == "tool" for message in messages)
    return Reply(
        input_tokens=6_000 + 2_000 * searches,
        cache_read_input_tokens=4_000 + 2_000 * searches if searches else 0,
        output_tokens=300,
        tool_calls=(ToolCall("search"),) if searches < workflow.searches else (),
    )


def print_run(client: OpenAI, workflow: Workflow) -> None:
    """Run a workflow and print how it ended."""
    try:
        run_agent(client, workflow)
    except BudgetExceededError as error:
        print(f"{workflow.name:9} stopped: {error}", flush=True)
    else:
        print(f"{workflow.name:9} finished", flush=True)


def print_bill(billed: list[Billed]) -> None:
    """Print what the provider would bill, by model."""
    for model in sorted({model for model, _ in billed}):
        usages = [usage for each, usage in billed if each == model]
        tokens = sum(usage.input_tokens for usage in usages)
        cached = sum(usage.cache_read_input_tokens for usage in usages)
        output = sum(usage.output_tokens for usage in usages)
        print(f"{model:11} {tokens} input tokens ({cached} cached), {output} output tokens")
    print(f"{len(billed)} model calls billed", flush=True)


def main() -> None:
    """Run the workflows one after another."""
    parser = argparse.ArgumentParser(description="Agents with a budget, on a fake provider.")
    parser.add_argument("--runs", type=int, default=len(WORKFLOWS), help="how many runs")
    parser.add_argument("--seconds", type=float, default=0, help="stay up so long, a run a second")
    parser.add_argument("--store", default="traces.duckdb", help="file for the spans")
    parser.add_argument("--mode", choices=["audit", "enforce"], default="enforce")
    parser.add_argument("--otlp", metavar="URL", help="such as http://127.0.0.1:4318/v1/traces")
    parser.add_argument("--prometheus", type=int, metavar="PORT", help="serve the metrics here")
    options = parser.parse_args()
    set_up_telemetry(options)
    with suppress(KeyboardInterrupt), FakeProvider(answer) as provider:
        client = OpenAI(base_url=provider.openai_base_url, api_key="none")
        for workflow in islice(cycle(WORKFLOWS), options.runs):
            print_run(client, workflow)
            time.sleep(1 if options.seconds else 0)
        print_bill(provider.billed)
        time.sleep(max(0, options.seconds - options.runs))


if __name__ == "__main__":
    main()
