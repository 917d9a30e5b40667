"""The settings a keeper obeys: what asks a person, how long things last, how much is too much."""

from typing import Annotated, Literal

import msgspec

from privyseal.model.value import Name, Value

Seconds = Annotated[float, msgspec.Meta(ge=0, le=7 * 24 * 3600)]
Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
Words = Annotated[tuple[Name, ...], msgspec.Meta(max_length=100, description="a list of texts")]
Verdict = Literal["ask", "allow", "deny"]


class Verdicts(Value, frozen=True, rename="kebab"):
    """For each kind of request: ask a person, allow silently or deny silently.

    Searching is allowed by default: attributes are no secrets in the Secret Service
    specification, and a search that asks would ask for every read twice.
    """

    read: Verdict = "ask"
    search: Verdict = "allow"
    create: Verdict = "ask"
    write: Verdict = "ask"
    delete: Verdict = "ask"
    change: Verdict = "ask"
    create_collection: Verdict = "ask"
    change_collection: Verdict = "ask"
    delete_collection: Verdict = "ask"
    alias: Verdict = "ask"
    lock: Verdict = "ask"
    unlock: Verdict = "ask"
    aws_use: Verdict = "ask"
    aws_change: Verdict = "ask"


class Timing(Value, frozen=True, rename="kebab"):
    """How long a request waits and how long its decision stays usable, in seconds.

    `intention` joins the calls of one intention after its release; `retry` keeps an allow for a
    client that gave up waiting; a denial sticks for `denial_first`, doubled each time the same
    program asks again after it, up to `denial_longest`.
    """

    pending: Seconds = 300
    intention: Seconds = 10
    retry: Seconds = 60
    denial_first: Seconds = 10
    denial_longest: Seconds = 3600


class Limits(Value, frozen=True, rename="kebab"):
    """How many requests may wait, of one process and of all, and how much history is kept."""

    pending_per_requester: Count = 16
    pending_total: Count = 2000
    leases: Count = 1000
    history: Count = 1000
    requesters: Count = 10_000


class AwsRules(Value, frozen=True, rename="kebab"):
    """What holds for AWS alone.

    What matches a pattern of `always_ask` by its profile, key, account or role is allowed once and
    no longer. A companion calls `endpoints` (`https://sts.example.com`) besides those of AWS.
    """

    always_ask: Words = ()
    endpoints: Words = ()


class Policy(Value, frozen=True, rename="kebab"):
    """Everything above, in the shape of the configuration file's keys."""

    verdicts: Verdicts = Verdicts()
    timing: Timing = Timing()
    limits: Limits = Limits()
    aws: AwsRules = AwsRules()
    answer_chromium_probe: bool = True
