"""Spans that OpenSearch's Data Prepper wrote: a key for each attribute, "@" for its dots."""

from typing import Any

from otelbudget.ingest.fields import Object

_SPAN = "span.attributes."
_RESOURCE = "resource.attributes."
_STATUS = "status."
_SCOPES = ("instrumentationScope.", "instrumentationLibrary.")


def is_span(value: Object) -> bool:
    """Whether an object is a span of Data Prepper's index."""
    return (
        isinstance(value.get("spanId"), str)
        and "attributes" not in value
        and any(key.startswith((_SPAN, _RESOURCE)) for key in value)
    )


def spelled(value: Object) -> Object:
    """The span with the usual keys."""
    scope = {key: part for prefix in _SCOPES for key, part in _below(value, prefix).items()}
    return value | {
        "attributes": _dotted(_below(value, _SPAN)),
        "resource": {"attributes": _dotted(_below(value, _RESOURCE))},
        "scope": scope,
        "status": _below(value, _STATUS),
    }


def _below(value: Object, prefix: str) -> dict[str, Any]:
    return {
        key.removeprefix(prefix): inner for key, inner in value.items() if key.startswith(prefix)
    }


def _dotted(value: Object) -> Object:
    return {key.replace("@", "."): inner for key, inner in value.items()}
