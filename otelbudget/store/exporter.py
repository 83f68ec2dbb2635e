"""Writes every span of an application to a DuckDB file, while others read it."""

import atexit
import gc
import logging
import os
import secrets
import weakref
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from multiprocessing import parent_process, util
from threading import Lock
from typing import Any, Literal

import duckdb
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from otelbudget.errors import StoreBusyError, StoreError
from otelbudget.store import files, spill, sql
from otelbudget.store.spans import Content, Resource, Scope, SpanRow, resource, scope, span_row

logger = logging.getLogger("otelbudget")

_load = partial(sql.load, "otelbudget.store")
_BUSY_SECONDS = 1.0
_MAX_KNOWN = 1_000
_AFTER_OTHERS = -100


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
        self._path = files.located(path)
        self._keep = content == "keep"
        self._lock = Lock()
        self._is_closed = False
        self._told: set[str] = set()
        self._lost_spans = 0
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._use_key(secrets.token_bytes(32))  # until the store can tell its own
        with suppress(StoreBusyError):
            self._write([])
        _exporters.add(self)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write a batch; SUCCESS means that all of it is on disk."""
        with self._lock:
            lost = self._export(spans)
        # Told without the lock: a handler of the log may come back to this exporter.
        for error, count in lost:
            self._tell(error, count)
        return SpanExportResult.FAILURE if lost else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Write nothing more; a batch that is being written is finished first."""
        with self._lock:
            was_closed, self._is_closed = self._is_closed, True
            self._disconnect()
        if self._lost_spans and not was_closed:
            logger.warning("%d spans were not written to %s", self._lost_spans, self._path)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """True; `export` keeps nothing back."""
        return True

    def _export(self, spans: Sequence[ReadableSpan]) -> list[tuple[Exception, int]]:
        """Write what can be written; what was lost, with how many spans."""
        if self._is_closed:
            return [(StoreError(str(self._path), "the exporter was shut down"), len(spans))]
        rows: list[SpanRow] = []
        lost: list[tuple[Exception, int]] = []
        for span in spans:
            try:
                rows.append(self._row(span))
            except Exception as error:  # noqa: BLE001 - one span must not cost the others
                lost.append((error, 1))
        try:
            self._write_or_spill(rows)
        except Exception as error:  # noqa: BLE001 - the application goes on without its spans
            self._disconnect()
            lost.append((error, len(rows)))
        return lost

    def _tell(self, error: Exception, count: int) -> None:
        """Count lost spans and log the first of each cause."""
        self._lost_spans += count
        is_fault = not isinstance(error, (StoreError, OSError, duckdb.Error))
        cause = f"{type(error).__name__}: {error}" if is_fault else type(error).__name__
        if cause not in self._told and len(self._told) < _MAX_KNOWN:
            self._told.add(cause)
            logger.error(
                "%d spans could not be written to %s (reported once): %s",
                count,
                self._path,
                error,
                exc_info=error if is_fault else None,
            )

    def _write_or_spill(self, rows: list[SpanRow]) -> None:
        # While batches wait, the last attempt was in vain: waiting again would fill the queue.
        has_waiting = bool(spill.waiting(self._path))
        try:
            self._write(rows, timeout_seconds=0 if has_waiting else _BUSY_SECONDS)
        except StoreBusyError:
            spill.write(self._connected(), self._path, rows)

    def _write(self, rows: list[SpanRow], *, timeout_seconds: float = _BUSY_SECONDS) -> None:
        """Add rows to the store, made where there is none, and what waited beside it."""
        connection = self._connected()
        files.create(connection, self._path)
        with files.attached(
            connection, self._path, read_only=False, timeout_seconds=timeout_seconds
        ) as key:
            if rows:
                with files.transaction(connection):
                    appender = connection.appender("spans")
                    appender.append_rows(rows)
                    appender.flush()
            spill.drain(connection, self._path)
        if key != self._key:
            self._use_key(key)

    def _connected(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            self._connection = files.connect()
            self._connection.execute(_load("create_spans"))  # the shape of a batch that has to wait
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _use_key(self, key: bytes) -> None:
        """Hash content by the key of the store."""
        self._key = key
        self._content = Content(key, keep=self._keep)
        self._resources: dict[int, tuple[object, Resource]] = {}
        self._scopes: dict[int, tuple[object, Scope]] = {}

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
        """Leave the parent's connection alone; the next batch opens one of our own."""
        _left_to_parent.append(self._connection)
        self._connection = None
        self._lock = Lock()

    def _at_exit(self) -> None:
        """Write what batch processors still hold, then stop.

        A thread that is inside DuckDB when the interpreter ends aborts the process, so nothing may
        be written after this. The provider may not have been shut down yet, nor be the global one,
        hence the search for the processors.
        """
        for found in gc.get_objects():
            if issubclass(type(found), BatchSpanProcessor) and found.span_exporter is self:
                found.force_flush()
        self.shutdown()


_exporters: weakref.WeakSet[DuckDBSpanExporter] = weakref.WeakSet()
_held_for_fork: list[DuckDBSpanExporter] = []
_left_to_parent: list[duckdb.DuckDBPyConnection | None] = []


def _remember(
    known: dict[int, tuple[object, Any]], given: object, made: object
) -> tuple[object, Any]:
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


def _before_fork() -> None:
    for exporter in list(_exporters):
        exporter._before_fork()
        _held_for_fork.append(exporter)


def _after_fork_in_parent() -> None:
    while _held_for_fork:
        _held_for_fork.pop()._after_fork_in_parent()


def _after_fork_in_child() -> None:
    while _held_for_fork:
        _held_for_fork.pop()._after_fork_in_child()


def _at_exit() -> None:
    for exporter in list(_exporters):
        exporter._at_exit()


def _stop_before_worker_exit(_: object) -> None:
    """In a process of multiprocessing, which may run no `atexit`, stop where it ends its work."""
    if parent_process() is not None:
        util.Finalize(None, _at_exit, exitpriority=_AFTER_OTHERS)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
atexit.register(_at_exit)
util.register_after_fork(_exporters, _stop_before_worker_exit)
_stop_before_worker_exit(None)
