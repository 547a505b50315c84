"""The report: one self-contained HTML page derived from result rows."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from edge.report import charts, figures
from edge.report.advice import advice
from edge.report.caveats import caveats
from edge.report.costs import model_costs, shares_text
from edge.report.findings import fastest_lines, findings
from edge.report.markdown import render_markdown
from edge.report.png import SOFTWARE, render_png
from edge.results import units
from edge.results.row import OK, Host, Row
from edge.results.tables import (
    aggregated,
    backend_label,
    counted_instructions,
    device_label,
    distinctly_named,
    host_label,
    is_exact_count,
    latest,
    measured,
    microcontroller_columns,
    models_of,
    split_microcontrollers,
    timed,
)
from onebit import __version__
from onebit.errors import OnebitError, UsageError, unreadable
from onebit.files import write_bytes, write_text

SUFFIXES = (".html", ".md", ".png")
MARKS = {
    ".html": (b'content="Onebit', b"Written by Onebit"),
    ".md": (b"Written by Onebit",),
    ".png": (f"Software\0{SOFTWARE}".encode(),),
}
"""Bytes by which a report is recognised, so that no other file is overwritten."""
NO_ROWS = "there are no rows to report: measure with `onebit edge bench`"


@dataclass(frozen=True)
class DeviceSection:
    """One device on the page; an emulated one has no times and no memory.

    `short` is its name, with the processor only where two devices share the name.
    """

    label: str
    short: str
    host: Host
    rows: list[Row]
    timed: list[Row]
    latency: figures.Figure | None
    speed: figures.Figure | None
    footprint: figures.Figure | None
    memory: figures.Figure | None
    profiles: list[tuple[str, figures.Figure | None]]

    @property
    def reached(self) -> bool:
        """Whether anything is known about the device."""
        return (self.host.architecture or self.host.cpu) is not None

    @property
    def system(self) -> str:
        """Its architecture, cores and operating system, as far as they are known."""
        cores = f"{self.host.cores} cores" if self.host.cores else None
        return ", ".join(filter(None, (self.host.architecture, cores, self.host.os)))


def shown_rows(rows: Sequence[Row]) -> list[Row]:
    """The latest row of each cell, those of a model together, under distinct names."""
    shown = distinctly_named(latest(rows))
    names = list(dict.fromkeys(row.model.name for row in shown))
    return sorted(shown, key=lambda row: names.index(row.model.name))


def render_report(rows: Sequence[Row], title: str | None = None) -> str:
    """The page for these rows; of several rows of one cell, the latest is shown.

    Args:
        rows: One or more.
        title: The page's; the number of models and measurements when None.

    Raises:
        OnebitError: There are no rows.
    """
    if not rows:
        raise OnebitError(NO_ROWS)
    shown = shown_rows(rows)
    series = figures.series_of(measured(shown))
    devices = device_sections(shown, series)

    short = {device.label: device.short for device in devices}
    others, boards = split_microcontrollers(shown)
    fastest = fastest_lines(others)
    doubted = [row for row in shown if row.status != OK and not is_exact_count(row)]

    def label_of(row: Row) -> str:
        return backend_label(row) + (f" on {short[host_label(row)]}" if len(devices) > 1 else "")

    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            version=__version__,
            title=title,
            rows=shown,
            measured=measured(shown),
            timed=timed(shown),
            aggregated=aggregated(shown),
            models=models_of(shown),
            devices=devices,
            runs=list(dict.fromkeys(row.run for row in shown)),
            troubled=sorted(doubted, key=lambda row: row.status),
            fastest=list(fastest.values()),
            findings=findings(shown),
            costs=model_costs(shown, list(fastest.values())),
            boards=boards,
            board_columns=microcontroller_columns(boards),
            counted=[row for row in shown if row.firmware is not None],
            advice=advice(doubted),
            legend=figures.legend_of(series),
            label_of=label_of,
            short=short,
            backend_label=backend_label,
            size_figure=figures.size_figure(shown),
            caveats=caveats(shown, len(rows) - len(shown)),
            most_dots=charts.MAX_DOTS,
        )
    )


def device_sections(rows: Sequence[Row], series: dict[str, int]) -> list[DeviceSection]:
    """The devices in the order of their first rows, emulated ones last."""
    by_host: dict[str, list[Row]] = {}
    for row in rows:
        by_host.setdefault(host_label(row), []).append(row)
    names = [device_label(own[0]) for own in by_host.values()]
    sections = []
    for label, own in by_host.items():
        real, name = timed(own), device_label(own[0])
        sections.append(
            DeviceSection(
                label=label,
                short=name if names.count(name) == 1 else label,
                # Clock, temperature and load differ from run to run; the last ones are shown.
                host=own[-1].host,
                rows=own,
                timed=real,
                latency=figures.latency_figure(real, series),
                speed=figures.speed_figure(real, series),
                footprint=figures.footprint_figure(real, series),
                memory=figures.memory_figure(real, series),
                profiles=[
                    (f"{row.model.name} on {backend_label(row)}", figures.ops_figure(row.profile))
                    for row in real
                    if row.profile is not None
                ],
            )
        )
    return sorted(sections, key=lambda section: bool(section.host.emulated))


def check_report_path(path: str | os.PathLike[str], force: bool = False) -> None:
    """Refuses a path to which no report should be written.

    Args:
        path: The report's.
        force: Whether a file that is not a report may be overwritten.

    Raises:
        UsageError: The suffix is not a report's, or there is a folder or another kind of file.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise UsageError(f"the report {path} must end in {', '.join(SUFFIXES)}")
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint="give the report a name, such as report.html")
    if force or not path.is_file():
        return
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(unreadable(path, error)) from error
    if content and not any(mark in content for mark in MARKS[path.suffix]):
        raise UsageError(f"{path} is not a report of Onebit's", hint="overwrite it with --force")


def write_report(
    rows: Sequence[Row],
    path: str | os.PathLike[str],
    *,
    force: bool = False,
    title: str | None = None,
) -> None:
    """Writes the report on these rows, whole or not at all; the suffix chooses its kind.

    `.html` is the page, `.md` its tables and warnings as Markdown, `.png` its main charts. An
    earlier report is overwritten.

    Args:
        rows: Of any number of files, models and devices.
        path: The report's.
        force: Whether a file that is not a report may be overwritten too.
        title: The report's; made of its rows when None.

    Raises:
        UsageError: The suffix is another one, or another kind of file has that name.
        OnebitError: There are no rows, or `path` cannot be written.
    """
    check_report_path(path, force)
    suffix = Path(path).suffix
    if not rows:
        raise OnebitError(NO_ROWS)
    if suffix == ".html":
        write_text(path, render_report(rows, title))
    elif suffix == ".md":
        write_text(path, render_markdown(shown_rows(rows), len(rows), title))
    else:
        write_bytes(path, render_png(shown_rows(rows), title))


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edge.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        ms=units.milliseconds,
        size=units.size,
        percent=units.percent,
        ratio=units.ratio,
        figures=units.significant,
        difference=_difference,
        breakable=_breakable,
        code=_with_code,
        instructions=counted_instructions,
        shares=shares_text,
    )
    return environment


def _difference(value: float | None) -> str:
    """A difference of outputs: `0`, or two digits with an exponent."""
    return units.NONE if value is None else "0" if value == 0 else f"{value:.1e}"


def _with_code(text: str) -> Markup:
    """A text whose `commands` are set as code."""
    parts = text.split("`")
    marked = [Markup("<code>{}</code>").format(p) if i % 2 else p for i, p in enumerate(parts)]
    return Markup("").join(marked)


def _breakable(name: str) -> Markup:
    """A name that a narrow column may break after `_` and `:`."""
    return escape(name).replace("_", Markup("_<wbr>")).replace(":", Markup(":<wbr>"))
