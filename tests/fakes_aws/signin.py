"""The sign-in federation endpoint: from credentials to a page of the web console."""

import json
import secrets
from dataclasses import dataclass, field

from tests.fakes_aws.people import Key, People
from tests.fakes_aws.web import Answer, AwsError, Request, json_answer

from privyseal.model.clock import Clock

TOKEN_SECONDS = 900


@dataclass(eq=False)
class SignIn:
    """The service; `signed_in` holds who came to which page."""

    people: People
    clock: Clock
    signed_in: list[tuple[Key, str, int]] = field(default_factory=list)
    _tokens: dict[str, tuple[Key, int, float]] = field(default_factory=dict)

    def call(self, request: Request) -> Answer:
        """Answer one request for the endpoint."""
        query = request.query
        match query.get("Action"):
            case "getSigninToken":
                return self._token(query)
            case "login":
                return self._login(query)
            case "logout":
                return Answer(302, b"", {"Location": query.get("redirect_uri", "")})
            case _:
                raise AwsError(400, "BadRequest", "unknown Action")

    def _token(self, query: dict[str, str]) -> Answer:
        session = json.loads(query["Session"])
        if set(session) != {"sessionId", "sessionKey", "sessionToken"}:
            raise AwsError(400, "BadRequest", "malformed Session")
        key = self.people.check(self.people.find(session["sessionId"]), session["sessionToken"])
        if key.secret_access_key != session["sessionKey"] or key.kind in {"user", "session"}:
            raise AwsError(400, "BadRequest", "no credentials for a console")
        seconds = 0
        if "SessionDuration" in query:
            seconds = int(query["SessionDuration"])
            # "Do not use SessionDuration with GetFederationToken", says the IAM guide.
            if not 900 <= seconds <= 43_200 or key.kind == "federated":
                raise AwsError(400, "BadRequest", "wrong SessionDuration")
        token = secrets.token_urlsafe(64)
        self._tokens[token] = (key, seconds, self.clock.wall() + TOKEN_SECONDS)
        return json_answer({"SigninToken": token})

    def _login(self, query: dict[str, str]) -> Answer:
        found = self._tokens.pop(query.get("SigninToken", ""), None)
        if found is None or found[2] <= self.clock.wall():
            raise AwsError(400, "BadRequest", "the SigninToken is invalid")
        destination = query["Destination"]
        self.signed_in.append((found[0], destination, found[1]))
        return Answer(302, b"", {"Location": destination})
