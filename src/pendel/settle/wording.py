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
    "run": {"de": "Lauf", "en": "Run", "pl": "Przebieg"},
    "net": {
        "de": "Beträge netto, sofern nicht als Steuer ausgewiesen; positiv = zu zahlen.",
        "en": "Amounts are net unless shown as tax; positive = to pay.",
        "pl": "Kwoty netto, o ile nie wykazano podatku; dodatnie = do zapłaty.",
    },
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
