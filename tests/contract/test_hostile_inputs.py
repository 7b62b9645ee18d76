"""Files and arguments that were made to hurt, through the command line: each is refused, cheaply and quietly.

One process goes through all of them (`watched_commands.py`), under a limit on CPU time and memory, and under
an audit hook that lets nothing be executed, imported, reached or written. Texts of nearly the largest size
are in test_hostile_texts.py.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="limits are POSIX")

MIB = 2**20
MILLION = 10**6
MANY = 4_000
ALLOW = "  - {code: random-bias, match: '%s%s', reason: r}\n"
BIASES = "layers: {'h.{i}': {repeat: {i: 5000}, params: {bias: {shape: [3], initializer: %s}}}}\n"
RUNNER = Path(__file__).with_name("watched_commands.py")
HEAD = "initcfg: 1\n"
GOOD = HEAD + "vars: {d: 2}\nparams: {w: {shape: [d], initializer: random_normal}}\n"
# Every place where a text may stand that means something, and texts that mean something elsewhere.
PLACES = {
    "initializers": "initializers: {a: %s}",
    "initializer": "params: {w: {shape: [1], initializer: %s}}",
    "argument": "params: {w: {shape: [1], initializer: {constant: {value: %s}}}}",
    "repeat": "layers: {'h.{i}': {repeat: {i: %s}, params: {w: {shape: [1], initializer: zeros}}}}",
    "dtype": "params: {w: {shape: [1], initializer: zeros, dtype: %s}}",
    "tied_to": "params: {w: {shape: [1], tied_to: %s}}",
    "extends": "extends: %s",
    "manifest": "manifest: %s",
    "rule": "params: {w: {shape: [1]}}\nrules: [{match: w, initializer: %s}]",
    "seed": "seed: %s",
}
CODE = {
    "python_tag": "!!python/object/apply:os.system ['touch pwned']",
    "hydra": "{_target_: os.system, _args_: ['touch pwned']}",
    "lightning": "{class_path: os.system, init_args: {command: 'touch pwned'}}",
    "keras": "{class_name: system, module: os, registered_name: 'os>system', config: {}}",
    "environment": '"${oc.env:HOME}"',
    "attributes": '"{0.__class__.__mro__[1].__subclasses__}"',
    "import": "\"__import__('os').system('touch pwned')\"",
    "percent": '"%(w)s%n%s"',
    "shell": '"$(touch pwned)"',
}
NAMES = ["{i.__class__}", "{i!r}", "{i:999999999}", "{0}", "{i.__init__.__globals__}", "{(" + "i" * 10_000]
POWERS = {
    "tower": "9**9**9**9", "integer": "2**100000000", "negative": "10**-99999999",
    "float": "1e308**1e308",
    "product": "1e308*1e308", "exponential": "exp(1e308)", "division": "1 // 1e-320 % 0",
    "signs": "-" * 100_000,
    "choices": "1 if 1 else " * 9_000 + "1", "digits": "9" * 100_000,
    "arguments": "max(" + "1," * 50_000 + "1)",
}  # fmt: skip
STARS = {
    "stars": "*a" * 2_000, "segments": "**." * 20_000 + "a", "braces": "{a,b}" * 5_000,
    "class": "[a-z" * 5_000,
    "nested": "{a," * 5_000, "captures": ".".join(f"{{i{at}}}" for at in range(5_000)),
    "marks": "?" * 100_000,
}  # fmt: skip
PATHS = {
    "parent": "../../../../etc/passwd", "absolute": "/etc/passwd", "nul": "a\0b.yaml", "fifo": "fifo.yaml",
    "device": "/dev/zero", "folder": "folder.yaml", "loop": "loop.yaml", "link": "link.yaml",
    "url": "file:///etc/passwd",
    "web": "https://localhost/a.yaml", "long": "a" * 100_000 + ".yaml",
    "home": "~/.netrc.yaml", "dots": "....//x.yaml",
}  # fmt: skip


def chain(count: int) -> str:
    """Lines of vars, each the square of the one before."""
    return "vars:\n  v0: 10\n" + "".join(f"  v{at}: v{at - 1} * v{at - 1}\n" for at in range(1, count))


def bomb() -> str:
    rows = (f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise("abcdefghi"))
    return f"a: &a [{', '.join(['0'] * 9)}]\n" + "".join(rows)


def inside(times: int, around: str, core: str) -> str:
    before, after = around.split("%s")
    return before * times + core + after * times


def documents() -> dict[str, str | bytes]:
    """Texts by the names of their files."""
    noise = random.Random(1)
    one = "params: {w: {shape: [1], initializer: %s}}"
    nested = "{concatenate: {axis: 0, sizes: [1], initializers: [%s]}}"
    found: dict[str, str | bytes] = {
        "brackets.yaml": "[" * MILLION,
        "braces.json": '{"a":' * MILLION,
        "indents.yaml": "".join(" " * at + "a:\n" for at in range(700)),
        "bomb.yaml": HEAD + bomb(),
        "bomb_in_vars.yaml": HEAD + "vars:\n  " + bomb().replace("\n", "\n  "),
        "merge.yaml": HEAD + "a: &a {b: 1}\n" + "<<: *a\n" * 10_000,
        "self.yaml": HEAD + "vars: &a {x: *a}\n",
        "keys.yaml": "".join(f"k{at}: 1\n" for at in range(MILLION)),
        "keys.json": json.dumps({f"k{at}": 1 for at in range(MILLION)}),
        "some_keys.json": json.dumps({f"k{at}": 1 for at in range(20_000)}),
        "params.yaml": HEAD + "params:\n" + "".join(f"  p{at}: 1\n" for at in range(20_000)),
        "digits.yaml": HEAD + "seed: " + "9" * MILLION,
        "digits.json": '{"initcfg": ' + "9" * MILLION + "}",
        "fewer_digits.json": '{"initcfg": 1, "seed": ' + "9" * 200_000 + "}",
        "exponent.json": '{"initcfg": 1, "vars": {"x": 1e' + "9" * 200_000 + "}}",
        "garbage.yaml": noise.randbytes(10 * MIB),
        "garbage.json": noise.randbytes(10 * MIB),
        "some_garbage.yaml": noise.randbytes(200_000),
        "nul.yaml": HEAD.encode() + b"name: \0" * 1000,
        "nuls.yaml": b"\0" * 200_000,
        "nuls.json": b"\0" * 200_000,
        "nul_in_name.json": '{"initcfg": 1, "params": {"a\\u0000b": {"shape": [1]}}}',
        "not_utf_8.yaml": HEAD.encode() + b"name: \xff\xfe\x80",
        "overlong.yaml": HEAD.encode() + b"name: \xc0\xaf\xed\xa0\x80",
        "utf_16.yaml": GOOD.encode("utf-16"),
        "utf_32.json": '{"initcfg": 1}'.encode("utf-32"),
        "gzip.yaml": b"\x1f\x8b\x08\0" + noise.randbytes(1000),
        "surrogate.json": '{"initcfg": 1, "name": "\\ud800"}',
        "empty.yaml": "",
        "escapes.yaml": HEAD + 'params: {"\\e[2J\\u202e": {shape: [x], initializer: "\\e]0;a\\a"}}',
        "chain.yaml": HEAD + chain(200) + "params: {w: {shape: [v199], initializer: zeros}}",
        "endless_repeat.yaml": HEAD + PLACES["repeat"] % "1e15",
        "product_of_repeats.yaml": HEAD
        + "layers: {'{a}{b}{c}': {repeat: {a: 999, b: 999, c: 999}, params: {w: {shape: [1]}}}}",
        "zero_step.yaml": HEAD + PLACES["repeat"] % "{from: 0, to: 9, step: 0}",
        "long_names.yaml": HEAD
        + f"layers: {{'{'{i}' * 9_000}': {{repeat: {{i: 9000}}, params: {{w: {{shape: [1]}}}}}}}}",
        "huge_shape.yaml": HEAD + "params: {w: {shape: [9e15, 9e15, 9e15], initializer: zeros}}",
        "many_axes.yaml": HEAD + f"params: {{w: {{shape: [{'1, ' * 50_000}], initializer: zeros}}}}",
        "nested_initializers.yaml": HEAD + one % inside(1000, nested, "zeros"),
        "nested_initializers_less.yaml": HEAD + one % inside(20, nested, "nothing"),
        "circle_of_names.yaml": HEAD + "initializers: {a: b, b: c, c: a}",
        "row_of_names.yaml": HEAD
        + "initializers:\n" + "".join(f"  a{at}: a{at + 1}\n" for at in range(5_000)),
        "circle_of_ties.yaml": HEAD + "params: {a: {shape: [1], tied_to: b}, b: {shape: [1], tied_to: a}}",
        "array.yaml": HEAD + one % f"{{constant: {{value: {'[' * 40 + '1' + ']' * 40}}}}}",
        "circle_a.yaml": HEAD + "extends: circle_b.yaml",
        "circle_b.yaml": HEAD + "extends: circle_a.yaml",
        "extends_itself.yaml": HEAD + "extends: extends_itself.yaml",
        "manifest_itself.yaml": HEAD + "manifest: manifest_itself.yaml",
        "many_rules.yaml": HEAD + "rules:\n" + "  - {match: '*a*b*c*d', initializer: zeros}\n" * MANY,
        "many_allowed.yaml": GOOD + "allow:\n" + ALLOW % ("**.a*b", "") * MANY,
        "allowed_times_parameters.yaml": HEAD + BIASES % "random_normal"
        + "allow:\n" + "".join(ALLOW % ("*.a*b", at) for at in range(1_000)),
        "rules_times_parameters.yaml": HEAD + BIASES % "null"
        + "rules:\n" + "".join(f"  - {{match: '*.a*b{at}*c', initializer: zeros}}\n" for at in range(3_000)),
        **{f"chain_{at}.yaml": HEAD + f"extends: chain_{at + 1}.yaml" for at in range(300)},
    }  # fmt: skip
    for place, template in PLACES.items():
        found |= {f"{code}_as_{place}.yaml": HEAD + template % text for code, text in CODE.items()}
    for at, name in enumerate(NAMES):
        layer = {"repeat": {"i": 2}, "params": {"w": {"shape": [1], "initializer": "zeros"}}}
        found[f"name_{at}.json"] = json.dumps({"initcfg": 1, "layers": {"h." + name: layer}})
    for name, text in POWERS.items():
        found[f"power_{name}.json"] = json.dumps({"initcfg": 1, "vars": {"x": text + " + nothing"}})
        shape = {"w": {"shape": [text + " - 1"], "initializer": "zeros"}}
        found[f"power_{name}_shape.json"] = json.dumps({"initcfg": 1, "params": shape})
    params = {"a" * 3_000 + ".b": {"shape": [1]}, "w": {"shape": [1], "initializer": "zeros"}}
    for name, glob in STARS.items():
        rules = [{"match": glob + "!", "initializer": "zeros"}]
        allow = [{"code": "random-bias", "match": glob, "reason": "none"}]
        found[f"rule_{name}.json"] = json.dumps({"initcfg": 1, "params": params, "rules": rules})
        found[f"allow_{name}.json"] = json.dumps({"initcfg": 1, "params": params, "allow": allow})
    for name, path in PATHS.items():
        for key in ("extends", "manifest"):
            found[f"{key}_{name}.json"] = json.dumps({"initcfg": 1, key: path})
    return found


def manifests() -> dict[str, str | bytes]:
    """Manifests by the names of their files; a spec is made for each."""

    def header(text: str, length: int | None = None) -> bytes:
        return (len(text) if length is None else length).to_bytes(8, "little") + text.encode()

    def index(shard: str) -> str:
        return json.dumps({"weight_map": {"w": shard}})

    tensor = {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 8]}
    return {
        "m_bomb.yaml": bomb(),
        "m_deep.json": '{"params":' * MILLION,
        "m_brackets.yaml": "[" * MIB,
        "m_digits.json": '{"params": {"w": {"shape": [' + "9" * MILLION + "]}}}",
        "m_axes.json": '{"params": {"w": {"shape": [' + "1," * 100_000 + "1]}}}",
        "m_negative.json": '{"params": {"w": {"shape": [-1, 1e400]}}}',
        "m_faults.json": json.dumps({"params": {f"p{at}": at for at in range(100_000)}}),
        "m_python.yaml": "params: !!python/object/apply:os.system ['touch pwned']",
        "m_garbage.json": random.Random(2).randbytes(10 * MIB),
        "m_garbage.yaml": random.Random(2).randbytes(10 * MIB),
        "m_nuls.safetensors": b"\0" * MIB,
        "m_length.safetensors": header("{}", 2**63),
        "m_lying.safetensors": header(json.dumps({"w": tensor})) + b"\0" * 8,
        "m_deep.safetensors": header('{"a":' * 200_000),
        "m_digits.safetensors": header('{"a": ' + "9" * MILLION + "}"),
        "m_parent.safetensors.index.json": index("../../../etc/passwd"),
        "m_absolute.safetensors.index.json": index("/dev/zero"),
        "m_fifo.safetensors.index.json": index("fifo.yaml"),
        "m_nul.safetensors.index.json": index("a\0.safetensors"),
        "m_self.safetensors.index.json": index("m_self.safetensors.index.json"),
        "m_deep.safetensors.index.json": '{"weight_map":' * MILLION,
    }  # fmt: skip


def plans() -> dict[str, str]:
    """Plan files by their names."""
    begun = '{"format": "initcfg.plan", "version": 1, "stream_version": 1, '
    tree = {"format": "initcfg.plan", "version": 1, "stream_version": 1, "name": None, "seed": 0,
            "fingerprint": "0" * 64, "numel": 1, "nbytes": 4, "parameters": [], "skipped": []}  # fmt: skip
    parameter = {"name": "../../x", "shape": [2**62, 2**62], "dtype": "__import__('os')", "initializer": {}}
    keras = {"class_name": "system", "module": "os", "config": {"command": "touch pwned"}}
    return {
        "p_deep.json": begun + '"parameters": ' + "[" * MILLION,
        "p_digits.json": begun + '"seed": ' + "9" * MILLION + "}",
        "p_not_finite.json": begun + '"seed": NaN}',
        "p_version.json": json.dumps(tree | {"version": 2**70}),
        "p_keys.json": json.dumps(tree | {f"k{at}": 1 for at in range(100_000)}),
        "p_parameters.json": json.dumps(tree | {"parameters": [1] * 100_000}),
        "p_shape.json": json.dumps(tree | {"parameters": [parameter]}),
        "p_code.json": json.dumps(tree | {"parameters": [parameter | {"initializer": keras}]}),
        "p_fingerprint.json": json.dumps(tree),
        "p_format_as_list.json": json.dumps(
            tree | {"format": ["initcfg.plan"], "x": {"format": "initcfg.plan"}}
        ),
        "p_cut.json": json.dumps(tree)[:-20],
        "p_garbage.json": begun + "x" * 10 * MIB,
    }


def arguments() -> dict[str, list[str]]:
    """Command lines that hurt by themselves."""
    settings = ["vars.d=" + "(" * 50_000, "vars.d=9**9**9**9", "vars.d=!!python/name:os.system", "seed=1e999",
                "vars.d=" + "[" * 50_000, "initializers.a={_target_: os.system}", "extends=/etc/passwd",
                "vars.__class__=1", "=", "vars." + "a." * 10_000 + "=1",
                "dtype=\x1b[31m", "vars.d=*a"]  # fmt: skip
    return {
        **{f"set_{at}": ["plan", "good.yaml", "--set", each] for at, each in enumerate(settings)},
        "plugin": ["validate", "good.yaml", "--plugin", "os"],
        "plugin_path": ["validate", "good.yaml", "--plugin", "../../x.py"],
        "root_of_nothing": ["validate", "good.yaml", "--root", "/nowhere"],
        "format": ["validate", "good.yaml", "--format", "{0.__class__}"],
        "select": ["verify", "good.safetensors", "good.yaml", "--select", "*a" * 20_000],
        "weights_device": ["verify", "/dev/zero", "good.yaml"],
        "weights_fifo": ["verify", "fifo.yaml", "good.yaml"],
        "weights_garbage": ["verify", "m_nuls.safetensors", "good.yaml"],
        "diff_of_bombs": ["diff", "bomb.yaml", "brackets.yaml"],
        "make_bomb": ["materialize", "bomb.yaml", "-o", "out/a.safetensors"],
        "make_huge": ["materialize", "huge_shape.yaml", "-o", "out/a.npz"],
        "make_in_device": ["materialize", "good.yaml", "-o", "/dev/full.npz/a.npz"],
        "explain": ["explain", "\x1b[31m{0.__class__}" * 1000],
        "initializers": ["initializers", "../" * 10_000],
        "pattern": ["validate", "*a" * 2000],
        "pattern_of_folders": ["validate", "**/" * 30 + "x.yaml"],
        **{f"file_{at}": ["validate", name] for at, name in enumerate(SPECIAL)},
    }


SPECIAL = ["fifo.yaml", "folder.yaml", "folder", "loop.yaml", "link.yaml", "socket.yaml", "/dev/zero",
           "device.yaml", "/dev/stdin/a.yaml", "nowhere.yaml", "a" * 5_000 + ".yaml",
           "a\nb\x1b[2J.yaml", "", ".",
           "sparse.yaml", "sparse_plan.json", "/proc/self/mem", "good.yaml/a.yaml"]  # fmt: skip
STANDARD_INPUTS = ["brackets.yaml", "bomb.yaml", "garbage.yaml", "nuls.yaml", "p_garbage.json", "p_deep.json"]


def make_special_files(folder: Path) -> None:
    os.mkfifo(folder / "fifo.yaml")
    (folder / "folder.yaml").mkdir()
    (folder / "folder").mkdir()
    (folder / "out").mkdir()
    (folder / "loop.yaml").symlink_to("loop.yaml")
    (folder / "link.yaml").symlink_to("/etc/passwd")
    (folder / "device.yaml").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "socket.yaml"))
    for name, start in (
        ("sparse.yaml", b""),
        ("sparse_plan.json", b'{"format": "initcfg.plan", "version": 1'),
    ):
        (folder / name).write_bytes(start)
        os.truncate(folder / name, 2**33)


def commands(folder: Path) -> list[tuple[str, list[str], str | None]]:
    """Writes every file and gives every command line with its name and what stands on standard input."""
    found: list[tuple[str, list[str], str | None]] = []
    for name, content in (documents() | manifests() | plans()).items():
        (folder / name).write_bytes(
            content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        )
    for at, name in enumerate([*documents(), *plans()]):
        if not name.startswith("chain_") or name == "chain_0.yaml":
            found.append(
                (name, [*(["validate", "--strict"], ["plan"])[at % 2 and "allow" not in name], name], None)
            )
    for at, name in enumerate(manifests()):
        spec = {"initcfg": 1, "manifest": name, "rules": [{"match": "**", "initializer": "zeros"}]}
        (folder / f"spec_{at}.json").write_text(json.dumps(spec))
        found.append((name, ["validate", f"spec_{at}.json"], None))
    found += [(name, line, None) for name, line in arguments().items()]
    found += [(f"stdin {name}", ["validate", "-"], name) for name in STANDARD_INPUTS]
    return found


WARMUP = [
    ["validate", "good.yaml", "nowhere.yaml", "not_utf_8.yaml"],
    ["materialize", "good.yaml", "-o", "good.safetensors"],
    ["materialize", "good.yaml", "-o", "out/good.npz"],
    ["verify", "good.safetensors", "good.yaml"],
    ["plan", "good.yaml", "-o", "out/plan.json"],
    ["validate", "out/plan.json"],
    ["diff", "out/plan.json", "good.yaml"],
    ["validate", "keras_as_initializer.yaml", "good.yaml", "--plugin", "nothing"],
    ["validate", "good.yaml", "escapes.yaml", "rule_stars.json", "spec_0.json", "power_float.json"],
    ["plan", "good.yaml", "--set", "vars.d=3"],
    ["plan", "good.yaml", "--set", "vars.d=x", "--nothing"],
    ["explain", "nothing"],
    ["initializers", "nothing"],
    ["schema"],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "good.yaml").write_text(GOOD)
    make_special_files(folder)
    return folder


# Of each command: ten times the dearest, so that only what does not end is killed.
CPU_SECONDS = 20


def watched(
    folder: Path, lines: list, name: str = "jobs.json", code: str = "", seconds: int = CPU_SECONDS
) -> list[dict]:
    """What `watched_commands.py` tells of each command line; `code` is run before it."""
    warmup = [("warmup", line, None) for line in WARMUP]
    jobs = {"folder": str(folder), "warmup": warmup, "commands": lines, "seconds": seconds}
    (folder / name).write_text(json.dumps(jobs))
    start = f"import runpy, sys; sys.argv[1:] = [{name!r}]; {code}\n"
    start += f"runpy.run_path({str(RUNNER)!r}, run_name='__main__')"
    ran = subprocess.run(
        [sys.executable, "-c", start], cwd=folder, capture_output=True, text=True, check=False, timeout=300,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "GITHUB_ACTIONS": ""},
    )  # fmt: skip
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 0, f"ended by {ran.returncode} after {told[-1:]}\n{ran.stderr[-2000:]}"
    return told


def faults(told: list[dict]) -> list[str]:
    """The commands that did what none may do."""
    return [
        f"{each['name']}: {each}"
        for each in told
        if each["exit"] not in (1, 2)
        or each["raised"]
        or each["seen"]
        or each["complaint"]
        or each["peak"] > 500 * MIB
    ]


def test_a_hostile_input_is_refused_cheaply_and_quietly(folder):
    lines = commands(folder)
    told = watched(folder, lines)
    assert len(told) == len(lines) >= 150
    assert not (found := faults(told)), f"{len(found)} of {len(told)}\n" + "\n".join(found)
    slowest = max(told, key=lambda each: each["seconds"])
    peak = max(each["peak"] for each in told) / MIB
    print(f"{len(told)} inputs; slowest {slowest['name']}: {slowest['seconds']} s; peak {peak:.0f} MiB")
    assert max(each["length"] for each in told) < 2 * MIB
    assert not (folder / "pwned").exists()
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["good.npz", "plan.json"]


# What the watch must see, as expressions: each is put in the place of a step of planning.
PLANTED = {
    "evaluation": ("eval('1')", "compile"),
    "shell": ("os.system('true')", "os.system"),
    "process": ("subprocess.run(['true'])", "subprocess.Popen"),
    "network": ("socket.socket()", "socket.__new__"),
    "import": ("__import__('colorsys')", "import"),
    "write": ("open('planted', 'w')", r"open \('planted'"),
    "removal": ("os.remove('good.yaml')", "os.remove"),
    "read": ("open('/etc/hosts')", r"open \('/etc/hosts'"),
    "pickle": ("pickle.loads(b'cos\\nsystem\\n.')", "pickle.find_class"),
    "memory": ("bytearray(600 * 2**20)", "enough memory"),
    "exception": ("1 / 0", "internal error|compile"),
    "exit": ("sys.exit(3)", "'exit': 3"),
}


def planted(expressions: dict[str, str]) -> str:
    """Code that has a plan of one of the names do what stands beside it."""
    rows = ", ".join(f"{name!r}: lambda *_: {code}" for name, code in expressions.items())
    return (
        "import os, pickle, socket, subprocess, initcfg.checks as checks; own = checks.check_plan; "
        f"rows = {{{rows}}}; "
        "checks.check_plan = lambda plan, *more: rows.get(plan.name, own)(plan, *more)"
    )


def lines_for(folder: Path, names: list[str]) -> list[tuple[str, list[str], None]]:
    for name in names:
        (folder / f"{name}.yaml").write_text(GOOD + f"name: {name}\n")
    return [(name, ["validate", f"{name}.yaml"], None) for name in names]


def test_the_watch_sees_what_is_planted(folder):
    code = planted({name: code for name, (code, _) in PLANTED.items()})
    found = faults(watched(folder, lines_for(folder, list(PLANTED)), "planted.json", code))
    assert [each.partition(":")[0] for each in found] == list(PLANTED)
    for each, (_, sign) in zip(found, PLANTED.values(), strict=True):
        assert re.search(sign, each.replace('"', "'")), each


def test_a_command_that_does_not_end_is_stopped(folder):
    code = planted({"endless": "all(x == 0 for x in iter(int, 1))"})
    with pytest.raises(AssertionError, match="ended by -"):
        watched(folder, lines_for(folder, ["endless"]), "endless.json", code, seconds=2)


def test_an_endless_standard_input_is_refused(folder):
    with Path("/dev/zero").open("rb") as zeros:
        ran = subprocess.run(
            [sys.executable, "-m", "initcfg", "validate", "-"],
            cwd=folder, stdin=zeros, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
