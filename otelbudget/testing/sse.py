"""Server-sent events, the format of streamed answers."""

import json
from collections.abc import Mapping
from typing import Any


def event(payload: Mapping[str, Any], name: str | None = None) -> bytes:
    """One event with a JSON payload, named as Anthropic and OpenAI's responses do where given."""
    return event_of_text(json.dumps(payload), name)


def event_of_text(text: str, name: str | None = None) -> bytes:
    """One event with a payload of one line."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {text}\n\n".encode()


DONE = b"data: [DONE]\n\n"
