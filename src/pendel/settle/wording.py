"""The words of statements in German, English and Polish."""

LANGUAGES = ("de", "en", "pl")

WORDS: dict[str, dict[str, str]] = {
    "title": {"de": "Abrechnung", "en": "Statement", "pl": "Rozliczenie"},
    "driver": {"de": "Fahrer", "en": "Driver", "pl": "Kierowca"},
    "site": {"de": "Standort", "en": "Site", "pl": "Obiekt"},
    "aggregator": {"de": "Aggregator", "en": "Aggregator", "pl": "Agregator"},
    "period": {"de": "Zeitraum", "en": "Period", "pl": "Okres"},
    "tariff": {"de": "Tarif", "en": "Tariff", "pl": "Taryfa"},
    "status": {"de": "Stand", "en": "Status", "pl": "Stan"},
    "final": {"de": "endgültig", "en": "final", "pl": "ostateczne"},
    "provisional": {"de": "vorläufig", "en": "provisional", "pl": "wstępne"},
    "gap": {"de": "Messlücke", "en": "gap in the readings", "pl": "luka w pomiarach"},
    "period_not_over": {
        "de": "Zeitraum läuft noch",
        "en": "period not over",
        "pl": "okres jeszcze trwa",
    },
    "not_metering_operator": {
        "de": "nicht vom Messstellenbetreiber",
        "en": "not from the metering operator",
        "pl": "nie od operatora pomiarów",
    },
    "line": {"de": "Posten", "en": "Item", "pl": "Pozycja"},
    "quantity": {"de": "Menge", "en": "Quantity", "pl": "Ilość"},
    "price": {"de": "Preis", "en": "Price", "pl": "Cena"},
    "amount": {"de": "Betrag", "en": "Amount", "pl": "Kwota"},
    "basis": {"de": "Grundlage", "en": "Basis", "pl": "Podstawa"},
    "formula": {"de": "Formel", "en": "formula", "pl": "wzór"},
    "total": {"de": "Summe", "en": "Total", "pl": "Razem"},
    "to_pay": {"de": "zu zahlen", "en": "to pay", "pl": "do zapłaty"},
    "to_receive": {"de": "Gutschrift", "en": "to receive", "pl": "do wypłaty"},
    "counterfactual": {
        "de": "Derselbe Monat, anders gesteuert (ganzer Standort)",
        "en": "The same month, controlled otherwise (whole site)",
        "pl": "Ten sam miesiąc przy innym sterowaniu (cały obiekt)",
    },
    "strategy": {"de": "Strategie", "en": "Strategy", "pl": "Strategia"},
    "cost": {"de": "Kosten", "en": "Cost", "pl": "Koszt"},
    "saving": {"de": "Ersparnis", "en": "Saving", "pl": "Oszczędność"},
    "actual": {"de": "tatsächlich", "en": "as settled", "pl": "rozliczono"},
    "uncontrolled": {"de": "ungesteuert", "en": "uncontrolled", "pl": "bez sterowania"},
    "v1g": {"de": "V1G", "en": "V1G", "pl": "V1G"},
    "v2g": {"de": "V2G", "en": "V2G", "pl": "V2G"},
    "quantities": {
        "de": "Mengen nach MiSpeL in kWh",
        "en": "Quantities under MiSpeL in kWh",
        "pl": "Ilości według MiSpeL w kWh",
    },
    "ruleset": {"de": "Regelwerk", "en": "Rule set", "pl": "Zestaw reguł"},
    "readings": {"de": "Messreihen", "en": "Meter series", "pl": "Szeregi pomiarowe"},
    "values": {"de": "Viertelstunden", "en": "quarter hours", "pl": "kwadransów"},
    "signed": {"de": "signiert", "en": "signed", "pl": "podpisane"},
    "unsigned": {"de": "nicht signiert", "en": "not signed", "pl": "niepodpisane"},
    "import": {"de": "Bezug", "en": "import", "pl": "pobór"},
    "export": {"de": "Einspeisung", "en": "export", "pl": "oddanie"},
    "plugged": {"de": "eingesteckt", "en": "plugged in", "pl": "podłączony"},
    "notes": {
        "de": "Energie und Alterung (nicht Teil der Summe)",
        "en": "Energy and wear (not part of the total)",
        "pl": "Energia i zużycie (poza sumą)",
    },
    "charged": {"de": "geladen", "en": "charged", "pl": "naładowano"},
    "discharged": {"de": "zurückgespeist", "en": "fed back", "pl": "oddano"},
    "wear": {
        "de": "durch die Batterie, Alterung",
        "en": "through the battery, wear",
        "pl": "przez baterię, zużycie",
    },
    "run": {"de": "Lauf", "en": "Run", "pl": "Przebieg"},
    "net": {
        "de": "Beträge netto, sofern nicht als Steuer ausgewiesen; positiv = zu zahlen.",
        "en": "Amounts are net unless shown as tax; positive = to pay.",
        "pl": "Kwoty netto, o ile nie wykazano podatku; dodatnie = do zapłaty.",
    },
    "energy": {"de": "Energie", "en": "energy", "pl": "energia"},
    "grid-energy": {
        "de": "Netzentgelt, Arbeitspreis",
        "en": "grid fee, energy",
        "pl": "opłata sieciowa zmienna",
    },
    "grid-base": {
        "de": "Netzentgelt, Grundpreis",
        "en": "grid fee, base",
        "pl": "opłata sieciowa stała",
    },
    "kwkg-levy": {"de": "KWKG-Umlage", "en": "KWKG levy", "pl": "opłata KWKG"},
    "offshore-levy": {
        "de": "Offshore-Netzumlage",
        "en": "offshore grid levy",
        "pl": "opłata offshore",
    },
    "special-grid-use": {
        "de": "Aufschlag besondere Netznutzung",
        "en": "levy for special grid use",
        "pl": "opłata za szczególne korzystanie z sieci",
    },
    "concession": {"de": "Konzessionsabgabe", "en": "concession fee", "pl": "opłata koncesyjna"},
    "electricity-tax": {"de": "Stromsteuer", "en": "electricity tax", "pl": "podatek od energii"},
    "vat": {"de": "Umsatzsteuer", "en": "VAT", "pl": "VAT"},
    "module-1": {"de": "§ 14a Modul 1", "en": "section 14a module 1", "pl": "§ 14a moduł 1"},
    "v2g-bonus": {"de": "V2G-Bonus", "en": "V2G bonus", "pl": "premia V2G"},
    "demand": {"de": "Leistungspreis", "en": "demand charge", "pl": "opłata za moc"},
    "relief-kwkg-levy": {
        "de": "Entlastung KWKG-Umlage",
        "en": "relief, KWKG levy",
        "pl": "ulga: opłata KWKG",
    },
    "relief-offshore-levy": {
        "de": "Entlastung Offshore-Netzumlage",
        "en": "relief, offshore levy",
        "pl": "ulga: opłata offshore",
    },
    "relief-special-grid-use": {
        "de": "Entlastung Aufschlag besondere Netznutzung",
        "en": "relief, special grid use",
        "pl": "ulga: szczególne korzystanie z sieci",
    },
    "relief-grid-energy": {
        "de": "Entlastung Netzentgelt",
        "en": "relief, grid fee",
        "pl": "ulga: opłata sieciowa",
    },
    "day": {"de": "Tag", "en": "day", "pl": "dzień"},
    "month": {"de": "Monat", "en": "month", "pl": "miesiąc"},
    "year": {"de": "Jahr", "en": "year", "pl": "rok"},
    "session": {"de": "Ladevorgang", "en": "session", "pl": "sesja"},
    "event": {"de": "Ereignis", "en": "event", "pl": "zdarzenie"},
}
_COMMA = ("de", "pl")
_MINUS = "\u2212"


def word(key: str, language: str) -> str:
    """A word; a key that is not known stands for itself (names of components)."""
    return WORDS[key][language] if key in WORDS else key


def local_number(text: str, language: str) -> str:
    """Decimal text with the decimal mark of the language and a real minus sign."""
    shown = text.replace(".", ",") if language in _COMMA else text
    return shown.replace("-", _MINUS)
