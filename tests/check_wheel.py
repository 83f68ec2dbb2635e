"""Checks a wheel: what it holds, and that it works where the sources are not.

Usage: python tests/check_wheel.py dist/otelbudget-*.whl
"""

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
TOP_LEVEL = {"otelbudget", "budget_audit"}
NOT_CODE = ("*.sql", "book.json.gz", "py.typed")


def missing_files(names: list[str]) -> list[str]:
    """Files that are no Python code and should be in the wheel but are not."""
    sources = [ROOT / "otelbudget", ROOT / "cli" / "budget_audit"]
    wanted = [
        str(path.relative_to(source.parent))
        for source in sources
        for pattern in NOT_CODE
        for path in source.rglob(pattern)
    ]
    return sorted(set(wanted) - set(names))


def main() -> int:
    """0 if the wheel is right."""
    wheel = Path(sys.argv[1]).resolve()
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    if top != TOP_LEVEL or missing_files(names):
        print(f"top-level names {top}, missing files {missing_files(names)}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        run = Path(folder, "bin")
        subprocess.run(
            [run / "pip", "install", "--quiet", "--disable-pip-version-check", wheel], check=True
        )
        trace = ROOT / "sample_traces" / "traces.jsonl"
        for arguments in (["--help"], ["audit", trace, "--format", "json"]):
            subprocess.run(
                [run / "budget-audit", *arguments], check=True, cwd=folder, stdout=subprocess.PIPE
            )
    print(f"{wheel.name} holds what it should and works apart from its sources")
    return 0


if __name__ == "__main__":
    sys.exit(main())
