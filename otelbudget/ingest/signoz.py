"""Spans of SigNoz: rows of its `signoz_index_v3` table, and what its API answers.

Attributes are in a map for each type, or in `tagMap`. Its log records have maps of the same names,
but no span's name.
"""

from otelbudget.ingest.fields import Object, as_object, as_objects, integer, pick

_ATTRIBUTES = (
    "attributes_string",
    "attributes_number",
    "attributes_bool",
    "tagMap",
    "attributeMap",
)
_RESOURCE = ("resources_string", "resource_string")
_PARENT = ("parent_span_id", "parentSpanId")
_ERROR = 2


def is_span(value: Object) -> bool:
    """Whether an object is a span of SigNoz."""
    is_named = isinstance(value.get("name"), str) and "attributes" not in value
    return is_named and any(isinstance(value.get(key), dict) for key in _ATTRIBUTES)


def spelled(value: Object) -> Object:
    """The span with the usual keys."""
    found: Object = {}
    for key in _ATTRIBUTES:
        found |= {name: _number(one) for name, one in as_object(value.get(key)).items()}
    code = pick(value, ("status_code", "statusCode"))
    has_error = bool(pick(value, ("has_error", "hasError")))
    return value | {
        "parentSpanId": pick(value, _PARENT) or _referred(value),
        "startTime": value.get("timestamp"),
        "attributes": found,
        "events": [as_object(event) for event in _list(pick(value, ("events", "event")))],
        "links": [],
        "status": {
            "code": code or (_ERROR if has_error else 0),
            "message": pick(value, ("status_message", "statusMessage")),
        },
        "resource": {"attributes": as_object(pick(value, _RESOURCE))},
    }


def _number(value: object) -> object:
    """A whole number out of a column of doubles; all else as it is."""
    number = integer(value) if isinstance(value, float) else None
    return value if number is None else number


def _referred(value: Object) -> object:
    parents = (
        reference.get("spanId")
        for reference in as_objects(value.get("references"))
        if reference.get("refType") == "CHILD_OF"
    )
    return next(parents, None)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
