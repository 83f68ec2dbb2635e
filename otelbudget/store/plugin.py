"""The exporter as a plug-in of OpenTelemetry: OTEL_TRACES_EXPORTER=duckdb."""

import logging
import os
from collections.abc import Sequence
from typing import Literal

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from otelbudget.errors import StoreError
from otelbudget.store.exporter import DuckDBSpanExporter

STORE_VARIABLE = "OTELBUDGET_STORE"
DEFAULT_STORE = "otelbudget.duckdb"

logger = logging.getLogger("otelbudget")


class DuckDBPlugin(DuckDBSpanExporter):
    """A `DuckDBSpanExporter` that needs no arguments, and can always be made.

    A plug-in that raises makes the SDK give up its whole configuration, and budgets with it: a
    store that cannot be used is logged instead, and nothing is written.

    Args:
        path: The DuckDB file; by default what OTELBUDGET_STORE names, else otelbudget.duckdb in the
            working directory.
        content: "drop" or "keep".
    """

    def __init__(
        self, path: str | None = None, *, content: Literal["drop", "keep"] = "drop"
    ) -> None:
        self._is_usable = True
        try:
            super().__init__(
                path or os.environ.get(STORE_VARIABLE) or DEFAULT_STORE, content=content
            )
        except StoreError as error:
            self._is_usable = False
            logger.error("No spans are written: %s", error)  # noqa: TRY400 - a sentence is enough

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write a batch; SUCCESS means that all of it is on disk."""
        return super().export(spans) if self._is_usable else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Write nothing more; a batch that is being written is finished first."""
        if self._is_usable:
            super().shutdown()
