"use strict";
(() => {
  const DRAWN = 200;
  const PRINTED = 5000;
  const models = JSON.parse(document.getElementById("figures").textContent);
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
  // What is longer than a line has room for; the whole is the title.
  const fitted = (made, text) => {
    if (text.length > 200) made.title = text;
    const shown = text.length > 200 ? `${text.slice(0, 99)}…${text.slice(-99)}` : text;
    // The lines of a name may break after its dots.
    const parts = made.tagName === "TH" ? shown.split(/(?<=[^.]\.)(?=[^.])/) : [shown];
    made.append(...parts.flatMap((part, at) => (at ? [element("wbr"), part] : [part])));
    return made;
  };
  const element = (tag, properties, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  // page.py writes what rows share once.
  const unpacked = ({ kinds, rows }) => {
    let name = "";
    return rows.map(([same, rest, kind, copies, place, tied]) => {
      const [shape, dtype, initializer, law, form, fan_in, std, rule] = kinds[kind];
      name = name.slice(0, same) + rest;
      const elements = tied ? 0 : shape.reduce((product, length) => product * length, copies);
      return { name, copies, shape, dtype, initializer, law, form, fan_in, std, rule, place, tied, elements };
    });
  };
  const TEXTS = {
    copies: (row) => (row.copies > 1 ? grouped(row.copies) : ""),
    shape: (row) => row.shape.join(" × "),
    fan_in: (row) => (Number.isInteger(row.fan_in) ? grouped(row.fan_in) : four(row.fan_in)),
    std: (row) => four(row.std),
    elements: (row) => grouped(row.elements),
  };
  const value = (row, key) => {
    if (key === "shape") return row.shape.reduce((product, length) => product * length, 1);
    if (key === "place") return row.place ? Number(row.place.split(":")[0]) : "";
    return row[key] ?? "";
  };

  // The names that `h.{0..2,7}.w` stands for; none where braces are part of a name.
  const names = (row) => {
    const parts = row.name.split(/\{([0-9.,]+)\}/);
    const spans = parts.filter((_, at) => at % 2).map((span) =>
      span.split(",").flatMap((run) => {
        const [first, last] = run.split("..").map(Number);
        return Array.from({ length: Math.min((last ?? first) - first, row.copies) + 1 }, (_, at) => first + at);
      }));
    if (row.copies < 2 || spans.reduce((product, span) => product * span.length, 1) !== row.copies) return [];
    return spans.reduce(
      (found, span, at) => found.flatMap((start) => span.map((number) => start + number + parts[2 * at + 2])),
      [parts[0]],
    );
  };

  for (const section of document.querySelectorAll(".model")) {
    const rows = unpacked(models[Number(section.dataset.model)]);
    const body = section.querySelector(".rows tbody");
    const said = section.querySelector("output");
    const input = section.querySelector("input");
    const more = section.querySelector(".more");
    const buttons = [...section.querySelectorAll(".rows th button")];
    const columns = buttons.map((each) => ({ key: each.dataset.key, right: each.closest(".right") !== null }));
    const texts = rows.map((row) => `${row.name} ${row.tied ?? ""} ${row.initializer} ${row.rule ?? ""} ${row.law}`.toLowerCase());
    let [key, order, found, drawn] = [null, -1, [], 0];

    const line = (at) => {
      const made = element("tr");
      made.dataset.row = at;
      for (const { key, right } of columns) {
        const text = plain((TEXTS[key] ?? ((each) => each[key] ?? ""))(rows[at]));
        if (key === "name") {
          const head = fitted(element("th", { scope: "row" }), text);
          if (rows[at].tied) head.append(element("span", { className: "soft" }, ` = ${plain(rows[at].tied)}`));
          made.append(head);
        } else if (key === "copies" && names(rows[at]).length) {
          const fold = element("button", { type: "button", className: "fold" }, `×${text}`);
          fold.setAttribute("aria-expanded", "false");
          fold.setAttribute("aria-label", `${text} copies of ${plain(rows[at].name)}`);
          made.append(element("td", { className: "right" }, fold));
        } else {
          made.append(fitted(element("td", { className: right ? "right" : key }), text));
        }
      }
      return made;
    };
    const draw = () => {
      const next = found.slice(drawn, drawn + DRAWN);
      body.append(...next.map(line));
      drawn += next.length;
      more.hidden = drawn === found.length;
      const lines = `${grouped(found.length)} ${found.length === 1 ? "line" : "lines"}`;
      said.textContent = drawn < found.length ? `the first ${grouped(drawn)} of ${lines}` : lines;
    };
    const show = () => {
      const wanted = input.value.trim().toLowerCase();
      found = [...rows.keys()].filter((at) => texts[at].includes(wanted));
      if (key !== null) {
        const values = rows.map((row) => value(row, key));
        found.sort((one, other) => {
          const [a, b] = [values[one], values[other]];
          if (a === b) return one - other;
          return a === "" ? 1 : b === "" ? -1 : order * (a < b ? -1 : 1);
        });
      }
      body.replaceChildren();
      drawn = 0;
      draw();
    };
    input.addEventListener("input", show);
    more.querySelector("button").addEventListener("click", draw);
    addEventListener("beforeprint", () => {
      while (drawn < Math.min(found.length, PRINTED)) draw();
    });
    new IntersectionObserver((seen) => {
      if (seen.some((each) => each.isIntersecting) && !more.hidden && drawn >= DRAWN && found.length) draw();
    }).observe(more);
    for (const button of buttons) {
      button.addEventListener("click", () => {
        order = key === button.dataset.key ? -order : ["copies", "fan_in", "std", "elements"].includes(button.dataset.key) ? -1 : 1;
        key = button.dataset.key;
        for (const other of buttons) other.closest("th").setAttribute("aria-sort", "none");
        button.closest("th").setAttribute("aria-sort", order > 0 ? "ascending" : "descending");
        show();
      });
    }
    body.addEventListener("click", (event) => {
      const fold = event.target.closest(".fold");
      if (!fold) return;
      const own = fold.closest("tr");
      const isOpen = fold.getAttribute("aria-expanded") === "true";
      fold.setAttribute("aria-expanded", String(!isOpen));
      if (isOpen) {
        while (own.nextElementSibling?.classList.contains("copy")) own.nextElementSibling.remove();
      } else {
        own.after(...names(rows[own.dataset.row]).slice(0, 1000).map((name) =>
          element("tr", { className: "copy" }, element("td", { colSpan: columns.length }, plain(name)))));
      }
    });
    show();
  }

  const choose = (target) => {
    for (const each of document.querySelectorAll(".chosen")) each.classList.remove("chosen");
    const at = target.closest("[data-row]")?.dataset.row;
    if (at === undefined) return;
    const section = target.closest(".model");
    for (const each of section.querySelectorAll(`[data-row="${at}"]`)) each.classList.add("chosen");
  };
  const tell = ({ target }) => {
    const mark = target.closest(".mark");
    const title = mark?.querySelector("title");
    choose(target);
    tip.hidden = !title;
    if (!title) return;
    tip.textContent = title.textContent;
    const box = mark.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(box.x + box.width + 8, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${Math.max(8, box.y - tip.offsetHeight - 6)}px`;
  };
  for (const section of document.querySelectorAll(".model, .signals")) {
    section.addEventListener("pointerover", tell);
    section.addEventListener("focusin", tell);
  }
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") tip.hidden = true;
  });

  // Tab stops once at a picture; arrows go from mark to mark, in the order in which they stand from left to right.
  const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  for (const picture of document.querySelectorAll("svg")) {
    const marks = [...picture.querySelectorAll(".mark:has(> title)")];
    const left = new Map(marks.map((mark) => [mark, mark.getBoundingClientRect().x]));
    marks.sort((one, other) => left.get(one) - left.get(other));
    marks.forEach((mark, at) => mark.setAttribute("tabindex", at ? "-1" : "0"));
    picture.addEventListener("keydown", (event) => {
      const at = marks.indexOf(document.activeElement);
      const step = STEPS[event.key];
      if (at < 0 || step === undefined) return;
      event.preventDefault();
      const next = marks[Math.max(0, Math.min(marks.length - 1, at + step))];
      marks[at].setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    });
  }
})();
