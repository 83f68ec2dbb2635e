"""What Google's answers say a call used: generated content, embeddings and predictions.

Source: https://ai.google.dev/api/generate-content#UsageMetadata (2026-11), and google-genai 3.4.0's
types.
"""

import re
from collections.abc import Iterator

import msgspec

from otelbudget.genai.usage import ModelCall, TokenUsage

_GENERATION = re.compile(r"gemini-(\d+)")
_FIRST_BILLED_BY_QUERY = 3


class _Struct(msgspec.Struct, rename="camel"):
    """An object of an answer; what is not named here is skipped."""


class _Modality(_Struct):
    modality: str | None = None
    token_count: int | None = None


_Modalities = list[_Modality] | None


class _Usage(_Struct):
    prompt_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    prompt_tokens_details: _Modalities = None
    tool_use_prompt_tokens_details: _Modalities = None
    cache_tokens_details: _Modalities = None
    candidates_tokens_details: _Modalities = None
    traffic_type: str | None = None


class _Grounding(_Struct):
    web_search_queries: list[str] | None = None


class _Candidate(_Struct):
    finish_reason: str | None = None
    grounding_metadata: _Grounding | None = None


class _Statistics(_Struct, rename=None):
    token_count: float | None = None


class _Embedding(_Struct):
    statistics: _Statistics | None = None


class _Prediction(_Struct):
    embeddings: _Embedding | None = None


class _Answer(_Struct):
    candidates: list[_Candidate] | None = None
    usage_metadata: _Usage | None = None
    model_version: str | None = None
    response_id: str | None = None
    predictions: list[_Prediction] | None = None


_decoder = msgspec.json.Decoder(_Answer)


def read_answer(encoded: str) -> tuple[ModelCall | None, bool]:
    """The call that an answer or a chunk tells of, and whether no usage can come after it.

    Args:
        encoded: The answer or the chunk, as JSON.

    Raises:
        msgspec.MsgspecError: It is no such answer.
    """
    if not encoded:
        return None, False
    answer = _decoder.decode(encoded)
    call = ModelCall(
        response_id=answer.response_id,
        response_model=answer.model_version,
        usage=_usage(answer),
        service_tier=_tier(answer.usage_metadata),
    )
    return call, _is_last(answer)


def _is_last(answer: _Answer) -> bool:
    candidates = answer.candidates
    return (
        answer.usage_metadata is not None
        and bool(candidates)
        and all(candidate.finish_reason for candidate in candidates or ())
    )


def _usage(answer: _Answer) -> TokenUsage | None:
    told = answer.usage_metadata
    if told is None or (told.prompt_token_count is None and told.candidates_token_count is None):
        return _usage_of_predictions(answer)
    thoughts = told.thoughts_token_count or 0
    prompt = (told.prompt_tokens_details, told.tool_use_prompt_tokens_details)
    cached, generated = (told.cache_tokens_details,), (told.candidates_tokens_details,)
    return TokenUsage(
        (told.prompt_token_count or 0) + (told.tool_use_prompt_token_count or 0),
        (told.candidates_token_count or 0) + thoughts,
        told.cached_content_token_count or 0,
        reasoning_output_tokens=thoughts,
        audio_input_tokens=_tokens(prompt, "AUDIO"),
        audio_output_tokens=_tokens(generated, "AUDIO"),
        # Pages of documents are read, and billed, as images.
        image_input_tokens=_tokens(prompt, "IMAGE", "DOCUMENT"),
        image_output_tokens=_tokens(generated, "IMAGE"),
        audio_cache_read_input_tokens=_tokens(cached, "AUDIO"),
        image_cache_read_input_tokens=_tokens(cached, "IMAGE", "DOCUMENT"),
        web_searches=_web_searches(answer),
    )


def _usage_of_predictions(answer: _Answer) -> TokenUsage | None:
    """Usage of embeddings of Vertex AI, which counts the tokens of each text."""
    counts = list(_prediction_counts(answer))
    return TokenUsage(int(sum(counts)), 0) if counts else None


def _prediction_counts(answer: _Answer) -> Iterator[float]:
    for prediction in answer.predictions or ():
        statistics = prediction.embeddings.statistics if prediction.embeddings else None
        if statistics is not None and statistics.token_count is not None:
            yield statistics.token_count


def _tokens(details: tuple[_Modalities, ...], *modalities: str) -> int:
    return sum(
        part.token_count or 0
        for parts in details
        for part in parts or ()
        if part.modality in modalities
    )


def _web_searches(answer: _Answer) -> int:
    """Searches as Google bills them: each query, before Gemini 3 each prompt with any.

    Source: https://ai.google.dev/gemini-api/docs/pricing, 2026-11.
    """
    queries = sum(
        len(candidate.grounding_metadata.web_search_queries or ())
        for candidate in answer.candidates or ()
        if candidate.grounding_metadata is not None
    )
    generation = _GENERATION.search(answer.model_version or "")
    is_by_query = generation is not None and int(generation[1]) >= _FIRST_BILLED_BY_QUERY
    return queries if is_by_query else min(queries, 1)


def _tier(usage: _Usage | None) -> str | None:
    tier = None if usage is None else usage.traffic_type
    return None if tier is None else tier.lower()
