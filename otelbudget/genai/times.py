"""Times of spans as text."""

from datetime import UTC, datetime

_NS = 10**9


def rfc3339(unix_nano: int) -> str:
    """Unix nanoseconds as RFC 3339 in UTC with nanoseconds."""
    seconds, nanos = divmod(unix_nano, _NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z"
