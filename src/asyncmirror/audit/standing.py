"""Whether objects are still what the store confirmed, asked a thousand at a time before they are deleted.

Owns how the bucket is asked. A listing tells of a thousand objects for the price of some HEADs, where those that are asked
about stand together; where they are scattered it would tell of everything but them. So the listing goes on only as long as it
finds enough of them, and what it did not show is asked for by name: nothing counts as missing because a listing left it out.
"""

import asyncio
from collections.abc import Sequence

from asyncmirror.errors import StoreError
from asyncmirror.model import RemoteObject
from asyncmirror.store.limit import closing
from asyncmirror.store.port import Store

_PAGE = 1000
"""Objects on a page of a listing (AWS, ListObjectsV2: MaxKeys)."""
_WORTH = 20
"""Objects found on a page for which it is worth asking: Amazon charges as much for some twelve HEADs."""


async def look(store: Store, prefix: str, keys: Sequence[str]) -> dict[str, RemoteObject | StoreError | None]:
    """What stands under these keys.

    Args:
        store: What is asked, retrying.
        prefix: What all keys begin with, slash included.
        keys: The keys, ascending.

    Returns:
        For each key its object, None where there is none, or why it can't be told.

    Raises:
        StoreError: No request can succeed; always a fatal one.
    """
    found: dict[str, RemoteObject | StoreError | None] = {}
    if len(keys) > _WORTH:
        found.update(await _listed(store, prefix, keys))
    asked = [key for key in keys if key not in found]
    async with asyncio.TaskGroup() as group:
        tasks = {key: group.create_task(_head(store, key)) for key in asked}
    return found | {key: task.result() for key, task in tasks.items()}


async def _listed(store: Store, prefix: str, keys: Sequence[str]) -> dict[str, RemoteObject]:
    """Those that a listing shows, as far as it is worth its price. It begins behind the first key: that one is asked for."""
    wanted, last = frozenset(keys), keys[-1]
    found: dict[str, RemoteObject] = {}
    try:
        async with closing(store.list_objects(prefix, keys[0])) as objects:
            seen = before = 0
            async for remote in objects:
                if remote.key > last:
                    break
                if remote.key in wanted:
                    found[remote.key] = remote
                seen += 1
                if seen % _PAGE == 0:
                    if len(found) - before < _WORTH:
                        break
                    before = len(found)
    except StoreError as error:  # not everybody who may delete may list
        if error.fatal:
            raise
    return found


async def _head(store: Store, key: str) -> RemoteObject | StoreError | None:
    try:
        return await store.head_object(key)
    except StoreError as error:
        if error.fatal:
            raise
        return error
