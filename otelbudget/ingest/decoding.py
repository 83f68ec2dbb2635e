"""From the text of one JSON value to records."""

from collections.abc import Iterable

import msgspec

from otelbudget.ingest import shapes
from otelbudget.ingest.lenient import lenient
from otelbudget.ingest.records import ResourceSpans, decode_traces
from otelbudget.ingest.report import Reading
from otelbudget.ingest.window import NotJsonError

elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode = msgspec.json.decode


def records(text: bytes | msgspec.Raw, reading: Reading) -> Iterable[ResourceSpans]:
    """The records of one JSON value: OTLP as it should be the fast way, anything else the general.

    Both end in the same records.

    Raises:
        NotJsonError: The text is no JSON.
    """
    try:
        traces = decode_traces(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _general(bytes(text), reading)
    reading.found(shapes.OTLP_JSON)
    return traces.resource_spans


def _general(text: bytes, reading: Reading) -> Iterable[ResourceSpans]:
    try:
        return shapes.groups(_decode(text), reading)
    except UnicodeDecodeError:
        reading.warn("invalid_utf8", "has bytes that are no UTF-8; they were replaced")
        return records(text.decode(errors="replace").encode(), reading)
    except RecursionError as error:
        raise NotJsonError("unreadable_line", "is nested too deeply") from error
    except msgspec.DecodeError as error:
        repaired = lenient(text)
        if repaired is None:
            raise NotJsonError("unreadable_line", str(error)) from error
        return shapes.groups(_decode(repaired), reading)
