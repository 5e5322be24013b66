"""The command line: `fieldmark VERB ...`. Verbs are imported when they are called, so that `--help` is quick."""

from __future__ import annotations

import importlib
import sys
import time
from typing import NoReturn

import click

from fieldmark import __version__
from fieldmark.errors import FieldmarkError
from fieldmark.ranks import rank

MAIN_SPEAKS_S = 5.0  # so long a process waits with its error for the main one, which mostly has the same
# Verb -> its line in `fieldmark --help`; the verb lives in the module of the same name, as `command`.
VERBS = {
    "demo": "See the whole path on real handwritten digits, in a few minutes",
    "train": "A folder or manifest of images becomes a bundle",
    "combine": "Several bundles become one: an ensemble, or a small one that asks a large one",
    "choose": "Try several models within your limits, and train the best",
    "predict": "Ask a bundle about files, folders or standard input",
    "evaluate": "Measure a bundle on labelled images",
    "bench": "Where the time goes when a bundle answers on this machine",
    "info": "What a bundle is, and what its report says",
    "check": "Prove that a bundle still answers as when it was made",
    "export": "Write a bundle's graph in another form, proven on real images",
    "serve": "Answer over HTTP",
    "key": "Make an API key for the server",
    "models": "Encoders and heads that can be trained",
}


class Verbs(click.Group):
    """Lists the verbs without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"fieldmark.cli.{cmd_name}").command
        if not isinstance(command, click.Command):
            raise TypeError(f"fieldmark.cli.{cmd_name}.command is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from fieldmark.table import unknown_name

            raise unknown_name("verb", args[0], VERBS)
        return super().resolve_command(ctx, args)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="fieldmark")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error (after any verb).")
def group() -> None:
    """Turn images into a classifier you can trust, and keep it right.

    Start with `fieldmark demo`, or with your own photos, a folder for each class:

      fieldmark train photos --out photos.fieldmark

      fieldmark predict photos.fieldmark new-photo.jpg
    """


def main() -> NoReturn:
    """Run a verb. Exit code 0: done; 2: something for the user to mend; 1: our fault; 130: interrupted."""
    debug = "--debug" in sys.argv
    try:
        group.main([word for word in sys.argv[1:] if word != "--debug"], "fieldmark", standalone_mode=False)
    except click.ClickException as error:
        _let_the_main_process_speak()
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        if rank() == 0:
            click.echo("\ninterrupted; nothing half written is left. --resume goes on where it can.", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone: nothing to say, and nobody to say it to
        sys.exit(0)
    except FieldmarkError as error:
        if debug:
            raise
        _let_the_main_process_speak()
        click.secho(f"error: {error.what}", err=True, fg="red", bold=True)
        click.echo(f"  where: {error.where}\n  do:    {error.do}", err=True)
        sys.exit(error.exit_code)
    sys.exit(0)


def _let_the_main_process_speak() -> None:
    """Of several processes with one and the same error, torchrun ends all others when the first has ended."""
    if rank():
        time.sleep(MAIN_SPEAKS_S)
