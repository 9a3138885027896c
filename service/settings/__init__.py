"""Configuration: environment and TOML in, one frozen `Settings` out, or every mistake in one readable line each."""

from service.settings.docs import SettingDoc, describe, documented_settings
from service.settings.file_watch import FileWatch
from service.settings.games import GameSettings
from service.settings.load import READ_AGAIN, Reread, SettingsReader, load_settings
from service.settings.model import (
    CacheSettings,
    CallerSettings,
    ItchDialect,
    ItchSettings,
    LogFormat,
    LogLevel,
    LogSettings,
    OperationsSettings,
    PolicySettings,
    RedisSettings,
    Settings,
)
from service.settings.sources import FileContent

__all__ = [
    "READ_AGAIN",
    "CacheSettings",
    "CallerSettings",
    "FileContent",
    "FileWatch",
    "GameSettings",
    "ItchDialect",
    "ItchSettings",
    "LogFormat",
    "LogLevel",
    "LogSettings",
    "OperationsSettings",
    "PolicySettings",
    "RedisSettings",
    "Reread",
    "SettingDoc",
    "Settings",
    "SettingsReader",
    "describe",
    "documented_settings",
    "load_settings",
]
