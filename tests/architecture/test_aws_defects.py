"""Every known defect of aws-vault has a test here that fails if we repeat it."""

import re
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[1]

HELD_BY: Final = {
    "a default store that cannot open": (
        "test_without_a_desktop_it_is_a_file_and_each_other_store_says_why_not"
    ),
    "source profiles in a circle": "test_a_circle_of_source_profiles_is_named_and_not_followed",
    "slow_down ends a sign-in": "test_slow_down_is_obeyed_and_not_fatal",
    "a client registered at each sign-in": (
        "test_a_client_is_registered_once_with_scopes_and_for_each_flow"
    ),
    "a portal's token never renewed": "test_a_token_at_its_end_is_renewed_without_a_person",
    "a session kept although its inputs changed": "test_each_single_input_makes_another_session",
    "rotate finds a key one profile away": (
        "test_a_rotation_finds_the_key_through_the_whole_chain_and_takes_nothing_from_the_cache"
    ),
    "rotate loses the new key": "test_a_rotation_killed_after_any_change_is_finished_or_undone",
    "a server refused where only the terminal asks": (
        "test_credentials_are_got_before_the_child_starts"
    ),
    "a server hands out credentials with seconds left": (
        "test_they_are_renewed_before_clients_begin_to_ask_at_every_use"
    ),
    "a proxy as root answers everybody": "test_the_machine_itself_does_not_get_the_address",
    "a fixed port": "test_servers_stand_side_by_side_on_ports_of_their_own",
    "a child inherits credentials": (
        "test_a_child_loses_every_credential_and_every_secret_of_ours"
    ),
    "export without quotes": "test_a_shell_reads_back_what_was_written_for_it",
    "a token's key loses a slash in pass": "test_url_that_lost_a_slash_gets_it_back",
    "all of pass is listed as keys": "test_listing_below_a_prefix_opens_nothing",
    "weak rounds in files": "test_rounds_are_raised_as_far_as_aws_vault_still_reads",
    "two passphrases in one file store": (
        "test_wrong_passphrase_stores_nothing_beside_what_is_there"
    ),
    "the MFA device that was typed is dropped": (
        "test_device_that_was_typed_is_written_into_a_profile_that_is_there_if_wanted"
    ),
    "a code is used twice": "test_a_code_is_never_sent_twice_even_by_another_call",
    "sessions of a replaced key stay": "test_new_key_ends_the_sessions_of_the_old_one",
    "a list opens every entry": "test_list_asks_for_no_passphrase",
    "the console's duration is not sent": (
        "test_a_role_signs_in_directly_for_as_long_as_is_wanted"
    ),
}


def test_what_is_said_to_hold_a_defect_off_is_there() -> None:
    defined: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        defined.update(re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE))
    assert sorted(set(HELD_BY.values()) - defined) == []
