"""The audit of live modules: planted faults, right models, a canary of NaN, and classes of transformers."""

from __future__ import annotations

import copy
import inspect
import re
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from initcfg.adapters.torch import assert_initialized, audit
from initcfg.errors import AuditError, Code, InitcfgError
from initcfg.explanations import Explanation, load_explanations

if TYPE_CHECKING:
    from initcfg.capture.audit import Audit

sys.path.insert(0, str(Path(__file__).parent))
import canary
import planted_faults
import transformers_models

# What torch says of models that are made as they are here.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

GARBAGE = (Code.NEVER_WRITTEN, Code.PARTLY_WRITTEN, Code.HALF_PARAMETRIZATION, Code.BROKEN_TIE)
MARK = re.compile(r"# fault: ([a-z-]+) (\S+)$")


def marked(cls: type[torch.nn.Module]) -> tuple[str, str, int]:
    """The code, the name and the line that the comments of a faulty class expect."""
    lines, first = inspect.getsourcelines(getattr(cls, "MARKED", cls))
    ((found, line),) = ((found, at) for at, text in enumerate(lines, first) if (found := MARK.search(text)))
    return found[1], found[2], line


def audited(cls: type[torch.nn.Module]) -> Audit:
    return audit(cls, planted_faults.INITS.get(cls))


@pytest.mark.parametrize("cls", planted_faults.FAULTY, ids=lambda cls: cls.__name__)
def test_a_planted_fault_is_found_at_its_line_and_nothing_else(cls: type[torch.nn.Module]) -> None:
    code, name, line = marked(cls)
    (found,) = audited(cls).diagnostics
    assert (str(found.code), found.where.line) == (code, line)
    assert Path(found.where.file).name == "planted_faults.py"
    assert repr(name) in found.message


@pytest.mark.parametrize("cls", planted_faults.RIGHT, ids=lambda cls: cls.__name__)
def test_nothing_is_said_of_a_right_model(cls: type[torch.nn.Module]) -> None:
    assert str(audited(cls)) == "nothing found"


LAYERS: dict[str, tuple[Any, ...]] = {
    "Linear": (4, 4),
    "Bilinear": (4, 4, 4),
    "Conv1d": (4, 4, 3),
    "Conv2d": (4, 4, 3),
    "Conv3d": (4, 4, 3),
    "ConvTranspose2d": (4, 4, 3),
    "Embedding": (8, 4, 0),
    "EmbeddingBag": (8, 4),
    "RNN": (4, 4),
    "LSTM": (4, 4, 2),
    "GRU": (4, 4),
    "LSTMCell": (4, 4),
    "LayerNorm": (4,),
    "RMSNorm": (4,),
    "GroupNorm": (2, 4),
    "BatchNorm2d": (4,),
    "InstanceNorm2d": (4, 1e-5, 0.1, True, True),
    "PReLU": (4,),
    "MultiheadAttention": (8, 2, 0.0, True, True),
    "AdaptiveLogSoftmaxWithLoss": (8, 20, [5, 10]),
    "TransformerEncoderLayer": (8, 2),
    "TransformerDecoderLayer": (8, 2),
    "Transformer": (8, 2),
}


@pytest.mark.parametrize("name", LAYERS)
def test_nothing_is_said_of_torchs_own_layers(name: str) -> None:
    assert str(audit(lambda: getattr(torch.nn, name)(*LAYERS[name]))) == "nothing found"


def told(found: Audit, *, severity: str) -> str:
    messages = (each for each in found.diagnostics if each.code in GARBAGE and each.severity == severity)
    return " ".join(each.message for each in messages)


@pytest.mark.parametrize("cls", [*planted_faults.FAULTY, *planted_faults.RIGHT], ids=lambda cls: cls.__name__)
def test_the_canary_finds_garbage_where_the_audit_does(cls: type[torch.nn.Module]) -> None:
    init = planted_faults.INITS.get(cls)
    constructed = canary.garbage_constructed(cls)
    errors = [each for each in audited(cls).diagnostics if each.severity == "error"]
    assert bool(constructed) == bool(errors)
    init = init or getattr(cls, "init_weights", None)
    if init is not None:
        deferred = canary.garbage_deferred(cls, init)
        garbage = [each for each in audited(cls).diagnostics if each.code in GARBAGE]
        assert bool(deferred | constructed) <= bool(garbage)


NEED_TORCH = [page for page in load_explanations().values() if page.needs == "torch"]


@pytest.mark.parametrize("page", NEED_TORCH, ids=lambda page: str(page.code))
def test_the_examples_of_a_page_are_wrong_and_right(page: Explanation, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(page.wrong)
    (tmp_path / "right.py").write_text(page.right)
    with pytest.raises(InitcfgError) as caught:
        runpy.run_path(str(tmp_path / "wrong.py"))
    assert {each.code for each in caught.value.diagnostics} == {page.code}
    runpy.run_path(str(tmp_path / "right.py"))


def test_the_assertion_is_the_report() -> None:
    with pytest.raises(AssertionError, match=r"never-written.*'scale'") as caught:
        assert_initialized(planted_faults.EmptyParameter)
    assert isinstance(caught.value, AuditError)


CLASSES = (
    "GPT2LMHeadModel",
    "BertForMaskedLM",
    "LlamaForCausalLM",
    "T5ForConditionalGeneration",
    "CLIPModel",
)


@pytest.mark.parametrize("name", CLASSES)
def test_the_canary_agrees_on_classes_of_transformers(name: str) -> None:
    kind = transformers_models.classes()[name]
    cls, config = transformers_models.small(name, kind, 40_000_000)
    found = audit(lambda: cls(copy.deepcopy(config)))
    constructed = canary.garbage_constructed(lambda: cls(copy.deepcopy(config)))
    deferred = canary.garbage_deferred(lambda: cls(copy.deepcopy(config)), lambda model: model.init_weights())
    assert bool(constructed) == bool(told(found, severity="error"))
    assert bool(deferred) == bool(told(found, severity="warning"))
