"use strict";
(() => {
  const SHOWN = 400;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const tip = document.getElementById("tip");
  const grouped = (value) => value.toLocaleString("en-US");
  // The same characters that Python's report escapes: what could steer a reader's eye or a terminal.
  const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
  const plain = (text) => text.replace(HIDDEN, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const four = (value) => {
    if (value === null) return "";
    if (Number.isInteger(value) && Math.abs(value) < 1e4) return String(value);
    const text = value.toPrecision(4);
    return text.includes("e") ? text.replace(/\.?0+e/, "e") : text.replace(/\.?0+$/, "");
  };
  // The cells as the page has them at first, in page.py.
  const CELLS = {
    name: (row) => (row.tied_to ? `${row.name} = ${row.tied_to}` : row.name),
    copies: (row) => (row.copies > 1 ? grouped(row.copies) : ""),
    shape: (row) => row.shape.join(" × "),
    fan_in: (row) => (Number.isInteger(row.fan_in) ? grouped(row.fan_in) : four(row.fan_in)),
    std: (row) => four(row.std),
    elements: (row) => grouped(row.elements),
    place: (row, file) => (row.place ?? "").replace(`${file}:`, ""),
  };
  const size = (shape) => shape.reduce((product, length) => product * length, 1);
  const value = (row, key) => (key === "shape" ? size(row.shape) : (row[key] ?? ""));

  const line = (row, at, columns, file) => {
    const element = document.createElement("tr");
    element.dataset.row = at;
    for (const { key, right } of columns) {
      const cell = document.createElement(key === "name" ? "th" : "td");
      if (key === "name") cell.scope = "row";
      else cell.className = right ? "right" : key;
      cell.textContent = plain((CELLS[key] ?? ((each) => each[key] ?? ""))(row, file));
      element.append(cell);
    }
    return element;
  };

  for (const section of document.querySelectorAll(".model")) {
    const { rows, file } = figures.models[Number(section.dataset.model)];
    const body = section.querySelector(".rows tbody");
    const said = section.querySelector("output");
    const input = section.querySelector("input");
    const buttons = [...section.querySelectorAll("th button")];
    const columns = buttons.map((each) => ({ key: each.dataset.key, right: each.closest(".right") !== null }));
    [...body.rows].forEach((each, at) => (each.dataset.row = at));
    let key = null;
    let order = -1;

    const show = () => {
      const wanted = input.value.trim().toLowerCase();
      const text = (row) => `${row.name} ${row.initializer} ${row.rule ?? ""} ${row.law}`.toLowerCase();
      const found = [...rows.keys()].filter((at) => text(rows[at]).includes(wanted));
      if (key !== null) {
        found.sort((one, other) => {
          const [a, b] = [value(rows[one], key), value(rows[other], key)];
          return order * (a === b ? 0 : a < b || b === "" ? -1 : 1);
        });
      }
      body.replaceChildren(...found.slice(0, SHOWN).map((at) => line(rows[at], at, columns, file)));
      const lines = `${grouped(found.length)} ${found.length === 1 ? "line" : "lines"}`;
      said.textContent = found.length > SHOWN ? `the first ${SHOWN} of ${lines}` : lines;
    };
    input.addEventListener("input", show);
    for (const button of buttons) {
      button.addEventListener("click", () => {
        order = key === button.dataset.key ? -order : ["name", "shape"].includes(button.dataset.key) ? 1 : -1;
        key = button.dataset.key;
        for (const other of buttons) {
          other.setAttribute("aria-pressed", String(other === button));
          other.removeAttribute("data-order");
        }
        button.dataset.order = order;
        show();
      });
    }

    const choose = (at) => {
      for (const each of section.querySelectorAll(".chosen")) each.classList.remove("chosen");
      if (at === undefined) return;
      for (const each of section.querySelectorAll(`[data-row="${at}"]`)) each.classList.add("chosen");
    };
    section.addEventListener("pointerover", (event) => {
      const mark = event.target.closest(".mark");
      const title = mark?.querySelector("title");
      choose(event.target.closest("[data-row]")?.dataset.row);
      tip.hidden = !title;
      if (!title) return;
      tip.textContent = title.textContent;
      const box = mark.getBoundingClientRect();
      tip.style.left = `${Math.max(8, Math.min(box.x + box.width + 8, innerWidth - tip.offsetWidth - 8))}px`;
      tip.style.top = `${Math.max(8, box.y - tip.offsetHeight - 6)}px`;
    });
  }
})();
