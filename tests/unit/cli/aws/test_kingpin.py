import pytest

from privyseal.cli.aws.kingpin import Flag, Line, Reader
from privyseal.errors import UsageError

GLOBAL = {
    "--debug": Flag("debug", takes_value=False),
    "--backend": Flag("backend", takes_value=True),
}
EXEC = GLOBAL | {
    "--duration": Flag("duration", takes_value=True),
    "-d": Flag("duration", takes_value=True),
    "--no-session": Flag("no-session", takes_value=False),
    "-n": Flag("no-session", takes_value=False),
    "--server": Flag("server", takes_value=False),
    "-s": Flag("server", takes_value=False),
    "--policy-arn": Flag("policy-arn", takes_value=True, many=True),
}


def read(*words: str) -> tuple[str, Line]:
    reader = Reader(words)
    return reader.command(GLOBAL), reader.rest(EXEC)


@pytest.mark.parametrize(
    ("words", "values", "rest"),
    [
        (["exec", "dev"], {}, ["dev"]),
        (["--debug", "exec", "dev"], {"debug": True}, ["dev"]),
        (["exec", "--backend=file", "dev"], {"backend": "file"}, ["dev"]),
        (["exec", "dev", "--backend", "file"], {"backend": "file"}, ["dev"]),
        (["exec", "-d", "1h", "dev"], {"duration": "1h"}, ["dev"]),
        (["exec", "-d1h", "dev"], {"duration": "1h"}, ["dev"]),
        (["exec", "-ns", "dev"], {"no-session": True, "server": True}, ["dev"]),
        (["exec", "-nd1h", "dev"], {"no-session": True, "duration": "1h"}, ["dev"]),
        (["exec", "dev", "--no-session"], {"no-session": True}, ["dev"]),
        (["exec", "dev", "--no-no-session"], {"no-session": False}, ["dev"]),
        (["exec", "dev", "--server", "--no-server"], {"server": False}, ["dev"]),
        (["exec", "dev", "--", "aws", "--debug"], {}, ["dev", "aws", "--debug"]),
        (["exec", "dev", "aws", "-n"], {"no-session": True}, ["dev", "aws"]),
        (["exec", "--", "dev"], {}, ["dev"]),
        (["exec", "-d1h", "-d2h", "dev"], {"duration": "2h"}, ["dev"]),
        (["exec", "--region="], {}, None),
        (
            ["exec", "--policy-arn", "a", "--policy-arn=b"],
            {"policy-arn": ("a", "b")},
            [],
        ),
    ],
)
def test_a_line_is_read_as_aws_vault_reads_it(
    words: list[str], values: dict[str, object], rest: list[str] | None
) -> None:
    if rest is None:
        with pytest.raises(UsageError, match="unknown long flag '--region'"):
            read(*words)
        return
    assert read(*words) == ("exec", Line(values, rest))  # type: ignore[arg-type]  # the table is mixed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["exec", "--nonsense"], "unknown long flag '--nonsense'"),
        (["exec", "-x"], "unknown short flag '-x'"),
        (["exec", "-nx"], "unknown short flag '-x'"),
        (["exec", "--no-duration"], "unknown long flag '--no-duration'"),
        (["exec", "--duration"], "expected argument for flag '--duration'"),
        (["exec", "-d", "-n"], "expected argument for flag '-d'"),
        (["--duration", "1h", "exec"], "unknown long flag '--duration'"),
    ],
)
def test_what_it_refuses_is_refused_in_its_words(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        read(*words)

    assert str(raised.value) == message


def test_a_line_without_a_command_has_none() -> None:
    assert read("--debug") == ("", Line({"debug": True}, []))
