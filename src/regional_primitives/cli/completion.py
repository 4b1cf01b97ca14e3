"""`primitives completion SHELL`: a script that completes the command without starting Python.

Everything that can be completed is written into it, since loading torch takes longer than a word.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from regional_primitives.cli.application import app
from regional_primitives.errors import InputError
from regional_primitives.generators import ZOO


@dataclass(frozen=True)
class _Option:
    flags: tuple[str, ...]
    about: str
    takes_value: bool
    values: tuple[str, ...]
    """What it may be, where that is a list of words."""


@dataclass(frozen=True)
class _Verb:
    name: str
    about: str
    options: tuple[_Option, ...]
    first: tuple[str, ...]
    """What may come first, besides files."""


@app.command()
def completion(shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish")]) -> None:
    """Print what a shell needs to complete this command; renew it after an upgrade."""
    if shell not in _SCRIPTS:
        raise InputError(f"shell {shell!r} is none of: {', '.join(_SCRIPTS)}")
    typer.echo("\n".join(_SCRIPTS[shell](tuple(_verbs()))))


def _verbs() -> Iterator[_Verb]:
    command: Any = typer.main.get_command(app)
    for name, verb in command.commands.items():
        given = [one for one in verb.params if one.param_type_name == "argument"]
        words = {"MODEL": tuple(ZOO), "bash|zsh|fish": tuple(_SCRIPTS)}
        options = tuple(_option(one) for one in verb.params if one.param_type_name == "option")
        yield _Verb(
            name,
            _in_short(verb.help),
            (*options, _Option(("--help",), "Show the help", False, ())),
            words.get(given[0].metavar, ()) if given else (),
        )


def _option(parameter: Any) -> _Option:
    metavar = parameter.metavar or ""
    words = re.fullmatch(r"[a-z]+(\|[a-z]+)*", metavar)
    return _Option(
        (*parameter.opts, *parameter.secondary_opts),
        _in_short(parameter.help),
        not parameter.is_flag,
        tuple(metavar.split("|")) if words else (),
    )


def _in_short(text: str) -> str:
    """Return its first clause, without what a shell might take for its own."""
    return re.sub(r"[][:`'\"\\$]", "", re.split(r"[.:;,](?:\s|$)", text.strip())[0])


def _bash(verbs: tuple[_Verb, ...]) -> Iterator[str]:
    yield "_primitives() {"
    yield "  local words="
    yield '  case "$COMP_CWORD:${COMP_WORDS[1]}:$3:$2" in'
    yield f'    1:*) words="{" ".join(verb.name for verb in verbs)} --version --help" ;;'
    for verb in verbs:
        for option in verb.options:
            if option.takes_value:
                cases = "|".join(f"*:{verb.name}:{flag}:*" for flag in option.flags)
                yield f'    {cases}) words="{" ".join(option.values)}" ;;'
        flags = " ".join(flag for option in verb.options for flag in option.flags)
        yield f'    *:{verb.name}:*:-*) words="{flags}" ;;'
        yield f'    2:{verb.name}:*) words="{" ".join(verb.first)}" ;;'
    yield "  esac"
    yield '  COMPREPLY=($(compgen -W "$words" -- "$2"))'
    yield "}"
    yield "complete -o default -F _primitives primitives  # files, where there is no word"


def _zsh(verbs: tuple[_Verb, ...]) -> Iterator[str]:
    yield "#compdef primitives"
    yield "_primitives() {"
    yield "  local -a verbs=("
    for verb in verbs:
        yield f"    {shlex.quote(f'{verb.name}:{verb.about}')}"
    yield "  )"
    yield "  if ((CURRENT == 2)); then"
    yield "    _describe verb verbs -- '(--version --help)'"
    yield "    return"
    yield "  fi"
    yield "  shift words"
    yield "  ((CURRENT--))"
    yield "  case $words[1] in"
    for verb in verbs:
        yield f"    {verb.name})"
        yield "      _arguments \\"
        for option in verb.options:
            values = f"({' '.join(option.values)})" if option.values else "_files"
            value = f":value:{values}" if option.takes_value else ""
            for flag in option.flags:
                yield f"        {shlex.quote(f'*{flag}[{option.about}]{value}')} \\"
        if verb.first:
            yield f"        '1:first:{{compadd -- {' '.join(verb.first)}; _files}}' \\"
        yield "        '*:file:_files' ;;"
    yield "  esac"
    yield "}"
    yield 'if [[ $funcstack[1] == _primitives ]]; then _primitives "$@"'
    yield "else compdef _primitives primitives; fi"


def _fish(verbs: tuple[_Verb, ...]) -> Iterator[str]:
    start = "complete -c primitives -n"
    yield f"{start} __fish_use_subcommand -f -l version -d 'Show the version'"
    yield f"{start} __fish_use_subcommand -f -l help -d 'Show the help'"
    for verb in verbs:
        yield f"{start} __fish_use_subcommand -f -a {verb.name} -d {shlex.quote(verb.about)}"
        within = f"{start} '__fish_seen_subcommand_from {verb.name}'"
        if verb.first:
            yield f"{within} -a {shlex.quote(' '.join(verb.first))}"
        for option in verb.options:
            value = " -r" if option.takes_value else ""
            if option.values:
                value = f" -x -a {shlex.quote(' '.join(option.values))}"
            for flag in option.flags:
                yield f"{within} -l {flag[2:]}{value} -d {shlex.quote(option.about)}"


_SCRIPTS: dict[str, Callable[[tuple[_Verb, ...]], Iterator[str]]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
}
