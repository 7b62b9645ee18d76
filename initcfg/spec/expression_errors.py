"""What is wrong with an expression or a template, and at which character of it."""

from __future__ import annotations

from initcfg.errors import Code, Diagnostic, SpecError


class ExpressionError(SpecError):
    """An expression or a template cannot be read, or has no value.

    Args:
        message: one sentence about the fault.
        offset: the character of the text, from 0, where it is.
        code: the kind of problem.
        hint: the way out.
    """

    def __init__(
        self, message: str, offset: int, code: Code = Code.EXPRESSION_SYNTAX, hint: str | None = None
    ) -> None:
        super().__init__(Diagnostic(code, message, hint=hint))
        self.message = message
        self.offset = offset
        self.code = code
        self.hint = hint

    def __reduce__(self) -> tuple[type[ExpressionError], tuple[object, ...]]:
        return type(self), (self.message, self.offset, self.code, self.hint)


class UnknownNameError(ExpressionError):
    """A name in an expression stands for nothing.

    Args:
        name: the name.
        offset: the character of the text, from 0, where it is.
        hint: the way out.
    """

    def __init__(self, name: str, offset: int, hint: str | None = None) -> None:
        super().__init__(f"nothing here is named {name!r}", offset, Code.UNKNOWN_NAME, hint)
        self.name = name

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[object, ...]]:
        return type(self), (self.name, self.offset, self.hint)
