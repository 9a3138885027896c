"""Configuration: environment and TOML in, one frozen `Settings` out, or every mistake in one readable line each."""

from service.settings.docs import SettingDoc, describe, documented_settings
from service.settings.load import load_settings
from service.settings.model import (
    CacheSettings,
    CallerSettings,
    GameSettings,
    ItchDialect,
    ItchSettings,
    LogFormat,
    LogLevel,
    LogSettings,
    OperationsSettings,
    RedisSettings,
    Settings,
)

__all__ = [
    "CacheSettings",
    "CallerSettings",
    "GameSettings",
    "ItchDialect",
    "ItchSettings",
    "LogFormat",
    "LogLevel",
    "LogSettings",
    "OperationsSettings",
    "RedisSettings",
    "SettingDoc",
    "Settings",
    "describe",
    "documented_settings",
    "load_settings",
]
