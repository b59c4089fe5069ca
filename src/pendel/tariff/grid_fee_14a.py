"""Reduced grid fees for steerable devices, paragraph 14a EnWG, modules 1 and 2.

Module 1: 80 EUR gross plus 3750 kWh at 20 % of the energy price (AP) per year; the net is rounded
to cents before VAT (price sheets EWW Wanfried and Braunschweig 2025, vector T6). Module 2: 40 %
of AP, rounded to 0.01 ct. Module 3 is a `tou_energy` component.
"""

from fractions import Fraction

from pendel.tariff.exact import rounded_int

VAT = Fraction(19, 100)
CONTROL_BONUS_GROSS_EUR = Fraction(80)
YEARLY_KWH = Fraction(3750)
MODULE_1_SHARE = Fraction(20, 100)
MODULE_2_SHARE = Fraction(40, 100)


def module_1_net_eur(price_ct_kwh: Fraction, vat: Fraction = VAT) -> Fraction:
    """Yearly reduction of module 1, net, rounded to cents.

    >>> module_1_net_eur(Fraction("8.62"))
    Fraction(3297, 25)
    """
    net = CONTROL_BONUS_GROSS_EUR / (1 + vat) + YEARLY_KWH * price_ct_kwh / 100 * MODULE_1_SHARE
    return Fraction(rounded_int(net, 2), 100)


def module_1_gross_eur(price_ct_kwh: Fraction, vat: Fraction = VAT) -> Fraction:
    """The same with VAT, rounded to cents after the net was rounded.

    >>> module_1_gross_eur(Fraction("8.62"))
    Fraction(7847, 50)
    """
    return Fraction(rounded_int(module_1_net_eur(price_ct_kwh, vat) * (1 + vat), 2), 100)


def module_2_ct_kwh(price_ct_kwh: Fraction) -> Fraction:
    """The energy price of module 2, rounded half up to 0.01 ct.

    >>> module_2_ct_kwh(Fraction("8.62"))
    Fraction(69, 20)
    """
    return Fraction(rounded_int(price_ct_kwh * MODULE_2_SHARE, 2), 100)
