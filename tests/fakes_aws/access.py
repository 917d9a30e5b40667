"""The portal of IAM Identity Center: which roles a token gives, and their credentials."""

from dataclasses import dataclass, field

from tests.fakes_aws.oidc import Oidc
from tests.fakes_aws.people import People
from tests.fakes_aws.web import Answer, AwsError, Request, json_answer

from privyseal.model.clock import Clock


@dataclass(frozen=True)
class Assignment:
    """One role of one account that the person of a portal has."""

    account: str
    account_name: str
    role: str
    email: str = "aws@example.com"


@dataclass
class Access:
    """The service; pages hold `page_size` entries."""

    oidc: Oidc
    people: People
    clock: Clock
    page_size: int = 100
    role_seconds: int = 3600
    assignments: dict[str, list[Assignment]] = field(default_factory=dict)

    def add_portal(
        self, *assignments: Assignment, start_url: str = "https://example.awsapps.com/start"
    ) -> str:
        """Make up a portal; return its start URL."""
        self.assignments[start_url] = list(assignments)
        self.oidc.portals.add(start_url)
        return start_url

    def call(self, operation: str, request: Request) -> Answer:
        """Carry out an operation; the token travels in a header."""
        token = request.headers.get("x-amz-sso_bearer_token", "")
        session = self.oidc.session(token)
        given = self.assignments[session.start_url]
        query = request.query
        match operation:
            case "Logout":
                self.oidc.revoke(token)
                return Answer(200, b"", {"Content-Type": "application/json"})
            case "ListAccounts":
                accounts = {
                    entry.account: {
                        "accountId": entry.account,
                        "accountName": entry.account_name,
                        "emailAddress": entry.email,
                    }
                    for entry in given
                }
                return self._page("accountList", list(accounts.values()), query)
            case "ListAccountRoles":
                roles = [
                    {"roleName": entry.role, "accountId": entry.account}
                    for entry in given
                    if entry.account == query.get("account_id")
                ]
                return self._page("roleList", roles, query)
            case _:
                return self._credentials(given, query)

    def _page(self, name: str, entries: list[dict[str, str]], query: dict[str, str]) -> Answer:
        size = min(int(query.get("max_result", self.page_size)), self.page_size)
        begin = int(query.get("next_token", "at-0").removeprefix("at-"))
        page: dict[str, object] = {name: entries[begin : begin + size]}
        if begin + size < len(entries):
            page["nextToken"] = f"at-{begin + size}"
        return json_answer(page)

    def _credentials(self, given: list[Assignment], query: dict[str, str]) -> Answer:
        wanted = (query.get("account_id"), query.get("role_name"))
        for entry in given:
            if (entry.account, entry.role) == wanted:
                break
        else:
            raise AwsError(403, "ForbiddenException", "No access")
        role = self.people.add_role(f"AWSReservedSSO_{entry.role}_0123456789abcdef", entry.account)
        key = self.people.begin_role(role, "person", self.role_seconds)
        return json_answer(
            {
                "roleCredentials": {
                    "accessKeyId": key.access_key_id,
                    "secretAccessKey": key.secret_access_key,
                    "sessionToken": key.session_token,
                    "expiration": int(key.expires * 1000),
                }
            }
        )
