"""The URL of a store, as people write it.

Owns what is taken for one. Knows no option and no connection; the command line and the AWS configuration are read by it alike.
"""

from urllib.parse import urlsplit

from asyncmirror.errors import UsageError


def parse_store_url(text: str) -> str:
    """The URL of a store as it is: scheme and host, without credentials, query or fragment.

    Raises:
        UsageError: It is something else. The message does not repeat it: it may hold a password.
    """
    hint = "write it as https://HOST or http://HOST:PORT"
    try:
        url = urlsplit(text)
        good = url.scheme in ("http", "https") and bool(url.hostname) and (url.port or 1) > 0
    except ValueError:
        raise UsageError("the endpoint is no URL", hint=hint) from None
    if not good or not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError("the endpoint is no URL of a store", hint=hint)
    if "@" in url.netloc:
        raise UsageError("the endpoint must not carry credentials", hint="put them into the environment or a profile")
    if url.query or url.fragment:
        raise UsageError("the endpoint must not carry a query or a fragment", hint=hint)
    return text
