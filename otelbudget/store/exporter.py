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
from opentelemetry.trace import SpanContext

from otelbudget.errors import StoreBusyError, StoreError
from otelbudget.store import files, spill, sql
from otelbudget.store.spans import Content, Resource, Scope, SpanRow, resource, scope, span_row

logger = logging.getLogger("otelbudget")

_load = partial(sql.load, "otelbudget.store")
_BUSY_SECONDS = 1.0
_MAX_KNOWN = 1_000
_AFTER_OTHERS = -100
_KNOWS_REMOTE, _IS_REMOTE = 0x100, 0x200


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
        self._causes: set[str] = set()
        self._untold: list[tuple[Exception, int]] = []
        self._lost_spans = 0
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._use_key(secrets.token_bytes(32))  # until the store can tell its own
        with suppress(StoreBusyError):
            self._write([], timeout_seconds=_BUSY_SECONDS)
        _exporters.add(self)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write a batch; SUCCESS means that all of it is on disk."""
        with self._lock:
            lost_before = self._lost_spans
            self._export(spans)
            is_lost = self._lost_spans > lost_before
            untold, self._untold = self._untold, []
        # Told without the lock: a handler of the log may come back to this exporter.
        for error, count in untold:
            self._tell(error, count)
        return SpanExportResult.FAILURE if is_lost else SpanExportResult.SUCCESS

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

    def _export(self, spans: Sequence[ReadableSpan]) -> None:
        """Write what can be written."""
        if self._is_closed:
            self._lost(StoreError(str(self._path), "the exporter was shut down"), len(spans))
            return
        rows: list[SpanRow] = []
        for span in spans:
            try:
                rows.append(self._row(span))
            except Exception as error:  # noqa: BLE001 - one span must not cost the others
                self._lost(error, 1)
        try:
            self._write_or_spill(rows)
        except Exception as error:  # noqa: BLE001 - the application goes on without its spans
            self._disconnect()
            self._lost(error, len(rows))

    def _lost(self, error: Exception, count: int) -> None:
        """Count lost spans, and keep the first error of each cause to be told."""
        self._lost_spans += count
        cause = type(error).__name__ + "".join(c for c in str(error) if not c.isdigit())
        if cause not in self._causes and len(self._causes) < _MAX_KNOWN:
            self._causes.add(cause)
            self._untold.append((error, count))

    def _tell(self, error: Exception, count: int) -> None:
        is_fault = not isinstance(error, (StoreError, OSError, duckdb.Error))
        logger.error(
            "Writing spans to %s: %s (%d spans lost; reported once per cause)",
            self._path,
            error,
            count,
            exc_info=error if is_fault else None,
        )

    def _write_or_spill(self, rows: list[SpanRow]) -> None:
        # While batches wait, the last attempt was in vain: waiting again would fill the queue.
        timeout_seconds = 0 if spill.waiting(self._path) else _BUSY_SECONDS
        try:
            self._write(rows, timeout_seconds=timeout_seconds)
        except StoreBusyError:
            spill.write(self._connected(), self._path, rows)

    def _write(self, rows: list[SpanRow], *, timeout_seconds: float) -> None:
        """Add rows to the store, made where there is none, and what waited beside it."""
        connection = self._connected()
        files.create(connection, self._path)
        with files.attached(
            connection, self._path, read_only=False, timeout_seconds=timeout_seconds
        ) as key:
            self._drain(connection)
            if rows:
                with files.transaction(connection):
                    appender = connection.appender("spans")
                    appender.append_rows(rows)
                    appender.flush()
        if key != self._key:
            self._use_key(key)

    def _drain(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Move what waited into the store; what cannot be moved must not stop the new spans."""
        try:
            spill.drain(connection, self._path)
        except (OSError, duckdb.Error) as error:
            self._lost(error, 0)

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
            flags=_flags(context, parent),
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
        """Let go of DuckDB: its threads do not exist in the child, which could not even close it."""
        self._lock.acquire()
        self._disconnect()

    def _after_fork(self) -> None:
        self._lock.release()

    def _at_exit(self) -> None:
        """Write what batch processors still hold, then stop.

        A thread that is inside DuckDB when the interpreter ends aborts the process, so nothing may
        be written after this. The provider may not have been shut down yet, nor be the global one,
        hence the search for the processors.
        """
        for found in gc.get_objects():
            if issubclass(type(found), BatchSpanProcessor) and found.span_exporter is self:
                found.shutdown()  # refuses new spans, which a flush would wait for without end
        self.shutdown()


_exporters: weakref.WeakSet[DuckDBSpanExporter] = weakref.WeakSet()
_held_for_fork: list[DuckDBSpanExporter] = []
_fork_lock = Lock()


def _remember(
    known: dict[int, tuple[object, Any]], given: object, made: object
) -> tuple[object, Any]:
    """Keep what was made of an object; the object is kept too, so that its id stays its own."""
    if len(known) >= _MAX_KNOWN:
        known.clear()
    known[id(given)] = (given, made)
    return known[id(given)]


def _flags(context: SpanContext, remote: SpanContext | None) -> int:
    """OTLP's flags: those of the trace, and whether the other span is in another process."""
    is_remote = remote is not None and remote.is_remote
    return int(context.trace_flags) | _KNOWS_REMOTE | (_IS_REMOTE if is_remote else 0)


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
        "flags": _flags(context, context),
        "attributes": link.attributes or {},
        **({"trace_state": state} if state else {}),
        **({"dropped_attributes_count": dropped} if dropped else {}),
    }


def _before_fork() -> None:
    _fork_lock.acquire()
    _held_for_fork.extend(_exporters)
    _call("_before_fork", _held_for_fork)


def _after_fork() -> None:
    _call("_after_fork", _held_for_fork)
    _held_for_fork.clear()
    _fork_lock.release()


def _at_exit() -> None:
    _call("_at_exit", list(_exporters))


def _call(method: str, exporters: list[DuckDBSpanExporter]) -> None:
    for exporter in exporters:
        getattr(exporter, method)()


def _stop_before_worker_exit(_: object) -> None:
    """In a process of multiprocessing, which may run no `atexit`, stop where it ends its work."""
    if parent_process() is not None:
        util.Finalize(None, _at_exit, exitpriority=_AFTER_OTHERS)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork,
        after_in_child=_after_fork,
    )
atexit.register(_at_exit)
util.register_after_fork(_exporters, _stop_before_worker_exit)
_stop_before_worker_exit(None)
