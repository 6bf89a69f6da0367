"use strict";
// The page is whole without this: tables can be sorted with it, and links open their lesson in older browsers, too.

function value(row, column) {
  const text = row.cells[column].textContent.trim();
  return Number.isNaN(parseFloat(text)) ? text : parseFloat(text);
}

function sort(heading) {
  const column = heading.cellIndex;
  const body = heading.closest("table").tBodies[0];
  const both = ["ascending", "descending"];  // words from A on, numbers from the largest
  const [first, then] = typeof value(body.rows[0], column) === "string" ? both : both.reverse();
  const direction = heading.getAttribute("aria-sort") === first ? then : first;
  const sign = direction === "ascending" ? 1 : -1;
  const rows = Array.from(body.rows).sort((a, b) => {
    const [one, other] = [value(a, column), value(b, column)];
    return sign * (one > other ? 1 : one < other ? -1 : 0);
  });
  for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", direction);
  body.append(...rows);
}

for (const words of document.querySelectorAll(".sorts")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...words.childNodes);
  button.addEventListener("click", () => sort(button.closest("th")));
  words.append(button);
}

function open() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  if (target) target.scrollIntoView();
}

addEventListener("hashchange", open);
open();
