"""Runs the scenarios of one package in a process of its own: PACKAGE ORDER FOLDER."""

import gc
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from opentelemetry.sdk.trace import TracerProvider

from tests.compat.enforcement.packages import PACKAGES, Package
from tests.compat.enforcement.play import Theatre
from tests.compat.enforcement.scenario import package as load


def main(key: str, order: str, folder: str) -> None:
    """Write the results to FOLDER/results.jsonl."""
    package = next(each for each in PACKAGES if each.key == key)
    theatre = Theatre(Path(folder))
    install: list[Callable[[], None]] = [lambda: _instrument(package, theatre), theatre.watch]
    for step in install if order == "before" else reversed(install):
        step()
    gc.freeze()  # what is imported by now is not looked at by each collection
    results = [theatre.play(key, order, scenario) for scenario in package.scenarios]
    versions = {name: version(name) for name in package.distributions}
    encoder = msgspec.json.Encoder()
    with (Path(folder) / "results.jsonl").open("wb") as file:
        for result in theatre.audited(results):
            told = msgspec.structs.replace(result, versions=versions)
            file.write(encoder.encode(told) + b"\n")
    theatre.provider.close()
    gc.unfreeze()


def _instrument(package: Package, theatre: Theatre) -> None:
    for sdk in package.sdks:
        load(sdk)
    for name in package.instrumentors:
        _INSTALLERS.get(name, _install)(name, theatre.tracing)


def _install(name: str, tracing: TracerProvider) -> None:
    module, _, attribute = name.partition(":")
    instrumentor: Any = getattr(load(module), attribute)()
    instrumentor.instrument(tracer_provider=tracing)


def _install_openlit(name: str, tracing: TracerProvider) -> None:  # noqa: ARG001 - the global one
    load(name).init(disable_metrics=True, disable_events=True)  # it takes the global provider


def _install_litellm_otel(name: str, tracing: TracerProvider) -> None:  # noqa: ARG001 - the global one
    load("litellm").callbacks = ["otel"]


_INSTALLERS = {"openlit": _install_openlit, "litellm otel": _install_litellm_otel}


if __name__ == "__main__":
    main(*sys.argv[1:])
