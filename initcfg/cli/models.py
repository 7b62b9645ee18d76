"""``initcfg capture``, ``audit`` and ``probe``: live models, by a callable or a Hugging Face config."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import SpecOptions, find_project, output_option, plan_from, with_spec_options
from initcfg.cli.output import Output, check_replaceable, with_output, with_report
from initcfg.cli.report import Checked, Exit, Report
from initcfg.cli.validate import ignore_option
from initcfg.errors import Code, Diagnostic, Location, SpecError
from initcfg.names import counted, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from initcfg.capture.captured import Captured
    from initcfg.manifest import Manifest
    from initcfg.plan import Plan
    from initcfg.probe import Probe, Sweep

_WAY = "{} must be callable without arguments and return {}"
_WAY_OF_WIDTHS = "{} must be callable with one argument, the width, and return {}"
# What an init function of JAX calls its only argument, and a model of Flax nnx.
_KEYS = ("key", "rng", "rngs")


class ModelSource(NamedTuple):
    """Makes a model whenever it is called; `name` is how the command line calls it.

    One that `takes_key` is an init function of JAX; one `of_config` has the sizes that its config says.
    """

    name: str
    build: Callable[..., Any]
    takes_key: bool = False
    of_config: bool = False

    def capture(self) -> Captured:
        """The recorded initialization of a model by the adapter of its framework; else a SpecError."""
        if self.takes_key:
            from initcfg.adapters.jax import capture as capture_jax

            return capture_jax(self.build)
        # Only code that has imported Keras makes a model of it; with its backend torch that is a module, too.
        if "keras" in sys.modules:
            made = self.build()
            if _is_of_keras(made):
                from initcfg.adapters.keras import capture as capture_keras

                return capture_keras(made)
            if "torch" not in sys.modules:
                message = f"{self.name} must return a keras.Model; it returned {_kind(made)}"
                raise SpecError.of(Code.INPUT, message, _WAY.format(self.name, "the model"))
        from initcfg.adapters.torch import capture as capture_torch

        return capture_torch(self.module)

    def probe(
        self, plans_of: Callable[[Manifest], dict[str, Plan]], batch: Any, seeds: Sequence[int] | None
    ) -> Probe:
        """What the adapter of a model's framework measures of it, with the plans of its manifest."""
        made = self.build()
        if _is_of_keras(made):
            from initcfg.adapters import keras as for_keras

            return for_keras.probe(made, batch, plans=plans_of(for_keras.manifest(made)), seeds=seeds)
        if "flax" in sys.modules:
            from initcfg.adapters import jax as for_jax
            from initcfg.adapters.jax.probing import kind_of, parameters_of

            if kind_of(made) is not None:
                if batch is None:
                    message = f"{self.name} returns a module of Flax, and no random batch is made for one"
                    raise SpecError.of(Code.INPUT, message, "give what it is called with by --batch")
                held = for_jax.manifest(parameters_of(made, batch))
                return for_jax.probe(made, batch, plans=plans_of(held), seeds=seeds)
        from initcfg.adapters import torch as for_torch

        module = self._required(made)
        return for_torch.probe(module, batch, plans=plans_of(for_torch.manifest(module)), seeds=seeds)

    def module(self, *width: int) -> torch.nn.Module:
        """The model, of a width if one is given; it has to be one of torch, with its shapes.

        Raises:
            SpecError: it is something else, or lazy.
        """
        return self._required(self.build(*width), *width)

    def _required(self, made: Any, *width: int) -> torch.nn.Module:
        import torch

        from initcfg.adapters.torch.parameters import require_shapes

        if isinstance(made, torch.nn.Module) and not _is_of_keras(made):
            return require_shapes(made)
        libraries = {each.__module__.partition(".")[0] for each in type(made).__mro__}
        message = f"{self.name} must return a torch.nn.Module; it returned {_kind(made)}"
        way = _WAY_OF_WIDTHS if width else _WAY
        if libraries & {"flax", "jax", "equinox", "haiku"}:
            way = (
                'initcfg capture reads "def init(key)" that returns parameters: model.init(key, x)["params"]'
            )
        elif "keras" in libraries or _is_of_keras(made):
            way = "initcfg capture reads a model of Keras, and initcfg probe without --widths measures it"
        raise SpecError.of(Code.INPUT, message, way.format(self.name, "the model"))


def with_model(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command ``MODULE:CALLABLE`` and ``--config`` as ``model``; no document can name code."""

    @click.argument("target", metavar="MODULE:CALLABLE", required=False)
    @click.option(
        "--config",
        "folder",
        metavar="FOLDER",
        type=click.Path(exists=True, file_okay=False),
        help="The folder of a Hugging Face model's config.json, instead of MODULE:CALLABLE.",
    )
    @functools.wraps(function)
    def command(target: str | None, folder: str | None, **arguments: object) -> int:
        if (target is None) == (folder is None):
            raise click.UsageError("give either MODULE:CALLABLE or --config FOLDER")
        model = _from_config(folder) if target is None else made_by(target)
        return function(model=model, **arguments)

    return command


def made_by(target: str, makes: str = "the model") -> ModelSource:
    """The callable that ``MODULE:CALLABLE`` names; the current folder is importable."""
    module_name, colon, path = target.partition(":")
    if not module_name or not colon or not path:
        raise click.UsageError(f"{target!r} is not MODULE:CALLABLE, such as models.gpt:build")
    if module_name.endswith(".py"):
        name = module_name.removesuffix(".py").removeprefix("./").replace("/", ".")
        raise click.UsageError(f"{module_name!r} is a file; name the module, as in {name}:{path}")
    if os.getcwd() not in sys.path and "" not in sys.path:  # noqa: PTH109
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    found: Any = _guarded(
        target, functools.partial(import_module, module_name), f"importing {module_name!r}"
    )()
    for step in path.split("."):
        if not hasattr(found, step):
            near = did_you_mean(step, (name for name in dir(found) if not name.startswith("_")))
            way = f"; {near}" if near else ""
            raise click.UsageError(f"{module_name!r} has no {path!r}{way}")
        found = getattr(found, step)
    kinds = (("torch.nn", "Module"), ("keras", "Model"))
    models = tuple(getattr(sys.modules[name], kind) for name, kind in kinds if name in sys.modules)
    if not callable(found) or isinstance(found, models):  # a model can be called, with a batch
        raise click.UsageError(
            f"{target!r} is a {type(found).__name__}, and not a callable that makes {makes}"
        )
    takes_key = _takes_key(found)
    doing = f"{path}({'key' if takes_key else ''})"
    return ModelSource(target, _guarded(target, found, doing, makes), takes_key)


def _from_config(folder: str | None) -> ModelSource:
    """The model of a Hugging Face config, from the installed transformers: no remote code, no network."""
    assert folder is not None  # noqa: S101

    def build() -> Any:
        import transformers

        config = transformers.AutoConfig.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
        named = getattr(transformers, next(iter(config.architectures or ()), ""), None)
        if named is not None:
            return named(config)
        return transformers.AutoModel.from_config(config, trust_remote_code=False)

    return ModelSource(folder, _guarded(folder, build, f"making the model of {folder!r}"), of_config=True)


def _takes_key(found: Callable[..., Any]) -> bool:
    """Whether a callable needs one argument, keys of JAX by its name."""
    is_class = isinstance(found, type)  # that of nnx is called with *args, whatever its __init__ takes
    try:
        parameters = [*inspect.signature(found.__init__ if is_class else found).parameters.values()][
            is_class:
        ]
    except (TypeError, ValueError):
        return False
    starred = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [each for each in parameters if each.default is each.empty and each.kind not in starred]
    return [each.name in _KEYS for each in needed] == [True]


def _is_of_keras(made: object) -> bool:
    return "keras" in sys.modules and isinstance(made, sys.modules["keras"].Model)


def _kind(made: object) -> str:
    kind = type(made)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _place_of(error: BaseException) -> Location | None:
    """The innermost line of code that was read from a file, without this module and Python's own imports."""
    lines = traceback.extract_tb(error.__traceback__)[1:]
    own = [line for line in lines if not line.filename.startswith("<") and "importlib" not in line.filename]
    return Location(own[-1].filename, own[-1].lineno) if own else None


def _guarded(
    name: str, build: Callable[..., Any], doing: str, makes: str = "the model"
) -> Callable[..., Any]:
    """The same, with what it raises as a problem of the code that was named, not of this program."""

    def guarded(*arguments: Any, **named: Any) -> Any:
        try:
            return build(*arguments, **named)
        except (Exception, SystemExit) as error:
            said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            # What is raised by the call itself, and not by a line of the code that is called.
            called = error.__traceback__ is not None and error.__traceback__.tb_next is None
            way = _WAY_OF_WIDTHS if arguments and isinstance(arguments[0], int) else _WAY
            hint = way.format(name, makes) if called and isinstance(error, TypeError) else None
            problem = Diagnostic(Code.INPUT, f"{doing} raises {said}", _place_of(error), hint)
            raise SpecError(problem) from error

    guarded.__name__ = "model"
    return functools.update_wrapper(guarded, build, ("__name__",), ())


@click.command(
    cls=Command,
    short_help="Write the spec of a model's own initialization.",
    example=(
        "initcfg capture models.gpt:build -o gpt.yaml",
        "initcfg capture --config checkpoints/gpt2 -o gpt2.yaml",
    ),
)
@output_option("SPEC", "The file to write; its name ends in .yaml or .yml.")
@click.option("--force", is_flag=True, help="Replace the files if they are there.")
@with_output
@with_model
def capture(*, model: ModelSource, path: str | None, force: bool, output: Output) -> int:
    """Write the spec of a model's own initialization: the distribution of every parameter.

    MODULE:CALLABLE is called without arguments and returns the model of PyTorch or Keras. One with a single
    argument named key or rng is an init function of JAX that returns the parameters, and is traced; one named
    rngs makes a model of Flax nnx, whose parameters are traced as well. Its code
    runs (with --config about twenty times), but for PyTorch and JAX no weights are made. Modules in the
    current folder can be named. Numbers that depend on the config become expressions. What a spec cannot
    express is skipped and listed. The spec goes to stdout, or with -o to a file. Values that no formula gives
    go to NAME.tables.safetensors beside it.
    """
    if path is not None:
        if not path.lower().endswith((".yaml", ".yml")):
            raise click.UsageError(f"the name of a spec ends in .yaml or .yml, not as {path!r}")
        check_replaceable(path, force=force)
    captured = model.capture()
    if path is not None:
        beside = f"{path.rpartition('.')[0]}.tables.safetensors"
        if captured.tables:
            check_replaceable(beside, force=force)
        captured.save(path)
        saved = [each for each in captured.recorded if each.persistent]
        lawless = f", {len(captured.unsaid)} without a law" if captured.unsaid else ""
        output.note(f"{path}: {counted(len(saved), 'tensor')}{lawless}; initcfg plan shows them")
        if captured.tables:
            output.note(f"{beside}: {counted(len(captured.tables), 'tensor')} that no formula gives")
        if left := len(captured.recorded) - len(saved):
            output.note(f"{counted(left, 'buffer')} left out, which a checkpoint does not hold")
    elif output.format == "json":
        from initcfg.spec import dump_json

        output.data(dump_json(captured.spec))
    else:
        output.data(captured.text)
        if captured.tables:
            output.note("the values of some parameters are in a file of tables, which -o writes")
    for name, unsaid in captured.unsaid.items():
        output.note(f"{name} is left out: {unsaid.reason}")
    return Exit.FINE


@click.command(
    cls=Command,
    short_help="Find what a model's own initialization leaves out or undoes.",
    example=(
        "initcfg audit models.gpt:build",
        "initcfg audit --config checkpoints/gpt2 --format sarif -o audit.sarif",
    ),
)
@ignore_option
@with_report
@with_model
def audit(*, model: ModelSource, ignore: tuple[str, ...], output: Output) -> int:
    """Find mistakes in the initialization code of a PyTorch model.

    MODULE:CALLABLE is called without arguments and returns the model. Its code runs, but no weights are made.
    Modules in the current folder can be named. Reported, with their lines in the model's code, are parameters
    that are never initialized, special values that are overwritten, broken ties, and values that are right on
    the CPU but garbage if the model is made on the meta device. The exit code is 0 when nothing is found, 1
    when something is, 2 when the code cannot be run; notes do not count.

    The list "ignore" of [tool.initcfg] in the nearest pyproject.toml adds to --ignore. Values that are
    garbage however the model is made are always reported.
    """
    from initcfg.adapters.torch import audit as audit_torch

    found = audit_torch(model.module)
    checked = Checked(model.name, found.diagnostics, verdict="nothing found")
    report = Report((checked,)).ignoring({*ignore, *find_project().ignore})
    return output.conclude(report.strict())


def _widths_of(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """At least two different numbers, with commas between them."""
    if value is None:
        return None
    found = value.split(",")
    if not all(each.isdecimal() and int(each) > 0 for each in found) or len(set(map(int, found))) < 2:
        raise click.BadParameter(f"{value!r} is no list of two different widths or more, such as 64,128,256")
    return tuple(map(int, found))


@click.command(
    cls=Command,
    short_help="Measure what passes through a model before its first step.",
    example=(
        "initcfg probe models.net:build --spec he.yaml --spec scaled.yaml",
        "initcfg probe --config checkpoints/gpt2 --spec configs/gpt2.yaml --seeds 3",
        "initcfg probe models.net:build --spec mup.yaml --widths 64,128,256,512",
    ),
)
@click.option(
    "--spec",
    "files",
    metavar="FILE",
    multiple=True,
    help="A spec or plan to measure. May be repeated.  [default: the model's own weights]",
)
@click.option(
    "--batch",
    metavar="MODULE:CALLABLE",
    help="Returns the batch: a tensor, a pair (input, target), or a dict of keyword arguments.",
)
@click.option(
    "--seeds", metavar="N", type=click.IntRange(min=1), help="Measure each spec with the seeds 0 to N - 1."
)
@click.option(
    "--widths",
    metavar="N,N,...",
    callback=_widths_of,
    help="Train models of these widths for 4 steps, and show what grows with the width N.",
)
@click.option(
    "--optimizer",
    type=click.Choice(["adam", "sgd"]),
    help="With --widths: what takes the steps, by default adam.",
)
@click.option(
    "--rates",
    type=click.Choice(["mup", "equal"]),
    help="With --widths: learning rates scaled as muP says (by default), or equal at all widths.",
)
@click.option(
    "--rate",
    metavar="RATE",
    type=click.FloatRange(min=0, min_open=True),
    help="With --widths: the learning RATE of the narrowest model, by default 0.01 of adam and 0.1 of sgd.",
)
@with_spec_options
@with_output
@with_model
def probe(
    *,
    model: ModelSource,
    files: tuple[str, ...],
    batch: str | None,
    seeds: int | None,
    widths: tuple[int, ...] | None,
    options: SpecOptions,
    output: Output,
    **training: Any,
) -> int:
    """Measure a forward and a backward pass of a PyTorch, Keras or Flax model with each spec's weights.

    MODULE:CALLABLE is called without arguments and returns the model. Its code runs. Modules in the current
    folder can be named. The output shows the mean squares of activations and gradients for each block, dead
    and saturated units, the first loss, and the first step of SGD and of Adam relative to the weights. A spec
    needs no names and shapes: the model has them. Without --batch the input is random, fits the first layer,
    and is the same for every spec; a Flax model needs one. For Keras --batch returns what the model is
    called with, or a tuple of that and the target.

    With --widths this is the coordinate check of muP: MODULE:CALLABLE is called with each width, and {width}
    in a --set stands for it. The exit code is 1 if the output of a layer, or how far a step moves it, grows
    with the width, or may: more seeds tell.
    """
    passes = None if seeds is None else range(seeds)
    training = {name: value for name, value in training.items() if value is not None}
    if widths is not None:
        if len(files) != 1:
            raise click.UsageError("--widths needs one --spec")
        if model.of_config:
            raise click.UsageError("--widths needs a MODULE:CALLABLE that takes a width, and not --config")
        training |= {} if passes is None else {"seeds": passes}
        found = _swept(model, files[0], options, widths=widths, batch=_made(batch), **training)
        if output.format == "json":
            output.answer(found.to_dict(), "")
        else:
            output.table(found.table())
        return Exit.PROBLEMS if found.breaking or found.unclear else Exit.FINE
    if training:
        raise click.UsageError(f"--{next(iter(training))} needs --widths")
    if len(set(files)) < len(files):
        raise click.UsageError("a spec is named twice")
    if seeds is not None and not files:
        raise click.UsageError("--seeds needs a --spec: the model's own weights are made once")

    def plans_of(held: Manifest) -> dict[str, Plan]:
        return {file: plan_from(file, options, manifest=held) for file in files}

    probed = model.probe(plans_of, _made(batch), passes)
    output.answer(probed.to_dict(), str(probed))
    return Exit.FINE


def _swept(model: ModelSource, file: str, options: SpecOptions, **training: Any) -> Sweep:
    """How the activations of models that one spec begins grow with their width."""
    from initcfg.adapters.torch import manifest, sweep_widths

    def plan_of(module: torch.nn.Module, width: int) -> Plan:
        settings = tuple(each.replace("{width}", str(width)) for each in options.settings)
        return plan_from(file, options._replace(settings=settings), manifest=manifest(module))

    return sweep_widths(model.module, plan_of, **training)


def _made(batch: str | None) -> Any:
    return None if batch is None else made_by(batch, "a batch").build()
