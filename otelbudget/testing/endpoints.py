"""What the fake provider serves: the wire format of every address."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from otelbudget.testing import (
    anthropic_messages,
    bedrock_converse,
    bedrock_invoke,
    google_generate,
    google_interactions,
    openai_chat,
    openai_responses,
)
from otelbudget.testing.replies import Call, Request, Usage


def _no_headers(_call: Call, *, is_streamed: bool) -> Mapping[str, str]:  # noqa: ARG001
    return {}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A wire format.

    Attributes:
        error: Makes the body of an error of a status, a message and a key.
        plain: Makes the body of an answer.
        events: Makes the events of a streamed answer; None where none is.
        counts_output: Says whether a model's output is billed.
        headers: Makes headers of an answer that is no error.
    """

    error: Callable[[int, str | None, str], Mapping[str, Any]]
    plain: Callable[[Call], Mapping[str, Any]] = lambda _: {}
    events: Callable[[Call], Iterator[bytes]] | None = None
    counts_output: Callable[[str], bool] = lambda _: True
    headers: Callable[..., Mapping[str, str]] = _no_headers

    def billed(self, call: Call) -> Usage:
        """What is billed for a call that is answered."""
        usage = call.reply.usage
        return usage if self.counts_output(call.model) else Usage(usage.input_tokens, 0)


NOT_FOUND = Endpoint(openai_chat.error)
"""The format of errors on every other address."""

_ENDPOINTS = {
    "/chat/completions": Endpoint(
        openai_chat.error, openai_chat.completion, openai_chat.completion_events
    ),
    "/responses": Endpoint(
        openai_chat.error, openai_responses.response, openai_responses.response_events
    ),
    "/embeddings": Endpoint(
        openai_chat.error, openai_chat.embeddings, counts_output=lambda _: False
    ),
    "/messages": Endpoint(
        anthropic_messages.error, anthropic_messages.message, anthropic_messages.message_events
    ),
    ":rawPredict": Endpoint(anthropic_messages.error, anthropic_messages.message),
    ":streamRawPredict": Endpoint(
        anthropic_messages.error, events=anthropic_messages.message_events
    ),
    ":generateContent": Endpoint(google_generate.error, google_generate.content),
    ":streamGenerateContent": Endpoint(
        google_generate.error, events=google_generate.content_events
    ),
    ":batchEmbedContents": Endpoint(
        google_generate.error, google_generate.embeddings, counts_output=lambda _: False
    ),
    ":embedContent": Endpoint(
        google_generate.error, google_generate.embedding, counts_output=lambda _: False
    ),
    ":predict": Endpoint(
        google_generate.error, google_generate.predictions, counts_output=lambda _: False
    ),
    "/interactions": Endpoint(
        google_generate.error,
        google_interactions.interaction,
        google_interactions.interaction_events,
    ),
    "/converse": Endpoint(
        bedrock_converse.error,
        bedrock_converse.converse,
        headers=bedrock_converse.answer_headers,
    ),
    "/converse-stream": Endpoint(
        bedrock_converse.error,
        events=bedrock_converse.converse_events,
        headers=bedrock_converse.answer_headers,
    ),
    "/invoke": Endpoint(
        bedrock_converse.error,
        bedrock_invoke.invoke,
        counts_output=lambda model: not bedrock_invoke.is_embedding(model),
        headers=bedrock_invoke.answer_headers,
    ),
    "/invoke-with-response-stream": Endpoint(
        bedrock_converse.error,
        events=bedrock_invoke.invoke_events,
        headers=bedrock_invoke.answer_headers,
    ),
}


def endpoint_of(request: Request) -> Endpoint | None:
    """The wire format of a request's address, None where nothing is served."""
    path = request.path.partition("?")[0]
    for ending, endpoint in _ENDPOINTS.items():
        if path.endswith(ending):
            return endpoint
    return None
