"""What is written about a parameter besides its name and shape, and where each piece of it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from initcfg.plan.problems import Path
    from initcfg.spec import InitializerConfig, Param, Rule, Spec

__all__ = ["Terms"]


class Terms(NamedTuple):
    """An initializer, a dtype and a layout, and where each is written.

    Args:
        shape_path: where the shape is told.
        initializer: how the values begin; None where nothing says so.
        initializer_path: where that stands, or would.
        dtype: the parameter's, else its rule's, the manifest's, the document's.
        dtype_path: where that stands.
        layout: the parameter's, else its rule's, the document's.
        layout_path: where that stands.
        layout_must_fit: whether the layout is meant for this parameter, and not for whatever it suits.
    """

    shape_path: Path
    initializer: InitializerConfig | None
    initializer_path: Path
    dtype: str
    dtype_path: Path
    layout: str | None
    layout_path: Path
    layout_must_fit: bool

    @classmethod
    def of(
        cls, spec: Spec, shape_path: Path, *written: tuple[Param | Rule, Path], dtype: str | None = None
    ) -> Terms:
        """What a parameter, its rule or both, in this order, say together with manifest and document.

        Args:
            spec: the document.
            shape_path: where the shape is told.
            written: the parameter and the rule, each with the place where it stands.
            dtype: the manifest's.
        """
        first = written[0][1]
        begins = [(each.initializer, path) for each, path in written if each.initializer is not None]
        initializer, path = begins[0] if begins else (None, first)
        dtypes = [(each.dtype, (*path, "dtype")) for each, path in written if each.dtype is not None]
        if dtype is not None:
            dtypes.append((dtype, ("manifest",)))
        layouts = [(each.layout, (*path, "layout")) for each, path in written if each.layout is not None]
        found, dtype_path = dtypes[0] if dtypes else (spec.dtype, ("dtype",))
        layout, layout_path = layouts[0] if layouts else (spec.layout, ("layout",))
        return cls(
            shape_path,
            initializer,
            (*path, "initializer"),
            found,
            dtype_path,
            layout,
            layout_path,
            layout_must_fit=bool(layouts),
        )
