"""The real yaml-language-server over stdio: what it completes, shows and refuses by the published schema."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from initcfg.initializers import BUILTINS, canonical_name
from initcfg.initializers.arguments import arguments_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "schemas" / "spec.v1.schema.json"
SERVER = "yaml-language-server@1.25.0"
NAMES = {canonical_name(cls) for cls in BUILTINS}
WITHOUT_ARGUMENTS = {
    canonical_name(cls)
    for cls in BUILTINS
    if not any(each.is_required for each in arguments_of(cls).values())
}
HEAD = "initcfg: 1\nlayout: in_out\nparams:\n  w:\n    shape: [2, 2]\n"
# A server that does not answer is ended, and the test with it.
PATIENCE_SECONDS = 120


class Server:
    """A language server that speaks of documents in one folder.

    Args:
        modules: where npm has put it.
        folder: of the documents; none need be there.
    """

    def __init__(self, modules: Path, folder: Path) -> None:
        command = ["node", str(modules / "node_modules" / ".bin" / "yaml-language-server"), "--stdio"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._timer = threading.Timer(PATIENCE_SECONDS, self._process.kill)
        self._timer.start()
        self._folder, self._number = folder, 0
        yaml = {"schemas": {SCHEMA.as_uri(): ["*.yaml"]}, "validate": True, "completion": True, "hover": True}
        self._settings = {"yaml": yaml | {"schemaStore": {"enable": False}}}
        capabilities = {
            "workspace": {"configuration": True},
            "textDocument": {"completion": {"completionItem": {"snippetSupport": False}}, "hover": {}},
        }
        self._ask("initialize", {"processId": None, "rootUri": folder.as_uri(), "capabilities": capabilities})
        self._send({"method": "initialized", "params": {}})
        self._send({"method": "workspace/didChangeConfiguration", "params": {"settings": self._settings}})

    def close(self) -> None:
        self._ask("shutdown", None)
        self._send({"method": "exit"})
        self._process.communicate()
        self._timer.cancel()

    def opened(self, text: str, name: str = "spec.yaml") -> tuple[str, list[str]]:
        """The address of a document, and what the server complains of in it."""
        self._number += 1
        uri = (self._folder / f"{self._number}-{name}").as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        while True:
            message = self._received()
            if message.get("method") == "textDocument/publishDiagnostics" and message["params"]["uri"] == uri:
                return uri, [each["message"] for each in message["params"]["diagnostics"]]

    def completions(self, text: str) -> set[str]:
        """What is offered at the end of a text."""
        uri, _ = self.opened(text)
        *before, last = text.split("\n")
        found = self._at("completion", uri, len(before), len(last))
        items = found["items"] if isinstance(found, dict) else found
        return {item["label"] for item in items}

    def hover(self, text: str, word: str) -> str:
        """What is shown over a word of a text."""
        uri, _ = self.opened(text)
        before = text[: text.index(word)].split("\n")
        return json.dumps(self._at("hover", uri, len(before) - 1, len(before[-1]) + 1))

    def _at(self, method: str, uri: str, line: int, character: int) -> Any:
        position = {"line": line, "character": character}
        return self._ask(f"textDocument/{method}", {"textDocument": {"uri": uri}, "position": position})

    def _ask(self, method: str, params: Any) -> Any:
        self._number += 1
        number = self._number
        self._send({"id": number, "method": method, "params": params})
        while True:
            message = self._received()
            if message.get("id") == number and "method" not in message:
                assert "error" not in message, message
                return message["result"]

    def _received(self) -> dict[str, Any]:
        """One message; what the server asks is answered."""
        assert self._process.stdout is not None
        length = 0
        while line := self._process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        assert length, "the server has ended"
        message: dict[str, Any] = json.loads(self._process.stdout.read(length))
        if "method" in message and "id" in message:
            items = message["params"]["items"] if message["method"] == "workspace/configuration" else []
            result = [self._settings.get(item.get("section")) for item in items] or None
            self._send({"id": message["id"], "result": result})
        return message

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        content = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(content) + content)
        self._process.stdin.flush()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    modules = tmp_path_factory.mktemp("modules")
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(modules), SERVER]
    subprocess.run(install, check=True)
    server = Server(modules, tmp_path_factory.mktemp("documents"))
    yield server
    server.close()


def without_modeline(path: Path) -> str:
    """The text of a document, whose own address of the schema is relative to its folder."""
    text = path.read_text("utf-8")
    return "\n".join("" if "$schema" in line else line for line in text.split("\n"))


@pytest.mark.parametrize("folder", ["configs", "tests/cases/valid"])
def test_what_is_valid_raises_no_alarm(folder: str, server: Server) -> None:
    paths = sorted((ROOT / folder).glob("*.yaml"))
    assert len(paths) > 3
    alarms = {path.name: server.opened(without_modeline(path), path.name)[1] for path in paths}
    assert {name: told for name, told in alarms.items() if told} == {}


def test_a_wrong_key_and_a_wrong_number_are_told(server: Server) -> None:
    _, told = server.opened(f"{HEAD}    initializr: ones\n")
    assert told == ["Property initializr is not allowed."]
    _, told = server.opened(f"{HEAD}    initializer: {{random_normal: {{stddev: -1}}}}\n")
    assert any("0" in each for each in told)


def test_names_are_completed_where_an_initializer_is_a_value(server: Server) -> None:
    for written in ("", "glo"):
        offered = server.completions(f"{HEAD}    initializer: {written}")
        assert offered >= WITHOUT_ARGUMENTS
        assert "[object Object]" not in offered
        assert offered - NAMES <= {"null"}
    in_a_rule = server.completions("initcfg: 1\nrules:\n  - match: '**'\n    initializer: ")
    assert in_a_rule >= WITHOUT_ARGUMENTS


def test_names_and_arguments_are_completed_where_they_are_keys(server: Server) -> None:
    offered = server.completions(f"{HEAD}    initializer: {{glo")
    assert offered >= NAMES
    assert "property" not in offered
    offered = server.completions(f"{HEAD}    initializer:\n      random_normal:\n        s")
    assert offered == {"mean", "stddev", "seed"}


def test_the_keys_of_a_spec_are_completed(server: Server) -> None:
    assert server.completions("initcfg: 1\nl") >= {"layout", "layers", "rules", "params", "vars", "dtype"}
    assert server.completions("initcfg: 1\nrules:\n  - m") >= {"match", "initializer", "skip", "ndim"}


def test_hovering_says_what_a_key_and_an_argument_are(server: Server) -> None:
    text = f"{HEAD}    initializer: {{random_normal: {{stddev: 0.02}}}}\n"
    assert "Which axes of a shape are inputs and outputs" in server.hover(text, "layout")
    assert "Independent draws from a normal distribution" in server.hover(text, "random_normal")
    assert "standard deviation" in server.hover(text, "stddev")
