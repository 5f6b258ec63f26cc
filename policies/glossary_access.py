"""The glossary's table for ``access``: rules, limits, hours and urgent access."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ACCESS: Final[Mapping[str, Mapping[str, tuple[str, str, str, str]]]] = {
    "access": {
        "rules": ("rules", "What is permitted, rule by rule.", "E", "Nothing else is."),
        "break_glass": (
            "urgent access", "Access when somebody is in danger.", "E",
            "Short, for few people, and looked at afterwards.",
        ),
    },
    "access.rules[]": {
        "id": ("rule", "The name that refusals and records use.", "E", "Quoted as the clause."),
        "party": ("body", "Who may use the rule.", "E", "Others are refused."),
        "connector": ("service", "The service that holds the data.", "E", "Calls go only there."),
        "methods": ("methods", "The HTTP methods.", "E", "Others are refused."),
        "path": ("path", "The path, with parameters in braces.", "E", "Others are refused."),
        "purposes": ("purposes", "The purposes it serves.", "E", "Others are refused."),
        "action": (
            "action", "The kind of processing (DPA 2018 s.62(1)).", "E", "Kept in each record.",
        ),
        "actor": ("caller", "Who acts: anybody, a program or a person.", "E", "See below."),
        "dataset": ("dataset", "The data that the rule opens.", "E", "Its fields are the most."),
        "filters_required": (
            "filters needed", "What a request must be narrowed by.", "E", "Refused without.",
        ),
        "filter_values": (
            "filter values", "The values that a filter may take.", "E",
            "Other values are refused. Other rows are dropped from answers.",
        ),
        "fields_allowed": (
            "fields", "The fields that may leave (Art 5(1)(c)).", "E",
            "The rest are dropped. Left out, all fields that are not marked never.",
        ),
        "mask": ("masks", "Fields that may leave only in part.", "E", "They do not leave at all."),
        "body_fields_allowed": (
            "fields sent", "The fields that a request may hold.", "E", "Others are refused.",
        ),
        "body_media_types_allowed": (
            "files sent", "The media types of files that a request may bring.", "E",
            "They go to the service unread, as they come. Files of other types are refused.",
        ),
        "limits": ("limits", "How much the rule allows.", "E", "See below."),
        "hours": ("opening hours", "When the rule is open.", "E", "See below."),
        "request_context_required": (
            "reasons given", "What a request must say about itself.", "E",
            "Refused without. Schedule 1 para 18 and Part 3 close the list of words.",
        ),
        "obligations": (
            "duties", "What the gateway must do to each answer.", "E",
            "An answer is held back if a duty cannot be done.",
        ),
    },
    "access.rules[].actor": {
        "mode": ("kind of caller", "Anybody, a program, or a person.", "E", "Read off the token."),
        "roles": ("roles", "The roles that may call; none means any.", "E", "Others are refused."),
        "min_acr": ("sign-in level", "How surely the person signed in.", "E", "Less is refused."),
    },
    "access.rules[].limits": {
        "per_minute": ("calls a minute", "Calls in one minute.", "E", "More wait (429)."),
        "records_per_response": (
            "records", "Records in one answer or batch.", "E", "More are refused.",
        ),
        "subjects_per_day": (
            "people a day", "Different people in one day.", "E", "Others are refused.",
        ),
        "requests_per_day": ("calls a day", "Calls in one day.", "E", "Then refused."),
    },
    "access.rules[].hours": {
        "tz": ("time zone", "Whose clock counts.", "E", "Summer time moves nothing."),
        "from": ("from", "When it opens.", "E", "Earlier calls are refused."),
        "to": ("to", "When it closes; that minute is closed.", "E", "Later calls are refused."),
        "days": ("days", "On which days it opens.", "E", "Other days are refused."),
    },
    "access.break_glass": {
        "enabled": ("enabled", "Whether there is urgent access at all.", "E", "Else refused."),
        "rules": ("rules", "The rules that it opens.", "EV", "Others stay as they are."),
        "relaxes": ("relaxes", "What need not be met.", "E", "Only this is set aside."),
        "never_relaxes": ("never relaxes", "What always holds.", "E", "It wins over relaxes."),
        "roles": ("roles", "Who may use it.", "E", "Others are refused."),
        "reasons": ("reasons", "The dangers that count.", "E", "Others are refused."),
        "justification_min_chars": (
            "words needed", "How much must be said of the danger.", "E", "Less is refused.",
        ),
        "ttl": ("lasts", "How long one grant lasts.", "E", "Then it is refused."),
        "max_subjects": ("people", "How many people one grant covers.", "E", "Then refused."),
        "review_within": ("review within", "When each use is looked at.", "E", "Kept in records."),
        "notify": ("tells", "Who is told of each use.", "E", "Kept in each record."),
        "min_acr": ("sign-in level", "How surely the person signed in.", "E", "Less is refused."),
        "unreviewed_effect": (
            "if not reviewed", "What follows if nobody looks at it.", "M", "Suspended till then.",
        ),
    },
}  # fmt: skip
