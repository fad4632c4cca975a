"""The command line: arguments to calls, and nothing else.

Commands are modules of `engine.cli.commands`, found by name and imported when they run. The one place that prints, that
reads the clock for a plan, and that turns what was refused into an exit code:
0 done or no changes · 1 error · 2 changes (with --detailed-exitcode) · 3 a guardrail refused · 4 a gate failed ·
5 stale plan · 6 locked by another apply · 130 interrupted.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys

import click

import engine.cli.commands
from engine.discovery import module_names

_SECTIONS = {"Write": ("init", "validate", "doctor", "schema", "graph"),
             "Change": ("plan", "show", "diff", "image", "apply", "promote", "destroy", "recreate", "extend", "reap",
                        "unlock"),
             "Watch": ("ui", "list", "drift", "snapshot", "status", "cutover", "logs", "history", "feed", "dlq",
                       "secret", "audit", "guardrails"),
             "Prove": ("reconcile", "books", "fingerprint", "gates", "evidence")}


class Commands(click.Group):
    """Finds commands by module name, so that one command's start does not pay for all."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all command modules."""
        return module_names(engine.cli.commands.__path__)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        found: click.Command = importlib.import_module(f"engine.cli.commands.{cmd_name}").command
        return found

    def resolve_command(self, ctx: click.Context,
                        args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with a suggestion for a mistyped name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as problem:
            import difflib

            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            if near:
                problem.message += f" Did you mean {near[0]!r}?"
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands by what they are for."""
        named = set(self.list_commands(ctx))
        placed = {name for names in _SECTIONS.values() for name in names}
        for title, names in {**_SECTIONS, "More": tuple(sorted(named - placed))}.items():
            rows = []
            for name in names:
                found = self.get_command(ctx, name) if name in named else None
                if found is not None:
                    rows.append((name, found.get_short_help_str(limit=120)))
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


_EPILOG = """\b
Examples:
  txplan plan manifests/dev-kim.yaml     what would change, and why
  txplan apply                           do what the plan last reviewed says
  txplan destroy manifests/dev-kim.yaml  back to nothing
"""


@click.command(cls=Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="txplan", prog_name="txplan")
def cli() -> None:
    """One plan from nothing to a proven, serving, consistent copy of your transactions, and back to nothing."""


def main() -> None:
    """Run the command line and exit with its code."""
    gc.set_threshold(100_000, 50, 50)  # A plan is many small things that all live to the end: little is there to find.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # A terminal without arrows gets a question mark, not a traceback.
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as problem:
        problem.show()
        code = problem.exit_code if problem.exit_code != 2 else 1
    except Exception as failure:
        from engine.cli.common import fail

        try:
            code = fail(failure)
        except BrokenPipeError:
            # The reader (head, less) has gone: as click does for every command, 1, and nothing is left to tell it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 1
    sys.exit(code if isinstance(code, int) else 0)
