"""The gate of SDKs made by Stainless: openai and anthropic.

It stands around `request` of the concrete clients, one level above the SDK's retries and its HTTP
client, so a refusal is raised once, with its own type, and nothing is sent.
"""

import functools
import json
import sys
import weakref
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from otelbudget.live.gates.gated import Passage, asked, current_passage
from otelbudget.live.gates.placing import place
from otelbudget.live.request import Request


class Api(NamedTuple):
    """What the gate must know of an SDK.

    Attributes:
        operations: Operations in the words of the conventions, by how a request's path ends.
        provider_of: The provider by a client.
    """

    operations: Mapping[str, str]
    provider_of: Callable[[Any], str]

    def request(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        """The request that a client is about to make; None where it asks no model."""
        options = kwargs.get("options", args[1] if len(args) > 1 else None)
        path = "/" + str(getattr(options, "url", "")).partition("?")[0].partition("#")[0].strip("/")
        operation = next(
            (name for end, name in self.operations.items() if path.endswith(end)), None
        )
        if operation is None or str(getattr(options, "method", "")).lower() != "post":
            return None
        body = _body(options)
        model = body.get("model") if isinstance(body, dict) else None
        return Request(
            provider=self.provider_of(client),
            model=model if isinstance(model, str) else None,
            operation=operation,
            body=body,
            attempts=1 if hasattr(client, _RETRY) else 1 + _retries(client, options),
            handle=options,
        )


def install(sdk: Any, api: Api) -> None:
    """Put the gate around every client class of an imported SDK.

    Classes that inherit `request` are covered by the class they inherit it from.
    """
    base = sdk._base_client  # noqa: SLF001 - no public name for what the clients have in common
    for root, wrapper, repeat in (
        (base.SyncAPIClient, _wrapper(api), _repeat),
        (base.AsyncAPIClient, _wrapper_async(api), _repeat_async),
    ):
        for client in root.__subclasses__():
            place(client, "request", wrapper)
            if hasattr(client, _RETRY):
                place(client, _RETRY, repeat)


# What the SDKs wait in before they send a request again; older ones have nothing of the kind.
_RETRY = "_sleep_for_retry"


def _repeat(
    wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Ask whether a request that failed may be sent again, before the SDK waits and after."""
    passage = current_passage()
    if passage is None:
        return wrapped(*args, **kwargs)
    passage.repeat(_error_of(kwargs))
    wrapped(*args, **kwargs)
    passage.repeat(None)
    return None


async def _repeat_async(
    wrapped: Callable[..., Awaitable[Any]], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """As `_repeat`."""
    passage = current_passage()
    if passage is None:
        return await wrapped(*args, **kwargs)
    passage.repeat(_error_of(kwargs))
    await wrapped(*args, **kwargs)
    passage.repeat(None)
    return None


def _error_of(kwargs: dict[str, Any]) -> BaseException | None:
    """What an attempt has ended in, None where that was an answer."""
    return sys.exc_info()[1] if kwargs.get("response") is None else None


def _wrapper(api: Api) -> Callable[..., Any]:
    def request(
        wrapped: Callable[..., Any], client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        passage = _passage(api, client, args, kwargs)
        if passage is None:
            return wrapped(*args, **kwargs)
        return passage.run(lambda: wrapped(*args, **kwargs), _read)

    return request


def _wrapper_async(api: Api) -> Callable[..., Any]:
    async def request(
        wrapped: Callable[..., Awaitable[Any]],
        client: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        passage = _passage(api, client, args, kwargs)
        if passage is None:
            return await wrapped(*args, **kwargs)
        return await passage.run_async(lambda: wrapped(*args, **kwargs), _read)

    return request


def _passage(
    api: Api, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Passage | None:
    """The passage of a request that asks a model; None for every other request."""
    request = asked(lambda: api.request(client, args, kwargs))
    passage = None if request is None else Passage.open(request)
    if request is not None and passage is not None:
        passage.guard(lambda: _read_before_parsing(request.handle, passage))
    return passage


def _body(options: Any) -> object:
    """What is sent: the request's own fields, and what its caller has put beside them."""
    body, extra = getattr(options, "json_data", None), getattr(options, "extra_json", None)
    if isinstance(body, Mapping) and isinstance(extra, Mapping):
        return {**body, **extra}
    return body


def _retries(client: Any, options: Any) -> int:
    """How often the SDK sends a request again at most."""
    retries = getattr(client, "max_retries", 0)
    own = getattr(options, "max_retries", None)
    return own if isinstance(own, int) else retries if isinstance(retries, int) else 0


def _read_before_parsing(options: Any, passage: Passage) -> None:
    """Read an answer before a parser of the SDK, which may refuse what is billed all the same."""
    parse = getattr(options, "post_parser", None)
    if callable(parse):

        def read_and_parse(response: Any) -> Any:
            passage.read(response)
            return parse(response)

        options.post_parser = read_and_parse


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
    passage.drop_when_closed(response)
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
    passage.guard(lambda: _tap_or_read(parsed, passage))
    return parsed


def _tap_or_read(parsed: Any, passage: Passage) -> None:
    if not hasattr(parsed, "_iterator"):
        passage.read(parsed)
    elif not getattr(parsed, "_otelbudget_is_tapped", False):
        parsed._otelbudget_is_tapped = True  # noqa: SLF001 - our own mark
        passage.tap(parsed)
