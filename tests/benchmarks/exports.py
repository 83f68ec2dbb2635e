"""Files as a collector writes them: OTLP JSON lines, the same ones every time."""

import json
import random
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

SPANS_IN_A_TRACE = 10
TRACES_IN_A_LINE = 5
LEAN_WORDS, CONTENT_WORDS = 0, 250
_MODELS = ("gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18", "claude-sonnet-4-5-20250929")
_START_NS = 1_790_000_000 * 10**9
_SECOND_NS = 10**9
_VOCABULARY = """the budget of a run is asked before each call whether what is left of it will do and
answer question tool search weather customer order invoice refund ticket summary"""
_WORDS = _VOCABULARY.split()


class Export(NamedTuple):
    """A file and what is in it.

    Attributes:
        path: Where it is.
        spans: How many.
        size: In bytes.
    """

    path: Path
    spans: int
    size: int


def write(path: Path, size: int, words: int) -> Export:
    """Write at least so many bytes.

    Args:
        path: The file to make.
        size: In bytes.
        words: Words of conversation on a call; none makes lean spans.
    """
    written = spans = 0
    choose = random.Random(7)  # noqa: S311 - test data
    with path.open("wb") as file:
        for line in _lines(choose, words):
            if written >= size:
                break
            written += file.write(line)
            spans += SPANS_IN_A_TRACE * TRACES_IN_A_LINE
    return Export(path, spans, written)


def part(export: Export, path: Path, spans: int) -> Export:
    """The first lines of an export, in a file of their own."""
    with export.path.open("rb") as file:
        lines = list(islice(file, spans // (SPANS_IN_A_TRACE * TRACES_IN_A_LINE)))
    path.write_bytes(b"".join(lines))
    return Export(path, len(lines) * SPANS_IN_A_TRACE * TRACES_IN_A_LINE, path.stat().st_size)


def _lines(choose: random.Random, words: int) -> Iterator[bytes]:
    resource = {"attributes": _attributes({"service.name": "support", "host.name": "node-1"})}
    scope = {"name": "opentelemetry.instrumentation.genai.openai", "version": "1.3b0"}
    numbers = count()
    for _ in numbers:
        spans = [
            span for _ in range(TRACES_IN_A_LINE) for span in _trace(choose, next(numbers), words)
        ]
        scoped = {"scope": scope, "spans": spans}
        document = {"resourceSpans": [{"resource": resource, "scopeSpans": [scoped]}]}
        yield json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _trace(choose: random.Random, number: int, words: int) -> Iterator[dict[str, Any]]:
    trace_id = f"{choose.getrandbits(128):032x}"
    ids = [f"{choose.getrandbits(64):016x}" for _ in range(SPANS_IN_A_TRACE)]
    for place, span_id in enumerate(ids):
        start = _START_NS + number * 200_000_000 + place * _SECOND_NS
        name, kind, attributes = _told(choose, place, words)
        yield {
            "traceId": trace_id,
            "spanId": span_id,
            "parentSpanId": "" if place == 0 else ids[0 if place == 1 else 1],
            "flags": 257,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": str(start),
            "endTimeUnixNano": str(start + choose.randrange(10**8, 9 * 10**8)),
            "attributes": _attributes(attributes),
            "status": {},
        }


def _told(choose: random.Random, place: int, words: int) -> tuple[str, int, dict[str, Any]]:
    if place == 0:
        return "POST /answers", 2, _served(choose)
    if place == 1:
        return "invoke_agent support", 1, _agent(choose)
    if place % 4 == 0:
        return "execute_tool search", 1, _tool(choose)
    return "chat gpt-4o", 3, _chat(choose, words)


def _served(choose: random.Random) -> dict[str, Any]:
    return {
        "http.request.method": "POST",
        "http.route": "/answers",
        "http.response.status_code": 200,
        "url.scheme": "https",
        "url.path": "/answers",
        "server.address": "support.example.com",
        "server.port": 443,
        "client.address": f"10.0.{choose.randrange(256)}.{choose.randrange(256)}",
        "user_agent.original": "python-httpx/0.28.1",
        "network.protocol.version": "1.1",
        "tenant.id": f"tenant-{choose.randrange(500)}",
        "user.id": f"user-{choose.randrange(50_000)}",
    }


def _agent(choose: random.Random) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "openai",
        "gen_ai.agent.name": "support",
        "gen_ai.agent.id": "asst_5j66UpCpwteGg4YSxUnt7lPY",
        "gen_ai.agent.description": "Answers what customers ask about their orders",
        "gen_ai.conversation.id": f"conv_{choose.getrandbits(96):024x}",
        "gen_ai.request.model": "gpt-4o",
        "tenant.id": f"tenant-{choose.randrange(500)}",
    }


def _tool(choose: random.Random) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": f"call_{choose.getrandbits(96):024x}",
        "gen_ai.agent.name": "support",
    }


def _chat(choose: random.Random, words: int) -> dict[str, Any]:
    model = choose.choice(_MODELS)
    told: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic" if model.startswith("claude") else "openai",
        "gen_ai.request.model": model,
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.response.model": model,
        "gen_ai.response.id": f"chatcmpl-{choose.getrandbits(116):029x}",
        "gen_ai.response.finish_reasons": [choose.choice(("stop", "tool_calls"))],
        "gen_ai.usage.input_tokens": choose.randrange(100, 5_000),
        "gen_ai.usage.output_tokens": choose.randrange(10, 900),
        "gen_ai.usage.cache_read.input_tokens": choose.randrange(0, 100),
        "gen_ai.conversation.id": f"conv_{choose.getrandbits(96):024x}",
        "server.address": "api.openai.com",
    }
    if words:
        told["gen_ai.input.messages"] = _message(choose, "user", words * 2)
        told["gen_ai.output.messages"] = _message(choose, "assistant", words // 2)
    return told


def _message(choose: random.Random, role: str, words: int) -> str:
    content = " ".join(choose.choices(_WORDS, k=words))
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": content}]}])


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Any) -> dict[str, Any]:
    match value:
        case str():
            return {"stringValue": value}
        case int():
            return {"intValue": str(value)}
        case _:
            return {"arrayValue": {"values": [_value(each) for each in value]}}
