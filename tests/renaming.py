"""A copy of a scenario pack in which everything that could be known by heart has another name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

NEW_NAMES: Final = (
    (r"DSA-(\d{4})-00(\d\d)", r"DSA-\1-77\2"),
    (r"ods:X9Z", "ods:W8W"),
    (r"ods:R9Z", "ods:T7T"),
    (r"E06999001", "E06999771"),
    (r"northvale", "eastvale"),
    (r"SYN-EXF", "SYN-KXK"),
    (r"idp\.exf\.example", "idp.kxk.example"),
    (r"exf-disclosure-desk", "kxk-desk"),
    (r"/spl/v1/people", "/shield/v3/persons"),
    (r"/eligibility/v1/fuel-poverty/match", "/warmth/v7/compare"),
    (r"/open/v1/", "/public/v9/"),
    (r"/fhir/R4/", "/clinical/R4/"),
    (r"/safeguarding/v1/", "/care/v2/"),
    (r"dwp-eligibility", "zz-matching"),
    (r"nhse-spl", "zz-shield"),
    (r"r9z-open", "zz-open"),
    (r"FUEL_POVERTY_ASSISTANCE", "HEATING_HELP"),
    (r"POPULATION_HEALTH_PLANNING", "SYSTEM_PLANNING"),
    (r"DEA2017-s35-FUEL-POVERTY", "DEA2017-s35-HEATING"),
    (r"fuel_poverty_eligible", "warm_home_eligible"),
    (r"s3-benefit-eligibility\.csv", "matching.csv"),
    (r"s4-admissions-published\.csv", "monthly.csv"),
    (r'from: "20:00", to: "06:00"', 'from: "19:30", to: "05:30"'),
    (r"id: S(\d)([A-Z]+)(\d+)", r"id: case-\3-\2-\1"),
)
"""Pattern and replacement, applied to every text and file name of the pack in this order."""


def rename_pack(source: Path, target: Path) -> Path:
    """Write the pack at `source` to `target` under other names, and return `target`."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            renamed = target / _renamed(path.relative_to(source).as_posix())
            renamed.parent.mkdir(parents=True, exist_ok=True)
            renamed.write_text(_renamed(path.read_text()))
    return target


def _renamed(text: str) -> str:
    for pattern, replacement in NEW_NAMES:
        text = re.sub(pattern, replacement, text)
    return text
