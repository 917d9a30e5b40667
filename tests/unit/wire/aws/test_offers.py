"""Which profiles a portal's roles want, and which are past."""

import pytest

from privyseal.errors import UsageError
from privyseal.model.aws import OfferedRole, Portal
from privyseal.wire.aws import inifile
from privyseal.wire.aws.offers import compare, profile_for
from privyseal.wire.aws.profiles import load

PORTAL = Portal(start_url="https://x.awsapps.com/start", region="eu-central-1", session="corp")
OLD = Portal(start_url="https://x.awsapps.com/start", region="eu-central-1")


def role(account: str, name: str, role: str) -> OfferedRole:
    return OfferedRole(account=account, account_name=name, role=role, email="a@example.com")


OFFERED = [role("111122223333", "Data & Logs", "admin"), role("444455556666", "Prod", "reader")]


def test_a_new_file_gets_the_session_and_a_section_for_each_role():
    offers = compare(OFFERED, PORTAL, load(""), region="eu-west-1")
    text = offers.apply(inifile.parse("# mine\n"), PORTAL, prune=False).text()
    assert text == (
        "# mine\n"
        "\n"
        "[sso-session corp]\n"
        "sso_start_url = https://x.awsapps.com/start\n"
        "sso_region = eu-central-1\n"
        "sso_registration_scopes = sso:account:access\n"
        "\n"
        "[profile Data-Logs-admin]\n"
        "sso_session = corp\n"
        "sso_account_id = 111122223333\n"
        "sso_role_name = admin\n"
        "region = eu-west-1\n"
        "sso_auto_populated = true\n"
        "\n"
        "[profile Prod-reader]\n"
        "sso_session = corp\n"
        "sso_account_id = 444455556666\n"
        "sso_role_name = reader\n"
        "region = eu-west-1\n"
        "sso_auto_populated = true\n"
    )
    again = compare(OFFERED, PORTAL, load(text))
    assert (again.missing, again.past, again.kept) == ({}, [], 2)


def test_a_profile_that_there_is_keeps_its_name_whichever_form_it_has():
    text = """
[sso-session corp]
sso_start_url = https://x.awsapps.com/start
sso_region = eu-central-1
[profile mine]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = admin
[profile old]
sso_start_url = https://x.awsapps.com/start
sso_region = eu-central-1
sso_account_id = 444455556666
sso_role_name = reader
"""
    profiles = load(text)
    offers = compare(OFFERED, PORTAL, profiles)
    assert (offers.missing, offers.kept) == ({}, 2)
    assert [profile_for(one, PORTAL, profiles) for one in OFFERED] == ["mine", "old"]
    assert profile_for(OFFERED[1], OLD, profiles) == "old"


def test_a_portal_without_a_session_is_written_out_in_each_profile():
    offers = compare(OFFERED[:1], OLD, load(""))
    text = offers.apply(inifile.parse(""), OLD, prune=False).text()
    assert "sso_start_url = https://x.awsapps.com/start\nsso_region = eu-central-1\n" in text
    assert "sso-session" not in text


def test_a_name_that_is_taken_gets_the_account_and_then_a_number():
    same = [role("1", "Prod", "reader"), role("2", "Prod", "reader"), role("2", "Prod", "reader!")]
    taken = load("[profile Prod-reader]\nregion = eu-west-1\n[profile Prod-reader-2]\n")
    assert list(compare(same, PORTAL, taken).missing) == [
        "Prod-reader-1",
        "Prod-reader-2-2",
        "Prod-reader-2-3",
    ]


def test_the_names_follow_the_template():
    offers = compare(OFFERED, PORTAL, load(""), template="corp/{account}.{role}")
    assert list(offers.missing) == ["corp/111122223333.admin", "corp/444455556666.reader"]
    with pytest.raises(UsageError, match=r"no \{foo\}"):
        compare(OFFERED, PORTAL, load(""), template="{foo}")


@pytest.mark.parametrize("name", ["]\n[profile x]\nrole_arn = y", "\x1b[2J", "a\u202eb", "$(rm)"])
def test_no_name_of_an_account_breaks_out_of_its_section(name):
    offers = compare([role("111122223333", name, "admin")], PORTAL, load(""))
    text = offers.apply(inifile.parse(""), PORTAL, prune=False).text()
    assert list(inifile.parse(text).sections()) == [
        "sso-session corp",
        f"profile {next(iter(offers.missing))}",
    ]
    assert text.isascii()


def test_only_profiles_of_ours_are_past_and_go_when_that_is_wanted():
    file = offers_file = compare(OFFERED, PORTAL, load("")).apply(
        inifile.parse("[profile own]\nsso_session = corp\nsso_account_id = 9\nsso_role_name = x\n"),
        PORTAL,
        prune=False,
    )
    offers = compare(OFFERED[:1], PORTAL, load(file.text()))
    assert offers.past == ["Prod-reader"]
    assert offers.apply(file, PORTAL, prune=False).text() == offers_file.text()
    left = load(offers.apply(file, PORTAL, prune=True).text())
    assert left.names() == ("own", "Data-Logs-admin")
