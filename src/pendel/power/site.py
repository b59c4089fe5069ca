"""A site behind its fuses: phases, a tree of limits, and which of them binds.

    net[ph]  = load[ph] - (pv[ph] - curtailed[ph]) + sum of devices on ph          [kW]      (1)
    fuse     |net[ph] of the devices below| <= U I / 1000 for each phase of each fuse          (2)
    tilt     max - min over phases of what single-phase devices put on them <= limit           (3)

Single-phase cars hang on one phase: the fuse of that phase binds, not the sum. In Germany a
customer's unsymmetry is limited to 4.6 kVA (IMBALANCE_LIMIT_KVA; VDE-AR-N 4100, unverified; data,
change it where another rule holds). Unity displacement factor is taken: kVA = kW.

Columns: a tree of F fuses (parent index, -1 = grid connection's own), D devices with the fuse
they hang on and their share per phase [D, 3] (rows sum to 1). Powers: positive = import.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from pendel.errors import Problem, require
from pendel.units import FloatArray, IntArray

PHASES = 3
PHASE_VOLTAGE_V = 230.0
IMBALANCE_LIMIT_KVA = 4.6
TOLERANCE_KW = 1e-9
THREE_PHASE = (1 / 3, 1 / 3, 1 / 3)


class Bound(StrEnum):
    """What ends the room of a device."""

    NONE = "none"
    FUSE = "fuse"
    IMBALANCE = "imbalance"
    IMPORT = "import_limit"
    EXPORT = "export_limit"


@dataclass(frozen=True, slots=True)
class FuseTree:
    """Fuses [F]: names, parent index (-1 = none above), rated current per phase [A].

    A parent stands before its children. import_limit_kw, export_limit_kw: of the connection, over
    all phases together (inf = none).
    """

    fuse_id: tuple[str, ...]
    parent: IntArray
    current_a: FloatArray
    import_limit_kw: float = float("inf")
    export_limit_kw: float = float("inf")
    imbalance_limit_kva: float = IMBALANCE_LIMIT_KVA

    @property
    def phase_limit_kw(self) -> FloatArray:
        """Limit per phase of each fuse [F], kW."""
        return self.current_a * PHASE_VOLTAGE_V / 1000.0


@dataclass(frozen=True, slots=True)
class Devices:
    """Devices [D]: the fuse each hangs on and its share per phase [D, 3]."""

    fuse: IntArray
    share: FloatArray

    def __len__(self) -> int:
        return len(self.fuse)

    @property
    def single_phase(self) -> FloatArray:
        """1.0 where a device uses less than all phases evenly [D] (it tilts the site)."""
        return np.asarray(np.ptp(self.share, axis=1) > TOLERANCE_KW, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Headroom:
    """Room of one device [kW], amounts from its present power, and what ends it."""

    more_import_kw: float
    import_bound: Bound
    import_fuse: str
    more_export_kw: float
    export_bound: Bound
    export_fuse: str


def phase_share(phases: int, phase: int = 0) -> tuple[float, float, float]:
    """Share per phase of a device: on one phase (0..2), on two from there, or on all three.

    >>> phase_share(1, 2)
    (0.0, 0.0, 1.0)
    """
    if phases >= PHASES:
        return THREE_PHASE
    on = [0.0] * PHASES
    for k in range(phases):
        on[(phase + k) % PHASES] = 1.0 / phases
    return on[0], on[1], on[2]


def tree_problems(tree: FuseTree, devices: Devices, file: str = "site") -> list[Problem]:
    """What is wrong with a tree and its devices: order, cycles, limits, shares."""
    found = []
    for i, (name, parent) in enumerate(zip(tree.fuse_id, tree.parent, strict=True)):
        if not -1 <= parent < i:
            found.append(Problem(file, i + 1, name, f"parent {parent}", "an earlier fuse or -1"))
        if not tree.current_a[i] > 0.0:
            found.append(Problem(file, i + 1, name, "rated current", "> 0 A"))
    found += [
        Problem(file, 0, field, "not an amount", ">= 0")
        for field in ("import_limit_kw", "export_limit_kw", "imbalance_limit_kva")
        if not getattr(tree, field) >= 0.0
    ]
    for d in range(len(devices)):
        if not 0 <= devices.fuse[d] < len(tree.fuse_id):
            found.append(Problem(file, 0, f"device {d}", "hangs on no fuse", "index of a fuse"))
        share = devices.share[d]
        if bool(np.any(share < 0.0)) or abs(float(share.sum()) - 1.0) > TOLERANCE_KW:
            found.append(Problem(file, 0, f"device {d}", "shares per phase", "sum to 1, >= 0"))
    return found


def phase_net_kw(
    load_kw: FloatArray, pv_kw: FloatArray, curtailed_kw: FloatArray, device_phase_kw: FloatArray
) -> FloatArray:
    """(1): net per phase [3] of a connection; load, pv, curtailed [3] amounts, devices [D, 3]."""
    require(bool(np.all((curtailed_kw >= 0.0) & (curtailed_kw <= pv_kw + TOLERANCE_KW))),
            "phase_net_kw: curtailed between 0 and pv")  # fmt: skip
    return np.asarray(load_kw - (pv_kw - curtailed_kw) + device_phase_kw.sum(axis=0))


def fuse_flows_kw(tree: FuseTree, devices: Devices, power_kw: FloatArray) -> FloatArray:
    """Power through each fuse per phase [F, 3]: of all devices on it and below it."""
    flows = np.zeros((len(tree.fuse_id), PHASES))
    np.add.at(flows, devices.fuse, devices.share * power_kw[:, None])
    for i in range(len(tree.fuse_id) - 1, 0, -1):
        if tree.parent[i] >= 0:
            flows[tree.parent[i]] += flows[i]
    return flows


def imbalance_kva(devices: Devices, power_kw: FloatArray) -> float:
    """(3): largest difference between two phases of what single-phase devices put on them."""
    phases = (devices.share * (power_kw * devices.single_phase)[:, None]).sum(axis=0)
    return float(np.ptp(phases))


def violations(tree: FuseTree, devices: Devices, power_kw: FloatArray) -> list[str]:
    """Every limit that power_kw [D] breaks, in words; empty = all is kept."""
    flows = fuse_flows_kw(tree, devices, power_kw)
    found = []
    over = np.abs(flows) - tree.phase_limit_kw[:, None]
    found += [
        f"{tree.fuse_id[i]} L{ph + 1}: {over[i, ph]:.3f} kW above the fuse"
        for i, ph in zip(*np.nonzero(over > TOLERANCE_KW), strict=True)
    ]
    tilt = imbalance_kva(devices, power_kw)
    if tilt > tree.imbalance_limit_kva + TOLERANCE_KW:
        found.append(f"imbalance {tilt:.3f} kVA above {tree.imbalance_limit_kva}")
    net = float(power_kw.sum())
    if net > tree.import_limit_kw + TOLERANCE_KW:
        found.append(f"import {net:.3f} kW above {tree.import_limit_kw}")
    if -net > tree.export_limit_kw + TOLERANCE_KW:
        found.append(f"export {-net:.3f} kW above {tree.export_limit_kw}")
    return found


def headroom(tree: FuseTree, devices: Devices, power_kw: FloatArray, device: int) -> Headroom:
    """How much more the device could import or export, the others as they are, and what binds.

    The tightest of: every phase it uses of every fuse above it, the imbalance (only devices that
    are not three-phase), the limits of the connection. A limit already broken leaves 0.
    """
    flow = _Flow.of(tree, devices, power_kw)
    up, up_bound, up_fuse = _room(tree, devices, flow, device, 1.0)
    down, down_bound, down_fuse = _room(tree, devices, flow, device, -1.0)
    return Headroom(up, up_bound, up_fuse, down, down_bound, down_fuse)


@dataclass(slots=True)
class _Flow:
    """What flows, kept up to date: per fuse and phase [F, 3], tilt per phase [3], net [kW]."""

    fuses: FloatArray
    tilt: FloatArray
    net: float

    @classmethod
    def of(cls, tree: FuseTree, devices: Devices, power_kw: FloatArray) -> "_Flow":
        tilt = (devices.share * (power_kw * devices.single_phase)[:, None]).sum(axis=0)
        return cls(fuse_flows_kw(tree, devices, power_kw), tilt, float(power_kw.sum()))

    def move(self, tree: FuseTree, devices: Devices, device: int, change_kw: float) -> None:
        phases = devices.share[device] * change_kw
        fuse = int(devices.fuse[device])
        while fuse >= 0:
            self.fuses[fuse] += phases
            fuse = int(tree.parent[fuse])
        if np.ptp(devices.share[device]) > TOLERANCE_KW:
            self.tilt += phases
        self.net += change_kw


def _room(
    tree: FuseTree, devices: Devices, flow: _Flow, device: int, sign: float
) -> tuple[float, Bound, str]:
    share = devices.share[device]
    used = share > 0.0
    best, bound, where = float("inf"), Bound.NONE, ""
    fuse = int(devices.fuse[device])
    while fuse >= 0:
        limit = tree.current_a[fuse] * PHASE_VOLTAGE_V / 1000.0
        room = float(np.min((limit - sign * flow.fuses[fuse][used]) / share[used]))
        if room < best:
            best, bound, where = room, Bound.FUSE, tree.fuse_id[fuse]
        fuse = int(tree.parent[fuse])
    room = _imbalance_room(tree.imbalance_limit_kva, flow.tilt, sign * share)
    if room < best:
        best, bound, where = room, Bound.IMBALANCE, ""
    room = tree.import_limit_kw - flow.net if sign > 0.0 else tree.export_limit_kw + flow.net
    if room < best:
        best, where = room, ""
        bound = Bound.IMPORT if sign > 0.0 else Bound.EXPORT
    return max(best, 0.0), bound, where


def _imbalance_room(limit_kva: float, tilt: FloatArray, move: FloatArray) -> float:
    """Largest x with the tilt within its limit after x * move, over all pairs of phases."""
    room = float("inf")
    for a in range(PHASES):
        for b in range(PHASES):
            rate = float(move[a] - move[b])
            if rate > TOLERANCE_KW:
                room = min(room, (limit_kva - float(tilt[a] - tilt[b])) / rate)
    return room


def shrink_to_fit(
    tree: FuseTree, devices: Devices, fixed_kw: FloatArray, wish_kw: FloatArray
) -> FloatArray:
    """Setpoints [D] that keep every limit: wishes are granted by headroom, in the order given.

    fixed_kw [D]: what flows anyway (load as its own device, PV negative); wish_kw [D]: change
    wanted on top, signed. Devices that relieve a limit (opposite direction) are granted first.
    Never moves a device beyond its wish or in the other direction.
    """
    power = np.array(fixed_kw, dtype=np.float64)
    flow = _Flow.of(tree, devices, power)
    relieving = np.sign(wish_kw) != np.sign(float(wish_kw.sum()))
    for device in (*np.flatnonzero(relieving), *np.flatnonzero(~relieving)):
        wish = float(wish_kw[device])
        if wish == 0.0:
            continue
        allowed, _, _ = _room(tree, devices, flow, int(device), float(np.sign(wish)))
        granted = float(np.sign(wish)) * min(abs(wish), allowed)
        power[device] += granted
        flow.move(tree, devices, int(device), granted)
    return power


def guaranteed_minimum_kw(devices: int, base_kw: float = 4.2) -> float:
    """Least import of n controllable devices under paragraph 14a EnWG with an EMS [kW].

    P_min = base + (n - 1) GZF(n) base, GZF 0.80 .. 0.50 for n = 2..8, 0.45 from 9 (BK6-22-300).
    Export is not limited by 14a, and own PV or batteries may be added on top.

    >>> [round(guaranteed_minimum_kw(n), 2) for n in (1, 2, 3, 5, 9)]
    [4.2, 7.56, 10.5, 15.12, 19.32]
    """
    require(devices >= 0, "guaranteed_minimum_kw: a number of devices")
    if devices == 0:
        return 0.0
    factor = 0.45 if devices >= 9 else 0.90 - 0.05 * devices
    return base_kw + (devices - 1) * factor * base_kw
