"""JSON that is almost JSON, as Python's own reader takes it, written again as JSON."""

import json
import math


def lenient(text: bytes) -> bytes | None:
    """The JSON value as Python's reader takes it, written again; None where it takes none either.

    It takes NaN and Infinity, which become strings, numbers beyond a double, and halves of
    surrogate pairs, which become "?".
    """
    try:
        value = json.loads(
            text.decode(errors="replace"), parse_constant=str, parse_float=_finite_or_text
        )
    except (ValueError, RecursionError):
        return None
    return _written(value)


def lenient_head(text: bytes) -> tuple[bytes, int] | None:
    """The JSON value with which the text begins, as `lenient` writes it, and its size in bytes.

    None where Python's reader takes none either, or where the value does not end in the text.
    """
    characters = text.decode(errors="surrogateescape")
    try:
        value, end = _decoder.raw_decode(characters)
    except (ValueError, RecursionError):
        return None
    return _written(value), len(characters[:end].encode(errors="surrogateescape"))


def _written(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode(errors="replace")


def _finite_or_text(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


_decoder = json.JSONDecoder(parse_constant=str, parse_float=_finite_or_text)
