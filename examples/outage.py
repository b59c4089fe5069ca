"""The outage of `examples/home` in the power layer: `python examples/outage.py`.

Reads the home's scenario and `outage.toml`, lets home battery and car carry the home as an
island, and prints who supplied what. The car keeps what its next trip needs.
"""

import sys
import tomllib
from datetime import datetime
from pathlib import Path

import numpy as np

from pendel.power.outage import Home, Outage, Store, run_outage
from pendel.scenario.columns import Scenario
from pendel.scenario.read import read_scenario

HERE = Path(__file__).resolve().parent


def outage_of(scenario: Scenario, begin: datetime, end: datetime, reserve_kwh: float) -> Outage:
    """The steps of the outage; what is plugged in then begins as it arrived, the battery half
    full. The whole load is one group: it is served as a whole or shed."""
    horizon, cars, batteries = scenario.horizon, scenario.sessions, scenario.storages
    first = int((begin - horizon.start_utc).total_seconds()) // horizon.step_s
    last = int((end - horizon.start_utc).total_seconds()) // horizon.step_s
    there = np.flatnonzero((cars.arrive_step <= first) & (first < cars.depart_step))
    car = None
    if len(there):
        i = int(there[0])
        car = Store(
            float(cars.capacity_kwh[i]), float(cars.energy_arrive_kwh[i]), reserve_kwh,
            float(cars.charge_max_kw[i]), float(cars.discharge_max_kw[i]),
            float(cars.charge_efficiency[i]), float(cars.discharge_efficiency[i]),
        )  # fmt: skip
    battery = Store(
        float(batteries.capacity_kwh[0]), float(batteries.capacity_kwh[0]) / 2.0, 0.0,
        float(batteries.charge_max_kw[0]), float(batteries.discharge_max_kw[0]),
        float(batteries.charge_efficiency[0]), float(batteries.discharge_efficiency[0]),
    )  # fmt: skip
    load, pv = scenario.series.load_kw[:1, first:last], scenario.series.pv_kw[0, first:last]
    return run_outage(Home(battery, car), load, pv, horizon.step_h)


def main() -> int:
    """Print the steps of the outage."""
    told = tomllib.loads((HERE / "home" / "outage.toml").read_text("utf-8"))
    scenario = read_scenario(HERE / "home")
    outage = outage_of(scenario, told["begin"], told["end"], float(told["reserve_kwh"]))
    print("step  served kW  shed kW  battery kW  car kW  car kWh")
    for index, (step, home) in enumerate(zip(outage.steps, outage.homes, strict=True)):
        car_kwh = home.car.energy_kwh if home.car else float("nan")
        print(
            f"{index:4d}  {step.served_kw:9.2f}  {step.shed_kw:7.2f}  {step.battery_kw:10.2f}"
            f"  {step.car_kw:6.2f}  {car_kwh:7.2f}"
        )
    print(f"served without a break for {outage.autonomy_h:.2f} h")
    return 0


if __name__ == "__main__":
    sys.exit(main())
