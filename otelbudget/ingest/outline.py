"""Cuts a large OTLP document into small ones, so that its spans are never all decoded at once."""

from collections.abc import Iterator

import msgspec

MAX_UNCUT_BYTES = 1 << 24
_SPANS_IN_A_PART = 1_000
_NO_OBJECT = msgspec.Raw(b"{}")
_NO_TEXT = msgspec.Raw(b'""')


class _ScopeSpans(msgspec.Struct, rename="camel"):
    spans: list[msgspec.Raw]
    scope: msgspec.Raw = _NO_OBJECT
    schema_url: msgspec.Raw = _NO_TEXT


class _ResourceSpans(msgspec.Struct, rename="camel"):
    scope_spans: list[_ScopeSpans]
    resource: msgspec.Raw = _NO_OBJECT
    schema_url: msgspec.Raw = _NO_TEXT


class _TracesData(msgspec.Struct, rename="camel"):
    resource_spans: list[_ResourceSpans]


_decode = msgspec.json.Decoder(_TracesData).decode
_encode = msgspec.json.Encoder().encode


def parts(text: bytes) -> Iterator[bytes]:
    """The document as documents of at most 1,000 spans; as it is where it is small or no OTLP."""
    try:
        whole = _decode(text) if len(text) > MAX_UNCUT_BYTES else None
    except msgspec.DecodeError:
        whole = None
    if whole is None:
        yield text
        return
    for group in whole.resource_spans:
        for part in group.scope_spans:
            for first in range(0, len(part.spans), _SPANS_IN_A_PART):
                spans = part.spans[first : first + _SPANS_IN_A_PART]
                cut = _ScopeSpans(spans, part.scope, part.schema_url)
                yield _encode(
                    _TracesData([_ResourceSpans([cut], group.resource, group.schema_url)])
                )
