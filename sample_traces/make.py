"""Make the sample traces, with the totals an audit of them must find.

    python sample_traces/make.py            writes traces.jsonl, expected.json and README.md
    python sample_traces/make.py --check    exits 1 where the written files differ

It needs the packages of `make test` and opentelemetry-instrumentation-genai-anthropic. With
other versions of them than the written files were made with, `--check` exits 2.
"""

import json
import logging
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
TRACES, EXPECTED, README = "traces.jsonl", "expected.json", "README.md"
PACKAGES = (
    "anthropic",
    "opentelemetry-instrumentation-genai-anthropic",
    "opentelemetry-instrumentation-genai-openai",
    "opentelemetry-sdk",
    "opentelemetry-util-genai",
)
EXIT_DIFFERENT = 1
EXIT_OTHER_VERSIONS = 2


def main(arguments: list[str]) -> int:
    """Write the files, or compare them with `--check`; returns the exit code."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return EXIT_DIFFERENT
    installed = _installed()
    if arguments:
        written = json.loads((FOLDER / EXPECTED).read_text(encoding="utf-8"))["made_with"]
        if written != installed:
            print(f"Made with {written}, installed is {installed}.", file=sys.stderr)
            return EXIT_OTHER_VERSIONS
        return _check(_made(installed))
    for name, text in _made(installed).items():
        (FOLDER / name).write_text(text, encoding="utf-8", newline="\n")
    return 0


def _made(installed: dict[str, str | None]) -> dict[str, str]:
    """Every file's text by name."""
    import app  # noqa: PLC0415  (absent packages are reported first)
    import otlp_lines  # noqa: PLC0415
    import plan  # noqa: PLC0415
    import readme  # noqa: PLC0415
    import totals  # noqa: PLC0415

    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    recorded = app.record(plan.plan())
    expected: dict[str, Any] = {
        "schema": "otelbudget.sample_traces/1",
        "made_with": installed,
        "rates_usd_per_mtok": readme.rates(),
        **totals.total(recorded),
    }
    return {
        TRACES: "".join(f"{otlp_lines.line(one)}\n" for one in recorded),
        EXPECTED: f"{json.dumps(expected, indent=2)}\n",
        README: readme.text(expected),
    }


def _check(made: dict[str, str]) -> int:
    different = [
        name for name, text in made.items() if (FOLDER / name).read_bytes() != text.encode("utf-8")
    ]
    for name in different:
        print(f"{name} differs; run: python sample_traces/make.py", file=sys.stderr)
    return EXIT_DIFFERENT if different else 0


def _installed() -> dict[str, str | None]:
    return {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
