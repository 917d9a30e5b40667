"""The command line as click sees it: built from the same table, one command at a time."""

from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from privyseal.cli.spec import Argument, Group, Option, Spec
from privyseal.cli.table import COMMANDS, ROOT
from privyseal.errors import PrivysealError, UsageError

_PROGRAM: Final = "privy"


class _Tree(click.Group):
    """A group that imports a command when it is used, and lists them without importing any."""

    def __init__(self, name: str, group: Group, params: list[click.Parameter]) -> None:
        super().__init__(
            name,
            help=group.summary,
            params=params,
            no_args_is_help=True,
            subcommand_metavar="COMMAND [ARGUMENTS]...",
        )
        self._group = group

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [name for name, (_, summary) in self._group.commands.items() if summary]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in self._group.commands:
            return None
        found = self._group.load(cmd_name)
        if isinstance(found, Group):
            return _Tree(cmd_name, found, [])
        return build(cmd_name, found) if isinstance(found, Spec) else _command(found)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self._group.commands:
            from difflib import get_close_matches  # noqa: PLC0415 - only for a mistyped command

            near = get_close_matches(args[0], self._group.commands, 1)
            raise UsageError(
                f"no command {args[0]!r}" + (f": did you mean {near[0]!r}?" if near else ""),
                hint=f"see `{ctx.command_path} --help`",
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        listed = self.list_commands(ctx)
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._group.commands[name][1]) for name in listed])


class _Option(click.Option):
    """An option that the help lists under a heading, "" for the usual one."""

    section = ""


class _Command(click.Command):
    """A command whose help lists its options by their headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"": []}
        for param in self.get_params(ctx):
            if isinstance(param, click.Option) and (record := param.get_help_record(ctx)):
                heading = param.section if isinstance(param, _Option) else ""
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading or "Options"):
                formatter.write_dl(records)


class _Fenced(_Command):
    """A command whose last argument gets all that follows a `--`, and nothing else does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        fence = args.index("--") if "--" in args else len(args)
        behind = args[fence + 1 :]
        left = super().parse_args(ctx, args[:fence])
        last = str(self.params[-1].name)
        ctx.params[last] = (*ctx.params[last], *behind)
        return left


class _Named(click.ParamType[str]):
    """A text that a shell can complete with names the keeper knows."""

    name = "text"

    def __init__(self, source: str) -> None:
        self._source = source

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        del ctx, param
        from privyseal.cli.names import candidates  # noqa: PLC0415 - only while completing

        return [
            CompletionItem(value, help=help_text)
            for value, help_text in candidates(self._source)
            if value.startswith(incomplete)
        ]


def build(name: str, spec: Spec) -> click.Command:
    """Return the click command for a described one."""
    parameters: list[click.Parameter] = [_option(option) for option in spec.options]
    parameters += [
        click.Argument(
            [argument.name],
            metavar=_metavar(argument),
            nargs=-1 if argument.rest else 1,
            required=not argument.optional,
            type=click.UNPROCESSED if argument.rest else _Named(argument.complete),
        )
        for argument in spec.arguments
    ]

    def callback(**values: Any) -> int:
        return spec.run({key: "" if value is None else value for key, value in values.items()})

    ends = any(argument.rest for argument in spec.arguments) and not spec.interspersed
    return (_Fenced if spec.interspersed else _Command)(
        name,
        params=parameters,
        callback=callback,
        help=f"{spec.summary}\n\n{spec.details}".strip(),
        context_settings={"allow_interspersed_args": not ends},
    )


def run(words: list[str], program: str = _PROGRAM, group: Group | None = None) -> int:
    """Run a command line through click, of ours or of another `program` with commands of its own.

    Returns:
        The exit status.

    Raises:
        UsageError: click refused it.
    """
    tree = root if group is None else _Tree(program, group, [])
    try:
        status = tree.main(words, prog_name=program, standalone_mode=False)
    except click.Abort as error:
        raise KeyboardInterrupt from error
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
        return UsageError.exit_status
    except click.ClickException as error:
        raise _refusal(error, words, program) from error
    except SystemExit as error:  # click's own answer where the reader of our output has left
        raise BrokenPipeError from error
    return int(status or 0)


def _metavar(argument: Argument) -> str:
    text = argument.name.upper() + ("..." if argument.rest else "")
    return f"[{text}]" if argument.optional else text


def _option(option: Option) -> click.Option:
    names = [name for name in (option.flag, option.short) if name]
    if option.metavar:
        made = _Option(
            names,
            metavar=option.metavar,
            multiple=option.many,
            help=option.help,
            type=_Named(option.complete),
        )
    else:
        made = _Option(names, is_flag=True, help=option.help)
    made.section = option.section
    return made


def _command(found: object) -> click.Command:
    if not isinstance(found, click.Command):
        raise TypeError(f"{found!r} is no click command")
    return found


def _refusal(error: click.ClickException, words: list[str], program: str) -> PrivysealError:
    text = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    if context is not None:
        path = context.command_path
    else:  # click's parser of options knows no context
        path = f"{program} {words[0]}" if words and words[0] in COMMANDS else program
    hint = f"see `{path} --help`"
    if isinstance(error, click.NoSuchOption) and context and isinstance(context.command, _Fenced):
        hint += _about_fence(context.command_path, words, error.option_name)
    return UsageError(text[:1].lower() + text[1:], hint=hint)


def _about_fence(path: str, words: list[str], option: str) -> str:
    """Return what to say of `--`: something where the option may be the wrapped command's."""
    given = [word.partition("=")[0] for word in words[len(path.split()) - 1 :]]
    place = given.index(option) if option in given else len(given)
    plain = [word for word in given[:place] if not word.startswith("-")]
    # A profile alone, or nothing: no command has begun. With `--` behind it, none either.
    if len(plain) <= 1 or "--" in given[place:]:
        return ""
    return ", or put `--` before a command that has options"


root: Final = _Tree(
    _PROGRAM,
    ROOT,
    [
        click.Option(["--debug"], is_flag=True, help="Show tracebacks.", expose_value=False),
        click.Option(["--version"], is_flag=True, help="Print the version.", expose_value=False),
    ],
)
