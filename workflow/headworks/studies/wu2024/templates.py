"""Wordings of the tasks about cities. Light imports only: the options are checked with these."""

import re
from string import Formatter

FAMILIES = ("question", "imperative", "gap")
PLACE = "{place}"
WORD = re.compile(r"\{place\}|\w+(?:['’-]\w+)*")

# The last wording of a family is only evaluated; its words occur in others, so that none is new.
TEMPLATES = {
    "country": {
        "question": [
            "which country is {place} in",
            "in which country would you find {place}",
            "to what nation does {place} belong",
            "what nation would you find {place} in",
        ],
        "imperative": [
            "name the country of {place}",
            "tell me which nation {place} belongs to",
            "give the country where {place} lies",
            "name the nation where {place} lies",
        ],
        "gap": [
            "{place} is a city in the country of",
            "the nation where people of {place} live is",
            "{place} lies within the country",
            "the country where {place} lies is",
        ],
    },
    "continent": {
        "question": [
            "which continent is {place} on",
            "on which continent would you find {place}",
            "to what landmass does {place} belong",
            "what continent would you find {place} on",
        ],
        "imperative": [
            "name the continent of {place}",
            "tell me which landmass {place} belongs to",
            "give the continent where {place} lies",
            "name the landmass where {place} lies",
        ],
        "gap": [
            "{place} is a city on the continent of",
            "the landmass where people of {place} live is",
            "{place} lies within the continent",
            "the continent where {place} lies is",
        ],
    },
    "language": {
        "question": [
            "which language is spoken in {place}",
            "in which language would you talk to people in {place}",
            "what tongue does {place} speak",
            "what language would you speak in {place}",
        ],
        "imperative": [
            "name the language of {place}",
            "tell me which tongue {place} speaks",
            "give the language people talk in at {place}",
            "name the tongue people speak in {place}",
        ],
        "gap": [
            "people in {place} speak the language",
            "the tongue of people in {place} is",
            "in {place} you talk to people in",
            "the language spoken in {place} is",
        ],
    },
    "currency": {
        "question": [
            "which currency is used in {place}",
            "in which currency would you pay in {place}",
            "what money does {place} use",
            "what currency would you use in {place}",
        ],
        "imperative": [
            "name the currency of {place}",
            "tell me which money {place} uses",
            "give the currency people pay in at {place}",
            "name the money people use in {place}",
        ],
        "gap": [
            "people in {place} pay in the currency",
            "the money of people in {place} is",
            "in {place} you pay for bread in",
            "the currency used in {place} is",
        ],
    },
    "hemisphere": {
        "question": [
            "which hemisphere is {place} in",
            "in which hemisphere would you find {place}",
            "on what side of the equator is {place}",
            "what hemisphere would you find {place} in",
        ],
        "imperative": [
            "name the hemisphere of {place}",
            "tell me which side of the equator {place} is on",
            "give the hemisphere where {place} lies",
            "name the side of the equator where {place} lies",
        ],
        "gap": [
            "{place} is a city in the hemisphere",
            "the side of the equator where people of {place} live is",
            "{place} lies within the hemisphere",
            "the hemisphere where {place} lies is",
        ],
    },
}


def words(template: str) -> list[str]:
    """The words of a template in lower case, {place} among them; punctuation is left out."""
    return [word if word == PLACE else word.lower() for word in WORD.findall(template)]


def mistake(wordings: dict[str, dict[str, list[str]]]) -> str | None:
    """What is wrong with templates by task and family, the keys first, to be read after 'templates'."""
    tasks = list(wordings)
    if len(tasks) < 2 or set(tasks) - set(TEMPLATES):
        return f": found tasks {tasks}; allowed are two or more of {list(TEMPLATES)}"
    families = list(wordings[tasks[0]])
    if len(families) < 2:
        return (
            f".{tasks[0]}: found families {families}; held-out combinations need another family of the task: "
            f"two or more"
        )
    owners: dict[tuple[str, ...], str] = {}
    for task in tasks:
        if list(wordings[task]) != families:
            return (
                f".{task}: found families {list(wordings[task])}; allowed are those of {tasks[0]}: {families}"
            )
        for family, ways in wordings[task].items():
            where = f".{task}.{family}"
            if len(ways) < 2:
                return (
                    f"{where}: found {len(ways)} wordings; allowed are two or more, the last only evaluated"
                )
            for i, way in enumerate(ways):
                if slots(way) != ["place"]:
                    return f"{where}: found {way!r}; a wording has the slot {PLACE}, once, and no other slot"
                other = owners.setdefault(tuple(words(way)), f"{where}[{i}]")
                if other != f"{where}[{i}]":
                    return f"{where}: {way!r} reads like {other[1:]}; a wording has one meaning and is given once"
    return None


def slots(template: str) -> list[str] | None:
    """Names of a template's slots; None if its braces do not match or a slot is more than a name."""
    try:
        found = [field[1:] for field in Formatter().parse(template) if field[1] is not None]
    except ValueError:
        return None
    return [name for name, shape, conversion in found] if all(f[1:] == ("", None) for f in found) else None
