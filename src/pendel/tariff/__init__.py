"""Prices and tariff components as data, with calendars."""
