"""The gate of litellm: completions, text completions, embeddings and responses, on every route.

litellm's functions are bound by value wherever they are imported, so none of them is replaced.
The gate stands inside, around the implementation that litellm's own `client` decorator calls: below
its cache, whose hits ask no model, and below its retries, which leave our refusal alone.
"""

import asyncio
import functools
import inspect
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import wrapt

from otelbudget.errors import OtelBudgetError
from otelbudget.live.gates import active
from otelbudget.live.gates.gated import Passage, passage_of
from otelbudget.live.gates.litellm_answers import answer_of, is_stream, tapped
from otelbudget.live.gates.openai import provider_of
from otelbudget.live.gates.placing import place
from otelbudget.live.request import Request


class _Known(NamedTuple):
    """What is known of one of litellm's functions, and of its asynchronous twin.

    Attributes:
        operation: Operation in the words of the conventions.
        module: The module where instrumentations leave it alone.
        mocks: Arguments that make up an answer of this type, so that nothing is sent.
    """

    operation: str
    module: str
    mocks: Mapping[str, type]


_COMPLETION_MOCKS = dict.fromkeys(("mock_response", "mock_tool_calls", "mock_timeout"), object)
_FUNCTIONS = {
    "completion": _Known("chat", "litellm.main", _COMPLETION_MOCKS),
    "text_completion": _Known("text_completion", "litellm.main", _COMPLETION_MOCKS),
    "embedding": _Known("embeddings", "litellm.main", {"mock_response": object}),
    "responses": _Known("chat", "litellm.responses.main", {"mock_response": str}),
}

# Providers in the words of the conventions, where litellm has words of its own.
# Source: litellm 1.109.1, litellm.types.utils.LlmProviders.
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "azure_text": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "bedrock_mantle": "aws.bedrock",
    "cohere_chat": "cohere",
    "custom_openai": "openai",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "ollama_chat": "ollama",
    "text-completion-openai": "openai",
    "vertex_ai": "gcp.vertex_ai",
    "vertex_ai_beta": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
# The routes that go through the openai SDK, which sends a request three times where told nothing.
_SDK_ROUTES = frozenset(
    {"openai", "azure", "azure_text", "custom_openai", "text-completion-openai"}
)
_SDK_RETRIES = 2

# What of a call's arguments says how much it asks for; the others are litellm's own.
_ASKED = (
    "messages",
    "input",
    "prompt",
    "instructions",
    "tools",
    "functions",
    "response_format",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
    "best_of",
    "modalities",
    "web_search_options",
    "service_tier",
    "previous_response_id",
    "conversation",
)

# Where litellm's Router is: 1.109 has moved it.
_ROUTER_MODULES = ("litellm.router", "litellm.router_python_core")


class _Function(NamedTuple):
    """One of litellm's functions.

    Attributes:
        known: What is known of it.
        names: Names of its positional arguments.
        get_llm_provider: litellm's own reading of a model's name.
    """

    known: _Known
    names: tuple[str, ...]
    get_llm_provider: Callable[..., tuple[str, str, Any, str | None]]

    def request(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Request | None:
        """The request that a call stands for; None where its answer is made up."""
        if any(
            kwargs.get(name) and isinstance(kwargs[name], kind)
            for name, kind in self.known.mocks.items()
        ):
            return None
        told = dict(zip(self.names, args, strict=False)) | dict(kwargs)
        name = told.get("model")
        base = told.get("api_base") or told.get("base_url")
        model, route, base = self._route(name, told.get("custom_llm_provider"), base)
        retries = told.get("max_retries")
        if not isinstance(retries, int):
            retries = _SDK_RETRIES if route in _SDK_ROUTES else 0
        return Request(
            is_outer=True,
            provider=_provider(route, base),
            model=model,
            operation=self.known.operation,
            body={"model": model} | {key: told[key] for key in _ASKED if told.get(key) is not None},
            attempts=1 + retries,
        )

    def _route(self, name: object, route: object, base: object) -> tuple[str | None, str, object]:
        """The model, litellm's name of its provider and its address."""
        model = name if isinstance(name, str) else None
        try:
            model, found, _, known_base = self.get_llm_provider(
                model=model, custom_llm_provider=route, api_base=base
            )
        except Exception:  # noqa: BLE001 - litellm says itself what it makes of this name
            return model, route if isinstance(route, str) else "", base
        return model, found, base or known_base


def _provider(route: str, base: object) -> str:
    provider = _PROVIDERS.get(route, route)
    if provider != "openai":
        return provider
    told = base or os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE")
    return provider_of(str(told or ""))


class _Call:
    """A call through the gate, shared with what litellm calls to make it.

    litellm's functions call each other: the asynchronous ones the others, responses completions,
    and fallbacks make several calls for one. The innermost reads the answer, which is where all of
    its usage is told, and from then on calls within are calls of their own.

    Attributes:
        passage: The passage; None once an answer or an error was read.
        refusal: What a later call within was refused with, and litellm may have swallowed.
    """

    __slots__ = ("passage", "refusal")

    def __init__(self, passage: Passage) -> None:
        self.passage: Passage | None = passage
        self.refusal: OtelBudgetError | None = None

    def read(self, result: Any, _: Passage | None = None) -> Any:
        """Settle by an answer, or leave a tap on a stream; what is awaited is read when it comes."""
        if inspect.iscoroutine(result):
            return self._read_awaited(result)
        passage, self.passage = self.passage, None
        if passage is None:
            return result
        if is_stream(result):
            return tapped(result, passage)
        passage.guard(lambda: passage.read(answer_of(result)))
        return result

    async def _read_awaited(self, result: Awaitable[Any]) -> Any:
        try:
            answer = await result
        except BaseException as error:
            self.failed(error)
            raise
        return self.read(answer)

    def failed(self, error: BaseException) -> None:
        """Settle or release by an error."""
        passage, self.passage = self.passage, None
        if passage is not None:
            passage.failed(error)

    @contextmanager
    def shared(self) -> Any:
        """Share the call with what is called inside.

        Raises:
            OtelBudgetError: What a call inside was refused with, unchanged.
        """
        token = _AROUND.set(self)
        try:
            yield
        except Exception as error:
            if self.refusal is not None and error is not self.refusal:
                raise self.refusal from error
            raise
        finally:
            _AROUND.reset(token)


_AROUND: ContextVar[_Call | None] = ContextVar("otelbudget_litellm_call", default=None)


def install(litellm: Any) -> None:
    """Put the gate into the functions of an imported litellm, and tell its Router of refusals."""
    for name, known in _FUNCTIONS.items():
        home = import_module(known.module)
        plain = getattr(home, name)
        function = _Function(
            known, tuple(inspect.signature(plain).parameters), litellm.get_llm_provider
        )
        _put_inside(plain, _wrapper(function))
        _put_inside(getattr(home, f"a{name}"), _wrapper_async(function))
    for module in _ROUTER_MODULES:
        wrapt.register_post_import_hook(_install_in_router, module)
    wrapt.register_post_import_hook(_carry_context, "litellm.litellm_core_utils.fallback_utils")


def _put_inside(function: Any, wrapper: Callable[..., Any]) -> None:
    """Put a wrapper around the implementation that litellm's decorator has closed over.

    Raises:
        LookupError: The function is not decorated in the way that is known.
    """
    each = function
    while each is not None:
        names: tuple[str, ...] = each.__code__.co_freevars
        if "original_function" in names:
            cell = each.__closure__[names.index("original_function")]
            cell.cell_contents = wrapt.FunctionWrapper(cell.cell_contents, wrapper)
            return
        each = getattr(each, "__wrapped__", None)
    raise LookupError(f"no implementation was found in {function!r}")


def _wrapper(function: _Function) -> Callable[..., Any]:
    def gate(
        wrapped: Callable[..., Any], _: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call, is_own = _call(function, args, kwargs)
        if call is None:
            return wrapped(*args, **kwargs)
        if is_own and call.passage is not None:
            with call.shared():
                return call.passage.run(lambda: wrapped(*args, **kwargs), call.read)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            call.failed(error)
            raise
        return call.read(result)

    return gate


def _wrapper_async(function: _Function) -> Callable[..., Any]:
    async def gate(
        wrapped: Callable[..., Awaitable[Any]],
        _: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        call, is_own = _call(function, args, kwargs)
        if call is None:
            return await wrapped(*args, **kwargs)
        if is_own and call.passage is not None:
            with call.shared():
                return await call.passage.run_async(lambda: wrapped(*args, **kwargs), call.read)
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as error:
            call.failed(error)
            raise
        return call.read(result)

    return gate


def _call(
    function: _Function, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[_Call | None, bool]:
    """The call that the running code is part of, and whether it begins here; None: no gate."""
    if not active.gatekeepers():
        return None, False
    around = _AROUND.get()
    if around is not None and around.passage is not None:
        return around, False
    try:
        passage = passage_of(lambda: function.request(args, kwargs))
    except OtelBudgetError as refusal:
        if around is not None:
            around.refusal = refusal
        raise
    return (None, False) if passage is None else (_Call(passage), True)


def _install_in_router(module: ModuleType) -> None:
    """Let the Router hand on a refusal at once, as it does with those of guardrails."""
    if hasattr(module, "is_guardrail_intervention"):
        place(module, "is_guardrail_intervention", _is_refusal)
    _carry_context(module)


def _is_refusal(
    wrapped: Callable[..., bool], _: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> bool:
    error = args[0] if args else next(iter(kwargs.values()), None)
    return isinstance(error, OtelBudgetError) or wrapped(*args, **kwargs)


def _carry_context(module: ModuleType) -> None:
    """Keep trace and refusal where litellm runs a coroutine to its end, at times in a thread."""
    if hasattr(module, "run_async_function"):
        place(module, "run_async_function", _run_in_context)


def _run_in_context(
    wrapped: Callable[..., Any], _: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Run a coroutine in this context; a RuntimeError would make litellm run it once more."""
    function = args[0] if args else kwargs["async_function"]
    context, refusals = copy_context(), list[OtelBudgetError]()

    @functools.wraps(function)
    async def in_context(*args: Any, **kwargs: Any) -> Any:
        running = asyncio.get_running_loop().create_task(function(*args, **kwargs), context=context)
        try:
            return await running
        except OtelBudgetError as refusal:
            refusals.append(refusal)

    if args:
        result = wrapped(in_context, *args[1:], **kwargs)
    else:
        result = wrapped(**kwargs | {"async_function": in_context})
    if refusals:
        raise refusals[0]
    return result
