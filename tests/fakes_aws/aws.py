"""A fake AWS behind one URL: STS, IAM, Identity Center and sign-in, with real checks.

It refuses what AWS refuses: signatures, expired tokens, MFA codes used twice, durations over a
limit, roles that do not trust the caller. Every call is counted under the name of its operation.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any

from tests.fakes_aws import iam, sts
from tests.fakes_aws.access import Access
from tests.fakes_aws.oidc import Oidc
from tests.fakes_aws.people import People
from tests.fakes_aws.signin import SignIn
from tests.fakes_aws.sigv4 import authenticate
from tests.fakes_aws.web import (
    Answer,
    AwsError,
    Request,
    json_answer,
    serving,
    xml_answer,
    xml_refusal,
)

from privyseal.model.clock import Clock

_OIDC = {
    "/client/register": "RegisterClient",
    "/device_authorization": "StartDeviceAuthorization",
    "/token": "CreateToken",
}
_PORTAL = {
    ("GET", "/assignment/accounts"): "ListAccounts",
    ("GET", "/assignment/roles"): "ListAccountRoles",
    ("GET", "/federation/credentials"): "GetRoleCredentials",
    ("POST", "/logout"): "Logout",
}


class FakeAws:
    """All services of one made-up AWS, and what it saw."""

    def __init__(self, clock: Clock) -> None:
        self.url = ""
        self.people = People(clock)
        self.oidc = Oidc(clock)
        self.access = Access(self.oidc, self.people, clock)
        self.signin = SignIn(self.people, clock)
        self.calls: Counter[str] = Counter()
        self.seen: list[tuple[str, Mapping[str, Any]]] = []
        self._sts = sts.Sts(self.people, clock)
        self._iam = iam.Iam(self.people)
        self._refusals: dict[str, list[AwsError]] = {}
        self._lock = Lock()

    def refuse(self, operation: str, refusal: AwsError, *, times: int = 1) -> None:
        """Let the next calls of an operation fail."""
        self._refusals.setdefault(operation, []).extend([refusal] * times)

    def asked(self, operation: str) -> list[Mapping[str, Any]]:
        """Return the parameters of every call of an operation, oldest first."""
        return [parameters for name, parameters in self.seen if name == operation]

    def respond(self, request: Request) -> Answer:
        """Answer one request."""
        with self._lock:
            if request.path == "/" and request.method == "POST":
                return self._query(request)
            if request.path in _OIDC:
                return self._rest(_OIDC[request.path], request, self._oidc_call)
            operation = _PORTAL.get((request.method, request.path))
            if operation is not None:
                return self._rest(operation, request, self.access.call)
            return self._page(request)

    def _query(self, request: Request) -> Answer:
        form = request.form
        action = form.pop("Action", "")
        service, namespace = (
            (self._iam, iam.NAMESPACE)
            if form.pop("Version", "") == "2010-05-08"
            else (self._sts, sts.NAMESPACE)
        )
        try:
            self._note(action, form)
            if action == "AssumeRoleWithWebIdentity":
                return xml_answer(action, namespace, self._sts.web_identity(form))
            caller = authenticate(request, self.people)
            return xml_answer(action, namespace, service.call(action, form, caller))
        except AwsError as refusal:
            return xml_refusal(refusal, namespace)

    def _rest(
        self, operation: str, request: Request, call: Callable[[str, Request], Answer]
    ) -> Answer:
        try:
            self._note(operation, request.query if request.method == "GET" else request.json)
            return call(operation, request)
        except AwsError as refusal:
            error = refusal.code.removesuffix("Exception")
            body = {"message": refusal.message, "error_description": refusal.message}
            snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in error).lstrip("_")
            return json_answer(
                {**body, "error": snake}, refusal.status, x_amzn_ErrorType=refusal.code
            )

    def _oidc_call(self, operation: str, request: Request) -> Answer:
        asked = request.json
        match operation:
            case "RegisterClient":
                return json_answer(self.oidc.register(asked))
            case "StartDeviceAuthorization":
                return json_answer(self.oidc.start_device(asked))
            case _:
                return json_answer(self.oidc.create_token(asked))

    def _page(self, request: Request) -> Answer:
        query = request.query
        try:
            match (request.method, request.path):
                case ("GET", "/authorize"):
                    self._note("authorize", query)
                    return self.oidc.authorize(query)
                case ("GET", "/device"):
                    self._note("device", query)
                    if self.oidc.person != "pending":
                        self.oidc.decide(query["user_code"], self.oidc.person)
                    return Answer(200, query["user_code"].encode(), {"Content-Type": "text/plain"})
                case ("GET", "/federation" | "/oauth"):
                    self._note(query.get("Action", "federation"), query)
                    return self.signin.call(request)
                case _:
                    return Answer(404, b"no such page")
        except AwsError as refusal:
            return Answer(refusal.status, refusal.message.encode())

    def _note(self, operation: str, parameters: Mapping[str, Any]) -> None:
        self.calls[operation] += 1
        self.seen.append((operation, dict(parameters)))
        if self._refusals.get(operation):
            raise self._refusals[operation].pop(0)


@contextmanager
def fake_aws(clock: Clock) -> Iterator[FakeAws]:
    """Serve a fake AWS on loopback; its `url` is the endpoint of every service."""
    aws = FakeAws(clock)
    with serving(aws.respond) as url:
        aws.url = aws.oidc.url = url
        yield aws
