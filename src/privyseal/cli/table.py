"""Every command by name: the module that holds it, and its line in the help."""

from __future__ import annotations

from privyseal.cli.spec import Group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "try": ("privyseal.cli.try_", "Try everything on this session bus, until Ctrl-C."),
    "service": ("privyseal.cli.service", "Make it permanent for this user, or take it back."),
    "provision": (
        "privyseal.cli.provision",
        "Give a user a companion and a trusted console, or take them back.",
    ),
    "list": ("privyseal.cli.list_", "List the requests that wait for a person."),
    "show": ("privyseal.cli.show", "Show one request, waiting or past."),
    "approve": ("privyseal.cli.approve", "Allow a request."),
    "deny": ("privyseal.cli.deny", "Deny a request."),
    "watch": ("privyseal.cli.watch", "Open the approval screen, or stream what happens."),
    "review": ("privyseal.cli.review", "Bring the companion's console to the front."),
    "history": ("privyseal.cli.history", "List requests that have ended, newest first."),
    "leases": ("privyseal.cli.leases", "List what may be read without asking, or end a lease."),
    "lock": ("privyseal.cli.lock", "Lock the store."),
    "unlock": ("privyseal.cli.unlock", "Unlock the store, creating it the first time."),
    "status": ("privyseal.cli.status", "Say in one glance how the keeper is."),
    "get": ("privyseal.cli.get", "Print a secret, after a person allowed it."),
    "run": ("privyseal.cli.run", "Run a command that gets secrets, after a person allowed it."),
    "aws": ("privyseal.cli.aws.table", "Give commands short-lived AWS credentials."),
    "store": ("privyseal.cli.store", "Export, import or rekey the embedded store."),
    "audit": ("privyseal.cli.audit", "Read, search, verify and export the audit log."),
    "doctor": ("privyseal.cli.doctor", "Check that everything works, and say what to do."),
    "config": ("privyseal.cli.config", "Show, edit or check the configuration."),
    "completion": ("privyseal.cli.completion", "Print the completion script of a shell."),
    "version": ("privyseal.cli.version", "Print the version."),
}

ROOT: Final = Group("Keep secrets, and let one out only after you saw who asks for what.", COMMANDS)
