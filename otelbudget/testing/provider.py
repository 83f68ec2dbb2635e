"""A model provider on 127.0.0.1 that answers as the large ones do, and costs nothing."""

import hashlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from otelbudget.testing.endpoints import NOT_FOUND, Endpoint, endpoint_of
from otelbudget.testing.replies import Billed, Call, Reply, Request
from otelbudget.testing.server import Answer, Server

Replies = Reply | Iterable[Reply] | Callable[[Request], Reply]
"""One answer for every call, answers in order, or a function that is asked for each."""


class FakeProvider:
    """A provider for tests: it answers as told, and keeps what it was asked and would bill.

    It serves POST on any path that ends as those of OpenAI, Azure, compatible servers, Anthropic,
    Gemini (Google AI and Vertex AI) or Bedrock do, so all of them can share one. Ids of answers
    are made from `seed` and the order of arrival: two providers of one test that must not repeat
    each other's ids take different seeds.

    Example:
        >>> from openai import OpenAI
        >>> with FakeProvider(Reply(input_tokens=100, output_tokens=7)) as provider:
        ...     client = OpenAI(base_url=provider.openai_base_url, api_key="none")
        ...     answer = client.chat.completions.create(model="gpt-4o", messages=[])
        ...     (answer.usage.prompt_tokens, provider.request_count)
        (100, 1)

    Args:
        replies: The answers. A function is called on the server's threads, at times on several at
            once. When an iterable is used up, or the function fails, the client gets an error 500
            that says so and that SDKs do not retry.
        seed: Makes the ids of answers.
    """

    def __init__(self, replies: Replies | None = None, *, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._requests: list[Request] = []
        self._billed: dict[int, Billed] = {}
        self._in_flight = 0
        self._in_flight_peak = 0
        self._seed = seed
        self._reply = _source(Reply() if replies is None else replies)
        self._server = Server(self._answer, self._finish)
        self._server.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every connection and thread; answers still waiting are not sent."""
        self._closing.set()
        self._server.close()

    def reply_with(self, replies: Replies) -> None:
        """Answer the requests to come with other replies."""
        source = _source(replies)
        with self._lock:
            self._reply = source

    @property
    def url(self) -> str:
        """Address of the server, such as "http://127.0.0.1:40123"."""
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def openai_base_url(self) -> str:
        """What `OpenAI(base_url=...)` takes; its Azure client takes `url` as its endpoint."""
        return f"{self.url}/v1"

    @property
    def anthropic_base_url(self) -> str:
        """What `Anthropic(base_url=...)` takes."""
        return self.url

    @property
    def google_base_url(self) -> str:
        """What `genai.Client(http_options={"base_url": ...})` takes."""
        return self.url

    @property
    def bedrock_endpoint_url(self) -> str:
        """What `boto3.client("bedrock-runtime", endpoint_url=...)` takes."""
        return self.url

    @property
    def requests(self) -> list[Request]:
        """Every request so far, in order of arrival."""
        with self._lock:
            return list(self._requests)

    @property
    def request_count(self) -> int:
        """Number of requests so far, retries and refused ones included."""
        with self._lock:
            return len(self._requests)

    @property
    def billed(self) -> list[Billed]:
        """What it would bill so far, in order of arrival.

        Every call answered without an error, also where the client left before the end.
        """
        with self._lock:
            return [self._billed[index] for index in sorted(self._billed)]

    @property
    def in_flight_peak(self) -> int:
        """Largest number of requests that were being answered at one time."""
        with self._lock:
            return self._in_flight_peak

    def _answer(self, request: Request) -> Answer:
        with self._lock:
            index = len(self._requests)
            self._requests.append(request)
            self._in_flight += 1
            self._in_flight_peak = max(self._in_flight_peak, self._in_flight)
            reply_to = self._reply
        key = hashlib.sha256(f"{self._seed}/{index}".encode()).hexdigest()[:24]
        endpoint = endpoint_of(request)
        if endpoint is None:
            reply = _refusal(404, f"The fake provider serves no {request.path}")
            endpoint = NOT_FOUND
        else:
            reply = _chosen(reply_to, request)
        if self._closing.wait(reply.latency_seconds):
            return Answer(reply.status, None)
        call = Call(request, reply, reply.key or key)
        if reply.is_billed:
            usage = endpoint.billed(call)
            with self._lock:
                self._billed[index] = Billed(call.model, usage)
        return self._rendered(endpoint, call)

    def _rendered(self, endpoint: Endpoint, call: Call) -> Answer:
        reply = call.reply
        headers = {"x-request-id": f"req_{call.key}", "request-id": f"req_{call.key}"}
        headers |= reply.headers
        if reply.drop_connection:
            return Answer(reply.status, None)
        if not reply.is_billed:
            body = endpoint.error(reply.status, reply.error_message, call.key)
            return Answer(reply.status, body, headers)
        is_streamed = endpoint.events is not None and call.request.is_streamed
        headers = {**endpoint.headers(call, is_streamed=is_streamed), **headers}
        if endpoint.events is None or not is_streamed:
            return Answer(reply.status, endpoint.plain(call), headers)
        events = itertools.islice(endpoint.events(call), reply.break_after_events)
        ends_cleanly = reply.break_after_events is None
        return Answer(reply.status, self._paced(events, reply), headers, ends_cleanly)

    def _paced(self, events: Iterator[bytes], reply: Reply) -> Iterator[bytes]:
        for index, event in enumerate(events):
            if index and self._closing.wait(reply.chunk_latency_seconds):
                return
            yield event

    def _finish(self) -> None:
        with self._lock:
            self._in_flight -= 1


def _source(replies: Replies) -> Callable[[Request], Reply]:
    if isinstance(replies, Reply):
        return lambda _: replies
    if callable(replies):
        return replies
    return _InOrder(replies)


class _InOrder:
    """Hands out replies one by one, to one thread at a time."""

    def __init__(self, replies: Iterable[Reply]) -> None:
        self._replies = iter(replies)
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Reply:
        with self._lock:
            for reply in self._replies:
                return reply
        return _refusal(500, "The fake provider has no reply left; give it more replies")


def _chosen(reply_to: Callable[[Request], Reply], request: Request) -> Reply:
    try:
        return reply_to(request)
    except Exception as error:  # noqa: BLE001  (the outer edge: it belongs to the test's author)
        return _refusal(500, f"The fake provider's reply function failed: {error!r}")


def _refusal(status: int, sentence: str) -> Reply:
    return Reply(status=status, error_message=sentence, headers={"x-should-retry": "false"})
