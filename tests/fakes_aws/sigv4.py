"""Signature Version 4, checked by the server from the published recipe, not by botocore."""

import hashlib
import hmac
import re
from urllib.parse import quote, unquote

from tests.fakes_aws.people import Key, People
from tests.fakes_aws.web import AwsError, Request

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)


def authenticate(request: Request, people: People) -> Key:
    """Return the key that signed the request.

    Raises:
        AwsError: No signature, a wrong one, or a key that may not be used.
    """
    header = request.headers.get("authorization", "")
    if not header:
        raise AwsError(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
    match = _HEADER.fullmatch(header)
    if match is None:
        raise AwsError(400, "IncompleteSignature", "Authorization header is malformed.")
    credential, signed, signature = match.groups()
    access_key_id, *scope = credential.split("/")
    key = people.check(people.find(access_key_id), request.headers.get("x-amz-security-token", ""))
    if not hmac.compare_digest(signature, _signature(request, key, scope, signed.split(";"))):
        raise AwsError(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.",
        )
    return key


def _signature(request: Request, key: Key, scope: list[str], signed: list[str]) -> str:
    date, region, service, end = scope
    instant = request.headers.get("x-amz-date", "")
    if "host" not in signed or "x-amz-date" not in signed or not instant.startswith(date):
        raise AwsError(403, "SignatureDoesNotMatch", "Host and date must be signed.")
    if key.session_token and "x-amz-security-token" not in signed:
        raise AwsError(403, "SignatureDoesNotMatch", "The session token must be signed.")
    pairs = sorted(
        (quote(unquote(name), safe="-_.~"), quote(unquote(text), safe="-_.~"))
        for name, _, text in (p.partition("=") for p in request.query_text.split("&") if p)
    )
    canonical = "\n".join(
        (
            request.method,
            quote(request.path, safe="/-_.~"),
            "&".join(f"{name}={text}" for name, text in pairs),
            *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in signed),
            "",
            ";".join(signed),
            hashlib.sha256(request.body).hexdigest(),
        )
    )
    text = "\n".join(
        (
            "AWS4-HMAC-SHA256",
            instant,
            "/".join(scope),
            hashlib.sha256(canonical.encode()).hexdigest(),
        )
    )
    secret = b"AWS4" + key.secret_access_key.encode()
    for part in (date, region, service, end):
        secret = hmac.digest(secret, part.encode(), hashlib.sha256)
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
