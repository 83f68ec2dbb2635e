"""Writes every span of an application to a DuckDB file, while others read it."""

import atexit
import logging
import os
import secrets
import weakref
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import duckdb
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otelbudget.errors import StoreBusyError, StoreError
from otelbudget.store import files, spill, sql
from otelbudget.store.spans import Content, Resource, Scope, SpanRow, resource, scope, span_row

logger = logging.getLogger("otelbudget")

_load = partial(sql.load, "otelbudget.store")
_BUSY_SECONDS = 1.0
_MAX_KNOWN = 1_000


class DuckDBSpanExporter(SpanExporter):
    """Writes spans to a DuckDB file; put it behind the SDK's BatchSpanProcessor.

    The file is opened for each batch and free in between, so `budget-audit` and other processes
    can use it while the application runs. When another process holds it for more than a second,
    the batch goes to the folder FILE.spill and from there into the file with a later batch.
    `export` returns SUCCESS when the batch is on disk in one of the two.

    The file is readable by its owner only. Message content and other texts of more than 256 bytes
    are replaced by their size and a keyed hash unless `content` is "keep".

    Args:
        path: The DuckDB file; made where there is none.
        content: "drop" or "keep".

    Raises:
        StoreError: The file cannot be made, or is no store of this version of otelbudget.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, content: Literal["drop", "keep"] = "drop"
    ) -> None:
        self._path = Path(path).absolute()
        self._keep = content == "keep"
        self._lock = Lock()
        self._is_closed = False
        self._open()
        _exporters.add(self)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write a batch; SUCCESS means that it is on disk."""
        with self._lock:
            if self._is_closed:
                return SpanExportResult.FAILURE
            try:
                self._write([self._row(span) for span in spans])
            except (StoreError, OSError, duckdb.Error):
                logger.exception("%d spans could not be written to %s", len(spans), self._path)
                return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Write nothing more; a batch that is being written is finished first."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._connection.close()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """True; `export` keeps nothing back."""
        return True

    def _open(self) -> None:
        """Make the connection, the file where there is none, and learn its content key."""
        self._resources: dict[int, tuple[object, Resource]] = {}
        self._scopes: dict[int, tuple[object, Scope]] = {}
        self._connection = files.connect()
        self._connection.execute(_load("create_spans"))  # the shape of a batch that has to wait
        files.create(self._connection, self._path)
        try:
            with files.attached(
                self._connection, self._path, read_only=False, timeout_seconds=_BUSY_SECONDS
            ) as key:
                self._connection.execute(_load("create_spans"))
        except StoreBusyError:
            # Hashes of content from this process are then not comparable with the store's others.
            key = secrets.token_bytes(32)
        self._content = Content(key, keep=self._keep)

    def _write(self, rows: list[SpanRow]) -> None:
        waiting = spill.waiting(self._path)
        try:
            with files.attached(
                self._connection, self._path, read_only=False, timeout_seconds=_BUSY_SECONDS
            ):
                self._insert(rows, waiting)
        except StoreBusyError:
            spill.write(self._connection, self._path, rows)
        else:
            spill.remove(waiting)

    def _insert(self, rows: list[SpanRow], waiting: list[str]) -> None:
        self._connection.begin()
        try:
            spill.insert(self._connection, waiting)
            appender = self._connection.appender("spans")
            appender.append_rows(rows)
            appender.flush()
            self._connection.commit()
        except BaseException:
            self._connection.rollback()
            raise

    def _row(self, span: ReadableSpan) -> SpanRow:
        context, parent = span.context, span.parent
        status = span.status
        return span_row(
            self._content,
            self._resource(span),
            self._scope(span),
            trace_id=format(context.trace_id, "032x"),
            span_id=format(context.span_id, "016x"),
            parent_span_id=None if parent is None else format(parent.span_id, "016x"),
            trace_state=context.trace_state.to_header(),
            flags=int(context.trace_flags),
            name=span.name,
            kind=span.kind.value + 1,  # the SDK counts from 0 for internal, OTLP from 1
            start_time_unix_nano=span.start_time,
            end_time_unix_nano=span.end_time,
            attributes=span.attributes or {},
            status_code=status.status_code.value,
            status_message=status.description,
            events=[_event(event) for event in span.events],
            links=[_link(link) for link in span.links],
            dropped_attributes_count=span.dropped_attributes,
            dropped_events_count=span.dropped_events,
            dropped_links_count=span.dropped_links,
        )

    def _resource(self, span: ReadableSpan) -> Resource:
        given = span.resource
        known = self._resources.get(id(given))
        if known is None:
            made = resource(given.attributes, self._content, schema_url=given.schema_url)
            known = _remember(self._resources, given, made)
        return known[1]

    def _scope(self, span: ReadableSpan) -> Scope:
        given = span.instrumentation_scope
        if given is None:
            return Scope()
        known = self._scopes.get(id(given))
        if known is None:
            made = scope(
                given.name,
                given.version,
                given.attributes or {},
                self._content,
                schema_url=given.schema_url,
            )
            known = _remember(self._scopes, given, made)
        return known[1]

    def _before_fork(self) -> None:
        self._lock.acquire()

    def _after_fork_in_parent(self) -> None:
        self._lock.release()

    def _after_fork_in_child(self) -> None:
        """Leave the parent's connection alone and open one of our own."""
        _left_to_parent.append(self._connection)
        self._lock = Lock()
        if not self._is_closed:
            self._open()

    def _at_exit(self) -> None:
        """Write what a batch processor still holds, then stop.

        A thread that is inside DuckDB when the interpreter ends aborts the process, so nothing may
        be written after this.
        """
        active = getattr(trace.get_tracer_provider(), "_active_span_processor", None)
        for processor in getattr(active, "_span_processors", ()):
            if getattr(processor, "span_exporter", None) is self:
                processor.force_flush()
        self.shutdown()


_exporters: weakref.WeakSet[DuckDBSpanExporter] = weakref.WeakSet()
_left_to_parent: list[duckdb.DuckDBPyConnection] = []


def _remember(known: dict[int, tuple[object, Any]], given: object, made: object) -> tuple[object, Any]:
    """Keep what was made of an object; the object is kept too, so that its id stays its own."""
    if len(known) >= _MAX_KNOWN:
        known.clear()
    known[id(given)] = (given, made)
    return known[id(given)]


def _event(event: Any) -> dict[str, Any]:
    dropped = event.dropped_attributes
    return {
        "name": event.name,
        "time_unix_nano": event.timestamp,
        "attributes": event.attributes or {},
        **({"dropped_attributes_count": dropped} if dropped else {}),
    }


def _link(link: Any) -> dict[str, Any]:
    context = link.context
    state = context.trace_state.to_header()
    dropped = link.dropped_attributes
    return {
        "trace_id": format(context.trace_id, "032x"),
        "span_id": format(context.span_id, "016x"),
        "flags": int(context.trace_flags),
        "attributes": link.attributes or {},
        **({"trace_state": state} if state else {}),
        **({"dropped_attributes_count": dropped} if dropped else {}),
    }


def _call_on_all(method: str) -> None:
    for exporter in list(_exporters):
        getattr(exporter, method)()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=partial(_call_on_all, "_before_fork"),
        after_in_parent=partial(_call_on_all, "_after_fork_in_parent"),
        after_in_child=partial(_call_on_all, "_after_fork_in_child"),
    )
atexit.register(_call_on_all, "_at_exit")
