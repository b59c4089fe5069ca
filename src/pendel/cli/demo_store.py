"""The store of a demonstration: found again after a kill, put aside when its run is over."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pendel.adapters.event_log import SqliteEventLog, sole_use
from pendel.runtime.engine import Runtime

NAME = "pendel.db"
PREVIOUS = "pendel.previous.db"
TOPIC = "demo"
STARTED, FINISHED = "started", "finished"


@dataclass(frozen=True, slots=True)
class DemoRun:
    """An open store. resumed_utc: where an earlier run of the same scenarios stopped, or None."""

    runtime: Runtime
    path: Path
    resumed_utc: datetime | None
    start_utc: datetime | None


def open_demo(out: Path, scenarios: str, fresh: bool) -> DemoRun:
    """Open OUT/pendel.db: a run that was cut off goes on, one that is over is put aside.

    Raises StoreError where the store is damaged or in use.
    """
    path = out / NAME
    if fresh:
        _put_aside(path)
    runtime = Runtime(SqliteEventLog(path))
    begun = runtime.state.signals.get(TOPIC)
    if runtime.store.last_sequence == 0:
        return DemoRun(runtime, path, None, None)
    same = begun is not None and begun.detail.get("scenarios") == scenarios
    if not same or begun is None or begun.detail.get("phase") == FINISHED:
        runtime.close()
        _put_aside(path)
        return DemoRun(Runtime(SqliteEventLog(path)), path, None, None)
    return DemoRun(runtime, path, runtime.state.last_utc, begun.at_utc)


def _put_aside(path: Path) -> None:
    """Rename a store that is over, damaged or not wanted; the one put aside before is replaced.

    Raises StoreError when another process uses it.
    """
    if not path.exists():
        return
    with sole_use(path):
        for rest in ("-wal", "-shm"):
            source = Path(f"{path}{rest}")
            target = Path(f"{path.with_name(PREVIOUS)}{rest}")
            target.unlink(missing_ok=True)
            if source.exists():
                source.replace(target)
        path.replace(path.with_name(PREVIOUS))
