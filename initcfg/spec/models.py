"""The spec as frozen pydantic models: what may stand where, in Python, YAML, JSON and the schema.

The annotations here are not postponed: pydantic would compile each of them again.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator
from pydantic_core import ValidationError, core_schema

from initcfg.errors import Code, Location, Path, SpecError
from initcfg.frozen import FrozenDict
from initcfg.initializers.annotations import Flag, Reading
from initcfg.initializers.configs import read_config
from initcfg.initializers.forms import InitializerConfig
from initcfg.initializers.registry import KERAS_MODEL_HINT
from initcfg.initializers.values import fault, refusal, shown
from initcfg.process import LOADING
from initcfg.spec.diagnose import diagnostics_of
from initcfg.spec.overlay import Places, Unwritten
from initcfg.spec.scalars import (
    Count,
    DTypeName,
    FormatVersion,
    Frozen,
    Identifier,
    InitializerName,
    LayoutName,
    NameTemplate,
    Ndim,
    OneOf,
    Parsed,
    Pattern,
    Reason,
    SchemaAddress,
    Seed,
    Shape,
    Step,
    Text,
    Var,
    WarningCode,
    Whole,
    expression,
    template,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike
    from pydantic._internal._model_construction import ModelMetaclass

    from initcfg.initializers.configs import Identifier as _Identifier
    from initcfg.layout import Layout

    # What the constructors take, which is more than the fields then hold: type checkers read the signatures
    # under TYPE_CHECKING, and pydantic makes its own of the fields. A test compares the two.
    _Number = float | str
    _Nested = Mapping[str, Any]
    _Initializer = InitializerConfig | _Identifier | ArrayLike
    _Layout = str | Layout
    _Repeat = int | str | Sequence[str] | Mapping[str, int | str]

else:
    ModelMetaclass = type(BaseModel)  # which pydantic does not export


class _Checked(ModelMetaclass):
    """Makes instances whose wrong values are a `SpecError`.

    An ``__init__`` would do so as well, but pydantic calls that for nested models too, whose errors then
    lose their place.
    """

    if not TYPE_CHECKING:  # the signature is that of the fields

        def __call__(self, /, **data: Any) -> Any:
            try:
                with LOADING:
                    return self.model_validate(data)
            except ValidationError as error:
                raise SpecError(*diagnostics_of(error, self)) from None


class _Model(BaseModel, metaclass=_Checked):
    """Frozen, without unknown keys, equal by value; building one from wrong values is a `SpecError`."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if isinstance(other, type(self)) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """The fields that differ from their defaults, for a short repr."""
        defaults = {
            name: info.get_default(call_default_factory=True)
            for name, info in type(self).model_fields.items()
        }
        return [(name, value) for name, value in self.__dict__.items() if value != defaults[name]]


class Range(_Model):
    """The values of an index: `start`, then every `step`, below `to`."""

    start: Whole = Field(default=0, alias="from", description="The first value.", examples=[0, 3])
    to: Whole = Field(description="Where to stop; the last value is below it.", examples=[12, "n_layer"])
    step: Step = Field(default=1, description="The distance between values.", examples=[1, 2])


Repeat = Annotated[
    Count | Annotated[tuple[Text, ...], Field(min_length=1)] | Range, OneOf(((list, tuple), (Mapping, Range)))
]
_READING = Reading(expression=expression, template=template)


def read_initializer(value: object) -> InitializerConfig:
    """The normal form of an initializer in any of its forms, whose numbers may be expressions."""
    return read_config(value, _READING)


Initializer = Annotated[InitializerConfig, Parsed(read_initializer, core_schema.any_schema())]


class Param(_Model):
    """One parameter, or one a repeat: its shape and how it begins."""

    shape: Shape = Field(
        description="The size of each axis; [] for a single number. Needed, unless it is inherited.",
        examples=[["vocab", "d"], [64, 3, 7, 7]],
    )
    initializer: Initializer | None = Field(
        default=None,
        description="How its values begin: a name, {name: {argument: value}}, or Keras's form. Without it "
        "the first of the rules that matches decides.",
        examples=["glorot_uniform", {"random_normal": {"stddev": 0.02}}],
    )
    dtype: DTypeName | None = Field(default=None, description="Its element type, instead of the document's.")
    layout: LayoutName | None = Field(default=None, description="Its layout, instead of the document's.")
    stream: NameTemplate | None = Field(
        default=None,
        description="Draw as if this were the full name, so that a renamed parameter keeps its values.",
        examples=["h.{i}.w"],
    )
    fans_of: NameTemplate | None = Field(
        default=None,
        description=(
            "The parameter whose fan_in and fan_out this one has, as a bias has those of its weight: a name "
            "in the same layer, or else a full name."
        ),
        examples=["weight", "encoder.embed.weight"],
    )
    tied_to: NameTemplate | None = Field(
        default=None,
        description="The full name of the parameter that this one is the same array as.",
        examples=["transformer.wte.weight"],
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            shape: Sequence[int | str],
            initializer: _Initializer | None = None,
            dtype: DTypeLike | None = None,
            layout: _Layout | None = None,
            stream: str | None = None,
            fans_of: str | None = None,
            tied_to: str | None = None,
        ) -> None: ...


#: What a rule that skips its parameters does not have.
_NOT_SKIPPED = ("initializer", "layout", "dtype", "stream", "fans_of")
_RULE_MISSING = "the key 'initializer' is missing"
_RULE_HINT = "write initializer: zeros, or skip: true to leave these parameters out on purpose"

Params = Annotated[Mapping[NameTemplate, Param], Frozen()]


class Layer(_Model):
    """A group of parameters whose names begin alike, and how often it is repeated."""

    repeat: Annotated[Mapping[Identifier, Repeat], Frozen()] | None = Field(
        default=None,
        description="The indices that the layer's name holds in braces. Several nest; later may use earlier.",
        examples=[{"i": "n_layer"}, {"i": {"from": 3, "to": 12}}, {"side": ["left", "right"]}],
    )

    @model_validator(mode="before")
    @classmethod
    def _is_no_keras_layer(cls, value: object) -> object:
        """One error for a part of a Keras model's config, where each of its keys would be one."""
        if isinstance(value, Mapping) and value.keys() >= {"class_name", "config"}:
            what = f"{shown(value['class_name'])} with a config is a layer of Keras, and none of a spec"
            raise fault(Code.UNKNOWN_KEY, what, KERAS_MODEL_HINT, key=True)
        return value

    params: Params = Field(
        description="The layer's parameters; a full name is the layer's name, a dot, and the name here. "
        "Needed, unless they are inherited.",
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            repeat: Mapping[str, _Repeat | Range] | None = None,
            params: Mapping[str, Param | _Nested],
        ) -> None: ...


class Rule(_Model):
    """How every parameter begins that a pattern matches and that names no initializer itself."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"required": ["skip"], "properties": {"skip": {"const": True}}},
            "then": {"properties": {key: {"type": "null"} for key in _NOT_SKIPPED}},
            "else": {"required": ["initializer"], "properties": {"initializer": {"not": {"type": "null"}}}},
        }
    )

    match: Pattern = Field(
        description="A pattern over full names: * inside one segment, ** any segments, ? [a-z] {a,b}; {i} is "
        "a segment that is a whole number, and a name for expressions.",
        examples=["**.bias", "h.{i}.{attn,mlp}.c_proj.weight"],
    )
    initializer: Initializer | None = Field(
        default=None,
        description="How the parameters begin; needed unless the rule skips them.",
        examples=["zeros", {"random_normal": {"stddev": "0.02 / sqrt(2 * (i + 1))"}}],
    )
    skip: Flag = Field(
        default=False,
        description="Leave these parameters out of the plan on purpose, in the place of an initializer.",
        examples=[True],
    )
    ndim: Ndim | None = Field(
        default=None,
        description="Match only parameters with this number of axes.",
        examples=[1, 4],
    )
    layout: LayoutName | None = Field(
        default=None, description="Their layout, where the parameter names none.", examples=["out_in", "OIHW"]
    )
    dtype: DTypeName | None = Field(
        default=None, description="Their element type, where the parameter names none."
    )
    stream: NameTemplate | None = Field(
        default=None,
        description="Draw as if this were the full name, where the parameter names no stream; what the "
        "pattern captures fills the braces.",
        examples=["encoder.layer.{i}.query.weight"],
    )
    fans_of: NameTemplate | None = Field(
        default=None,
        description=(
            "The parameter whose fan_in and fan_out these have, where the parameter names none: a name in "
            "the same layer, or else a full name; what the pattern captures fills the braces."
        ),
        examples=["weight", "encoder.embed.weight"],
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            match: str,
            initializer: _Initializer | None = None,
            skip: bool = False,
            ndim: int | None = None,
            layout: _Layout | None = None,
            dtype: DTypeLike | None = None,
            stream: str | None = None,
            fans_of: str | None = None,
        ) -> None: ...

    @model_validator(mode="after")
    def _is_consistent(self) -> "Rule":
        """An initializer or a skip, exactly one; what is skipped has none of the other keys."""
        if not self.skip and self.initializer is None:
            raise fault(Code.MISSING_KEY, _RULE_MISSING, _RULE_HINT, key=True)
        for key in _NOT_SKIPPED if self.skip else ():
            if getattr(self, key) is not None:
                message = f"a rule that skips its parameters has no {key!r}"
                wrong = fault(Code.CONFLICTING_KEYS, message, f"remove {key!r} or 'skip'", key=True)
                raise refusal("rule", [((key,), wrong)])
        return self


class Allow(_Model):
    """A warning that does not matter for some parameters, and why."""

    code: WarningCode = Field(description="The warning's code.")
    match: Pattern = Field(
        default="**",
        description="A pattern over the full names of the parameters, as in a rule.",
        examples=["h.*.attn.**"],
    )
    reason: Reason = Field(
        description="Why the warning does not matter here, for those who read the spec later.",
        examples=["both towers begin alike on purpose"],
    )


class Spec(_Model):
    """How every parameter of a model begins.

    Example:
        >>> spec = Spec(
        ...     seed=42,
        ...     layout="in_out",
        ...     vars={"d": 768, "n_layer": 12},
        ...     layers={
        ...         "h.{i}": Layer(
        ...             repeat={"i": "n_layer"},
        ...             params={"w": Param(shape=["d", "3 * d"], initializer="glorot_uniform")},
        ...         )
        ...     },
        ... )
        >>> spec.layers["h.{i}"].params["w"].shape
        ('d', '3 * d')
    """

    model_config = ConfigDict(
        json_schema_extra={
            "required": ["initcfg"],
            "patternProperties": {"^x-": {"description": "A place for anchors and notes; ignored."}},
        }
    )

    initcfg: FormatVersion = Field(default=1, description="The version of this format.", examples=[1])
    name: Text | None = Field(default=None, description="What the model is called.", examples=["gpt2"])
    seed: Seed = Field(default=0, description="With a parameter's name it decides its values.", examples=[42])
    dtype: DTypeName | None = Field(
        default=None,
        description="The element type of every floating parameter that names none. Without it a parameter is "
        "what the manifest says, else float32.",
        examples=["float32", "bfloat16"],
    )
    layout: LayoutName | None = Field(
        default=None,
        description="Which axes of a shape are inputs and outputs: in_out (Keras, JAX), out_in (PyTorch), or "
        "one letter an axis.",
        examples=["in_out", "out_in", "OIHW"],
    )
    stream_version: FormatVersion = Field(
        default=1, description="The version of the random streams.", examples=[1]
    )
    vars: Annotated[Mapping[Identifier, Var], Frozen()] = Field(
        default_factory=FrozenDict,
        description="Numbers, or lists of numbers, for expressions; later ones may use earlier ones.",
        examples=[{"d": 768, "hidden": "4 * d", "widths": [64, 128]}],
    )
    initializers: Annotated[Mapping[InitializerName, Initializer], Frozen()] = Field(
        default_factory=FrozenDict,
        description="Initializers by names of this document.",
        examples=[{"base": {"random_normal": {"stddev": 0.02}}}],
    )
    layers: Annotated[Mapping[NameTemplate, Layer], Frozen()] = Field(
        default_factory=FrozenDict,
        description="The layers by name; a name may hold indices in braces.",
        examples=[{"h.{i}": {"repeat": {"i": 12}, "params": {"w": {"shape": [768, 768]}}}}],
    )
    params: Params = Field(default_factory=FrozenDict, description="Parameters that belong to no layer.")
    rules: tuple[Rule, ...] = Field(
        default=(),
        description="Initializers for the parameters that name none, by patterns over full names; the first "
        "that matches wins.",
        examples=[[{"match": "**.bias", "initializer": "zeros"}]],
    )
    manifest: Text | None = Field(
        default=None,
        description="A file with the names and shapes of the model's parameters: a manifest in JSON or YAML, "
        "a .safetensors file, the index of a sharded one, or, where torch is installed, a file that "
        "torch.save has written. Relative to this file's folder. Where layers or params are written as "
        "well, each must cover the other exactly.",
        examples=["shapes.yaml", "model.safetensors", "model.safetensors.index.json"],
    )
    extends: Text | None = Field(
        default=None,
        description="A spec that this one is laid over, relative to this file's folder. vars, initializers, "
        "layers and params merge by name and their keys by key; this file's rules come before the other's; "
        "everything else is replaced whole.",
        examples=["base.yaml"],
    )
    base: Flag = Field(
        default=False,
        description="This document is for others to extend: it is checked as far as it goes and has no "
        "plan. Not inherited.",
        examples=[True],
    )
    allow: tuple[Allow, ...] = Field(
        default=(), description="Warnings that are not to be told, each with its reason."
    )
    editor_schema: SchemaAddress = Field(
        default=None,
        alias="$schema",
        description="The address of the JSON Schema, for editors. It has no meaning for the model, and a "
        "spec that is written back leaves it out.",
        examples=["../schemas/spec.v1.schema.json"],
    )

    _places: Places = PrivateAttr(default_factory=Unwritten)

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            initcfg: int = 1,
            name: str | None = None,
            seed: int = 0,
            dtype: DTypeLike | None = None,
            layout: _Layout | None = None,
            stream_version: int = 1,
            vars: Mapping[str, _Number | Sequence[_Number]] = ...,  # noqa: A002
            initializers: Mapping[str, _Initializer] = ...,
            layers: Mapping[str, Layer | _Nested] = ...,
            params: Mapping[str, Param | _Nested] = ...,
            rules: Sequence[Rule | _Nested] = (),
            manifest: str | None = None,
            extends: str | None = None,
            base: bool = False,
            allow: Sequence[Allow | _Nested] = (),
        ) -> None: ...

    def locate(self, path: Path, *, key: bool = False, offset: int | None = None) -> Location:
        """Where a part of the spec was written; only the path for a spec that was built in Python.

        Args:
            path: keys and indices from the root, as ``("layers", "h.{i}", "params", "w", "shape", 0)``.
            key: the place of the last key instead of its value.
            offset: a character of a scalar, counted from 0.
        """
        return self._places.locate(path, key=key, offset=offset)

    def is_inherited(self, path: Path) -> bool:
        """Whether a part of the spec was written in a file that its own file extends.

        Args:
            path: as in `locate`.
        """
        return self._places.is_inherited(path)
