"""Stations of every kind with variables of their own, and a network that has its duties."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from ocpp_network_bench import RawStation, config, network_of, station_at

from pendel.config.server import ServerConfig
from pendel.runtime.network import ChargingNetwork
from pendel.runtime.network_duties import SetUp, StationDuties


class Model:
    """A station's variables, with what it refuses. values: name -> value; reboot: names that take
    effect after one; fixed: refused; no_export: a list with the export register is refused."""

    def __init__(self, version: str, **values: str) -> None:
        self.values = values
        self.reboot: set[str] = set()
        self.fixed: set[str] = set()
        self.no_export = False
        self.asked_most = 0
        self.old = version == "1.6"
        self.list_number = 0

    def answer(self, station: RawStation) -> None:
        if self.old:
            station.answers["GetConfiguration"] = self._configuration
            station.answers["ChangeConfiguration"] = self._change
        else:
            station.answers["GetVariables"] = self._get
            station.answers["SetVariables"] = self._set
        station.answers["SendLocalList"] = self._list
        station.answers["GetLocalListVersion"] = lambda payload: {
            ("listVersion" if self.old else "versionNumber"): self.list_number
        }

    def _configuration(self, payload: Any) -> Any:
        keys = payload["key"]
        self.asked_most = max(self.asked_most, len(keys))
        known = [k for k in keys if k in self.values]
        told = [{"key": k, "readonly": False, "value": self.values[k]} for k in known]
        return {"configurationKey": told, "unknownKey": [k for k in keys if k not in known]}

    def _change(self, payload: Any) -> Any:
        return {"status": self._take(payload["key"], payload["value"])}

    def _get(self, payload: Any) -> Any:
        results = []
        self.asked_most = max(self.asked_most, len(payload["getVariableData"]))
        for entry in payload["getVariableData"]:
            value = self.values.get(name_of(entry))
            status = "UnknownVariable" if value is None else "Accepted"
            found = {**entry, "attributeStatus": status}
            results.append(found if value is None else {**found, "attributeValue": value})
        return {"getVariableResult": results}

    def _set(self, payload: Any) -> Any:
        results = []
        for entry in payload["setVariableData"]:
            place = {key: entry[key] for key in ("component", "variable")}
            status = self._take(name_of(entry), entry["attributeValue"])
            results.append({**place, "attributeStatus": status})
        return {"setVariableResult": results}

    def _take(self, name: str, value: str) -> str:
        if name in self.fixed or (self.no_export and "Export" in value):
            return "Rejected"
        if name not in self.values:
            return "NotSupported" if self.old else "UnknownVariable"
        self.values[name] = value
        return "RebootRequired" if name in self.reboot else "Accepted"

    def _list(self, payload: Any) -> Any:
        number = payload["listVersion" if self.old else "versionNumber"]
        if payload["updateType"] == "Differential" and number <= self.list_number:
            return {"status": "VersionMismatch"}
        self.list_number = number
        return {"status": "Accepted"}


def name_of(entry: Any) -> str:
    variable = entry["variable"]
    instance = f"[{variable['instance']}]" if "instance" in variable else ""
    return f"{entry['component']['name']}.{variable['name']}{instance}"


def factory(version: str) -> Model:
    """A station as it leaves the factory: no aligned values, no export register."""
    some = "Energy.Active.Import.Register,Voltage"
    if version == "1.6":
        return Model(
            version,
            ClockAlignedDataInterval="0",
            MeterValuesAlignedData=some,
            MeterValueSampleInterval="300",
            MeterValuesSampledData=some,
        )
    names = ("AlignedDataCtrlr.", "SampledDataCtrlr.Tx")
    return Model(
        version,
        **{
            "AlignedDataCtrlr.Interval": "0",
            "AlignedDataCtrlr.Measurands": some,
            "AlignedDataCtrlr.TxEndedInterval": "0",
            "AlignedDataCtrlr.TxEndedMeasurands": "",
            "AlignedDataCtrlr.SendDuringIdle": "true",
            f"{names[1]}StartedMeasurands": some,
            f"{names[1]}UpdatedInterval": "0",
            f"{names[1]}UpdatedMeasurands": some,
            f"{names[1]}EndedMeasurands": some,
            "DeviceDataCtrlr.ItemsPerMessage[GetVariables]": "4",
            "DeviceDataCtrlr.ItemsPerMessage[SetVariables]": "2",
        },
    )


@contextlib.contextmanager
def dutiful(settings: ServerConfig | None = None, store: Any = None) -> Iterator[ChargingNetwork]:
    given = settings or config()
    with network_of(given, store) as network:
        network.duties = StationDuties(network, given.ocpp.metering)
        yield network


@contextlib.asynccontextmanager
async def there(network: ChargingNetwork, model: Model, version: str) -> AsyncIterator[RawStation]:
    async with station_at(network.port, version=version) as station:
        model.answer(station)
        await station.boot(version)
        yield station


async def settled(network: ChargingNetwork) -> SetUp:
    """How CP1 stands when nothing more is under way."""
    duties = network.duties
    assert isinstance(duties, StationDuties)
    async with asyncio.timeout(10.0):
        while "CP1" not in duties.set_up or duties.set_up["CP1"].metering in ("", "asked"):
            await asyncio.sleep(0.01)
    return duties.set_up["CP1"]
