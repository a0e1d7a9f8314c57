"""An object that was there before a write that must not overwrite: is it our own earlier success, or another's?

Owns what proves it: our nonce, the same checksum, or an ETag that is the MD5 of the very bytes; and the refusal where nothing
does. A 412 may be the answer to the second attempt at a request whose first succeeded unheard.
"""

import hashlib

from asyncmirror.errors import AccessDeniedError, PreconditionError, RefusedError
from asyncmirror.model import Body, Checksum, Properties, RemoteObject, Stored
from asyncmirror.plan.decide import is_ours
from asyncmirror.store.port import Store

_CONFLICT = 409
_TRIES = 3
"""How often a write that met another one at the same key is begun (Amazon S3 API Reference, ConditionalRequestConflict)."""


def is_conflict(error: PreconditionError) -> bool:
    """Whether another write to the key was going on: this one is to be begun anew."""
    return error.status == _CONFLICT


async def put_object(store: Store, key: str, body: Body, checksum: Checksum, properties: Properties, nonce: str) -> Stored:
    """Store an object; where it must not overwrite, one that is there is our own, or the file is refused.

    Raises:
        RefusedError: It is another's.
        StoreError: As `port.Bodies.put_object`.
    """
    for left in reversed(range(_TRIES)):
        try:
            return await store.put_object(key, body, checksum, properties)
        except PreconditionError as error:
            if is_conflict(error):
                if left:
                    continue
                raise
            remote = await own(store, key, nonce, len(body), checksum, body)
            return Stored(remote.etag, remote.checksum)
    raise AssertionError("unreachable")


async def refuse_taken(store: Store, key: str) -> None:
    """See that no object is there, as far as anybody tells.

    Raises:
        RefusedError: One is.
    """
    try:
        remote = await store.head_object(key)
    except AccessDeniedError:
        return
    if remote is not None:
        raise _taken(key)


def _taken(key: str) -> RefusedError:
    return RefusedError("an object of that key is there already", path=key, hint="--no-overwrite leaves it as it is")


async def own(store: Store, key: str, nonce: str, size: int, checksum: Checksum, data: Body | None = None) -> RemoteObject:
    """The object under a key that a write found taken, if it is the one that was to be written.

    Args:
        store: Whom to ask.
        key: The key.
        nonce: Ours; empty where nothing was sent yet.
        size: Bytes that were to be written.
        checksum: Of them.
        data: The bytes, where they are at hand.

    Raises:
        RefusedError: It is another object, or nobody says which.
    """
    try:
        remote = await store.head_object(key)
    except AccessDeniedError:
        remote = None
    if remote is None or not (is_ours(remote, nonce, size) or _is_equal(remote, size, checksum, data)):
        raise _taken(key)
    return remote


def _is_equal(remote: RemoteObject, size: int, checksum: Checksum, data: Body | None) -> bool:
    if remote.size != size:
        return False
    if remote.checksum is not None and remote.checksum[::2] == checksum[::2]:  # algorithm and parts
        return remote.checksum == checksum
    return data is not None and hashlib.md5(data, usedforsecurity=False).hexdigest() == remote.etag
