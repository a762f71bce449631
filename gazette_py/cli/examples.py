"""Examples at the end of a command's help: as they are, for people to copy."""

from textwrap import dedent, indent

import click


class WithExamples(click.Command):
    """A command whose epilog is examples, one on a line."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they are."""
        if self.epilog:
            formatter.write("\nExamples:\n")
            formatter.write(indent(dedent(self.epilog).strip(), "  ") + "\n")


class GroupWithExamples(WithExamples, click.Group):
    """Commands, with examples of them."""
