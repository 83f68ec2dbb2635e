"""Spans made on the spot, as files and as a store that has been counted."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from budget_audit.loading import Loaded, load

Span = dict[str, Any]
START_NS = 1_780_000_000 * 10**9


def _value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case dict():
            inner = [{"key": key, "value": _value(each)} for key, each in value.items()]
            return {"kvlistValue": {"values": inner}}
        case _:
            return {"stringValue": value}


def _span(
    trace: int,
    span: int,
    parent: int | None = None,
    *,
    name: str = "span",
    at: tuple[int, int] | None = (0, 1_000),
    scope: str = "app",
    **attributes: Any,
) -> Span:
    """A span in OTLP JSON; `at` is its start and end in ns after START_NS, None without times.

    Underscores in attribute names become dots where they are doubled.
    """
    made: Span = {
        "traceId": f"{trace:032x}",
        "spanId": f"{span:016x}",
        "name": name,
        "attributes": [
            {"key": key.replace("__", "."), "value": _value(value)}
            for key, value in attributes.items()
        ],
        "scope": scope,
    }
    if parent is not None:
        made["parentSpanId"] = f"{parent:016x}"
    if at is not None:
        made["startTimeUnixNano"] = str(START_NS + at[0])
        made["endTimeUnixNano"] = str(START_NS + at[1])
    return made


def _usage(
    input_tokens: Any = 1_000,
    output_tokens: Any = 100,
    *,
    response_id: Any = None,
    model: Any = "gpt-4o",
) -> dict[str, Any]:
    """Attributes of a chat with this usage."""
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": input_tokens,
        "gen_ai.usage.output_tokens": output_tokens,
    }
    return attributes if response_id is None else attributes | {"gen_ai.response.id": response_id}


@pytest.fixture
def span() -> Callable[..., Span]:
    """Makes a span in OTLP JSON."""
    return _span


@pytest.fixture
def usage() -> Callable[..., dict[str, Any]]:
    """Makes the attributes of a model call."""
    return _usage


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes spans to a file of OTLP JSON lines, one span a line."""

    def write(spans: Iterable[Span], name: str = "traces.jsonl") -> Path:
        path = tmp_path / name
        with path.open("w") as file:
            for made in spans:
                record = {key: value for key, value in made.items() if key != "scope"}
                scope_spans = {"scope": {"name": made["scope"]}, "spans": [record]}
                json.dump({"resourceSpans": [{"scopeSpans": [scope_spans]}]}, file)
                file.write("\n")
        return path

    return write


@pytest.fixture
def counted(write: Callable[..., Path]) -> Callable[..., Loaded]:
    """Writes spans, reads them and counts their model calls."""
    return lambda spans: load([str(write(spans))])
