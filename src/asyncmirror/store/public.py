"""Whether a bucket is public: what to ask, and what the answers come to.

Owns the judgement, a table in `judge`, and the requests that it needs: GetPublicAccessBlock, GetBucketPolicyStatus,
GetBucketAcl, and one without a signature, which is the plainest sign of all. "Public" is Amazon's word (Amazon S3 User Guide,
"Blocking public access", the meaning of "public"). What else may show a bucket to the world, such as a CDN, is not seen.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from asyncmirror.errors import ServerFaultError, StoreError
from asyncmirror.model import Visibility

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

A = TypeVar("A")
V = TypeVar("V")
_EVERYBODY = frozenset(
    f"http://acs.amazonaws.com/groups/global/{group}"
    for group in ("AllUsers", "AuthenticatedUsers")  # the second is everybody with an account, anywhere
)
_NOT_IMPLEMENTED = 501
_SIGNER = "choose-signer.s3.HeadBucket"


class Call(Protocol):
    """How the adapter sends a request and reads its answer."""

    def __call__(self, op: str, path: str, request: Awaitable[A], read: Callable[[A], V]) -> Awaitable[V]:
        """Raises `StoreError` only."""
        ...


class Block(NamedTuple):
    """The public-access block, of it what counts for what is public already."""

    ignores_acls: bool = False
    restricts_policy: bool = False


class Signs(NamedTuple):
    """What was found out; None where the store would not say."""

    block: Block | None
    policy: bool | None
    grants: bool | None
    listed: bool  # without a signature


def judge(signs: Signs) -> Visibility:
    """What the signs come to.

    | listed without a signature | policy public, not restricted | grants to everybody, not ignored | the bucket is |
    | -------------------------- | ----------------------------- | -------------------------------- | ------------- |
    | yes                        | –                             | –                                | public        |
    | –                          | yes                           | –                                | public        |
    | –                          | –                             | yes                              | public        |
    | no                         | no                            | no                               | private       |
    | no                         | one of the two is not told, and the other is no                 || unknown       |
    """
    block = signs.block or Block()
    policy = False if block.restricts_policy else signs.policy
    grants = False if block.ignores_acls else signs.grants
    if signs.listed or policy or grants:
        return Visibility.PUBLIC
    return Visibility.UNKNOWN if policy is None or grants is None else Visibility.PRIVATE


async def ask(client: "S3Client", bucket: str, call: Call) -> Visibility:
    """Ask the store.

    Raises:
        StoreError: It could not be asked: no connection, throttled, wrong credentials. A denied answer is none of these.
    """

    async def told(op: str, request: Awaitable[A], read: Callable[[A], V | None], absent: str, otherwise: V) -> V | None:
        try:
            return await call(op, bucket, request, read)
        except StoreError as error:
            if error.code == absent:
                return otherwise
            if error.fatal or (error.retryable and not _says_nothing(error)):
                raise
            return None

    missing = "NoSuchPublicAccessBlockConfiguration"
    block = await told("GetPublicAccessBlock", client.get_public_access_block(Bucket=bucket), _block, missing, Block())
    if block is not None and all(block):
        return Visibility.PRIVATE
    status = client.get_bucket_policy_status(Bucket=bucket)
    return judge(
        Signs(
            block,
            await told("GetBucketPolicyStatus", status, _policy, "NoSuchBucketPolicy", otherwise=False),
            await told("GetBucketAcl", client.get_bucket_acl(Bucket=bucket), _grants, "", None),
            await _listed(client, bucket, call),
        )
    )


def _says_nothing(error: StoreError) -> bool:
    """Whether a server's fault is only that it does not know the request: it says so, or answers something else."""
    return isinstance(error, ServerFaultError) and error.status in (0, _NOT_IMPLEMENTED)


async def _listed(client: "S3Client", bucket: str, call: Call) -> bool:
    """Whether anybody may list the bucket: HeadBucket, for which nobody else here uses this client, without a signature."""
    from botocore.handlers import disable_signing  # noqa: PLC0415  imports botocore, which is loaded by now

    client.meta.events.register(_SIGNER, disable_signing)
    try:
        return await call("HeadBucket", bucket, client.head_bucket(Bucket=bucket), lambda _: True)
    except StoreError:
        return False
    finally:
        client.meta.events.unregister(_SIGNER, disable_signing)


def _block(answer: Mapping[str, object]) -> Block | None:
    said = _inside(answer, "PublicAccessBlockConfiguration")
    return None if said is None else Block(said.get("IgnorePublicAcls") is True, said.get("RestrictPublicBuckets") is True)


def _policy(answer: Mapping[str, object]) -> bool | None:
    said = _inside(answer, "PolicyStatus")
    return None if said is None or "IsPublic" not in said else said["IsPublic"] is True


def _grants(answer: Mapping[str, object]) -> bool | None:
    grants = answer.get("Grants")
    if not isinstance(grants, list):
        return None
    return any((_inside(grant, "Grantee") or {}).get("URI") in _EVERYBODY for grant in grants)


def _inside(answer: Mapping[str, object], name: str) -> Mapping[str, object] | None:
    """A part of an answer; None where a store answered another question than it was asked."""
    found = answer.get(name)
    return found if isinstance(found, Mapping) else None
