"""A charging network that is killed: `python kill_server.py STORE PORT` prints its port, serves."""

import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from ocpp_network_bench import config

from pendel.adapters.event_log import SqliteEventLog
from pendel.runtime.network import ChargingNetwork
from pendel.runtime.network_policy import ConfigPolicy

if __name__ == "__main__":
    settings = config(stations=4)
    network = ChargingNetwork(ConfigPolicy(settings), SqliteEventLog(Path(sys.argv[1])))
    print(network.start("127.0.0.1", int(sys.argv[2])), flush=True)
    threading.Event().wait()
