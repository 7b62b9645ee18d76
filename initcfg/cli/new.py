"""``initcfg new`` and ``initcfg manifest``: a first draft of a spec, and a model's names and shapes."""

from __future__ import annotations

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import force_option, not_standard_input, output_option
from initcfg.cli.output import Output, with_output
from initcfg.cli.report import Exit
from initcfg.names import counted


@click.command(
    cls=Command,
    short_help="Draft a spec from a model's names and shapes, or from nothing.",
    example=("initcfg new -o model.yaml", "initcfg new --manifest model.safetensors -o model.yaml"),
)
@click.option(
    "--manifest",
    "file",
    metavar="MANIFEST",
    callback=not_standard_input,
    help="A manifest, a .safetensors or .npz file, or the folder or the index of a sharded set.",
)
@click.option("--name", metavar="NAME", help="What the model is called.")
@output_option("SPEC", "The file to write; its name ends in .yaml or .yml.")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@with_output
def new(*, file: str | None, name: str | None, path: str | None, force: bool, output: Output) -> int:
    """Draft a spec to begin with: a small example, or one for the parameters of a model.

    The draft validates, and covers the manifest exactly. Numbered layers become one layer with a repeat. How
    parameters begin, and which axes are inputs, follows from names and shapes; comments mark what is a
    guess. It goes to stdout, with --format json without its comments; with -o it goes to a file instead.
    """
    from initcfg.draft import new_spec
    from initcfg.formats.manifests import read_manifest

    if path is not None and not path.lower().endswith((".yaml", ".yml")):
        raise click.UsageError(f"the name of a draft ends in .yaml or .yml, not as {path!r}")
    text = new_spec(None if file is None else read_manifest(file), name)
    if path is not None:
        output.save(path, text, "a draft; initcfg plan shows the distributions", force=force)
    elif output.format == "json":
        from initcfg.spec import dump_json, loads

        output.data(dump_json(loads(text)))
    else:
        output.data(text)
    return Exit.FINE


@click.command(
    cls=Command,
    short_help="Write down the names and shapes of weights.",
    example=("initcfg manifest model.safetensors -o shapes.yaml", "initcfg manifest runs/gpt2 --format json"),
)
@click.argument("file", metavar="WEIGHTS", callback=not_standard_input)
@output_option("MANIFEST", "The file to write; its name ends in .yaml, .yml or .json.")
@force_option
@with_output
def manifest(*, file: str, path: str | None, force: bool, output: Output) -> int:
    """Write down the names, shapes and dtypes of weights, for a spec to be held against or made from.

    WEIGHTS is a .safetensors or .npz file, the .safetensors.index.json of a sharded set, the folder of
    either, or a manifest already. No element is read. The manifest goes to stdout, as YAML or with --format
    json as JSON; with -o it goes to a file instead.
    """
    from initcfg.formats.manifests import manifest_json, manifest_yaml, read_manifest

    writers = {".json": manifest_json, ".yaml": manifest_yaml, ".yml": manifest_yaml}
    if path is None:
        found = read_manifest(file)
        output.data(manifest_json(found) if output.format == "json" else manifest_yaml(found))
        return Exit.FINE
    from pathlib import Path

    write = writers.get(Path(path).suffix.lower())
    if write is None:
        raise click.UsageError(f"the name of a manifest ends in {', '.join(writers)}, not as {path!r}")
    found = read_manifest(file)
    output.save(path, write(found), counted(len(found.entries), "parameter"), force=force)
    return Exit.FINE
