"""Appends the first N records of the metered night to a store, says so, and waits to be killed."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from metered_log import a_night

from pendel.adapters.event_log import SqliteEventLog

log = SqliteEventLog(Path(sys.argv[1]))
for record in a_night()[: int(sys.argv[2])]:
    log.append([record])
print("there", flush=True)
time.sleep(60)
