"""An agent with a budget: a run may spend 0.25 USD, and the one that goes round in circles is stopped.

It needs no API key: a fake provider on this machine answers as OpenAI would.

    pip install 'otelbudget[otlp]' openai opentelemetry-instrumentation-genai-openai \
        opentelemetry-exporter-prometheus
    python examples/app.py
    python examples/app.py --prometheus 9464 --runs 600 --seconds 600   # for the dashboard
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from itertools import cycle, islice
from typing import Any, NamedTuple

from openai import OpenAI
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import start_http_server

from otelbudget import Budget, BudgetExceededError, BudgetSpanProcessor, DuckDBSpanExporter
from otelbudget.pricing.billing import usd
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
MAX_CALLS = 20  # the agent's own limit, which a long prompt makes expensive
TOOLS: Any = [{"type": "function", "function": {"name": "search", "parameters": {}}}]

tracer = trace.get_tracer("example-app")


def set_up_telemetry(options: argparse.Namespace) -> BudgetSpanProcessor:
    """Set OpenTelemetry up as usual, with a store for the spans and a budget for every trace."""
    if options.prometheus is not None:
        server, _ = start_http_server(options.prometheus, addr="127.0.0.1")
        metrics.set_meter_provider(MeterProvider([PrometheusMetricReader()]))
        print(f"Metrics are on http://127.0.0.1:{server.server_port}/metrics", flush=True)
    provider = TracerProvider()
    if options.otlp:
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(options.otlp)))
    provider.add_span_processor(BatchSpanProcessor(DuckDBSpanExporter(options.store)))
    budget = Budget(cost_usd="0.25", name="per-run", mode=options.mode)
    processor = BudgetSpanProcessor(budget)
    provider.add_span_processor(processor)  # after the others
    trace.set_tracer_provider(provider)
    OpenAIInstrumentor().instrument()
    return processor


def run_agent(client: OpenAI, workflow: Workflow) -> str:
    """Ask the model and search until it has an answer; returns the trace id of the run."""
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": workflow.name}
    messages: list[Any] = [{"role": "system", "content": workflow.name}]
    with tracer.start_as_current_span(
        f"invoke_agent {workflow.name}", attributes=attributes
    ) as span:
        for _ in range(MAX_CALLS):
            completion = client.chat.completions.create(
                model=workflow.model, messages=messages, tools=TOOLS
            )
            message = completion.choices[0].message
            messages.append(message)
            for call in message.tool_calls or ():
                messages.append({"role": "tool", "tool_call_id": call.id, "content": search()})
            if not message.tool_calls:
                break
        return format(span.get_span_context().trace_id, "032x")


def search() -> str:
    """Search for something; the tool of the agents."""
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
    with tracer.start_as_current_span("execute_tool search", attributes=attributes):
        return "A page about something else."


def answer(request: Request) -> Reply:
    """Play the model: each search makes the prompt longer, and all but its end is cached."""
    messages = request.body["messages"]
    workflow = next(each for each in WORKFLOWS if each.name == messages[0]["content"])
    searches = sum(message["role"] == "tool" for message in messages)
    is_searching = searches < workflow.searches
    return Reply(
        input_tokens=6_000 + 2_000 * searches,
        cache_read_input_tokens=4_000 + 2_000 * searches if searches else 0,
        output_tokens=300,
        tool_calls=(ToolCall("search", {"query": "otel"}),) if is_searching else (),
    )


def print_run(client: OpenAI, workflow: Workflow, processor: BudgetSpanProcessor) -> None:
    """Run a workflow and print what it spent."""
    try:
        spent = spent_usd(processor, run_agent(client, workflow))
    except BudgetExceededError as error:
        print(f"{workflow.name:9} stopped: {error}", flush=True)
    else:
        print(f"{workflow.name:9} spent {spent:.4f} USD", flush=True)


def spent_usd(processor: BudgetSpanProcessor, trace_id: str) -> Decimal:
    """What the calls of a trace cost, in US dollars."""
    engine = processor.engine
    return usd(engine.ledger.account(engine.budgets[0], trace_id).cost_pusd)


def print_bill(billed: Iterable[Billed]) -> None:
    """Print what the provider would bill, by model."""
    tokens: dict[str, Counter[str]] = {}
    for model, usage in billed:
        tokens.setdefault(model, Counter()).update(
            calls=1,
            input=usage.input_tokens,
            cached=usage.cache_read_input_tokens,
            output=usage.output_tokens,
        )
    for model, sums in tokens.items():
        print(f"{model:12} {', '.join(f'{sums[key]} {key}' for key in sums)}")
    print("Done.", flush=True)


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
    processor = set_up_telemetry(options)
    end = time.monotonic() + options.seconds
    with FakeProvider(answer) as provider:
        client = OpenAI(base_url=provider.openai_base_url, api_key="none")
        for workflow in islice(cycle(WORKFLOWS), options.runs):
            print_run(client, workflow, processor)
            time.sleep(1 if options.seconds else 0)
        print_bill(provider.billed)
    time.sleep(max(0, end - time.monotonic()))


if __name__ == "__main__":
    main()
