"""ECDSA verification on the two 192-bit curves that old meters sign with.

`cryptography` no longer carries them. Verification handles public data only, so plain integer
arithmetic is enough. Parameters: SEC 2 v1/v2; algorithm: FIPS 186-5, section 6.4.2.
"""

from dataclasses import dataclass
from typing import TypeAlias

Point: TypeAlias = tuple[int, int] | None
"""Affine coordinates; None is the point at infinity."""


@dataclass(frozen=True, slots=True)
class Curve:
    """y^2 = x^3 + a x + b over p, base point g of order n; oid: DER of its object identifier."""

    name: str
    p: int
    a: int
    b: int
    g: tuple[int, int]
    n: int
    oid: bytes

    @property
    def octets(self) -> int:
        """Bytes of a coordinate."""
        return (self.p.bit_length() + 7) // 8

    def holds(self, point: tuple[int, int]) -> bool:
        """Whether a point lies on the curve."""
        x, y = point
        in_field = 0 <= x < self.p and 0 <= y < self.p
        return in_field and (y * y - (x * x * x + self.a * x + self.b)) % self.p == 0

    def add(self, first: Point, second: Point) -> Point:
        """Group addition."""
        if first is None or second is None:
            return second if first is None else first
        (x1, y1), (x2, y2) = first, second
        if x1 == x2:
            if (y1 + y2) % self.p == 0:
                return None
            slope = (3 * x1 * x1 + self.a) * pow(2 * y1, -1, self.p)
        else:
            slope = (y2 - y1) * pow(x2 - x1, -1, self.p)
        x3 = (slope * slope - x1 - x2) % self.p
        return x3, (slope * (x1 - x3) - y1) % self.p

    def multiply(self, factor: int, point: Point) -> Point:
        """factor times a point."""
        result: Point = None
        while factor:
            if factor & 1:
                result = self.add(result, point)
            point = self.add(point, point)
            factor >>= 1
        return result

    def verifies(self, key: tuple[int, int], digest: bytes, r: int, s: int) -> bool:
        """Whether (r, s) signs the digest under a public key."""
        if not (0 < r < self.n and 0 < s < self.n and self.holds(key)):
            return False
        excess = max(8 * len(digest) - self.n.bit_length(), 0)
        z = int.from_bytes(digest, "big") >> excess
        inverse = pow(s, -1, self.n)
        point = self.add(
            self.multiply(z * inverse % self.n, self.g), self.multiply(r * inverse % self.n, key)
        )
        return point is not None and point[0] % self.n == r


SECP192R1 = Curve(
    "secp192r1",
    p=0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFFFFFFFFFF,
    a=-3,
    b=0x64210519E59C80E70FA7E9AB72243049FEB8DEECC146B9B1,
    g=(
        0x188DA80EB03090F67CBF20EB43A18800F4FF0AFD82FF1012,
        0x07192B95FFC8DA78631011ED6B24CDD573F977A11E794811,
    ),
    n=0xFFFFFFFFFFFFFFFFFFFFFFFF99DEF836146BC9B1B4D22831,
    oid=bytes.fromhex("06082a8648ce3d030101"),
)
SECP192K1 = Curve(
    "secp192k1",
    p=0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFEE37,
    a=0,
    b=3,
    g=(
        0xDB4FF10EC057E9AE26B07D0280B7F4341DA5D1B1EAE06C7D,
        0x9B2F2F6D9C5628A7844163D015BE86344082AA88D95E2F9D,
    ),
    n=0xFFFFFFFFFFFFFFFFFFFFFFFE26F2FC170F69466A74DEFD8D,
    oid=bytes.fromhex("06052b8104001f"),
)
SMALL_CURVES = {curve.name: curve for curve in (SECP192R1, SECP192K1)}
