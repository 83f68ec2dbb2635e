"""What people see in a terminal: whole names, numbers with units, counts of what they know."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from budget_audit.loading import load

from otelbudget.budgets.config import Budgets
from otelbudget.errors import TraceReadError

Call = Callable[..., Any]
NS, DAY = 10**9, 86_400 * 10**9
START = 1_793_577_600 * NS  # 2026-11-02T00:00:00Z
ACME, BIRCH = {"tenant.id": "acme"}, {"tenant.id": "birch-and-daughters-international"}


def spans(trace: int, calls: int, told: dict[str, str], **how: Any) -> list[dict[str, Any]]:
    """A run of some calls of gpt-4o with 1,000 input tokens each, one second apart."""
    models = how.get("models", ["gpt-4o"] * calls)
    start = START + how.get("day", 0) * DAY + trace * 1_000
    made = [{"name": how.get("workflow", "run"), "spanId": "1" * 16, "attributes": told, "at": 0}]
    made += [
        {
            "name": "chat",
            "spanId": f"{2 + number:016x}",
            "parentSpanId": "1" * 16,
            "at": number,
            "attributes": {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": model,
                "gen_ai.usage.input_tokens": how.get("tokens", 1_000),
            },
        }
        for number, model in enumerate(models)
    ]
    return [
        {
            **span,
            "traceId": f"{trace:032x}",
            "startTimeUnixNano": str(start + span["at"] * NS),
            "endTimeUnixNano": str(start + span["at"] * NS + 1_000),
            "attributes": [
                {
                    "key": key,
                    "value": {"intValue": str(value)}
                    if isinstance(value, int)
                    else {"stringValue": value},
                }
                for key, value in span["attributes"].items()
            ],
        }
        for span in made
    ]


@pytest.fixture
def traces(tmp_path: Path) -> Call:
    """Writes runs to a file."""

    def traces(*runs: list[dict[str, Any]]) -> Path:
        every = [span for run in runs for span in run]
        path = tmp_path / "traces.json"
        path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": every}]}]}))
        return path

    return traces


@pytest.fixture
def budgets(tmp_path: Path) -> Call:
    """Writes a budgets file."""

    def budgets(**named: object) -> Path:
        path = tmp_path / "budgets.yaml"
        path.write_text(json.dumps({"budgets": named}))
        return path

    return budgets


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are as wide as a terminal of 80 columns."""
    monkeypatch.setattr("budget_audit.formats.write._WIDTH_WITHOUT_TERMINAL", 80)


@pytest.mark.usefixtures("narrow")
def test_a_narrow_terminal_shows_whose_limit_is_suggested(run: Call, traces: Call) -> None:
    names = ["invoke_agent research_assistant_pipeline", "invoke_agent research_assistant_planner"]
    path = traces(*(spans(n, 1, {}, workflow=names[n % 2]) for n in range(1, 101)))

    shown = run("suggest", path).out

    assert "…" not in shown
    assert all(name in " ".join(shown.split()) or name.split()[1] in shown for name in names)
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.usefixtures("narrow")
def test_a_narrow_terminal_shows_whose_calls_were_refused(
    run: Call, traces: Call, budgets: Call
) -> None:
    path = traces(spans(1, 3, ACME), spans(2, 3, BIRCH))
    shares = {"gen_ai.agent.name": {"supervisor": "0.5"}}
    daily = {"per": "tenant.id", "window": "day", "timezone": "Europe/Berlin"}
    file = budgets(
        daily={**daily, "max_tokens": 2_000, "shares": shares}, run={"per": "trace", "max_calls": 1}
    )

    shown = run("simulate", path, "--budgets", file).out

    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert f"\n{2:032x}  1 call" in shown  # an id stays whole
    assert "gen_ai.agent.name" in shown
    assert "2,000 tokens" in shown


def test_a_window_is_named_by_its_label_in_tables_and_by_its_start_in_json(
    run: Call, traces: Call, budgets: Call
) -> None:
    daily = {"per": "tenant.id", "window": "day", "timezone": "Europe/Berlin", "max_calls": 1}
    arguments = (traces(spans(1, 2, ACME)), "--budgets", budgets(daily=daily))

    for command in ("simulate", "gate"):
        shown = run(command, *arguments).out
        [told] = {*run(command, *arguments, "--format", "json").json}.intersection(
            {"stopped", "violations"}
        )
        [row] = run(command, *arguments, "--format", "json").json[told]

        assert "tenant.id acme, day 2026-11-02 Europe/Berlin" in shown
        assert row["window_start"] == "2026-11-01T23:00:00.000000000Z"


def test_names_that_look_like_markup_are_shown_as_they_are(run: Call, traces: Call) -> None:
    path = traces(spans(1, 2, {"tenant.id": "[/bold] :smile: [red]x"}))

    shown = run("simulate", path, "--limit", "calls=1", "--scope", "tenant.id").out

    assert "tenant.id [/bold] :smile: [red]x" in shown


def test_the_headline_counts_runs_not_scopes(run: Call, traces: Call, budgets: Call) -> None:
    tier = {"otelbudget.tier": "quick"}
    path = traces(*(spans(n, 2, tier) for n in (1, 2)), *(spans(n, 1, {}) for n in (3, 4, 5)))
    file = budgets(run={"per": "trace", "max_calls": 9}, quick={"max_calls": 1})

    shown = run("simulate", path, "--budgets", file).out

    assert shown.startswith("2 of 5 traces with model calls would have been stopped, 2 of 7 calls ")


def test_the_headline_says_what_budgets_in_audit_mode_hold_back(
    run: Call, traces: Call, budgets: Call
) -> None:
    """Of three runs two make a second and a third call."""
    path = traces(spans(1, 3, {}), spans(2, 3, {}), spans(3, 1, {}))
    file = budgets(run={"per": "trace", "max_calls": 1, "mode": "audit"})

    shown = " ".join(run("simulate", path, "--budgets", file).out.split())
    totals = run("simulate", path, "--budgets", file, "--format", "json").json["totals"]

    assert "0 of 7 calls refused; 4 more would be, if the budgets in audit mode enforced" in shown
    assert "2 of the 2 runs stopped then had ended without an error: good runs lost." in shown
    assert "no good run lost" not in shown
    assert (totals["calls_denied"], totals["calls_audited"]) == (0, 4)
    assert totals["if_enforced"] == {
        "calls_denied": 4,
        "tool_calls_denied": 0,
        "runs_stopped": 2,
        "false_stops": 2,
    }


def test_scopes_that_avoided_nothing_are_sorted_by_what_they_spent(
    simulate: Call, traces: Call
) -> None:
    """The refused second calls have no known price; gpt-4o is dearer than gpt-4o-mini."""
    path = traces(
        spans(1, 2, {}, models=["gpt-4o-mini", "nobody-knows"]),
        spans(2, 2, {}, models=["gpt-4o", "nobody-knows"]),
    )

    stopped = simulate(path, "--limit", "calls=1")["stopped"]

    assert [row["avoided_usd"] for row in stopped] == ["0.00", "0.00"]
    assert [row["scope"]["trace"] for row in stopped] == [f"{2:032x}", f"{1:032x}"]


def test_the_gate_says_usage_with_its_unit_and_that_a_limit_was_reached(
    run: Call, traces: Call, budgets: Call
) -> None:
    """Usage stays at the limit: the second call is refused, and has no tokens."""
    path = traces(spans(1, 2, {}, tokens=20_000))
    file = budgets(run={"per": "trace", "max_tokens": 20_000})

    shown = run("gate", path, "--budgets", file).out

    assert shown.startswith("Over budget: 1 of 1 trace passed a limit or had a call refused.\n")
    assert "20,000 tokens  40,000 tokens        1" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--where", "tenant.id=nobody"], "check the sources", id="nothing-is-left"),
        pytest.param([], "no budget counts any of 2 calls", id="no-budget-counts-it"),
    ],
)
def test_a_gate_that_had_nothing_to_judge_says_so(
    arguments: list[str], said: str, run: Call, traces: Call, budgets: Call
) -> None:
    gate = ("gate", traces(spans(1, 2, ACME)), "--budgets", budgets(quick={"max_calls": 1}))

    passed, strict = run(*gate, *arguments), run(*gate, *arguments, "--strict")

    assert (passed.code, strict.code) == (0, 1)
    assert "warning: no_calls: no call to judge" in passed.err
    assert said in passed.err


@pytest.mark.parametrize(
    "asking",
    [
        {"per": "tennant.id"},
        {"per": "trace", "where": {"tennant.id": "acme"}},
        {"per": "trace", "shares": {"tennant.id": {"acme": "0.5"}}},
    ],
    ids=["per", "where", "shares"],
)
def test_a_key_that_no_call_has_a_value_for_is_a_warning(
    asking: dict[str, object], run: Call, traces: Call, budgets: Call
) -> None:
    path = traces(spans(1, 2, ACME))
    told = "No call has a value for the key 'tennant.id' of budget 'x', so all count as (none)."

    for command in ("simulate", "gate"):
        ran = run(command, path, "--budgets", budgets(x={**asking, "max_calls": 9}))
        right = run(command, path, "--budgets", budgets(x={"per": "tenant.id", "max_calls": 9}))

        assert f"warning: scope_without_value: {told}\n" in ran.err
        assert "scope_without_value" not in right.err


def test_tiers_that_only_one_side_knows_are_told_of(run: Call, traces: Call, budgets: Call) -> None:
    path = traces(spans(1, 1, {"otelbudget.tier": "quikc"}), spans(2, 1, {}))

    ran = run("gate", path, "--budgets", budgets(quick={"max_calls": 1}, deep={"max_calls": 9}))

    assert (
        "warning: unknown_tier: runs ask for a tier that the budgets file does not have: 'quikc'; "
        "its tiers are 'quick', 'deep'\n"
    ) in ran.err
    assert "note: No run asks for the tiers 'quick', 'deep'.\n" in ran.err


def test_limits_on_the_command_line_say_nothing_of_tiers(run: Call, traces: Call) -> None:
    ran = run("simulate", traces(spans(1, 1, {"otelbudget.tier": "quick"})), "--limit", "calls=1")

    assert ran.err == ""


@pytest.fixture
def enough(traces: Call) -> Path:
    """Runs enough for a suggestion."""
    path: Path = traces(*(spans(number, 1, {}) for number in range(1, 61)))
    return path


def test_a_suggestion_is_not_written_over_the_users_own_file(
    run: Call, enough: Path, tmp_path: Path
) -> None:
    own = tmp_path / "budgets.yaml"
    own.write_text("budgets: {mine: {max_calls: 5}}\n")

    ran = run("suggest", enough, "-o", own)

    assert (ran.code, ran.out) == (1, "")
    assert f"{own} exists and is no suggestion of this command, so it is kept" in ran.err
    assert own.read_text() == "budgets: {mine: {max_calls: 5}}\n"


def test_a_suggestion_replaces_an_older_one(run: Call, enough: Path, tmp_path: Path) -> None:
    file = tmp_path / "suggested.yaml"

    codes = [run("suggest", enough, "-o", file).code for _ in range(2)]

    assert codes == [0, 0]
    assert Budgets.from_yaml(file).budgets


def test_a_suggestion_is_written_to_standard_output(
    run: Call, enough: Path, tmp_path: Path
) -> None:
    file = tmp_path / "suggested.yaml"
    run("suggest", enough, "-o", file)

    assert run("suggest", enough, "-o", "-").out == file.read_text()


def test_too_few_runs_are_said_with_how_many_are_needed(run: Call, traces: Call) -> None:
    assert "1 of 45 runs needed" in run("suggest", traces(spans(1, 1, {}))).out


def test_a_budgets_file_that_is_cut_off_is_one_sentence(run: Call, tmp_path: Path) -> None:
    file = tmp_path / "budgets.yaml"
    file.write_text('budgets:\n  run: {per: "trace\n')

    assert run("gate", "--config-only", "--budgets", file).err == (
        f"budget-audit: {file}: is no YAML: while scanning a quoted scalar (line 2, column 14), "
        "found unexpected end of stream (line 3, column 1)\n"
    )


def test_a_missing_source_draws_no_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)

    with pytest.raises(TraceReadError, match="does not exist"):
        load([str(tmp_path / "no.jsonl")])

    assert terminal.getvalue() == ""


def test_names_with_line_breaks_stay_in_one_line(run: Call, traces: Call) -> None:
    path = traces(spans(1, 2, {"tenant.id": "a\nb"}, workflow="weekly\n\treport"))

    audited = run("audit", path, "--by", "workflow,tenant.id", "--workflows").out
    compared = run("diff", path, path).out

    assert audited.count("weekly report") == 3
    assert "a b" in audited
    assert "weekly report" in compared
    assert "weekly\n" not in audited + compared


def test_a_share_of_runs_that_is_no_number_is_refused(run: Call, traces: Call) -> None:
    ran = run("suggest", traces(spans(1, 1, {})), "--covers", "nan")

    assert ran.code == 2
    assert "nan is no share" in ran.err


def test_the_headline_of_an_audit_tells_the_days_of_the_calls_it_counts(
    run: Call, traces: Call
) -> None:
    path = traces(spans(1, 1, {}), spans(2, 1, {}, day=3), spans(3, 1, {}, day=4))

    shown = run("audit", path, "--since", "2026-11-04").out

    assert "2 model calls in 2 traces, 2026-11-05 to 2026-11-06 (UTC)" in shown


@pytest.mark.parametrize(
    ("asked", "warning"),
    [
        pytest.param(
            ("--where", "tenant.id=nope"), "no_calls: no call has tenant.id=nope", id="where"
        ),
        pytest.param(
            ("--since", "2027-01-01"),
            "no_calls: no call starts in this period; the spans are of 2026-11-02",
            id="since",
        ),
    ],
)
def test_no_call_left_is_said_without_a_table(
    run: Call, traces: Call, asked: tuple[str, str], warning: str
) -> None:
    path = traces(spans(1, 1, ACME))

    shown = run("audit", path, *asked)

    assert shown.out == "No model calls to count; read were 2 spans of 1 trace.\n"
    assert shown.err == f"warning: {warning}\n"
    assert run("focus", path, *asked).err == f"warning: {warning}\n"


def test_every_workflow_is_named_in_80_columns(
    run: Call, traces: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("budget_audit.formats.write._WIDTH_WITHOUT_TERMINAL", 80)
    path = traces(
        spans(1, 1, {}, workflow="invoke_agent policy-assistant"), spans(2, 1, {}, workflow="b")
    )

    shown = run("audit", path, "--workflows").out

    assert "\ninvoke_agent policy-assistant\n  1 run, 50 % of cost\n" in shown.replace(" \n", "\n")
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_the_gate_lists_first_what_used_the_most_of_its_limit(
    run: Call, traces: Call, budgets: Call
) -> None:
    path = traces(spans(1, 2, {}), spans(2, 4, {}), spans(3, 3, {}), spans(4, 1, {}))
    file = budgets(run={"per": "trace", "max_calls": 1})

    shown = run("gate", path, "--budgets", file)
    found = run("gate", path, "--budgets", file, "--format", "json").json["violations"]

    assert shown.out.startswith("Over budget: 3 of 4 traces passed a limit or had a call refused.")
    assert [each["usage"] for each in found] == ["4", "3", "2"]


def test_the_gate_takes_max_bytes(run: Call, traces: Call, budgets: Call) -> None:
    file = budgets(run={"per": "trace", "max_calls": 1})

    assert (
        run("gate", traces(spans(1, 1, {})), "--budgets", file, "--max-bytes", "1000000").code == 0
    )


def test_a_second_import_says_that_nothing_was_added(
    run: Call, traces: Call, tmp_path: Path
) -> None:
    path, store = traces(spans(1, 1, {})), tmp_path / "traces.duckdb"
    run("import", path, "--store", store)

    shown = " ".join(run("import", path, "--store", store).out.split())

    assert shown.startswith("0 of 2 spans of 1 trace from 1 file")
    assert shown.endswith("; 2 were there already")


def test_workflows_of_one_name_are_told_apart_by_agent(run: Call, traces: Call) -> None:
    agents: tuple[dict[str, str], ...] = ({"gen_ai.agent.name": "writer"}, {})
    name = "invoke_agent writer"
    path = traces(*(spans(number, 1, each, workflow=name) for number, each in enumerate(agents, 1)))

    shown = run("suggest", path).out

    assert "invoke_agent writer (agent writer)" in shown
    assert "invoke_agent writer (no agent)" in shown


def test_suggestions_by_a_key_stand_below_its_name(run: Call, traces: Call) -> None:
    shown = run("suggest", traces(spans(1, 1, ACME)), "--by", "tenant.id").out

    assert "\ntenant.id  runs " in shown
