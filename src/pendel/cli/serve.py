"""`pendel serve CONFIG.toml`: one process with store, control loop and HTTP."""

import argparse
import logging
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pendel.cli.outcome import Outcome

if TYPE_CHECKING:
    from pendel.config.server import ServerConfig
    from pendel.control.warranty import WarrantyBudget
    from pendel.ports import PriceSource
    from pendel.records import Mode
    from pendel.runtime.area_tick import Area
    from pendel.runtime.bridges.ocpp_bridge import OcppBridge
    from pendel.runtime.engine import Runtime
    from pendel.runtime.loop import Stop
    from pendel.runtime.network import ChargingNetwork
    from pendel.runtime.tariff_prices import TariffPrices
    from pendel.runtime.transaction_costs import TransactionCosts
    from pendel.runtime.warm_up import WarmUp
    from pendel.tariff.model import Tariff

TICK_S = 1.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `pendel serve`."""
    parser.add_argument("config", metavar="CONFIG.toml", type=Path, help="what to serve")


def run(args: argparse.Namespace) -> Outcome:
    """Serve until a signal. Raises InputError (every problem of the file), StoreError."""
    from pendel.adapters.store_url import open_store
    from pendel.config.server import load_server_config
    from pendel.runtime.contracts import contracts_of, site_meters
    from pendel.runtime.engine import Runtime
    from pendel.runtime.loop import Stop, stop_on_signals
    from pendel.runtime.markets import open_market
    from pendel.runtime.reward import Reward
    from pendel.runtime.tariff_prices import TariffPrices
    from pendel.runtime.transaction_costs import TransactionCosts

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    config = load_server_config(args.config)
    stop = Stop()
    with stop_on_signals(stop):
        zones = {site.site_id: site.timezone for site in config.site}
        contracts = contracts_of(config, args.config.parent, serving=True)
        market = open_market(config.prices, args.config.parent)
        runtime = Runtime(open_store(config.store, args.config.parent), zones)
        try:
            tariffs = contracts.tariffs_on(datetime.now(UTC).date())
            runtime.areas += areas_of(config, datetime.now(UTC), tariffs)
            reward = Reward(dict(contracts.mispel_case), runtime.state.months)
            prices = TariffPrices(contracts, market, reward)
            meters = site_meters(config)
            costs = TransactionCosts(meters.station_site, contracts, market, meters.keys)
            return _serve(config, runtime, stop, (prices, costs), args.config.parent)
        finally:
            runtime.close()
            if market is not None:
                market.close()


def _serve(
    config: "ServerConfig",
    runtime: "Runtime",
    stop: "Stop",
    money: "tuple[TariffPrices, TransactionCosts]",
    base: Path,
) -> Outcome:
    from pendel.api.auth import Gate, Role, Token
    from pendel.api.service import Service
    from pendel.clock import RealClock
    from pendel.runtime.loop import Loop
    from pendel.web.pages import create_web_app
    from pendel.web.server import HttpServer, bind

    tokens = [
        Token(
            token.name,
            Role(token.role),
            token.sha256,
            None if token.sites is None else frozenset(token.sites),
        )
        for token in config.token
    ]
    clock = RealClock()
    loop = Loop(runtime, clock, TICK_S, stop)
    warm = _warm_up(runtime, clock.now_utc())
    ready = {"store": lambda: not runtime.store_trouble}
    ready["control"] = lambda: loop.ticks > 0 and (warm is None or warm.done)
    network, bridged = open_network(config, runtime, money[0], base, money[1])
    runtime.start(clock.now_utc())
    ready["ocpp"] = lambda: network.accepting
    service = Service(runtime, Gate(tokens), ready=ready, network=network, bridge=bridged)
    server = HttpServer(create_web_app(service), service, bind(config.http.host, config.http.port))
    server.start()
    print(f"pendel serves {server.address}", file=sys.stderr, flush=True)
    for scheme, port in (("ws", network.port), ("wss", network.tls_port)):
        if port:
            door = f"{scheme}://{config.ocpp.host}:{port}/ocpp/ID"
            print(f"stations connect to {door}", file=sys.stderr, flush=True)
    signal.signal(signal.SIGHUP, lambda number, frame: network.reload_security())
    if not tokens:
        print("no [[token]] is configured: nobody can sign in", file=sys.stderr, flush=True)
    try:
        loop.run()
    finally:
        server.stop()
        network.stop()
    events = runtime.store.last_sequence
    return Outcome(
        data={"events": events, "address": server.address}, text=f"{events} events in the store"
    )


def _warm_up(runtime: "Runtime", now_utc: datetime) -> "WarmUp | None":
    """Compile the controller's kernels beside; until that is done the safe fallback decides."""
    from pendel.runtime.decider import LiveController
    from pendel.runtime.warm_up import WarmUp

    if not runtime.areas:
        return None
    warm = WarmUp(runtime.areas[0].spec, now_utc)
    for area in runtime.areas:
        if isinstance(area.decider, LiveController):
            area.decider.ready = lambda: warm.done
    return warm


def open_network(
    config: "ServerConfig",
    runtime: "Runtime",
    prices: "PriceSource | None" = None,
    base: Path = Path(),
    costs: "TransactionCosts | None" = None,
) -> "tuple[ChargingNetwork, OcppBridge]":
    """The OCPP side, listening. base: folder of the configuration; costs: of transactions.

    Raises InputError: a port is taken, a TLS file is bad."""
    from pendel.errors import InputError, Problem
    from pendel.runtime.bridges.ocpp_bridge import bridge
    from pendel.runtime.network import ChargingNetwork
    from pendel.runtime.network_duties import StationDuties
    from pendel.runtime.network_policy import ConfigPolicy
    from pendel.runtime.network_security import security_of
    from pendel.runtime.process import calm_collector
    from pendel.runtime.root_keeping import RootKeeper

    def now_utc() -> datetime:
        return datetime.now(UTC)

    security = security_of(config.ocpp, base, now_utc, config.plug_and_charge)
    network = ChargingNetwork(
        ConfigPolicy(config), runtime.store, config.ocpp.lab, security, costs=costs
    )
    if config.root:
        network.watch.roots = RootKeeper(network, config.root, base)
    bridged = bridge(runtime, network, prices)
    network.duties = StationDuties(network, config.ocpp.metering)
    calm_collector()
    try:
        network.start(config.ocpp.host, config.ocpp.port)
    except OSError as error:
        text = f"cannot listen on {config.ocpp.host}: {error}"
        raise InputError([Problem("ocpp", 0, "port", text, "a free port")]) from error
    return network, bridged


def areas_of(
    config: "ServerConfig", now_utc: datetime, tariffs: "Mapping[str, Tariff] | None" = None
) -> list["Area"]:
    """One area per site; its stations speak through ports that nothing is connected to yet.

    tariffs: of the sites that have one, for what they charge for the highest import."""
    from pendel.records import Mode
    from pendel.runtime.area import AreaSpec
    from pendel.runtime.area_tick import Area, Ports, Station
    from pendel.runtime.decider import live_controller, no_feeders
    from pendel.runtime.silence import Silence

    areas = []
    begin_s = int(now_utc.timestamp()) // 900 * 900
    for site in config.site:
        stations = [entry for entry in config.station if entry.site_id == site.site_id]
        modes = {Mode(entry.mode) for entry in stations}
        today = now_utc.date()
        permit = site.export_permit
        permitted = permit is not None and permit.valid_from <= today
        if permit is not None and permit.valid_until is not None:
            permitted = permitted and today < permit.valid_until
        spec = AreaSpec(
            name=site.site_id,
            site_id=(site.site_id,),
            import_limit_kw=(site.import_limit_kw,),
            export_limit_kw=(site.export_limit_kw,),
            demand_charge_eur_kw=(_demand_charge(tariffs, site.site_id, today),),
            export_permitted=(permitted,),
            timezone=site.timezone,
            mode=_widest(modes),
            budgets=_budgets(config),
        )
        silence = Silence()
        areas.append(
            Area(
                spec,
                live_controller(spec, [-1], no_feeders()),
                Ports(silence, silence, silence, silence),
                begin_s=begin_s,
                stations=tuple(Station(e.station_id, e.site_id) for e in stations),
            )
        )
    return areas


def _demand_charge(tariffs: "Mapping[str, Tariff] | None", site_id: str, today: date) -> float:
    from pendel.tariff.planning import demand_charge_kw

    tariff = None if tariffs is None else tariffs.get(site_id)
    return 0.0 if tariff is None else float(demand_charge_kw(tariff, today))


def _budgets(config: "ServerConfig") -> "dict[str, WarrantyBudget]":
    """What makers allow to be discharged, by vehicle_id; a cap that is absent is none."""
    import msgspec

    from pendel.control.warranty import WarrantyBudget

    found = {}
    for vehicle in config.vehicle:
        if vehicle.warranty_budget is not None:
            caps = msgspec.structs.asdict(vehicle.warranty_budget)
            stated = {name: cap for name, cap in caps.items() if cap is not None}
            found[vehicle.vehicle_id] = WarrantyBudget(**stated)
    return found


def _widest(modes: "set[Mode]") -> "Mode":
    """The mode of a site: the widest of its stations (each car is held to its own later)."""
    from pendel.records import Mode

    order = [Mode.V2G, Mode.V2B, Mode.V2H, Mode.V1G, Mode.UNCONTROLLED]
    return next((mode for mode in order if mode in modes), Mode.V2G)
