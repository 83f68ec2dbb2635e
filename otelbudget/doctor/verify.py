"""Runs the probes that fit this environment, each in a fresh process."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from otelbudget.doctor.calls import CALLS
from otelbudget.doctor.probes import INSTRUMENTATION_PREFIXES, INSTRUMENTATIONS, SDKS, UNGATED
from otelbudget.doctor.results import ProbeResult, Report, Result
from otelbudget.doctor.shown import MARK, Shown
from otelbudget.errors import EnforcementError

MAX_SECONDS = 60.0
_AT_ONCE = 2
# What a probe must not have: the user's keys, a way around the loopback, budgets and exporters.
_REMOVED = re.compile(
    r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL|PROXY$|^OTELBUDGET_CONFIG$|^OTEL_CONFIG_FILE$"
    r"|^OTEL_EXPORTER|^(OPENAI|ANTHROPIC|AZURE|AWS|GOOGLE|GEMINI|VERTEX|LITELLM|LANG\w+)_",
    re.IGNORECASE,
)
_SET = {
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OPENAI_API_KEY": "none",
    "ANTHROPIC_API_KEY": "none",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}

Progress = Callable[[int, int], None]
"""Is told how many processes are done, of how many."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One process: an SDK, under an instrumentation or bare."""

    sdk: str
    version: str
    instrumentation: str | None


def verify_enforcement(*names: str) -> Report:
    """Check that a used-up budget stops model calls in this environment; for start-up.

    Each SDK, bare and under each of its instrumentations, calls a provider on 127.0.0.1 in a fresh
    process; nothing else is reached and no API key is used. It takes some seconds for each.

    Args:
        names: Distributions to check, SDKs or instrumentations; all that are installed by default.

    Returns:
        What the probes have shown; "not covered" is no failure.

    Raises:
        EnforcementError: A probe failed.
        ValueError: A name is not among what is installed and can be probed.
    """
    report = probe(*names)
    if not report.is_ok:
        raise EnforcementError([each.sentence() for each in report.failures])
    return report


def probe(
    *names: str, progress: Progress | None = None, max_seconds: float = MAX_SECONDS
) -> Report:
    """Run the probes, two at once.

    Args:
        names: As in `verify_enforcement`.
        progress: Is told as processes end.
        max_seconds: How long a process may take; then it is ended, and has failed.

    Raises:
        ValueError: A name is not among what is installed and can be probed.
    """
    installed = _installed()
    runs = [
        run
        for run in _runs(installed)
        if not names or run.sdk in names or run.instrumentation in names
    ]
    others = [each for each in _not_covered(installed) if not names or each.sdk in names]
    _refuse_unknown(names, {run.sdk for run in runs} | {each.sdk for each in others}, runs)
    results: list[ProbeResult] = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for done, probes in enumerate(pool.map(partial(_probed, max_seconds=max_seconds), runs), 1):
            results.extend(probes)
            if progress is not None:
                progress(done, len(runs))
    return Report((*results, *others))


def _installed() -> dict[str, str]:
    """Versions by distribution, whose names are normalized."""
    return {
        re.sub(r"[-_.]+", "-", str(each.metadata["Name"])).lower(): each.version
        for each in distributions()
        if each.metadata["Name"]
    }


def _runs(installed: Mapping[str, str]) -> Iterator[_Run]:
    for sdk in SDKS:
        if not all(name in installed for name in (sdk.name, *sdk.needs)):
            continue
        yield _Run(sdk.name, installed[sdk.name], None)
        for each in INSTRUMENTATIONS:
            if sdk.name in each.sdks and each.name in installed:
                yield _Run(sdk.name, installed[sdk.name], each.name)


def _refuse_unknown(names: Sequence[str], known: set[str], runs: Sequence[_Run]) -> None:
    for name in names:
        if name not in known and name not in {run.instrumentation for run in runs}:
            raise ValueError(
                f"{name!r} is not installed here, or is nothing that can be probed; without a name, "
                "'budget-audit doctor' tries what there is"
            )


def _probed(run: _Run, *, max_seconds: float) -> list[ProbeResult]:
    """What a process has shown; a form that it did not come to has failed."""
    with TemporaryDirectory(prefix="otelbudget-doctor-") as folder:
        lines, ended = _lines(run, Path(folder), max_seconds)
    results = [_result(run, msgspec.json.decode(line, type=Shown)) for line in lines]
    if any(each.result is Result.NOT_COVERED for each in results):
        return results
    seen = {each.form for each in results}
    missing = [form for form in CALLS[run.sdk] if form not in seen]
    return results + [
        ProbeResult(
            sdk=run.sdk,
            version=run.version,
            instrumentation=run.instrumentation,
            form=form,
            result=Result.FAIL,
            reason=ended,
        )
        for form in missing
    ]


def _lines(run: _Run, folder: Path, max_seconds: float) -> tuple[list[str], str]:
    """What the process told, and how it ended; files, as a process left behind may hold a pipe."""
    out, err = folder / "out", folder / "err"
    command = [sys.executable, "-P", "-m", "otelbudget.doctor.child", run.sdk]
    # Some packages read settings, such as .env, from where they are imported.
    empty = folder / "empty"
    empty.mkdir()
    with out.open("wb") as to_out, err.open("wb") as to_err:
        try:
            done = subprocess.run(  # noqa: S603 - our own module and names of our own table
                command + ([run.instrumentation] if run.instrumentation else []),
                cwd=empty,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=to_out,
                stderr=to_err,
                timeout=max_seconds,
                check=False,
            )
            how = f"The probe ended with exit code {done.returncode}"
        except subprocess.TimeoutExpired:
            how = f"The probe did not end within {max_seconds:g} seconds"
    said = [line.strip() for line in err.read_text("utf-8", "replace").splitlines()]
    last = next((line for line in reversed(said) if line), "it wrote nothing to stderr")
    told = [
        line.removeprefix(MARK)
        for line in out.read_text("utf-8", "replace").splitlines()
        if line.startswith(MARK) and line.endswith("}")  # the last one may be cut off
    ]
    return told, f"{how}: {last[:200]}"


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not _REMOVED.search(name)}
    if "PYTHONPATH" in kept:  # its relative paths start at the caller's folder
        paths = kept["PYTHONPATH"].split(os.pathsep)
        kept["PYTHONPATH"] = os.pathsep.join(str(Path(path).absolute()) for path in paths)
    return kept | _SET


def _result(run: _Run, shown: Shown) -> ProbeResult:
    result = Result.PASS if shown.reason is None else Result.FAIL
    return ProbeResult(
        sdk=run.sdk,
        version=run.version,
        instrumentation=run.instrumentation,
        form=shown.form,
        result=Result.NOT_COVERED if shown.form is None else result,
        requests_after_stop=shown.requests_after_stop,
        charged_usd=shown.charged_usd,
        billed_usd=shown.billed_usd,
        reason=shown.reason,
    )


def _not_covered(installed: Mapping[str, str]) -> Iterator[ProbeResult]:
    """What is installed and calls models, or tells of such calls, but cannot be probed."""
    for name in UNGATED:
        if name in installed:
            yield ProbeResult(
                sdk=name,
                version=installed[name],
                result=Result.NOT_COVERED,
                reason="No gate knows this SDK: its calls are counted by spans only and are not "
                "stopped; call otelbudget.check() before them.",
            )
    known = {each.name for each in INSTRUMENTATIONS}
    for name in sorted(installed):
        if name.startswith(INSTRUMENTATION_PREFIXES) and name not in known:
            yield ProbeResult(
                sdk=name,
                version=installed[name],
                result=Result.NOT_COVERED,
                reason="No probe knows this instrumentation; calls are stopped all the same where "
                "they go through an SDK that passes here.",
            )
