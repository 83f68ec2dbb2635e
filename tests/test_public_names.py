"""What `import otelbudget` gives, and what it costs."""

import subprocess
import sys

import otelbudget

HEAVY = ("duckdb", "openai", "anthropic", "opentelemetry.sdk", "yaml", "rich", "click")


def test_every_public_name_can_be_used() -> None:
    names = {name: getattr(otelbudget, name) for name in otelbudget.__all__}

    assert all(value is not None for value in names.values())


def test_public_names_are_listed_and_an_unknown_one_is_an_attribute_error() -> None:
    assert set(otelbudget.__all__) <= set(dir(otelbudget))
    assert not hasattr(otelbudget, "no_such_name")


def test_import_loads_nothing_heavy_and_opens_no_socket() -> None:
    program = f"""
import socket, sys
def refuse(*arguments, **options): raise AssertionError("a socket was opened")
socket.socket.__init__ = refuse
import otelbudget
loaded = [name for name in {(*HEAVY, "otelbudget.pricing.book")!r} if name in sys.modules]
assert not loaded, loaded
"""

    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_processor_loads_neither_the_store_nor_a_provider_sdk() -> None:
    program = """
import sys
import otelbudget.live.processor
heavy = ("duckdb", "openai", "anthropic", "otelbudget.store")
loaded = [name for name in heavy if name in sys.modules]
assert not loaded, loaded
"""

    subprocess.run([sys.executable, "-c", program], check=True)
