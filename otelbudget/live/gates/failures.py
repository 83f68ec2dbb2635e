"""What an SDK's error says about a request: whether it can have been billed, and how often."""

import traceback
from collections.abc import Iterator

from otelbudget.errors import OtelBudgetError

# Errors of HTTP clients and of those who sign for them, for requests that never reached a server, by
# class name: httpx and httpx2 have classes of the same names.
# Source: httpx 0.28.1, httpx2 2.16.2, aiohttp 3.13, botocore 1.44.5, google-auth 2.62.2.
_NEVER_CONNECTED = frozenset(
    {
        "ClientConnectorDNSError",
        "ClientConnectorError",
        "ConnectError",
        "ConnectTimeout",
        "ConnectTimeoutError",
        "ConnectionRefusedError",
        "CredentialRetrievalError",
        "DefaultCredentialsError",
        "EndpointConnectionError",
        "NameResolutionError",
        "NewConnectionError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "PoolTimeout",
        "ProxyConnectionError",
        "RefreshError",
        "SSLError",
        "UnsupportedProtocol",
        "gaierror",
    }
)
# Errors that an SDK raises once all its attempts have ended so.
_AFTER_ALL_ATTEMPTS = frozenset(
    {
        "APIConnectionError",
        "APITimeoutError",
        "ConnectionClosedError",
        "ReadTimeout",
        "ReadTimeoutError",
        "RemoteProtocolError",
        "ServerDisconnectedError",
    }
)


# Where SDKs make a request ready: an error from there means that none was sent.
_BEFORE_SENDING = frozenset(
    {
        "_build_request",
        "_prepare_options",
        "_prepare_request",
        "_refresh_api_key",
        "create_request",
        "prepare_request",
    }
)


def may_be_billed(error: BaseException) -> bool:
    """Whether a request that ended in an error may be billed: not if refused or never sent."""
    status = _status(error)
    if status is not None:
        return not 400 <= status < 500  # noqa: PLR2004 - HTTP client errors
    if isinstance(error, OtelBudgetError) or _is_before_sending(error):
        return False
    return not any(type(each).__name__ in _NEVER_CONNECTED for each in _causes(error))


def is_repeated(error: BaseException) -> bool:
    """Whether the SDK has sent the request as often as it may, and none was answered."""
    return any(base.__name__ in _AFTER_ALL_ATTEMPTS for base in type(error).__mro__)


def _is_before_sending(error: BaseException) -> bool:
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_code.co_name in _BEFORE_SENDING for frame, _ in frames)


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error tells: of SDKs, or of httpx, requests, urllib and aiohttp."""
    response = getattr(error, "response", None)
    told = (
        getattr(error, "status_code", None),
        getattr(error, "code", None),
        getattr(error, "status", None),
        getattr(response, "status_code", None),
        response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if isinstance(response, dict)
        else None,
    )
    return next((each for each in told if isinstance(each, int)), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised from, or says so; not what happened to be handled then."""
    each: BaseException | None = error
    for _ in range(20):
        if each is None:
            return
        yield each
        each = each.__cause__ or _reason(each)


def _reason(error: BaseException) -> BaseException | None:
    """What an error of urllib, urllib3 or requests keeps as its reason."""
    told = (getattr(error, "reason", None), *error.args[:1])
    return next((each for each in told if isinstance(each, BaseException)), None)
