"""What a value that some function returned says a model call used, whichever provider answered."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from otelbudget.genai.usage import ModelCall, TokenUsage
from otelbudget.live.gates.bedrock_usage import read_conversation
from otelbudget.live.gates.google_usage import read_answer, read_interaction
from otelbudget.live.gates.litellm_answers import answer_of
from otelbudget.live.gates.response import is_last_event, read_response

_EVENT = "data:"
_CAPITAL = re.compile(r"(?<=[a-z])([A-Z])")
# Ids that LangChain makes up itself.
_MADE_UP_IDS = ("run-", "lc_")

# Counts at the top of an answer: of no API in particular, Ollama's, and Llama's on Bedrock.
# Source: https://docs.ollama.com/api/usage, and the user guide of Amazon Bedrock, 2026-11.
_PLAIN_COUNTS = (
    ("prompt_tokens", "completion_tokens"),
    ("input_tokens", "output_tokens"),
    ("prompt_eval_count", "eval_count"),
    ("prompt_token_count", "generation_token_count"),
)
_GOOGLE_COUNTS = (
    "promptTokenCount",
    "toolUsePromptTokenCount",
    "cachedContentTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
)
_GOOGLE_DETAILS = (
    "promptTokensDetails",
    "toolUsePromptTokensDetails",
    "cacheTokensDetails",
    "candidatesTokensDetails",
)

Read = tuple[ModelCall | None, bool]


def read_returned(value: object) -> Read:
    """The call that a value tells of, and whether it is the last piece that can tell of usage.

    Args:
        value: An answer, or a piece of one, as decoded JSON, as text of JSON or as an object: of
            OpenAI, Anthropic, Google, Amazon Bedrock, Cohere and Ollama, of LangChain or litellm;
            or a tuple whose first member is one.
    """
    answer = _answer(value)
    if answer is None:
        return None, False
    for read in _READERS:
        call, is_last = read(answer)
        if call is not None and call.usage is not None:
            return call, is_last
    return read_response(answer), is_last_event(answer)


def _answer(value: object) -> object:
    """The answer within a value; None where there is none."""
    if isinstance(value, tuple) and not hasattr(value, "usage"):
        value = value[0] if value else None
    # Where httpx and requests keep a body that was read; asking for it must not read one.
    body = getattr(value, "__dict__", {}).get("_content")
    if isinstance(body, bytes):
        value = body
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        return _decoded(value.strip().removeprefix(_EVENT).lstrip())
    return value


def _decoded(text: str) -> object:
    """The JSON object that a text is, such as an event that a server sends; None for other text."""
    if not text.startswith("{"):
        return None
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None


def _read_as_gates_do(answer: object) -> Read:
    is_litellm = type(answer).__module__.partition(".")[0] == "litellm"
    told = answer_of(answer) if is_litellm else answer
    return read_response(told), is_last_event(answer)


def _read_google(answer: object) -> Read:
    usage = _either(answer, "usageMetadata")
    counts = {name: _either(usage, name) for name in _GOOGLE_COUNTS}
    if not any(isinstance(count, int) for count in counts.values()):
        return _read_interaction(answer)
    details = {name: _modalities(_either(usage, name)) for name in _GOOGLE_DETAILS}
    told = {
        "usageMetadata": counts | details | {"trafficType": _name(_either(usage, "trafficType"))},
        "modelVersion": _either(answer, "modelVersion"),
        "responseId": _either(answer, "responseId"),
        "candidates": [_candidate(each) for each in _either(answer, "candidates") or ()],
    }
    return read_answer(msgspec.json.encode(told).decode())


def _candidate(candidate: object) -> dict[str, Any]:
    queries = _either(_either(candidate, "groundingMetadata"), "webSearchQueries")
    return {
        "finishReason": _name(_either(candidate, "finishReason")),
        "groundingMetadata": {"webSearchQueries": [str(query) for query in queries or ()]},
    }


def _modalities(details: Any) -> list[dict[str, Any]]:
    return [
        {"modality": _name(_get(part, "modality")), "tokenCount": _either(part, "tokenCount")}
        for part in details or ()
    ]


def _read_interaction(answer: object) -> Read:
    inner = _get(answer, "interaction")
    told = answer if inner is None else inner
    if _get(_get(told, "usage"), "total_input_tokens") is None:
        return None, False
    dump = getattr(told, "model_dump", None)
    document = dump(mode="json") if callable(dump) else told
    return read_interaction(msgspec.json.encode(document)), True


def _read_bedrock(answer: object) -> Read:
    if not isinstance(answer, Mapping):
        return None, False
    metadata = answer.get("metadata")
    return read_conversation(metadata if isinstance(metadata, Mapping) else answer)


def _read_langchain(message: object) -> Read:
    told = _get(message, "usage_metadata")
    if not isinstance(_get(told, "input_tokens"), int):
        return None, False
    inputs, outputs = _get(told, "input_token_details"), _get(told, "output_token_details")
    metadata = _get(message, "response_metadata")
    made_up = str(_get(message, "id") or "").startswith(_MADE_UP_IDS)
    usage = TokenUsage(
        _count(told, "input_tokens"),
        _count(told, "output_tokens"),
        _count(inputs, "cache_read"),
        _count(inputs, "cache_creation"),
        _count(outputs, "reasoning"),
        _count(inputs, "ephemeral_1h_input_tokens"),
        _count(inputs, "audio"),
        _count(outputs, "audio"),
    )
    call = ModelCall(
        response_id=_text(_get(metadata, "id") or (None if made_up else _get(message, "id"))),
        response_model=_text(_get(metadata, "model_name") or _get(metadata, "model")),
        usage=usage,
        service_tier=_text(_get(metadata, "service_tier")),
    )
    return call, False


def _read_cohere(answer: object) -> Read:
    """Cohere's counts, which its SDK has as floats."""
    told = _get(answer, "usage") or _get(answer, "meta")
    billed = _get(told, "billed_units")
    if _get(billed, "input_tokens") is None and _get(billed, "output_tokens") is None:
        return None, False
    usage = TokenUsage(_count(billed, "input_tokens"), _count(billed, "output_tokens"))
    return ModelCall(response_id=_text(_get(answer, "id")), usage=usage), True


def _read_plain(answer: object) -> Read:
    """Counts at the top of an answer, or only their sum, as embeddings tell it."""
    for names in _PLAIN_COUNTS:
        counts = [_get(answer, name) for name in names]
        if any(isinstance(count, int) for count in counts):
            return _plain_call(answer, *(_count(answer, name) for name in names))
    total = _get(_get(answer, "usage"), "total_tokens")
    return _plain_call(answer, total, 0) if isinstance(total, int) else (None, False)


def _plain_call(answer: object, input_tokens: int, output_tokens: int) -> Read:
    call = ModelCall(
        response_id=_text(_get(answer, "id")),
        response_model=_text(_get(answer, "model")),
        usage=TokenUsage(input_tokens, output_tokens),
    )
    return call, _get(answer, "done") is True


_READERS: tuple[Callable[[object], Read], ...] = (
    _read_as_gates_do,
    _read_google,
    _read_langchain,
    _read_bedrock,
    _read_cohere,
    _read_plain,
)


def _get(holder: object, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


def _either(holder: object, name: str) -> Any:
    """A field by its name in JSON, or by the one that Python's objects have."""
    found = _get(holder, name)
    return _get(holder, _CAPITAL.sub(r"_\1", name).lower()) if found is None else found


def _count(holder: object, name: str) -> int:
    value = _get(holder, name)
    is_count = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    return int(value) if is_count else 0


def _name(value: object) -> str | None:
    """The name of a member of an enum, or the text itself."""
    name = getattr(value, "name", value)
    return name if isinstance(name, str) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
