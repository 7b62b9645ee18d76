"""The draft: guesses written as a document with comments, and what the checks say of it excused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from initcfg.capture.document import Document, Entry, stack_layout, warnings_of
from initcfg.draft.guesses import Guesses, Model, family_of, guess_layout, is_known
from initcfg.errors import Code, Diagnostic, SpecError, capped
from initcfg.manifest import Manifest
from initcfg.plan.parameters import name_problem
from initcfg.process import cached_property
from initcfg.spec.files import MAX_BYTES
from initcfg.text.yaml_writer import write_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from initcfg.capture.document import Commented
    from initcfg.capture.layers import Group
    from initcfg.draft.guesses import Guess, Law

# A parameter takes a line, such as "  a: {shape: []}".
_LEAST_BYTES = 17
_WHY_VARIANCE = "what models like {} begin with, whatever their width"
_WHY_OTHERS = "not looked at yet: much of this draft was guessed"
_TOP = """\
A draft from the names and shapes of a model, which say neither how a parameter is meant to begin nor which
of its axes are inputs. What is said here about either was guessed; where the model's own code is at hand,
"initcfg capture" writes what it does. "initcfg plan" shows the distributions. A parameter that shares the
array of another needs tied_to: NAME.
"""
_INLINE = """\
The rules below say how parameters begin. Beside a shape stands what differs from them, and what no rule
speaks of."""


def new_spec(manifest: Manifest | Mapping[str, Sequence[int]] | None = None, name: str | None = None) -> str:
    """A commented spec to begin with, as YAML; it validates without errors and without warnings.

    Args:
        manifest: the parameters that the spec is to have, exactly; shapes by names will do. None for a small
            example. Of what it marks as buffers only those are drafted whose names say how they begin, such
            as ``running_var``; the others stay as the model has them. A row that the model keeps at zero is
            drafted as such. Numbered copies of a layer become one layer with a repeat. How parameters begin
            is taken from their names, else from the family of models that the names speak of. The comments
            say which, and what is a guess. Where the model's code is at hand, the ``capture`` of its
            framework's adapter reads what that code does.
        name: what the model is called.

    Raises:
        SpecError: the manifest has a name that no spec can have, or so many parameters that are unlike one
            another that the spec would be larger than one may be.

    Example:
        >>> text = new_spec({f"h.{i}.attn.q_proj.weight": (768, 768) for i in range(12)})
        >>> print(text[text.index("vars") : text.index("rules")].rstrip())
        vars: {n_h: 12}
        <BLANKLINE>
        layers:
          h.{i}:
            repeat: {i: n_h}
            params:
              attn.q_proj.weight: {shape: [768, 768]}
    """
    if manifest is None:
        text = Path(__file__).with_name("example.yaml").read_text(encoding="utf-8")
        return text if name is None else text.replace("name: example\n", write_yaml({"name": name}))
    manifest = manifest if isinstance(manifest, Manifest) else Manifest(manifest)
    _check_names(manifest)
    text = _Draft(name, manifest).text
    _check_size(len(text.encode()))
    return text


class _Draft(Document):
    """The document of a model of which names and shapes are known."""

    def __init__(self, name: str | None, manifest: Manifest) -> None:
        given = {
            key: entry
            for key, entry in manifest.entries.items()
            if not entry.buffer or is_known(key, len(entry.shape))
        }
        shapes = {key: entry.shape for key, entry in given.items()}
        layout, self._why_layout = guess_layout(shapes)
        entries = {
            key: Entry(
                entry.shape,
                entry.dtype or "float32",
                zero_row=entry.zero_row,
                layout=stack_layout(key, shapes, layout),
            )
            for key, entry in given.items()
        }
        super().__init__(name, entries, layout)
        # What is too large already is not planned first.
        _check_size(len(self._groups) * _LEAST_BYTES)
        model = Model(shapes, self._places.vars)
        self._family, self._why_family = family_of(model)
        guesses = Guesses(self._family, model)
        self._known = guesses.rules
        self._guesses = {group.example: guesses.of(group) for group in self._groups}
        self._laws = dict(_commonest(self._guesses.values()))

    def _beside(self, group: Group) -> Any:
        guess, zero_row = self._guesses[group.example], group.entry.zero_row
        if zero_row is not None:
            return {"patch": {"base": guess.law, "patches": [{"at": [zero_row], "initializer": "zeros"}]}}
        return None if guess.rule is not None and self._laws[guess.rule] == guess.law else guess.law

    @property
    def rules(self) -> list[Commented]:
        """The rules that decide something."""
        decided = {self._guesses[group.example].rule for group in self._groups if self._beside(group) is None}
        return [self._rule(at) for at in sorted(self._laws) if at in decided]

    def _rule(self, at: int) -> Commented:
        match, ndim, _, comment = self._known[at]
        law = self._laws[at]
        begin = {"skip": True} if law is None else {"initializer": law}
        return {"match": match} | ({} if ndim is None else {"ndim": ndim}) | begin, comment

    @cached_property
    def allow(self) -> list[dict[str, str]]:
        """A reason for everything that the checks complain of."""
        why = {Code.UNUSUAL_VARIANCE: _WHY_VARIANCE.format(self._family.name)}
        codes = dict.fromkeys(each.code for each in warnings_of(self.body(())))
        return [{"code": str(code), "reason": why.get(code, _WHY_OTHERS)} for code in codes]

    @property
    def text(self) -> str:
        """The document as YAML with comments."""
        inline = [self._beside(group) is not None for group in self._groups]
        first = "params" if any(place.layer is None for place, _ in self._placed) else "layers"
        comments = {"initcfg": f"{_TOP}{self._why_family}", "layout": self._why_layout}
        return "".join(self.lines(comments | ({first: _INLINE} if any(inline) else {}), self.rules))


def _commonest(guesses: Iterable[Guess]) -> Iterator[tuple[int, Law]]:
    """For each rule the law that most of what falls under it has."""
    laws: dict[int, list[Law]] = {}
    for guess in guesses:
        if guess.rule is not None:
            laws.setdefault(guess.rule, []).append(guess.law)
    for at, found in laws.items():
        most = Counter(map(repr, found)).most_common(1)[0][0]
        yield at, next(law for law in found if repr(law) == most)


def _check_names(manifest: Manifest) -> None:
    """Refuses names that a spec cannot have, before anything is made of them."""
    problems = []
    for name, entry in manifest.entries.items():
        found = name_problem(name)
        if found is None and "." not in name and ("{" in name or "}" in name):
            found = Code.BAD_NAME, f"the name {name!r} has braces, and no layer to be written in"
        if found is not None:
            hint = "rename the parameter, or leave it out of the manifest"
            problems.append(Diagnostic(*found, entry.where, hint))
    if problems:
        raise SpecError(*capped(problems))


def _check_size(size: int) -> None:
    """Refuses a draft that would be larger than what is read."""
    if size > MAX_BYTES:
        message = f"this draft takes {size:,} bytes or more, and a spec has at most {MAX_BYTES:,}"
        hint = "write a spec that names the manifest, manifest: FILE, and rules in the place of layers"
        raise SpecError(Diagnostic(Code.TOO_LARGE, message, hint=hint))
