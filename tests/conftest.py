"""Fixtures for every test: spans in memory, a clock that stands still, the fake provider."""

import os
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

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
