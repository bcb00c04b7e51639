# SPDX-License-Identifier: Apache-2.0
"""What is written about all pairs: a table for programs, and a page for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cnnmetric.files.output import atomic_path

PAGE, TABLE, REPORT = "index.html", "results.csv", "report.html"
WAITING, FAILED, DONE = "waiting", "failed", "done"
_COLUMNS = ("name", "status", "seconds", "warning", "failure")
_REST = ("fixed", "moving", "host", "finished")

_FRAME = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ border-bottom: 1px solid #8884; padding: .35em .7em; text-align: left;
          vertical-align: top }}
th button {{ all: unset; cursor: pointer }}
th button:focus-visible {{ outline: 2px solid }}
th[aria-sort=ascending] button::after {{ content: " \\25B2" }}
th[aria-sort=descending] button::after {{ content: " \\25BC" }}
th, td:not(:last-child) {{ white-space: nowrap }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums }}
.done {{ color: light-dark(#176b2c, #7bd88f) }}
.failed {{ color: light-dark(#b3261e, #ff8a80); font-weight: 600 }}
.waiting {{ opacity: .6 }}
</style>
<h1>{title}</h1>
<p>{summary}</p>
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
<script>
const body = document.querySelector("tbody");
document.querySelectorAll("th").forEach((cell, at) => cell.addEventListener("click", () => {{
  const up = cell.ariaSort !== "ascending";
  document.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
  cell.ariaSort = up ? "ascending" : "descending";
  const key = row => row.cells[at].dataset.value ?? row.cells[at].textContent;
  const compare = (a, b) => {{
    const [x, y] = [key(a), key(b)];
    if (x === "" || y === "") return (x === "") - (y === "");  // what is missing comes last
    const [p, q] = [Number(x), Number(y)];
    // "numeric" takes the digits behind a point for a whole number.
    const order = Number.isFinite(p) && Number.isFinite(q)
      ? p - q : x.localeCompare(y, undefined, {{numeric: true}});
    return (up ? 1 : -1) * order;
  }};
  body.append(...[...body.rows].sort(compare));
}}));
</script>
</html>
"""


def write_overview(folder: Path, records: Sequence[Mapping[str, Any]], *, title: str) -> None:
    """Write ``results.csv`` and ``index.html``, each whole or not at all.

    Parameters
    ----------
    folder
        With a folder for every pair that is done.
    records
        Of `PairJob`, in the order to be shown; ``status`` added.
    title
        Of the page.
    """
    figures = list(dict.fromkeys(name for record in records for name in record["figures"]))
    for name, text in (
        (TABLE, _table(records, figures)),
        (PAGE, _page(folder, records, figures, title)),
    ):
        with atomic_path(folder / name) as replacement:
            replacement.write_text(text, encoding="utf-8", newline="")


def _table(records: Sequence[Mapping[str, Any]], figures: Sequence[str]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*_COLUMNS, *figures, *_REST, "folder"])
    for record in records:
        values = [record.get(name) for name in _COLUMNS]
        values += [record["figures"].get(name) for name in figures]
        values += [record.get(name) for name in _REST]
        values += [record["name"] if record["status"] == DONE else ""]
        writer.writerow(["" if value is None else value for value in values])
    return stream.getvalue()


def _page(
    folder: Path, records: Sequence[Mapping[str, Any]], figures: Sequence[str], title: str
) -> str:
    numbers = dict.fromkeys((DONE, FAILED, WAITING), 0)
    for record in records:
        numbers[record["status"]] += 1
    warned = sum(bool(record["warning"]) for record in records)
    summary = ", ".join(f"{number} {status}" for status, number in numbers.items() if number)
    if warned:
        summary += f"; {warned} with a warning"
    titles = ["Pair", "Status", "Time", *figures, "What to know"]
    head = "".join(f"<th><button>{escape(text)}</button></th>" for text in titles)
    rows = "\n".join(_row(folder, record, figures) for record in records)
    return _FRAME.format(title=escape(title), summary=escape(summary), head=head, rows=rows)


def _row(folder: Path, record: Mapping[str, Any], figures: Sequence[str]) -> str:
    name, status = record["name"], record["status"]
    shown = escape(name)
    if status == DONE:
        report = REPORT if (folder / name / REPORT).is_file() else ""
        shown = f'<a href="{quote(name)}/{report}">{shown}</a>'
    cells = [f"<td>{shown}</td>", f'<td class="{status}">{status}</td>', _time(record["seconds"])]
    cells += [_number(record["figures"].get(figure)) for figure in figures]
    cells.append(f"<td>{escape(record['failure'] or record['warning'])}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "<td></td>"
    minutes, rest = divmod(round(seconds), 60)
    return f'<td class="number" data-value="{seconds}">{minutes}:{rest:02d} min</td>'


def _number(value: float | None) -> str:
    if value is None:
        return '<td class="number"></td>'
    return f'<td class="number" data-value="{value}">{value:.4g}</td>'
