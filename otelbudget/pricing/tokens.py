"""How many tokens a request will have, before it is made."""

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

_BYTES_PER_TOKEN = 3
_TOKENS_PER_MESSAGE = 4
_TOKENS_PER_REPLY = 3
_TOKENS_PER_MEDIUM = 1_000
_COUNTED_MODELS = ("gpt-3.5-turbo", "gpt-4", "o1", "o3", "o4")

_ENCODINGS = {
    "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken": (
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
    ),
    "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken": (
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
    ),
}
"""The encodings that tokencost counts with and their SHA-256. Source: tiktoken 0.14.0."""


class CountedBy(StrEnum):
    """How a count of tokens was made.

    Attributes:
        TOKENCOST: With the model's own encoding.
        BYTES: From the length of the text; for English it is a third too high.
    """

    TOKENCOST = "tokencost"
    BYTES = "bytes"


def estimate_input_tokens(
    model: str, messages: Sequence[Mapping[str, Any]]
) -> tuple[int, CountedBy]:
    """How many input tokens a request will have.

    Nothing is fetched: tokencost counts only for OpenAI models, where it is installed and the
    encodings of tiktoken lie in their cache. The first such count imports tokencost, which takes
    seconds: do not ask for it where a request waits.

    Args:
        model: Model of the request.
        messages: Messages in the shape of OpenAI's chat API, or Anthropic's.

    Returns:
        The tokens, and how they were counted.
    """
    if _is_counted(model, messages) and find_spec("tokencost") and _has_encodings():
        tokencost = import_module("tokencost")  # takes seconds, and is optional
        try:
            count = int(tokencost.count_message_tokens(list(messages), model))
        except (KeyError, ValueError):  # a model, or a text with special tokens, it cannot count
            pass
        else:
            return count, CountedBy.TOKENCOST
    tokens = sum(_TOKENS_PER_MESSAGE + _tokens(message) for message in messages)
    return tokens + _TOKENS_PER_REPLY, CountedBy.BYTES


def _is_counted(model: str, messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether tokencost counts these: an OpenAI model, and messages of text only."""
    return model.lower().startswith(_COUNTED_MODELS) and all(
        isinstance(value, str) for message in messages for value in message.values()
    )


def _has_encodings() -> bool:
    """Whether tiktoken finds its encodings on disk, whole; else it would fetch them."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    if folder == "":
        return False
    cache = Path(folder) if folder else Path(tempfile.gettempdir(), "data-gym-cache")
    for url, digest in _ENCODINGS.items():
        file = cache / hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            return False
    return True


def _tokens(value: object) -> int:
    """Tokens of a value by its length in UTF-8; a picture or sound counts a thousand."""
    match value:
        case str():
            return -(-len(value.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)
        case Mapping():
            if "text" not in value and value.get("type") in _MEDIA:
                return _TOKENS_PER_MEDIUM
            return sum(_tokens(inner) for inner in value.values())
        case list() | tuple():
            return sum(_tokens(inner) for inner in value)
        case None:
            return 0
        case _:
            return _tokens(msgspec.json.encode(value, enc_hook=str).decode())


_MEDIA = frozenset(
    {"audio", "document", "file", "image", "image_url", "input_audio", "input_image"}
)
