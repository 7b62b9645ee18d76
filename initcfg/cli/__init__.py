"""The command line: one function a command, loaded when it is called, and one table of them."""

from __future__ import annotations

import click

import initcfg
from initcfg.cli.application import Application

__all__ = ["COMMANDS", "main"]

# The commands in the order of the work, each with the module here that has it.
COMMANDS = {
    "new": "new",
    "capture": "models",
    "validate": "validate",
    "plan": "plan",
    "materialize": "materialize",
    "finalize": "materialize",
    "verify": "verify",
    "diff": "diff",
    "inspect": "inspect",
    "report": "plan",
    "manifest": "new",
    "audit": "models",
    "probe": "models",
    "schema": "lookups",
    "initializers": "lookups",
    "explain": "lookups",
}


main = Application(
    name="initcfg",
    modules=COMMANDS,
    help="""A model's starting weights, written down.

    A spec, one YAML or JSON file, says how to initialize every parameter of a model. These commands
    check it, plan it without allocating anything, and make the weights: the same bits on any machine.
    """,
    example=(
        "initcfg validate configs/gpt2.yaml",
        "initcfg plan configs/gpt2.yaml",
        "initcfg materialize configs/gpt2.yaml -o gpt2.safetensors",
    ),
)
click.version_option(initcfg.__version__, message="initcfg %(version)s")(main)
