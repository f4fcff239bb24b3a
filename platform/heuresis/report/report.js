// A click on a heading sorts its table: numbers by value, texts by letter; again: the other way.
for (const heading of document.querySelectorAll("th[data-sort]")) {
  heading.tabIndex = 0;
  const sort = () => {
    const table = heading.closest("table");
    const body = table.tBodies[0];
    const column = heading.cellIndex;
    const falling = heading.getAttribute("aria-sort") !== "descending";
    const value = (row) => {
      const cell = row.cells[column];
      const text = cell.dataset.value ?? cell.textContent.trim();
      return heading.dataset.sort === "number" ? (text === "" ? -Infinity : Number(text)) : text;
    };
    const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    const rows = [...body.rows].sort((a, b) => compare(value(a), value(b)) * (falling ? -1 : 1));
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
    body.append(...rows);
  };
  heading.addEventListener("click", sort);
  heading.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
}
