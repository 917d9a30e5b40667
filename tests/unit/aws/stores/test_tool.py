"""Other programs as stores: what they complain of is told whole, and in one line."""

from privyseal.aws.stores.tool import ProgramError


def test_a_complaint_of_several_lines_keeps_what_is_to_be_done() -> None:
    complaint = b"Error: You must run:\n    pass init your-gpg-id\nbefore you may use it.\n"

    assert str(ProgramError("pass", 1, complaint)) == (
        "pass ended with status 1: "
        "'Error: You must run: pass init your-gpg-id before you may use it.'"
    )


def test_a_complaint_without_end_is_cut() -> None:
    assert len(str(ProgramError("pass", 1, b"x" * 100_000))) < 400
