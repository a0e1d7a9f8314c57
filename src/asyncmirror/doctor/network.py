"""The way to the store: its addresses, and its certificate.

Owns one look-up and one TLS handshake. Speaks no HTTP.
"""

import asyncio
import ssl
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from asyncmirror.doctor.finding import Finding, ok, problem, warning
from asyncmirror.store.session import Endpoint
from asyncmirror.store.wire.addresses import resolve
from asyncmirror.store.wire.tls import client_context, to_error

_DAY = 86400.0
_SOON = 21 * _DAY
_SHOWN = 4
_PORTS = {"http": 80, "https": 443}


def _host(endpoint: Endpoint) -> tuple[str, int]:
    parts = urlsplit(endpoint.url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443)


async def addresses(endpoint: Endpoint) -> list[Finding]:
    """What the endpoint's name resolves to."""
    host, port = _host(endpoint)
    try:
        found = [name[0] for _, name in await resolve(host, port)]
    except OSError as error:
        return [problem("addresses", f"{host} does not resolve: {error}", "check --endpoint-url and the network", blind=True)]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return [ok("addresses", f"{host}: {', '.join(found[:_SHOWN])}{more}" if found != [host] else host)]


async def certificate(endpoint: Endpoint) -> list[Finding]:
    """Whether the way is encrypted and the store is who it says."""
    if not endpoint.url.startswith("https:"):
        remedy = "give an https endpoint if the network is not yours alone"
        return [warning("TLS", "none: what is sent can be read on its way", remedy)]
    host, port = _host(endpoint)
    context = client_context(endpoint.ca_bundle)
    try:
        _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    except ssl.SSLError as error:
        fault = to_error(error, host)
        return [problem("TLS", fault.message, fault.hint, blind=True)]
    except OSError as error:
        return [problem("TLS", f"no connection to {host} port {port}: {error.strerror or error}", blind=True)]
    try:
        held = writer.get_extra_info("peercert")
        version = writer.get_extra_info("ssl_object").version()
    finally:
        writer.transport.abort()
    issuer = _name(held["issuer"])
    ends = ssl.cert_time_to_seconds(held["notAfter"])
    told = f"{version}, verified; issued by {issuer}, valid until {time.strftime('%Y-%m-%d', time.gmtime(ends))}"
    if ends - time.time() < _SOON:
        return [warning("TLS", told, "have the store's certificate renewed")]
    return [ok("TLS", told)]


def _name(fields: Sequence[Sequence[tuple[str, str]]]) -> str:
    """A certificate's name in short: the organisation, and what it calls this authority."""
    known = {name: value for group in fields for name, value in group}
    parts = [known[name] for name in ("organizationName", "commonName") if name in known]
    return ", ".join(dict.fromkeys(parts)) or "nobody named"
