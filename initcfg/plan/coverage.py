"""A document that both describes parameters and names a manifest: each must cover the other exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, Location, SpecError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from initcfg.manifest import Manifest, ManifestEntry
    from initcfg.plan.problems import Problems
    from initcfg.spec import Spec

#: For each name where it is written, its shape (None for one that a rule skips), and what it is tied to.
Described = tuple[Location | None, tuple[int, ...] | None, str | None]


def check_coverage(
    spec: Spec, manifest: Manifest, described: Mapping[str, Described], problems: Problems
) -> None:
    """Notes parameters that only one of the two has, and shapes that differ.

    Tied parameters are one array, and a file may hold it under any one of their names: those of its names
    that the manifest lacks are no fault as long as it has one.
    """
    complete = problems.is_clean
    held = {group for name, group in _groups(described) if name in manifest.entries}
    for name, group in _groups(described):
        entry = manifest.entries.get(name)
        if entry is not None:
            _check_shape(spec, manifest, name, entry, described[name], problems)
        elif group not in held:
            hint = did_you_mean(name, manifest.entries) or _of(manifest)
            message = f"the manifest has no parameter {name!r}"
            problems.add(SpecError(Diagnostic(Code.NOT_IN_MANIFEST, message, described[name][0], hint)))
    if not complete:
        # What is not described may be what could not be read or expanded.
        return
    for name, entry in manifest.entries.items():
        # A buffer may be left as the model has it.
        if name not in described and not entry.buffer:
            _missing(spec, name, entry, described, problems)


def _groups(described: Mapping[str, Described]) -> Iterator[tuple[str, str]]:
    """Each name, with the one name of all that share its array."""
    return ((name, tied_to or name) for name, (_, _, tied_to) in described.items())


def _check_shape(  # noqa: PLR0917
    spec: Spec,
    manifest: Manifest,
    name: str,
    entry: ManifestEntry,
    described: Described,
    problems: Problems,
) -> None:
    where, shape, _ = described
    if shape is None or shape == entry.shape:
        return
    message = f"{name!r} has shape {shape} here and {entry.shape} in the manifest"
    hint = f"the manifest says so at {entry.where}" if entry.where else _of(manifest)
    if shape == entry.shape[::-1]:
        hint += "; the axes are the other way round"
    place = spec.locate((*where.path, "shape") if where else ())
    problems.add(SpecError(Diagnostic(Code.SHAPE_MISMATCH, message, place, hint)))


def _of(manifest: Manifest) -> str:
    if manifest.file is None:
        return "the manifest was given by the program: its names and shapes are those of its model"
    return f"the manifest is {manifest.file}"


def _missing(
    spec: Spec, name: str, entry: ManifestEntry, described: Mapping[str, Described], problems: Problems
) -> None:
    message = f"the manifest has a parameter {name!r}, which neither layers nor params describe"
    hint = did_you_mean(name, described) or "describe it, or remove layers and params and plan by rules alone"
    where = entry.where or spec.locate(("manifest",))
    problems.add(SpecError(Diagnostic(Code.NOT_IN_SPEC, message, where, hint)))
