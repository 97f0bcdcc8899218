"""What every command shares: a parser, the errors that it expects, how it ends.

A mistake costs one line on stderr, `PROG: what is wrong; the way out`, and exit status 2; PROG is what one
types, a script's name or `python -m …`. `--json` prints one object on stdout and nothing else.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import math
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, field, fields
from pathlib import Path
from typing import Any, NoReturn, TextIO

from traces.escaping import visible, visible_lines, visible_output
from traces.numbers import MOST, MOST_WHOLE
from traces.words import nearest

BAD_INPUT = 2
"""Exit status of a command that was asked for what it cannot do."""
LOST = 1
"""Exit status where the output could not be written to its end."""
INTERRUPTED, TERMINATED = 130, 143
"""Exit status after Ctrl-C, and after SIGTERM."""

SHOWN = 24
"""Of a number that is too long, so many digits are said."""

PIPE_COLUMNS = 160
"""How wide a table may be that goes to a pipe or a file: none of ours is folded there."""


EXAMPLES = "examples:"


class _HelpWithExamples(argparse.HelpFormatter):
    """Leaves examples as they are; all else is filled as ever."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith(EXAMPLES) else super()._fill_text(text, width, indent)


def at_home(word: str) -> str:
    """A word of a command line with `~/` as the home folder where the shell, which looks at a word's
    beginning alone, leaves it: `--out=~/results`, `--policy bba,~/mine.py:Mine`, and within quotes."""
    if "~" not in word:
        return word
    try:
        home = str(Path.home())
    except RuntimeError:  # nobody knows where that is
        return word
    return re.sub(r"(?:^|(?<=[,=]))~(?=/|$)", lambda _: home, word)


class Parser(argparse.ArgumentParser):
    """Says what is wrong, what was perhaps meant, and where help is, in one line.

    Args:
        examples: command lines that its help ends with.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), **options: Any) -> None:
        if examples:
            options["epilog"] = "\n  ".join((EXAMPLES, *examples))
            options["formatter_class"] = _HelpWithExamples
        super().__init__(*args, **options)
        self._words: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As ever; the words are kept, so that a mistake is told by where it stands. A `~` that the shell has
        left alone is the caller's home: it would make a folder of that name."""
        self._words = tuple(map(at_home, sys.argv[1:] if args is None else args))
        return super().parse_known_args(list(self._words), namespace)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """As ever, but for an empty word, which a shell makes of a variable that isn't set: as a path it
        would be the current folder, and as a name nothing that was asked for."""
        if "" in arg_strings and not isinstance(action, argparse._SubParsersAction):
            raise argparse.ArgumentError(action, "an empty word names nothing")
        return super()._get_values(action, arg_strings)

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """As ever, but for numbers that no record may hold: one would be written that nobody reads."""
        value = super()._get_value(action, arg_string)
        if isinstance(value, float) and math.isfinite(value) and abs(value) > MOST:
            raise argparse.ArgumentError(action, f"{arg_string}: numbers reach to {MOST:g}")
        if isinstance(value, int) and abs(value) > MOST_WHOLE:
            raise argparse.ArgumentError(action, f"{arg_string[:SHOWN]}: whole numbers have at most 64 bits")
        return value

    def error(self, message: str) -> NoReturn:
        plain = re.sub(r"invalid (int|float) value: (.*)", _no_number, message)
        said = f"{self.prog}: {plain}{self._meant(message)}; see {self.prog} --help"
        self.exit(BAD_INPUT, f"{visible(said)}\n")

    def _too_many(self, word: str) -> str:
        """What the option takes behind whose value one more word stands; empty where there is none."""
        before = self._words[: self._words.index(word)] if word in self._words else ()
        place = max((at for at, each in enumerate(before) if each.startswith("--")), default=0)
        name, _, value = before[place].partition("=") if before else ("", "", "")
        values = (*([value] if value else []), *before[place + 1 :])
        option = next((each for each in _actions(self) if name in each.option_strings), None)
        if option is None or option.nargs is not None or not values:
            return ""
        if "," in str(option.metavar):
            return f"; {name} takes its values with commas between: {name} {','.join((*values, word))}"
        return f"; {name} takes one value"

    @property
    def option_names(self) -> set[str]:
        """All there are, those of subcommands among them."""
        return set(_options(self))

    def _meant(self, message: str) -> str:
        """The nearest option or word that there is."""
        unknown = re.match(r"unrecognized arguments: (--?[\w-]+)", message)
        extra = re.match(r"unrecognized arguments: ([^\s-]\S*)", message)
        if extra:
            return self._too_many(extra[1])
        choice = re.match(r"argument .*?: invalid choice: '(.+?)' \(choose from (.+)\)", message)
        if unknown and unknown[1] in self.option_names:
            return f"; it is an option of {', '.join(_commands_with(self, unknown[1])) or self.prog}"
        if unknown:
            near = nearest(unknown[1], sorted(self.option_names))
        elif choice:
            words = [word.strip().strip("'") for word in choice[2].split(",")]
            near = nearest(choice[1], words)
        else:
            near = None
        return f"; did you mean {near}?" if near else ""


def _no_number(found: re.Match[str]) -> str:
    """What was typed where a number belongs, without the name of a Python type."""
    return f"{found[2]} is no {'whole number' if found[1] == 'int' else 'number'}"


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """All option names, those of subcommands among them."""
    for action in _actions(parser):
        yield from action.option_strings


def _commands_with(parser: argparse.ArgumentParser, option: str) -> Iterator[str]:
    """The subcommands that have an option, as they are typed."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                if option in _options(command):
                    yield name


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All options and arguments, those of subcommands among them."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)


def refuse(prog: str, reason: object) -> int:
    """Say in one line what can't be done; the exit status.

    Args:
        reason: what is wrong; where it is an error that has a traceback to be `shown`, and ends with it,
            that has lines of its own.
    """
    below = getattr(reason, "shown", "")
    line = str(reason).removesuffix(f"\n{below}")
    tell_line(f"{prog}: {line}", sys.stderr)
    if below and line != str(reason):
        print(visible_lines(below), file=sys.stderr)
    return BAD_INPUT


def tell_line(line: str, stream: TextIO | None = None) -> None:
    """Print one line, on stdout unless told otherwise; a new line in a name makes no second one."""
    print(visible(line), file=stream)


def next_step(*words: str) -> str:
    """What a command tells a person to type next: the words after `python`, by the interpreter that runs."""
    return f"next: {' '.join(map(_quoted, (_interpreter_typed(), *words)))}"


def _quoted(word: str) -> str:
    """As a shell takes it, on one line."""
    if visible(word) == word:
        return shlex.quote(word)
    plain = word.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{visible(plain)}'"


def _interpreter_typed() -> str:
    """The running interpreter as a shell finds it from here."""
    if not sys.executable:
        return "python3"
    with contextlib.suppress(OSError, ValueError):
        from_here = Path(sys.executable).relative_to(Path.cwd())
        return str(from_here) if len(from_here.parts) > 1 else sys.executable
    return sys.executable


def said_of(error: OSError) -> str:
    """What the system says, with the file that it is about."""
    return f"{error.filename}: {error.strerror or error}" if error.filename else str(error.strerror or error)


def carried_out(
    prog: str,
    work: Callable[[], int],
    expected: tuple[type[Exception], ...] = (),
    *,
    after: str = "",
    interrupted: str = "interrupted",
    status_of: Callable[[KeyboardInterrupt], int] = lambda interrupt: INTERRUPTED,
) -> int:
    """Do a command's work; what it expects to go wrong is a line on stderr. The exit status.

    What it prints is visible (`traces/escaping.py`): a name in somebody's file steers no terminal.

    Args:
        expected: errors whose message says it all.
        after: what to add to what the system says, such as what was kept.
        interrupted: what to say after Ctrl-C.
        status_of: the exit status after an interrupt.
    """
    with visible_output():
        return _told(prog, work, expected, after, interrupted, status_of)


def _told(
    prog: str,
    work: Callable[[], int],
    expected: tuple[type[Exception], ...],
    after: str,
    interrupted: str,
    status_of: Callable[[KeyboardInterrupt], int],
) -> int:
    """The work, and a line on stderr of what has gone wrong; see `carried_out`."""
    try:
        return work()
    except ModuleNotFoundError as error:
        return refuse(prog, f"this needs {error.name}; run: make setup")
    except expected as error:
        return refuse(prog, error)
    except MemoryError:
        return refuse(prog, "the machine's memory is too small for this")
    except BrokenPipeError:  # whoever read the results has left
        raise
    except OSError as error:
        return refuse(prog, f"{said_of(error)}{after}")
    except KeyboardInterrupt as interrupt:
        print(f"{prog}: {interrupted}", file=sys.stderr)
        return status_of(interrupt)


def option(default: Any, kind: Callable[[str], Any], text: str) -> Any:
    """A field of a frozen dataclass that is an option of the command line, too, explained there."""
    return field(default=default, metadata={"kind": kind, "help": text})


def add_options(group: Any, settings: type) -> None:
    """The options that a dataclass's `option` fields are."""
    for each in fields(settings):
        if each.metadata:
            assert each.default is not MISSING
            group.add_argument(
                f"--{each.name.replace('_', '-')}",
                type=each.metadata["kind"],
                default=each.default,
                help=f"{each.metadata['help']} (default: %(default)s)",
            )


def add_json_option(group: Any, text: str = "print one JSON object and nothing else on stdout") -> None:
    """`--json`."""
    group.add_argument("--json", action="store_true", help=text)


def leave(status: int) -> NoReturn:
    """End with a status. A Ctrl-C that is pressed once more meanwhile has been heard already: it may not turn
    the status into a death. Nobody waits for libraries to be taken down, which takes some of them seconds."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except (BrokenPipeError, ValueError):  # whoever read it has left, or it was closed
        pass
    except OSError as error:  # a full disk: what was told is not whole
        status = status or LOST
        sys.stderr.write(f"standard output: {error.strerror}\n")
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(status)


def exit_with(command: Callable[[], int]) -> NoReturn:
    """Run a command and end with its status. A reader that leaves (`| head`) is no fault.

    From here on Ctrl-C is heard; while a command's modules are imported it ends the process without a word.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        status = command()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more
        status = 0
    leave(status)
