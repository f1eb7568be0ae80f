"""Who may ask: callers with a service key; without one configured, this machine alone."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address

from flask import Flask, Request, Response, request

from inference_api.errors import error_response

# A load balancer probes without secrets, and the docs tell what the code tells. Metrics tell how much
# the service is used and by which release it answers, so they ask for the key: Prometheus sends it
# as `authorization: {credentials: KEY}`.
OPEN_ENDPOINTS = frozenset({"health.live", "health.ready", "openapi.spec", "docs.show"})
SECURITY_SCHEMES = {
    "ServiceKey": {"type": "http", "scheme": "bearer", "description": "One of INFERENCE_API_KEY."},
    "ServiceKeyHeader": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def install_auth(app: Flask, api_keys: Sequence[str]) -> None:
    """Ask every request for a key, but those of OPEN_ENDPOINTS."""

    @app.before_request
    def ask_for_key() -> Response | None:
        if request.endpoint is None or request.endpoint in OPEN_ENDPOINTS:
            return None
        if not api_keys:
            return None if _is_from_here(request.remote_addr) else _without_key_from_elsewhere()
        given = _given_key(request)
        if not given:
            return error_response(
                401, "unauthenticated", "Send the service key (Authorization: Bearer KEY, or X-API-Key: KEY)."
            )
        if not _is_one_of(given, api_keys):
            return error_response(
                401, "invalid_api_key", "The service key is not one of INFERENCE_API_KEY; check both sides."
            )
        return None


def _given_key(asked: Request) -> str:
    scheme, _, key = asked.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else asked.headers.get("X-API-Key", "").strip()


def _is_one_of(given: str, api_keys: Sequence[str]) -> bool:
    """Compare with every key, in a time that tells nothing of what matched."""
    matches = [hmac.compare_digest(given.encode(), key.encode()) for key in api_keys]
    return any(matches)


def _is_from_here(remote_addr: str | None) -> bool:
    """Whether the caller is on this machine; a Unix socket has no address."""
    if not remote_addr:
        return True
    address = ip_address(remote_addr)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def _without_key_from_elsewhere() -> Response:
    return error_response(
        401,
        "unauthenticated",
        "No service key is configured, so only this machine is answered; set INFERENCE_API_KEY for both.",
    )
