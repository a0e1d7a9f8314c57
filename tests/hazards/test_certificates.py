"""Bad certificates, the store's and the proxy's: row 22 of docs/hazards.md."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from asyncmirror.errors import StoreError, UntrustedError
from asyncmirror.settings import Connection
from asyncmirror.testing import S3Server, ServerConfig
from tests.hazards.strict import ONCE, PARTS, Strict
from tests.store.canned import Server, proxying

pytestmark = pytest.mark.hazard(22)


class Site(NamedTuple):
    """A store that speaks TLS, who signed its certificate, and what stands before it."""

    place: Strict
    authority: Path
    proxy: Server | None

    @property
    def connection(self) -> Connection:
        return self.place.settings.connection


def issued(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def known() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def unknown() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["directly", "through a proxy"])
async def site(
    request: pytest.FixtureRequest, known: trustme.CA, chain: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Site]:
    authority = tmp_path / "authority.pem"
    known.cert_pem.write_to_path(str(authority))
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(S3Server(ServerConfig(tls=issued(known))))
        proxy = None
        if request.param != "directly":
            proxy = await stack.enter_async_context(proxying())
            chain.setenv("HTTPS_PROXY", proxy.url)
        place = Strict(tmp_path, server)
        place.write("small", b"small")
        place.write("large", PARTS)
        yield Site(place, authority, proxy)
        assert proxy is None or proxy.heard


async def test_the_right_certificate_is_taken(site: Site) -> None:
    trusting = Connection(endpoint_url=site.place.server.url, ca_bundle=site.authority)
    ran = await site.place.run(connection=trusting)
    assert ran.summary.exit_code == 0
    assert site.place.stored() == site.place.tree()


async def test_a_certificate_of_an_unknown_authority_is_refused_before_anything_is_sent(site: Site) -> None:
    with pytest.raises(UntrustedError, match="--ca-bundle") as caught:
        await site.place.run(tuning=ONCE)
    assert caught.value.exit_code == 4
    assert site.place.since() == []


async def test_a_certificate_for_another_name_is_refused_before_anything_is_sent(site: Site, known: trustme.CA) -> None:
    async with S3Server(ServerConfig(tls=issued(known, "other.example"))) as server:
        misnamed = Connection(endpoint_url=server.url, ca_bundle=site.authority)
        with pytest.raises(UntrustedError):
            await site.place.run(connection=misnamed, tuning=ONCE)
        assert server.requests == ()


@pytest.mark.parametrize("trusted", [True, False])
async def test_the_certificate_of_a_proxy_that_speaks_tls_is_checked_too(
    known: trustme.CA, unknown: trustme.CA, chain: pytest.MonkeyPatch, tmp_path: Path, *, trusted: bool
) -> None:
    authority = tmp_path / "authority.pem"
    known.cert_pem.write_to_path(str(authority))
    async with S3Server(ServerConfig(tls=issued(known))) as server, proxying(issued(known if trusted else unknown)) as proxy:
        chain.setenv("HTTPS_PROXY", proxy.url)
        place = Strict(tmp_path, server)
        place.write("small", b"small")
        through = Connection(endpoint_url=server.url, ca_bundle=authority)
        if trusted:
            assert (await place.run(connection=through)).summary.exit_code == 0
            assert place.stored() == place.tree()
        else:
            with pytest.raises(StoreError) as caught:
                await place.run(connection=through, tuning=ONCE)
            assert "certificate" in str(caught.value).lower()
            assert server.requests == ()
            assert proxy.heard == []
