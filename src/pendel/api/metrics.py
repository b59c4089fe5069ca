"""The state in numbers, in the text format of Prometheus (version 0.0.4)."""

from collections.abc import Iterable, Mapping

from pendel.runtime.area_tick import HEALTHY
from pendel.runtime.engine import Runtime
from pendel.runtime.state import GRID_SUFFIX

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[Mapping[str, str], float]


def metrics_text(runtime: Runtime) -> str:
    """All metrics; call it while holding `runtime.reading()`."""
    state = runtime.state
    lines: list[str] = []

    def add(name: str, kind: str, text: str, samples: Iterable[Sample]) -> None:
        lines.append(f"# HELP {name} {text}")
        lines.append(f"# TYPE {name} {kind}")
        for labels, value in samples:
            inside = ",".join(f'{k}="{_escaped(v)}"' for k, v in labels.items())
            lines.append(f"{name}{{{inside}}} {value:g}" if inside else f"{name} {value:g}")

    add(
        "pendel_events_total",
        "counter",
        "Records in the event log by kind.",
        [({"kind": kind}, count) for kind, count in sorted(state.counts.items())],
    )
    add("pendel_sessions_open", "gauge", "Cars plugged in.", [({}, len(state.sessions))])
    add("pendel_promises_total", "counter", "Promises that counted.", [({}, state.promises_total)])
    add("pendel_promises_kept_total", "counter", "Promises kept.", [({}, state.promises_kept)])
    add(
        "pendel_deviations_open",
        "gauge",
        "Devices off their orders.",
        [({}, len(state.deviations))],
    )
    add("pendel_limits_broken_total", "counter", "Steps over a limit.", [({}, state.limits_broken)])
    healthy = 1.0 if runtime.health == HEALTHY else 0.0
    add("pendel_healthy", "gauge", "1 when every part works.", [({}, healthy)])
    add(
        "pendel_site_power_kw",
        "gauge",
        "Power at the grid connection, import positive.",
        _sites(runtime),
    )
    return "\n".join(lines) + "\n"


def _sites(runtime: Runtime) -> list[Sample]:
    return [
        ({"site": site}, area.meters_now.kw(site + GRID_SUFFIX))
        for area in runtime.areas
        if area.meters_now is not None
        for site in area.spec.site_id
    ]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
