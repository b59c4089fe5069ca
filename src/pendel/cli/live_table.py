"""What a demonstration prints while it runs: a table that renews itself on a terminal, plain lines
elsewhere. Both go to stderr, so that stdout stays for the result."""

import sys
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pendel.runtime.engine import Runtime
from pendel.web.page_data import AreaView, first_page

ROWS_PER_AREA = 8
RISK_STYLE = {"late": "bold red", "tight": "yellow", "on the way": "green", "ready": "bold green"}
LINE_EVERY_S = 3_600


class Display(Protocol):
    """Shows the runtime after a tick."""

    def show(self, now_utc: datetime) -> None:
        """Show the state at now_utc."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


class LiveTable:
    """A table on a terminal, redrawn after each tick."""

    def __init__(self, runtime: Runtime, heading: str, console: Console | None = None) -> None:
        self._runtime = runtime
        self._heading = heading
        console = console or Console(stderr=True)
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def show(self, now_utc: datetime) -> None:
        """Redraw."""
        with self._runtime.reading():
            data = first_page(self._runtime)
        parts: list[Table | Text] = [Text(self._heading, style="bold")]
        if data["health"]:
            parts.append(Text(data["health"], style="bold red"))
        parts += [_table(area) for area in data["areas"]]
        kept = f"{data['kept']} of {data['total']} promises kept, {data['setpoints']} setpoints"
        parts.append(Text(f"{kept}, limits broken {data['limits_broken']}. Ctrl-C ends it."))
        self._live.update(Group(*parts), refresh=True)

    def close(self) -> None:
        """Stop drawing."""
        self._live.stop()


def _table(area: AreaView) -> Table:
    table = Table(
        title=f"{area.title} ({area.mode}, simulated), {area.clock}: {area.power_kw} kW of "
        f"{area.limit_kw} kW, {area.price or '?'} EUR/kWh",
        title_justify="left",
        expand=True,
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for name in ("promise", "car", "ready by", "battery", "now"):
        table.add_column(name, no_wrap=True)
    table.add_column("because", no_wrap=True, overflow="ellipsis", ratio=1, min_width=12)
    for row in area.rows[:ROWS_PER_AREA]:
        table.add_row(
            Text(row.risk, style=RISK_STYLE.get(row.risk, "")),
            row.vehicle,
            f"{row.ready_by} {row.kept}",
            f"{row.soc_pct}/{row.target_pct} %",
            row.doing.replace(" with", ""),
            row.reason,
        )
    more = len(area.rows) - ROWS_PER_AREA
    if more > 0:
        table.add_row("", f"{more} more", "", "", "", "")
    return table


class PlainLines:
    """One line per area and simulated hour."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._shown_s = -LINE_EVERY_S

    def show(self, now_utc: datetime) -> None:
        """Print when an hour has passed."""
        now_s = int(now_utc.timestamp())
        if now_s - self._shown_s < LINE_EVERY_S:
            return
        self._shown_s = now_s - now_s % LINE_EVERY_S
        with self._runtime.reading() as state:
            data = first_page(self._runtime)
            for area, shown in zip(self._runtime.areas, data["areas"], strict=True):
                local = now_utc.astimezone(ZoneInfo(area.spec.timezone))
                cars = sum(row.doing_class != "idle" for row in shown.rows)
                print(
                    f"{local:%a %H:%M} simulated {shown.name}: {len(shown.rows)} cars, {cars} "
                    f"active, {shown.power_kw} of {shown.limit_kw} kW, "
                    f"{state.promises_kept}/{state.promises_total} promises kept",
                    file=sys.stderr,
                )
            if data["health"]:
                print(f"attention: {data['health']}", file=sys.stderr)
        sys.stderr.flush()

    def close(self) -> None:
        """Nothing to leave."""


def display_for(runtime: Runtime, heading: str) -> Display:
    """A table where stderr is a terminal, lines elsewhere."""
    return LiveTable(runtime, heading) if sys.stderr.isatty() else PlainLines(runtime)
