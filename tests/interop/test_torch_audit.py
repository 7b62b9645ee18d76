"""The audit of live modules: planted faults, right models, a canary of NaN, and classes of transformers."""

from __future__ import annotations

import inspect
import re
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from initcfg.adapters.torch import assert_initialized, audit
from initcfg.adapters.torch.programs import key_of
from initcfg.adapters.torch.recording import recording
from initcfg.errors import AuditError, Code, InitcfgError
from initcfg.explanations import Explanation, load_explanations
from tests.interop.capture_sweep import audit_row

if TYPE_CHECKING:
    from initcfg.capture.audit import Audit

sys.path.insert(0, str(Path(__file__).parent))
import canary
import planted_faults

# What torch says of models that are made as they are here.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

GARBAGE = (Code.NEVER_WRITTEN, Code.PARTLY_WRITTEN, Code.HALF_PARAMETRIZATION, Code.BROKEN_TIE)
NEED_TORCH = [page for page in load_explanations().values() if page.needs == "torch"]
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


def test_memories_come_in_the_order_in_which_they_were_made() -> None:
    # Findings follow this order, which must not be that of addresses.
    with recording(0) as programs:
        made = [torch.empty(8).normal_() for _ in range(200)]
        found = [key_of(each.storage[1]) for each in programs.histories()]
    assert found == list(map(key_of, made))


def test_at_least_thirty_faults_of_all_codes_are_planted() -> None:
    planted = [marked(cls) for cls in planted_faults.FAULTY]
    assert len({line for _, _, line in planted}) == len(planted) >= 30
    assert {code for code, _, _ in planted} == {page.code for page in NEED_TORCH} | {Code.RANDOM_BIAS}


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


# Some that the audit finds something in; `capture_sweep` runs all.
CLASSES = """
    GPT2LMHeadModel BertForMaskedLM LlamaForCausalLM T5ForConditionalGeneration CLIPModel
    Wav2Vec2ForCTC ViTMAEForPreTraining RegNetModel EncodecModel Mamba2ForCausalLM
"""


@pytest.mark.parametrize("name", CLASSES.split())
def test_the_canary_names_the_same_tensors_of_classes_of_transformers(name: str) -> None:
    row = audit_row(name)
    said = row["said"] | {"loaded": row["said"]["deferred"]}
    assert (row["canary"], row["canary_errors"]) == (said, {})
