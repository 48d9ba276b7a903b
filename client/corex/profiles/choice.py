"""Which profile is meant, and where Redis is by all that was said of it.

What is nearer wins: an argument or option (a URL before a profile that was named so), then the
environment (COREX_URL before COREX_PROFILE), then the file's own `default`, then what is built in.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

from corex.profiles.file import (
    CONFIG_VARIABLE,
    PROFILE_VARIABLE,
    ProfileFile,
    config_path,
    read_profiles,
)
from corex.profiles.profile import Profile
from corex_shared.defaults import DEFAULT_URL

URL_VARIABLE = "COREX_URL"
NAMESPACE_VARIABLE = "COREX_NAMESPACE"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a client goes.

    Attributes:
        url: of Redis, with its password.
        namespace: the fleet's; None to look into the environment, else the one that is built in.
    """

    url: str = field(repr=False)
    namespace: str | None = None


def load_file(*, needed: bool) -> ProfileFile:
    """Read the file of profiles.

    Raises:
        ConfigError: it cannot be used; or it is not there, and is needed or named by COREX_CONFIG.
    """
    return read_profiles(config_path(), needed=needed or bool(os.environ.get(CONFIG_VARIABLE)))


def choose_profile(file: ProfileFile, name: str | None, source: str) -> Profile | None:
    """Choose a profile: the named one, else that of COREX_PROFILE, else the file's default.

    Args:
        file: that has them.
        name: by an argument or option.
        source: what to call that in an error.

    Raises:
        ConfigError: there is none of that name.
    """
    if name:
        return replace(file.choose(name, source), explicit=True)
    named = os.environ.get(PROFILE_VARIABLE)
    if named:
        return file.choose(named, PROFILE_VARIABLE)
    return file.choose(file.default, str(file.path)) if file.default else None


def find_place(url: str | None, namespace: str | None, profile: Profile | None) -> Place:
    """Put together what was said.

    A profile's password and TLS go with its own URL, and with no other. Its namespace does too,
    unless the profile was named beside another URL.

    Args:
        url: by an argument or option.
        namespace: likewise.
        profile: that was chosen.

    Raises:
        ConfigError: the profile's URL cannot be had.
    """
    variables = os.environ
    explicit = profile is not None and profile.explicit
    found = url
    if not found and profile is not None and explicit:
        found = profile.connect_url()
    found = found or variables.get(URL_VARIABLE)
    counts = explicit
    if not found and profile is not None:
        found, counts = profile.connect_url(), True
    if not namespace and profile is not None and counts:
        given = None if explicit else variables.get(NAMESPACE_VARIABLE)
        namespace = given or profile.table.namespace
    return Place(found or DEFAULT_URL, namespace)


def find_place_of_library(url: str | None, namespace: str | None, name: str | None) -> Place:
    """Find where a client of the library goes.

    The file is read only if a profile is named: by the argument, or by COREX_PROFILE while nothing
    that comes before it says where Redis is. Its `default` is for the command line.

    Raises:
        ConfigError: the profile cannot be used.
    """
    variables = os.environ
    is_said = bool(url or variables.get(URL_VARIABLE))
    if not name and (is_said or not variables.get(PROFILE_VARIABLE)):
        return find_place(url, namespace, None)
    return find_place(url, namespace, _named(name))


def _named(name: str | None) -> Profile | None:
    import warnings

    file = load_file(needed=True)
    profile = choose_profile(file, name, "profile")
    for warning in (*file.warnings, *(profile.warnings() if profile is not None else ())):
        warnings.warn(warning, stacklevel=4)  # the line that makes the client
    return profile
