"""Where requests for one bucket go, and what of it an answer may correct: the host, the region, this machine's clock.

Owns the reading of redirects. Pure. Source: AWS, "Making requests using the REST API: Request redirection".
"""

from email.utils import parsedate_to_datetime
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from asyncmirror.errors import UsageError
from asyncmirror.store.session import Endpoint
from asyncmirror.store.wire.answer import Answer
from asyncmirror.store.wire.document import Document

_PORTS = {"http": 80, "https": 443}
_SKEWED = "RequestTimeTooSkewed"
_WRONG_REGION = frozenset(
    {"AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException"}
)


class Place(NamedTuple):
    """A scheme, a host, a port, the path that keys are appended to (with its slash, percent-encoded), and a region."""

    scheme: str
    host: str
    port: int
    path: str
    region: str

    @classmethod
    def of(cls, endpoint: Endpoint) -> Self:
        """Read an endpoint.

        Raises:
            UsageError: Its URL is none.
        """
        return cls.parse(endpoint.url, endpoint.region)

    @classmethod
    def parse(cls, url: str, region: str) -> Self:
        """Read the URL that keys are appended to.

        Raises:
            UsageError: It is none.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS[parts.scheme]
        except (ValueError, KeyError) as error:
            raise UsageError(f"the endpoint {url!r} is no http or https URL") from error
        if not parts.hostname or not url.isascii() or not url.isprintable() or " " in url:
            raise UsageError(f"the endpoint {url!r} has no host, or a character that no URL can have")
        return cls(parts.scheme, parts.hostname, port, parts.path.rstrip("/") + "/", region)

    @property
    def root(self) -> str:
        """The path of the bucket itself."""
        return self.path.rstrip("/") or "/"

    @property
    def tls(self) -> bool:
        """Whether it speaks TLS."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """The ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def moved(place: Place, bucket: str, key_path: str, answer: Answer, document: Document | None) -> Place | None:
    """Where an answer says that the bucket is; None where it does not say, or says something that must not be followed.

    Args:
        place: Where the request went.
        bucket: The bucket.
        key_path: The key, percent-encoded: what the new address must end with.
        answer: The answer.
        document: Its body.
    """
    texts = {} if document is None else document.texts
    if answer.status not in (301, 307) and texts.get("Code") not in _WRONG_REGION:
        return None
    region = (
        answer.headers.get(b"x-amz-bucket-region", b"").decode("ascii", "replace") or texts.get("Region", "") or place.region
    )
    if not region.replace("-", "").isalnum() or not region.isascii():
        return None
    location = answer.headers.get(b"location", b"").decode("ascii", "replace").partition("?")[0]
    if location.endswith("/" + key_path):
        url = location[: -len(key_path)]
    elif texts.get("Endpoint"):
        named = texts["Endpoint"]
        url = f"{place.scheme}://{named}/" if named.startswith(bucket + ".") else f"{place.scheme}://{named}{place.path}"
    else:
        url = f"{place.scheme}://{place.authority.replace(place.region, region)}{place.path}"
    try:
        target = Place.parse(url, region)
    except UsageError:
        return None
    if place.tls and not target.tls:
        return None  # a redirect must not take TLS away
    return None if target == place else target


def skew(answer: Answer, document: Document | None, now: float) -> float | None:
    """Seconds by which the store's clock is ahead of this machine's, if the answer says that this is what is wrong.

    Args:
        answer: The answer.
        document: Its body.
        now: This machine's time, in seconds since the epoch.
    """
    if document is None or document.texts.get("Code") != _SKEWED:
        return None
    try:
        there = parsedate_to_datetime(answer.headers.get(b"date", b"").decode("ascii", "replace"))
    except ValueError:
        return None
    return there.timestamp() - now
