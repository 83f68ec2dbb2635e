"""What Google's answers say a call used: content, embeddings, predictions and interactions.

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


class _InteractionModality(msgspec.Struct):
    modality: str | None = None
    tokens: int | None = None


class _ToolCount(msgspec.Struct):
    type: str | None = None
    count: int | None = None


class _InteractionUsage(msgspec.Struct):
    total_input_tokens: int | None = None
    total_tool_use_tokens: int | None = None
    total_cached_tokens: int | None = None
    total_output_tokens: int | None = None
    total_thought_tokens: int | None = None
    input_tokens_by_modality: list[_InteractionModality] | None = None
    tool_use_tokens_by_modality: list[_InteractionModality] | None = None
    cached_tokens_by_modality: list[_InteractionModality] | None = None
    output_tokens_by_modality: list[_InteractionModality] | None = None
    grounding_tool_count: list[_ToolCount] | None = None


class _Interaction(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    service_tier: str | None = None
    usage: _InteractionUsage | None = None


class _InteractionEvent(msgspec.Struct):
    interaction: _Interaction | None = None


_decoder = msgspec.json.Decoder(_Answer)
_interaction_decoder = msgspec.json.Decoder(_Interaction)
_event_decoder = msgspec.json.Decoder(_InteractionEvent)


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


def read_interaction(encoded: bytes) -> ModelCall:
    """The call that an interaction tells of.

    Raises:
        msgspec.MsgspecError: It is no interaction.
    """
    return _interaction_call(_interaction_decoder.decode(encoded))


def read_interaction_event(encoded: bytes) -> ModelCall | None:
    """The call that an event of an interaction's stream tells of; None where it tells of none.

    Raises:
        msgspec.MsgspecError: It is no such event.
    """
    told = _event_decoder.decode(encoded).interaction
    return None if told is None else _interaction_call(told)


def _interaction_call(told: _Interaction) -> ModelCall:
    return ModelCall(
        response_id=told.id,
        response_model=told.model,
        usage=_interaction_usage(told),
        service_tier=told.service_tier,
    )


def _interaction_usage(told: _Interaction) -> TokenUsage | None:
    """Usage of an interaction, whose counts are those of content by other names."""
    usage = told.usage
    if usage is None:
        return None
    searches = sum(
        each.count or 0 for each in usage.grounding_tool_count or () if each.type == "google_search"
    )
    return _usage(
        _Answer(
            [_Candidate(grounding_metadata=_Grounding([""] * searches))],
            _Usage(
                usage.total_input_tokens,
                usage.total_tool_use_tokens,
                usage.total_cached_tokens,
                usage.total_output_tokens,
                usage.total_thought_tokens,
                _modalities(usage.input_tokens_by_modality),
                _modalities(usage.tool_use_tokens_by_modality),
                _modalities(usage.cached_tokens_by_modality),
                _modalities(usage.output_tokens_by_modality),
            ),
            told.model,
        )
    )


def _modalities(told: list[_InteractionModality] | None) -> _Modalities:
    return [_Modality((each.modality or "").upper(), each.tokens) for each in told or ()]


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
    audio, image = _media(told.prompt_tokens_details)
    tool_audio, tool_image = _media(told.tool_use_prompt_tokens_details)
    cached_audio, cached_image = _media(told.cache_tokens_details)
    audio_output, image_output = _media(told.candidates_tokens_details)
    return TokenUsage(
        (told.prompt_token_count or 0) + (told.tool_use_prompt_token_count or 0),
        (told.candidates_token_count or 0) + thoughts,
        told.cached_content_token_count or 0,
        reasoning_output_tokens=thoughts,
        audio_input_tokens=audio + tool_audio,
        audio_output_tokens=audio_output,
        image_input_tokens=image + tool_image,
        image_output_tokens=image_output,
        audio_cache_read_input_tokens=cached_audio,
        image_cache_read_input_tokens=cached_image,
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


def _media(details: _Modalities) -> tuple[int, int]:
    """Tokens of sound, and those of images; pages of documents are read, and billed, as images."""
    audio = image = 0
    for part in details or ():
        if part.modality == "AUDIO":
            audio += part.token_count or 0
        elif part.modality in ("IMAGE", "DOCUMENT"):
            image += part.token_count or 0
    return audio, image


def _web_searches(answer: _Answer) -> int:
    """Searches as Google bills them: each query, before Gemini 3 each prompt with any.

    Source: https://ai.google.dev/gemini-api/docs/pricing, 2026-11.
    """
    queries = 0
    for candidate in answer.candidates or ():
        if candidate.grounding_metadata is not None:
            queries += len(candidate.grounding_metadata.web_search_queries or ())
    if queries <= 1:
        return queries
    generation = _GENERATION.search(answer.model_version or "")
    is_by_query = generation is not None and int(generation[1]) >= _FIRST_BILLED_BY_QUERY
    return queries if is_by_query else 1


def _tier(usage: _Usage | None) -> str | None:
    tier = None if usage is None else usage.traffic_type
    return None if tier is None else tier.lower()
