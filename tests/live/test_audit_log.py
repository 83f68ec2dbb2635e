"""The audit log: its lines, and that writing it never gets in the application's way."""

import json
import logging
import multiprocessing
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from openai import OpenAI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

import otelbudget
from otelbudget import Budget, BudgetConfigError, BudgetExceededError, BudgetSpanProcessor
from otelbudget.live.audit_log import AuditLog
from otelbudget.testing import FakeProvider, Reply

Watch = Callable[..., BudgetSpanProcessor]

NEEDS_FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
FORKS = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
AT_NS = 1_793_577_600 * 10**9 + 5  # 2026-11-02T00:00:00Z
MODEL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
# gpt-4o: 10 USD/Mtok of output. Cycles of $0.0145, .0167, .0178, .0189, .0172 and .0164.
CYCLES = (1_450, 1_670, 1_780, 1_890, 1_720, 1_640)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "budgets.jsonl"


@pytest.fixture
def told() -> list[str]:
    """What a log has told."""
    return []


@pytest.fixture
def log(path: Path, told: list[str]) -> Iterator[AuditLog]:
    made = AuditLog(path, lambda cause, *_: told.append(cause))
    yield made
    made.close()


def lines(path: Path) -> list[dict[str, Any]]:
    """The records of a file; each line is whole."""
    text = path.read_text("utf-8")
    assert text == "" or text.endswith("\n")
    return [json.loads(line, parse_float=Decimal) for line in text.splitlines()]


def of(path: Path, event: str) -> list[dict[str, Any]]:
    return [line for line in lines(path) if line["event"] == event]


# What it tells.


def test_a_run_of_six_operations_is_told_from_its_start_to_its_end(
    watch: Watch, tracer: Tracer, client: OpenAI, fake_provider: FakeProvider, path: Path
) -> None:
    replies = iter(CYCLES)
    fake_provider.reply_with(lambda _: Reply(input_tokens=0, output_tokens=next(replies)))
    processor = watch(Budget(cost_usd="0.10", name="essay"), audit_log=path)
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "autonomous_agent"}
    with tracer.start_as_current_span("invoke_agent", attributes=agent) as span:
        trace_id = format(span.get_span_context().trace_id, "032x")
        for cycle in range(1, 8):
            with (
                suppress(BudgetExceededError),
                tracer.start_as_current_span(f"llm_call_cycle_{cycle}"),
            ):
                client.chat.completions.create(model="gpt-4o", messages=[])

    assert processor.force_flush()
    start, warning, exceeded, denied, end = lines(path)
    run = {"run_id": None, "trace_id": trace_id}
    limit = {
        "budget": "essay",
        "scope": {"trace": trace_id},
        "window": None,
        "kind": "cost_usd",
        "limit": Decimal("0.1"),
    }
    assert (
        start.items()
        >= {
            **run,
            "event": "budget_monitoring_start",
            "budget_limit": Decimal("0.1"),
            "agent_id": "autonomous_agent",
        }.items()
    )
    # 0.0145 + 0.0167 + 0.0178 + 0.0189 + 0.0172 = 0.0851 USD, 85.1 %
    assert {**warning, **run, **limit, "event": "warning", "usage": Decimal("0.0851")} == warning
    assert warning["threshold"] == Decimal("0.8")
    # 0.0851 + 0.0164 = 0.1015 USD
    assert {**exceeded, **run, **limit, "event": "exceeded", "usage": Decimal("0.1015")} == exceeded
    assert {**denied, **run, **limit, "event": "denied", "usage": Decimal("0.1015")} == denied
    assert (denied["operation"], denied["model"]) == ("chat", "gpt-4o")
    end.pop("timestamp")
    assert end == {
        **run,
        "event": "budget_monitoring_end",
        "total_cost": Decimal("0.1015"),
        "budget_limit": Decimal("0.1"),
        "budget_remaining": 0,
        "operations": 6,
        "cost_by_operation": {
            "llm_call_cycle_1": Decimal("0.0145"),
            "llm_call_cycle_2": Decimal("0.0167"),
            "llm_call_cycle_3": Decimal("0.0178"),
            "llm_call_cycle_4": Decimal("0.0189"),
            "llm_call_cycle_5": Decimal("0.0172"),
            "llm_call_cycle_6": Decimal("0.0164"),
        },
        "agent_id": "autonomous_agent",
        "tier": None,
    }


def test_a_run_that_is_opened_by_name_is_told_when_it_begins_is_extended_and_ends(
    watch: Watch, provider: TracerProvider, chat: Callable[[], None], path: Path
) -> None:
    processor = watch(Budget(cost_usd="0.20", per="run", name="each"), audit_log=path)
    with otelbudget.run("essay", id="run-1", tracer_provider=provider) as run:
        assert processor.force_flush()
        assert [line["event"] for line in lines(path)] == ["budget_monitoring_start"]
        chat()
        run.extend(cost_usd="0.30")
        chat()

    assert processor.force_flush()
    assert {line["run_id"] for line in lines(path)} == {"run-1"}
    [extended], [end] = of(path, "extended"), of(path, "budget_monitoring_end")
    assert (extended["limit"], extended["usage"]) == (Decimal("0.5"), Decimal("0.1"))
    # 2 * 0.10 USD of 0.20 + 0.30 USD
    assert (end["total_cost"], end["budget_limit"], end["budget_remaining"]) == (
        Decimal("0.2"),
        Decimal("0.5"),
        Decimal("0.3"),
    )
    assert len({line["trace_id"] for line in lines(path)}) == 1


def test_times_are_utc_with_nanoseconds(log: AuditLog, path: Path) -> None:
    log.write(AT_NS, "warning", {})

    assert log.flush(30)
    assert [line["timestamp"] for line in lines(path)] == ["2026-11-02T00:00:00.000000005Z"]


def test_a_run_that_no_money_limit_holds_for_has_a_null_limit_and_its_cost(
    watch: Watch, tracer: Tracer, chat: Callable[[], None], path: Path
) -> None:
    processor = watch(Budget(calls=9, per="tenant.id"), audit_log=path)
    with tracer.start_as_current_span("run"):
        chat()
        chat()

    assert processor.force_flush()
    [end] = of(path, "budget_monitoring_end")
    assert (end["budget_limit"], end["budget_remaining"]) == (None, None)
    assert (end["total_cost"], end["operations"]) == (Decimal("0.2"), 2)  # 2 * 0.10 USD


def test_the_tightest_of_several_money_limits_is_told_and_the_least_that_is_left(
    watch: Watch, tracer: Tracer, chat: Callable[[], None], path: Path
) -> None:
    processor = watch(
        Budget(cost_usd=5, name="run"),
        Budget(cost_usd=1, name="audited", mode="audit"),
        Budget(
            cost_usd=8,
            name="tenant",
            per="tenant.id",
            window="day",
            shares={"gen_ai.agent.name": {"(none)": "0.01"}},
            mode="audit",
        ),
        audit_log=path,
    )
    with tracer.start_as_current_span("run"):
        chat()

    assert processor.force_flush()
    [end] = of(path, "budget_monitoring_end")
    assert (end["budget_limit"], end["budget_remaining"]) == (1, Decimal("0.9"))


def test_audit_mode_tells_once_that_a_limit_is_used_up_with_its_window(
    watch: Watch, tracer: Tracer, chat: Callable[[], None], path: Path
) -> None:
    daily = Budget(cost_usd="0.10", per="tenant.id", window="day", warn_at=())
    processor = watch(daily, audit_log=path, mode="audit", clock=lambda: AT_NS)
    for _ in range(3):
        with tracer.start_as_current_span("run", attributes={"tenant.id": "acme"}):
            chat()

    assert processor.force_flush()
    [exceeded] = of(path, "exceeded")
    assert (exceeded["window"], exceeded["scope"], exceeded["mode"]) == (
        "day 2026-11-02",
        {"tenant.id": "acme"},
        "audit",
    )
    assert not of(path, "denied")


def test_a_model_without_a_price_is_told_once(
    watch: Watch, tracer: Tracer, client: OpenAI, path: Path
) -> None:
    processor = watch(Budget(cost_usd=100), audit_log=path)
    with tracer.start_as_current_span("run"):
        for _ in range(3):
            client.chat.completions.create(model="no-such-model-7", messages=[])

    assert processor.force_flush()
    [line] = of(path, "unknown_price")
    assert (line["provider"], line["model"]) == ("openai", "no-such-model-7")
    assert line["estimated_cost"] > 0


def test_what_has_not_ended_ends_with_the_processor(
    watch: Watch, chat: Callable[[], None], path: Path
) -> None:
    processor = watch(Budget(cost_usd=100), audit_log=path)
    chat()  # outside any trace
    processor.shutdown()

    [end] = of(path, "budget_monitoring_end")
    assert (end["trace_id"], end["operations"]) == (None, 1)


def test_nothing_that_people_or_models_say_is_told(
    watch: Watch, tracer: Tracer, client: OpenAI, ten_cents: FakeProvider, path: Path
) -> None:
    ten_cents.reply_with(
        lambda _: Reply(input_tokens=20_000, output_tokens=5_000, text="the answer")
    )
    processor = watch(Budget(calls=1), audit_log=path)
    with tracer.start_as_current_span("run"):
        for _ in range(2):
            with suppress(BudgetExceededError):
                client.chat.completions.create(
                    model="gpt-4o", messages=[{"role": "user", "content": "the question"}]
                )

    assert processor.force_flush()
    assert of(path, "denied")
    assert "the " not in path.read_text("utf-8")


# The file.


def test_only_its_owner_may_read_it(log: AuditLog, path: Path) -> None:
    log.write(AT_NS, "warning", {})

    assert log.flush(30)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_there_stays(path: Path, log: AuditLog) -> None:
    path.write_text('{"event":"before"}\n')
    log.write(AT_NS, "after", {})

    assert log.flush(30)
    assert [line["event"] for line in lines(path)] == ["before", "after"]


def test_a_file_that_is_moved_away_is_made_anew(log: AuditLog, path: Path) -> None:
    log.write(AT_NS, "first", {})
    assert log.flush(30)
    path.rename(path.with_suffix(".1"))
    log.write(AT_NS, "second", {})

    assert log.flush(30)
    assert [line["event"] for line in lines(path)] == ["second"]


def test_no_line_of_eight_threads_is_torn_lost_or_doubled(log: AuditLog, path: Path) -> None:
    barrier = Barrier(8)

    def tell(thread: int) -> None:
        barrier.wait(30)
        for number in range(500):
            log.write(AT_NS, "denied", {"thread": thread, "number": number})

    threads = [Thread(target=tell, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert log.flush(30)
    told = [(line["thread"], line["number"]) for line in lines(path)]
    assert sorted(told) == [(thread, number) for thread in range(8) for number in range(500)]


def test_a_folder_that_does_not_exist_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BudgetConfigError, match=r"audit_log: is .*folder .* does not exist; make"):
        BudgetSpanProcessor(Budget(calls=1), audit_log=tmp_path / "no" / "log.jsonl")
    with pytest.raises(BudgetConfigError, match=r"which is a folder; name a file in it"):
        BudgetSpanProcessor(Budget(calls=1), audit_log=tmp_path)


# Where it cannot be written.


def test_a_folder_that_is_gone_costs_one_line_of_the_log_and_no_call(
    watch: Watch,
    tracer: Tracer,
    chat: Callable[[], None],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    processor = watch(Budget(calls=100), audit_log=folder / "budgets.jsonl")
    folder.rmdir()
    for _ in range(3):
        with tracer.start_as_current_span("run"):
            chat()
        assert processor.force_flush()

    [message] = [message for message in caplog.messages if "audit log" in message]
    assert "No such file or directory" in message
    assert "is told once" in message


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_once(told: list[str]) -> None:
    log = AuditLog("/dev/full", lambda cause, *_: told.append(cause))
    for _ in range(3):
        log.write(AT_NS, "warning", {})
        assert log.flush(30)
    log.close()

    assert (log.lost, set(told)) == (3, {"audit log"})


def test_after_a_line_that_was_torn_the_next_begins_anew(
    log: AuditLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file system takes the first ten bytes of a line, then it is full, then it is not."""
    write, answers = os.write, iter(["a part", "nothing"])

    def full(file: int, data: bytes) -> int:
        answer = next(answers, "all")
        if answer == "nothing":
            raise OSError(28, "No space left on device")
        return write(file, data[:10] if answer == "a part" else data)

    monkeypatch.setattr("otelbudget.live.audit_log.os.write", full)
    log.write(AT_NS, "torn", {})
    assert log.flush(30)
    log.write(AT_NS, "whole", {})
    assert log.flush(30)

    torn, whole = path.read_text("utf-8").splitlines()
    assert len(torn) == 10
    assert json.loads(whole)["event"] == "whole"


def test_records_beyond_the_bound_are_dropped_and_counted(
    log: AuditLog, path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, reached, append = Barrier(2), Barrier(2), log._append  # noqa: SLF001 - a slow disk

    def slow(lines: bytes) -> None:
        monkeypatch.undo()
        reached.wait(30)
        gate.wait(30)
        append(lines)

    monkeypatch.setattr(log, "_append", slow)
    log.write(AT_NS, "first", {})
    reached.wait(30)
    for _ in range(8_192 + 5):
        log.write(AT_NS, "more", {})
    gate.wait(30)

    assert log.flush(30)
    assert (log.lost, told) == (5, ["audit log"] * 5)
    assert len(lines(path)) == 1 + 8_192


# Processes.


@NEEDS_FORK
@FORKS
def test_a_forked_child_writes_its_own_lines_and_none_of_the_parents(
    watch: Watch, tracer: Tracer, path: Path
) -> None:
    processor = watch(Budget(cost_usd=100), audit_log=path)

    def work(name: str) -> None:
        for _ in range(200):
            with tracer.start_as_current_span("run"):
                attributes = {**MODEL, "gen_ai.agent.name": name}
                tracer.start_span("chat", attributes=attributes).end()

    work("before")  # some of these still wait in the parent when the children are forked
    children = []
    for number in range(3):
        child = os.fork()
        if not child:
            work(f"child-{number}")
            os._exit(0 if processor.force_flush() else 1)
        children.append(child)
    work("after")
    statuses = [os.waitpid(child, 0)[1] for child in children]
    assert processor.force_flush()

    assert statuses == [0, 0, 0]
    # Each of five works has 200 runs, each with a start and an end.
    assert Counter((line["agent_id"], line["event"]) for line in lines(path)) == {
        (name, event): 200
        for name in ("before", "child-0", "child-1", "child-2", "after")
        for event in ("budget_monitoring_start", "budget_monitoring_end")
    }


@NEEDS_FORK
@FORKS
def test_a_run_that_is_open_when_a_child_is_forked_ends_once(
    watch: Watch, tracer: Tracer, path: Path
) -> None:
    processor = watch(Budget(cost_usd=100), audit_log=path)
    with tracer.start_as_current_span("run"):
        tracer.start_span("chat", attributes=MODEL).end()
        child = os.fork()
        if not child:
            processor.shutdown()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0

    assert processor.force_flush()
    assert len(of(path, "budget_monitoring_start")) == 1
    assert len(of(path, "budget_monitoring_end")) == 1


@NEEDS_FORK
@FORKS
def test_a_worker_of_multiprocessing_writes_what_waits_before_it_ends(
    watch: Watch, tracer: Tracer, path: Path
) -> None:
    watch(Budget(cost_usd=100), audit_log=path)

    def work() -> None:
        for _ in range(50):
            with tracer.start_as_current_span("run"):
                tracer.start_span("chat", attributes=MODEL).end()

    worker = multiprocessing.get_context("fork").Process(target=work)
    worker.start()
    worker.join(60)

    assert worker.exitcode == 0
    assert len(of(path, "budget_monitoring_end")) == 50


def test_it_says_so_when_a_fault_of_ours_keeps_it_from_writing(
    log: AuditLog, told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    log.write(AT_NS, "warning", {"not JSON": object()})
    log.write(AT_NS, "warning", {})

    assert log.flush(30)
    assert set(told) == {"audit log"}
