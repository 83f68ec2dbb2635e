"""Fixtures for every test: spans in memory, a clock that stands still, the fake provider."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path

import msgspec
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from otelbudget.pricing.files import encode_book, packaged_file, user_book_path

# Where otelbudget is installed pytest has its plugin already; twice would be an error.
if "otelbudget" not in entry_points(group="pytest11").names:
    pytest_plugins = ["otelbudget.testing.plugin"]


class Clock:
    """A clock that moves only when told to.

    Attributes:
        now_ns: What it shows, in unix nanoseconds; 2026-11-02T00:00:00Z at first.
    """

    def __init__(self) -> None:
        self.now_ns = 1_793_577_600 * 10**9

    def __call__(self) -> int:
        """Unix nanoseconds."""
        return self.now_ns

    def advance(self, *, seconds: int) -> None:
        """Let time pass."""
        self.now_ns += seconds * 10**9


@pytest.fixture(scope="session", autouse=True)
def prices_of_today(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The packaged prices, never those of the developer, and never too old to be sure."""
    cache = tmp_path_factory.mktemp("cache")
    book = msgspec.structs.replace(packaged_file(), compiled_on=datetime.now(UTC).date())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        path = user_book_path()
        path.parent.mkdir()
        path.write_bytes(encode_book(book))
        yield


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def span_exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(span_exporter: InMemorySpanExporter) -> Iterator[TracerProvider]:
    """A tracer provider that exports each span as it ends; shut down after the test."""
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(span_exporter))
    yield made
    made.shutdown()


@pytest.fixture
def tracer(provider: TracerProvider) -> Tracer:
    """A tracer of the application's own."""
    return provider.get_tracer("app")


@pytest.fixture(scope="session")
def recorded_traces() -> Path:
    """The folder of recorded third-party traces; OTELBUDGET_TRACES names another place."""
    beside = Path(__file__).parents[1].joinpath("..", "shared", "traces")
    folder = Path(os.environ.get("OTELBUDGET_TRACES", beside)).resolve()
    if not folder.is_dir():
        pytest.skip(f"the recorded traces are not at {folder}")
    return folder
