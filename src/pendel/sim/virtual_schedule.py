"""Who stands where and when: the sessions of a scenario as stays at virtual stations."""

from dataclasses import dataclass
from datetime import UTC, datetime

from pendel.scenario.columns import UNKNOWN_S, Scenario


@dataclass(frozen=True, slots=True)
class Stay:
    """One session at one device ("station_id/evse_id"); powers kW (amounts), energies kWh."""

    session_id: str
    vehicle_id: str
    site_id: str
    device_id: str
    arrive_utc: datetime
    depart_utc: datetime
    stated_utc: datetime | None
    capacity_kwh: float
    energy_kwh: float
    target_kwh: float
    energy_min_kwh: float
    charge_max_kw: float
    discharge_max_kw: float
    charge_efficiency: float
    discharge_efficiency: float
    wear_eur_kwh: float


def stays_of(scenario: Scenario) -> list[Stay]:
    """All sessions in order of arrival, cut to the horizon, each at a station of its site.

    A station takes one car at a time; a car that comes takes the lowest free number, so that
    there are as many stations as cars stand there at once.
    """
    sessions, horizon = scenario.sessions, scenario.horizon
    begin_s = horizon.start_s
    end_s = begin_s + horizon.steps * horizon.step_s
    free_from: dict[int, list[int]] = {}
    stays = []
    for n in sorted(range(len(sessions)), key=lambda n: (int(sessions.arrive_s[n]), n)):
        arrive_s = max(int(sessions.arrive_s[n]), begin_s)
        depart_s = min(int(sessions.depart_s[n]), end_s)
        if depart_s <= arrive_s:
            continue
        site = int(sessions.site[n])
        stations = free_from.setdefault(site, [])
        number = next((i for i, free in enumerate(stations) if free <= arrive_s), len(stations))
        if number == len(stations):
            stations.append(0)
        stations[number] = depart_s
        site_id = str(scenario.sites.site_id[site])
        stated_s = int(sessions.stated_depart_s[n])
        stays.append(
            Stay(
                session_id=str(sessions.session_id[n]),
                vehicle_id=str(sessions.vehicle_id[n]),
                site_id=site_id,
                device_id=f"{site_id}-cp{number + 1:02d}/1",
                arrive_utc=datetime.fromtimestamp(arrive_s, UTC),
                depart_utc=datetime.fromtimestamp(depart_s, UTC),
                stated_utc=None
                if stated_s == UNKNOWN_S
                else datetime.fromtimestamp(min(stated_s, end_s), UTC),
                capacity_kwh=float(sessions.capacity_kwh[n]),
                energy_kwh=float(sessions.energy_arrive_kwh[n]),
                target_kwh=float(sessions.energy_target_kwh[n]),
                energy_min_kwh=float(sessions.energy_min_kwh[n]),
                charge_max_kw=float(sessions.charge_max_kw[n]),
                discharge_max_kw=float(sessions.discharge_max_kw[n]),
                charge_efficiency=float(sessions.charge_efficiency[n]),
                discharge_efficiency=float(sessions.discharge_efficiency[n]),
                wear_eur_kwh=float(sessions.wear_eur_kwh[n]),
            )
        )
    return stays


def storages_of(scenario: Scenario) -> list[Stay]:
    """The stationary batteries as stays that never end; the device is named like the storage."""
    storages, horizon = scenario.storages, scenario.horizon
    return [
        Stay(
            session_id=str(storages.storage_id[n]),
            vehicle_id="",
            site_id=str(scenario.sites.site_id[int(storages.site[n])]),
            device_id=str(storages.storage_id[n]),
            arrive_utc=horizon.start_utc,
            depart_utc=datetime.max.replace(tzinfo=UTC),
            stated_utc=None,
            capacity_kwh=float(storages.capacity_kwh[n]),
            energy_kwh=float(storages.energy_start_kwh[n]),
            target_kwh=0.0,
            energy_min_kwh=0.0,
            charge_max_kw=float(storages.charge_max_kw[n]),
            discharge_max_kw=float(storages.discharge_max_kw[n]),
            charge_efficiency=float(storages.charge_efficiency[n]),
            discharge_efficiency=float(storages.discharge_efficiency[n]),
            wear_eur_kwh=float(storages.wear_eur_kwh[n]),
        )
        for n in range(len(storages))
    ]
