import hashlib
import hmac
import ssl
from collections.abc import Callable
from dataclasses import replace

import pytest
import trustme

from asyncmirror.testing import AWS, Credentials, S3Server, ServerConfig
from tests.testing.s3_clients import Boto, Raw

KEYS = ["plain", "a b/ü+%", "~-_.!*'()", "q?x=1&y", "=;,:@$", "日本/ключ", "%2F", "tab\tnewline\n"]


@pytest.mark.parametrize("key", KEYS)
async def test_every_key_is_signed_and_stored_as_it_is(server: S3Server, boto: Boto, key: str) -> None:
    await boto("put_object", Bucket="bucket", Key=key, Body=b"x", Metadata={"two": "a  b"})
    assert server.objects("bucket")[key].body == b"x"
    assert (await boto("list_objects_v2", Bucket="bucket", Prefix=key))["Contents"][0]["Key"] == key


async def test_a_wrong_secret_is_refused(server: S3Server) -> None:
    answer = await Raw(server, secret_key="wrong")("PUT", "/bucket/a", body=b"x")
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert not server.objects("bucket")


async def test_an_unknown_key_is_refused(server: S3Server) -> None:
    answer = await Raw(server, access_key="nobody")("PUT", "/bucket/a", body=b"x")
    assert (answer.status, answer.code) == (403, "InvalidAccessKeyId")


async def test_a_signed_header_changed_on_the_way_is_refused(raw: Raw) -> None:
    answer = await raw("PUT", "/bucket/a", {"x-amz-meta-a": "1"}, b"x", late_headers={"x-amz-meta-a": "2"})
    assert answer.code == "SignatureDoesNotMatch"


async def test_an_amz_header_that_is_not_signed_is_refused(raw: Raw) -> None:
    answer = await raw("PUT", "/bucket/a", body=b"x", late_headers={"x-amz-meta-late": "1"})
    assert (answer.code, b"x-amz-meta-late" in answer.body) == ("AccessDenied", True)


async def test_another_target_than_the_signed_one_is_refused(server: S3Server) -> None:
    raw = Raw(server)
    headers = raw.sign("PUT", "/bucket/a", {}, b"x", None)
    answer = await raw("PUT", "/bucket/b", headers, b"x", anonymous=True)
    assert answer.code == "SignatureDoesNotMatch"


async def test_a_signature_for_another_region_is_refused_and_the_right_one_told(server: S3Server) -> None:
    answer = await Raw(server, region="eu-central-1")("PUT", "/bucket/a", body=b"x")
    assert (answer.status, answer.code) == (400, "AuthorizationHeaderMalformed")
    assert answer.headers["x-amz-bucket-region"] == "us-east-1"


@pytest.mark.parametrize(
    ("shift", "code"), [(16 * 60, "RequestTimeTooSkewed"), (-16 * 60, "RequestTimeTooSkewed"), (14 * 60, "")]
)
async def test_the_clock_may_be_fifteen_minutes_off(server: S3Server, raw: Raw, shift: int, code: str) -> None:
    server.clock.shift(shift)
    assert (await raw("PUT", "/bucket/a", body=b"x")).code == code


async def test_session_tokens_are_demanded_compared_and_expire(server: S3Server) -> None:
    server.renew(Credentials("testkey", "testsecret", "token", expires=server.clock.now() + 100))
    codes = [(await Raw(server, token=token)("PUT", "/bucket/a", body=b"x")).code for token in (None, "other", "token")]
    assert codes == ["InvalidAccessKeyId", "InvalidToken", ""]
    server.clock.shift(200)
    assert (await Raw(server, token="token")("PUT", "/bucket/a", body=b"x")).code == "ExpiredToken"


async def test_anonymous_requests_are_refused_but_for_reading_what_is_public(raw: Raw, boto: Boto) -> None:
    await boto("create_bucket", Bucket="open", ACL="public-read")
    for bucket in ("bucket", "open"):
        await boto("put_object", Bucket=bucket, Key="a", Body=b"x")
    assert [(await raw("GET", f"/{bucket}/a", anonymous=True)).status for bucket in ("bucket", "open")] == [403, 200]
    assert (await raw("GET", "/bucket?list-type=2", anonymous=True)).code == "AccessDenied"
    assert (await raw("PUT", "/open/b", body=b"x", anonymous=True)).code == "AccessDenied"


async def test_the_payload_hash_is_verified_and_demanded(raw: Raw) -> None:
    assert (await raw("PUT", "/bucket/a", body=b"one", sent=b"two")).code == "XAmzContentSHA256Mismatch"
    assert (await raw("PUT", "/bucket/a", body=b"one", stated="nonsense")).code == "InvalidRequest"


async def test_an_unsigned_payload_is_taken_over_plain_http_only_when_configured(server: S3Server, raw: Raw) -> None:
    assert (await raw("PUT", "/bucket/a", body=b"x", stated="UNSIGNED-PAYLOAD")).code == "InvalidRequest"
    server.reconfigure(plain_unsigned=True)
    assert (await raw("PUT", "/bucket/a", body=b"x", stated="UNSIGNED-PAYLOAD")).status == 200


async def test_over_tls_boto_sends_unsigned_payloads_and_trailers(connect: Callable[..., Boto]) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with S3Server(ServerConfig(tls=context, profile=AWS, log_headers=True)) as server:
        with authority.cert_pem.tempfile() as bundle:
            boto = connect(server, verify=bundle, config={"request_checksum_calculation": "when_supported"})
            await boto("put_object", Bucket="bucket", Key="a", Body=b"hello", ChecksumAlgorithm="CRC32")
        assert server.requests[0].headers["x-amz-content-sha256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
        stored = server.objects("bucket")["a"]
        assert (stored.body, stored.headers) == (b"hello", {})
        assert stored.checksum is not None


async def test_buckets_are_addressed_by_host_name_too(server: S3Server) -> None:
    raw = Raw(server, host=f"bucket.localhost:{server.port}")
    assert (await raw("PUT", "/dir/a", body=b"x")).status == 200
    assert list(server.objects("bucket")) == ["dir/a"]


def _chunked(raw: Raw, pieces: list[bytes]) -> tuple[dict[str, str], list[str]]:
    """Sign a chunked body by the letter of the specification; gives headers and the chunks' signatures."""
    stated = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    length = str(sum(map(len, pieces)))
    headers = raw.sign("PUT", "/bucket/a", {"x-amz-decoded-content-length": length}, b"", stated)
    day = headers["X-Amz-Date"][:8]
    key = b"AWS4testsecret"
    for step in (day, "us-east-1", "s3", "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    previous = headers["Authorization"].rpartition("Signature=")[2]
    signatures = []
    for piece in [*pieces, b""]:
        lines = ["AWS4-HMAC-SHA256-PAYLOAD", headers["X-Amz-Date"], f"{day}/us-east-1/s3/aws4_request", previous]
        lines += [hashlib.sha256(b"").hexdigest(), hashlib.sha256(piece).hexdigest()]
        previous = hmac.digest(key, "\n".join(lines).encode(), "sha256").hex()
        signatures.append(previous)
    return headers, signatures


@pytest.mark.parametrize(("damage", "code"), [(b"", ""), (b"!", "SignatureDoesNotMatch")])
async def test_signed_chunks_are_decoded_and_verified(server: S3Server, damage: bytes, code: str) -> None:
    server.reconfigure(profile=AWS)
    raw, pieces = Raw(server), [b"first ", b"second"]
    headers, signatures = _chunked(raw, pieces)
    sent = [pieces[0], damage + pieces[1][len(damage) :], b""]
    body = b"".join(
        b"%x;chunk-signature=%b\r\n%b\r\n" % (len(piece), signature.encode(), piece)
        for piece, signature in zip(sent, signatures, strict=True)
    )
    answer = await raw("PUT", "/bucket/a", headers, body, anonymous=True)
    assert answer.code == code
    assert [stored.body for stored in server.objects("bucket").values()] == ([] if code else [b"first second"])


async def test_strictly_no_chunked_framing_is_taken_and_a_quirk_stores_it_as_data(server: S3Server) -> None:
    raw = Raw(server)
    headers, _ = _chunked(raw, [])
    assert (await raw("PUT", "/bucket/a", headers, b"0\r\n\r\n", anonymous=True)).code == "NotImplemented"
    chunked = type(AWS.aws_chunked).STORE
    server.reconfigure(profile=replace(AWS, aws_chunked=chunked))
    headers, _ = _chunked(raw, [])
    assert (await raw("PUT", "/bucket/a", headers, b"0\r\n\r\n", anonymous=True)).status == 200
    assert server.objects("bucket")["a"].body == b"0\r\n\r\n"
