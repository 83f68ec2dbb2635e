"""The gate of the openai SDK: chat completions, completions, responses and embeddings.

It stands around `request` of the concrete clients, one level above the SDK's retries and its HTTP
client, so a refusal is raised once, with its own type, and nothing is sent. Azure clients inherit.
"""

import functools
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import wrapt

from otelbudget.live import gates
from otelbudget.live.calls import IN_GATE
from otelbudget.live.gates.gated import Passage

_OPERATIONS = {
    "/chat/completions": "chat",
    "/responses": "chat",
    "/completions": "text_completion",
    "/embeddings": "embeddings",
}

# Providers by the host of the client's base URL.
# Source: the providers' API references, 2026-11.
_PROVIDERS = {
    "openrouter.ai": "openrouter",
    "api.groq.com": "groq",
    "api.deepseek.com": "deepseek",
    "api.mistral.ai": "mistral_ai",
    "api.x.ai": "x_ai",
    "api.perplexity.ai": "perplexity",
    "api.together.xyz": "together_ai",
    "api.fireworks.ai": "fireworks_ai",
    "generativelanguage.googleapis.com": "gcp.gemini",
}
_OLLAMA_PORT = 11434


def install(openai: Any) -> None:
    """Put the gate around the clients of an imported openai module."""
    wrapt.wrap_function_wrapper(openai, "OpenAI.request", _request)
    wrapt.wrap_function_wrapper(openai, "AsyncOpenAI.request", _request_async)


def _request(
    wrapped: Callable[..., Any], client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    passage = _open(client, args, kwargs)
    if passage is None:
        return wrapped(*args, **kwargs)
    try:
        with passage:
            result = wrapped(*args, **kwargs)
    except BaseException as error:
        passage.failed(error)
        raise
    return _read(result, passage)


async def _request_async(
    wrapped: Callable[..., Awaitable[Any]],
    client: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    passage = _open(client, args, kwargs)
    if passage is None:
        return await wrapped(*args, **kwargs)
    try:
        with passage:
            result = await wrapped(*args, **kwargs)
    except BaseException as error:
        passage.failed(error)
        raise
    return _read(result, passage)


def _open(client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Passage | None:
    """The passage of a request that asks a model; None for every other request."""
    gatekeepers = gates.gatekeepers()
    if not gatekeepers or IN_GATE.get():
        return None
    options = kwargs.get("options", args[1] if len(args) > 1 else None)
    operation = _OPERATIONS.get(str(getattr(options, "url", "")))
    if operation is None or str(getattr(options, "method", "")).lower() != "post":
        return None
    body = getattr(options, "json_data", None)
    model = body.get("model") if isinstance(body, dict) else None
    return Passage.open(
        gatekeepers,
        provider=provider_of(str(getattr(client, "base_url", ""))),
        request_model=model if isinstance(model, str) else None,
        operation=operation,
    )


@functools.lru_cache(maxsize=256)
def provider_of(base_url: str) -> str:
    """The provider that serves a base URL, in the words of the conventions; "openai" by default."""
    address = urlsplit(base_url)
    host = address.hostname or ""
    if host.endswith((".openai.azure.com", ".azure.com")):
        return "azure.ai.openai"
    if address.port == _OLLAMA_PORT:
        return "ollama"
    return _PROVIDERS.get(host, "openai")


def _read(result: Any, passage: Passage) -> Any:
    """Settle by the result, or leave a tap where the usage is still to come."""
    if hasattr(result, "_iterator"):
        passage.tap(result)
    elif hasattr(result, "http_response"):
        _read_raw(result, passage)
    else:
        passage.read(result)
    return result


def _read_raw(raw: Any, passage: Passage) -> None:
    """Settle by a raw response: by its body where it is there, else by what is parsed from it."""
    response = raw.http_response
    if response.is_closed and "json" in response.headers.get("content-type", ""):
        try:
            passage.read(json.loads(response.content))
        except ValueError:
            passage.settle()
        return
    parse = raw.parse

    @functools.wraps(parse)
    def parse_and_read(*args: Any, **kwargs: Any) -> Any:
        parsed = parse(*args, **kwargs)
        if isinstance(parsed, Awaitable):
            return _read_awaited(parsed, passage)
        return _read_parsed(parsed, passage)

    raw.parse = parse_and_read


async def _read_awaited(parsed: Awaitable[Any], passage: Passage) -> Any:
    return _read_parsed(await parsed, passage)


def _read_parsed(parsed: Any, passage: Passage) -> Any:
    """As `_read`; a stream that is parsed twice is the same stream and tapped once."""
    if hasattr(parsed, "_iterator"):
        if not getattr(parsed, "_otelbudget_is_tapped", False):
            parsed._otelbudget_is_tapped = True  # noqa: SLF001 - our own mark
            passage.tap(parsed)
    else:
        passage.read(parsed)
    return parsed
