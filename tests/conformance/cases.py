"""All groups of cases by name."""

from __future__ import annotations

from case import Case
from cases_data import data_cases, lock_cases
from cases_modes import set_id_cases, sticky_cases, umask_cases
from cases_names import one_path_cases, open_cases, two_path_cases
from cases_rest import link_cases, time_cases, xattr_cases
from cases_rights import chown_cases, rights_cases

__all__ = ["GROUPS", "Case"]

GROUPS = {
    "one_path": one_path_cases,
    "two_paths": two_path_cases,
    "open": open_cases,
    "rights": rights_cases,
    "chown": chown_cases,
    "sticky": sticky_cases,
    "set_id": set_id_cases,
    "umask": umask_cases,
    "times": time_cases,
    "links": link_cases,
    "data": data_cases,
    "locks": lock_cases,
    "xattr": xattr_cases,
}
