"""`pendel ca`: a small certificate authority in a folder, for tests and small sites."""

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pendel.cli.outcome import Outcome
from pendel.errors import InputError, Problem

if TYPE_CHECKING:
    from pendel.adapters.certificate_authority import CertificateAuthority

NAME_CHARS_MAX = 64


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `pendel ca`."""
    actions = parser.add_subparsers(dest="ca_action", required=True, metavar="ACTION")

    def action(name: str, text: str) -> argparse.ArgumentParser:
        found = actions.add_parser(name, help=text, description=text)
        found.add_argument("folder", metavar="FOLDER", type=Path)
        found.add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,
            help="print exactly one JSON object on stdout",
        )
        return found

    init = action("init", "make the authority and the server's certificates (RSA and ECDSA)")
    init.add_argument("--host", action="append", required=True, metavar="NAME", help=HOST_HELP)
    init.add_argument("--operator", default="pendel", metavar="NAME", help="who owns the stations")
    server = action("server", "renew the server's certificates; a running server takes them over")
    server.add_argument("--host", action="append", required=True, metavar="NAME", help=HOST_HELP)
    station = action("station", "make key and certificate of a station")
    station.add_argument("station_id", metavar="ID")
    station.add_argument("--rsa", action="store_true", help="an RSA key instead of ECDSA")
    sign = action("sign", "sign a station's own request")
    sign.add_argument("station_id", metavar="ID")
    sign.add_argument("csr", metavar="CSR.pem", type=Path)
    revoke = action("revoke", "trust a certificate no more; a running server closes its line")
    revoke.add_argument("name", metavar="ID|SERIAL")
    action("list", "every certificate given out")
    trees = action("v2g", "make the certificate trees of ISO 15118 (V2G, MO, OEM), for tests")
    trees.add_argument("--ocsp", default="", metavar="URL", help=OCSP_HELP)
    contract = action("contract", "make key and contract certificate of a driver, for tests")
    contract.add_argument("name", metavar="EMAID")
    provisioning = action("provisioning", "make key and provisioning certificate of a car")
    provisioning.add_argument("name", metavar="PCID")
    for each in (contract, provisioning):
        each.add_argument("--iso20", action="store_true", help="of ISO 15118-20 (P-521)")
    roll = action("roll", "give the authority new roots, in two steps")
    roll.add_argument("--finish", action="store_true", help="the new roots sign from now on")
    firmware = action("firmware", "sign a firmware file: what UpdateFirmware needs")
    firmware.add_argument("file", metavar="FILE", type=Path)
    firmware.add_argument("--location", default="", metavar="URL", help=LOCATION_HELP)


OCSP_HELP = "address of the responder that its certificates name (.../ocsp of the server)"
LOCATION_HELP = "where stations fetch the file; then the whole payload is printed"
URL_CHARS_MAX = 500
HOST_HELP = "host name or address by which stations reach the server (more than one is allowed)"


def run(args: argparse.Namespace) -> Outcome:
    """Do one action on the folder. Raises InputError."""
    from pendel.adapters.certificate_authority import CertificateAuthority

    for name in [*getattr(args, "host", []), getattr(args, "operator", "x")]:
        if not 1 <= len(name) <= NAME_CHARS_MAX or not (name.isascii() and name.isprintable()):
            raise _bad(name, f"1 to {NAME_CHARS_MAX} ASCII characters")
    authority = CertificateAuthority(args.folder, lambda: datetime.now(UTC))
    if args.ca_action != "init" and not authority.exists:
        raise _bad(str(args.folder), "a folder made by `pendel ca init`")
    actions: dict[str, Callable[[CertificateAuthority, argparse.Namespace], Outcome]] = {
        "init": _init,
        "server": _server,
        "station": _station,
        "sign": _sign,
        "revoke": _revoke,
        "list": _list,
        "v2g": _v2g,
        "contract": _leaf,
        "provisioning": _leaf,
        "firmware": _firmware,
        "roll": _roll,
    }
    return actions[args.ca_action](authority, args)


def _init(authority: "CertificateAuthority", args: argparse.Namespace) -> Outcome:
    authority.create(args.operator)
    authority.server(args.host)
    trust = authority.folder / "ca.pem"
    data = {"folder": str(args.folder), "ca": str(trust)}
    words = f"stations trust {trust}; in the configuration: [ocpp.tls] folder = '{args.folder}'"
    return Outcome(data=data, text=words)


def _server(authority: "CertificateAuthority", args: argparse.Namespace) -> Outcome:
    made = [str(path) for path in authority.server(args.host)]
    return Outcome(data={"certificates": made}, text="\n".join(made))


def _station(authority: "CertificateAuthority", args: argparse.Namespace) -> Outcome:
    made, key = authority.station(args.station_id, "rsa" if args.rsa else "ecdsa")
    data = {"station_id": args.station_id, "certificate": str(made), "key": str(key)}
    return Outcome(data=data, text=f"{made}\n{key}")


def _sign(authority: "CertificateAuthority", args: argparse.Namespace) -> Outcome:
    from pendel.adapters.signing_request import RefusedError

    try:
        chain = authority.sign(args.station_id, args.csr.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, RefusedError) as error:
        raise InputError([Problem(args.csr.name, 0, "", str(error), "a PEM request")]) from error
    return Outcome(data={"station_id": args.station_id, "certificate": chain}, text=chain.rstrip())


def _revoke(authority: "CertificateAuthority", args: argparse.Namespace) -> Outcome:
    from pendel.adapters.v2g_authority import v2g_authorities

    gone = [f"{each.serial_number:040x}" for each in authority.revoke(args.name)]
    for level in v2g_authorities(authority).values():
        level.write_lists()
    return Outcome(data={"revoked": gone}, text="\n".join(f"revoked {serial}" for serial in gone))


def _list(authority: "CertificateAuthority", args: argparse.Namespace) -> Outcome:
    rows, lines = [], []
    for each in authority.issued():
        revoked = None if each.revoked_utc is None else f"{each.revoked_utc:%Y-%m-%dT%H:%M:%SZ}"
        row = {
            "serial_number": f"{each.serial_number:040x}",
            "name": each.common_name,
            "kind": each.kind,
            "not_after_utc": f"{each.not_after_utc:%Y-%m-%dT%H:%M:%SZ}",
            "revoked_utc": revoked,
        }
        rows.append(row)
        state = f"revoked {revoked}" if revoked else f"until {row['not_after_utc']}"
        lines.append(f"{row['serial_number']}  {each.kind:<7}  {each.common_name}  {state}")
    return Outcome(data={"certificates": rows}, text="\n".join(lines) or "none")


def _v2g(authority: "CertificateAuthority", args: argparse.Namespace) -> Outcome:
    from pendel.adapters.v2g_authority import LEVELS, V2gAuthority

    url = args.ocsp
    if url and (len(url) > URL_CHARS_MAX or not url.startswith("http") or not url.isascii()):
        raise _bad(url, "an http address of at most 500 ASCII characters")
    levels = [V2gAuthority(authority, level) for level in LEVELS]
    for level in levels:
        level.create(url)
    folders = {level.level: str(level.folder) for level in levels}
    words = (
        f"contracts of its MO: [plug_and_charge] mo_roots = "
        f"['{levels[0].folder / 'mo-trust.pem'}']; V2G root for cars and stations: "
        f"{levels[0].folder / 'v2g-root.pem'}"
    )
    return Outcome(data=folders, text=words)


def _leaf(authority: "CertificateAuthority", args: argparse.Namespace) -> Outcome:
    from pendel.adapters.v2g_authority import V2gAuthority

    level = V2gAuthority(authority, "v2g20" if args.iso20 else "v2g")
    if not level.exists:
        raise _bad(str(args.folder), "a folder with trees made by `pendel ca v2g`")
    make = level.contract if args.ca_action == "contract" else level.provisioning
    chain, key = make(args.name)
    data = {"name": args.name, "certificate": str(chain), "key": str(key)}
    return Outcome(data=data, text=f"{chain}\n{key}")


def _roll(authority: "CertificateAuthority", args: argparse.Namespace) -> Outcome:
    from pendel.adapters.root_rollover import CURRENT, RootRollover

    rollover = RootRollover(authority)
    made = [str(path) for path in (rollover.finish() if args.finish else rollover.begin())]
    words = f"stations must have {authority.folder / CURRENT} before `pendel ca roll --finish`"
    data = {"certificates": made, "stations": str(authority.folder / CURRENT)}
    return Outcome(data=data, text="\n".join([*made, *([] if args.finish else [words])]))


def _firmware(authority: "CertificateAuthority", args: argparse.Namespace) -> Outcome:
    from pendel.adapters.firmware_signing import FirmwareSigner

    signed = FirmwareSigner(authority).sign(args.file)
    firmware = {"signingCertificate": signed.signer, "signature": signed.signature}
    if args.location:
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        firmware = {"location": args.location, "retrieveDateTime": now, **firmware}
    data = {"firmware": firmware, "sha256": signed.sha256, "root": str(signed.root)}
    text = json.dumps(firmware, indent=2)
    return Outcome(data=data, text=f"{text}\nstations need {signed.root} as manufacturer's root")


def _bad(value: str, allowed: str) -> InputError:
    return InputError([Problem("command line", 0, "ca", value, allowed)])
