"""The gate of the openai SDK: chat completions, completions, responses and embeddings.

It stands around `request` of the concrete clients, one level above the SDK's retries and its HTTP
client, so a refusal is raised once, with its own type, and nothing is sent. Azure clients inherit.
"""

import functools
import json
import weakref
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import wrapt

from otelbudget.live import gates
from otelbudget.live.calls import calls_around
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
    if not gatekeepers or calls_around():
        return None
    options = kwargs.get("options", args[1] if len(args) > 1 else None)
    operation = _OPERATIONS.get("/" + str(getattr(options, "url", "")).strip("/"))
    if operation is None or str(getattr(options, "method", "")).lower() != "post":
        return None
    body = getattr(options, "json_data", None)
    model = body.get("model") if isinstance(body, dict) else None
    passage = Passage.open(
        gatekeepers,
        provider=provider_of(str(getattr(client, "base_url", ""))),
        request_model=model if isinstance(model, str) else None,
        operation=operation,
    )
    _read_before_parsing(options, passage)
    return passage


def _read_before_parsing(options: Any, passage: Passage) -> None:
    """Read an answer before a parser of the SDK, which may refuse what is billed all the same."""
    parse = getattr(options, "post_parser", None)
    if callable(parse):

        def read_and_parse(response: Any) -> Any:
            passage.read(response)
            return parse(response)

        options.post_parser = read_and_parse


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
        passage.guard(lambda: passage.tap(result))
    elif hasattr(result, "http_response"):
        passage.guard(lambda: _read_raw(result, passage))
    elif hasattr(result, "is_closed"):
        passage.guard(lambda: _read_http(result, passage))
    else:
        passage.read(result)
    return result


def _read_raw(raw: Any, passage: Passage) -> None:
    """Settle by a raw response: by its body where it is there, else by what is parsed from it."""
    if not _read_http(raw.http_response, passage):
        _tap_parse(raw, passage)


def _read_http(response: Any, passage: Passage) -> bool:
    """Settle by an HTTP response if its body is there, else when it is; says whether it was.

    A body that the caller reads in pieces is never seen whole, so its usage stays unknown.
    """
    if response.is_closed:
        _read_body(response, passage)
        return True
    response.read = _then_read_body(response.read, response, passage)
    response.aread = _then_read_body_async(response.aread, response, passage)
    weakref.finalize(response, passage.drop)
    return False


def _then_read_body(
    read: Callable[[], bytes], response: Any, passage: Passage
) -> Callable[[], bytes]:
    @functools.wraps(read)
    def read_and_settle() -> bytes:
        content = read()
        passage.guard(lambda: _read_body(response, passage))
        return content

    return read_and_settle


def _then_read_body_async(
    read: Callable[[], Awaitable[bytes]], response: Any, passage: Passage
) -> Callable[[], Awaitable[bytes]]:
    @functools.wraps(read)
    async def read_and_settle() -> bytes:
        content = await read()
        passage.guard(lambda: _read_body(response, passage))
        return content

    return read_and_settle


def _read_body(response: Any, passage: Passage) -> None:
    try:
        passage.read(json.loads(response.content))
    except ValueError:  # no JSON: the body of a stream, or of another kind of answer
        passage.settle()


def _tap_parse(raw: Any, passage: Passage) -> None:
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
    if not hasattr(parsed, "_iterator"):
        passage.read(parsed)
    elif not getattr(parsed, "_otelbudget_is_tapped", False):
        parsed._otelbudget_is_tapped = True  # noqa: SLF001 - our own mark
        passage.guard(lambda: passage.tap(parsed))
    return parsed
