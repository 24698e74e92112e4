"""The catalogue's models sorted by what rooms, streets and yards need."""

from collections.abc import Iterable, Sequence

import numpy as np

from .catalogue import Catalogue, Model

INDOOR = ("Living room", "Kitchen", "Bedroom", "Bathroom", "Office")
# words of names by where the things go
TABLES = ("table", "desk", "island")
SEATS = ("chair", "stool", "seat", "puff", "ottoman")
SOFAS = ("sofa", "couch", "futon", "bench", "armchair")
NOT_INDOORS = ("shower", "swimming", "container", "rail", "chimney", "escalator", "pool lounge")
OPENINGS = ("door", "window", "shutter", "curtain", "blind")
PLANTS = ("plant", "ficus", "yucca", "flower", "bonsai", "tulip", "lily", "bamboo", "orchid", "cactus")
TREES = ("acacia", "beech", "cypress", "maple", "poplar", "pine", "tree", "blossom", "sycamore", "palm")
BUSHES = ("bush", "hedge", "plant box", "bamboo", "flower box")
STREET = ("trashcan", "hydrant", "bench", "mailbox", "railing", "lamp", "light", "cone", "bank", "fence")


class Furniture:
    """The models that rooms hold."""

    def __init__(self, catalogue: Catalogue):
        self.catalogue = catalogue
        models = unnamed(catalogue.models, NOT_INDOORS)
        indoor = [m for m in models if m.category in (*INDOOR, "Lights", "Miscellaneous", "Staircases")]
        lights = of(indoor, "Lights")
        standing = unnamed([m for m in indoor if m.elevation == 0 and m.category != "Lights"], OPENINGS)
        self.small = [m for m in standing if max(m.width, m.depth, m.height) < 0.5 and min(m.width, m.depth) > 0.02]
        self.small += [m for m in lights if m.elevation == 0 and m.height < 0.75]
        self.tiny = [m for m in self.small if max(m.width, m.depth, m.height) < 0.22]
        big = [m for m in standing if max(m.width, m.depth, m.height) >= 0.5]
        self.tables = [m for m in named(big, TABLES) if m.height > 0.35]
        self.seats, self.sofas = named(big, SEATS), named(big, SOFAS)
        middle = {*self.tables, *self.seats}
        self.large = {c: [m for m in of(big, c) if m not in middle and m.height > 0.3] for c in INDOOR}
        self.odd = [m for m in of(big, "Miscellaneous") if m.height > 0.15 and max(m.width, m.depth) < 1.6]
        self.plants = named(indoor, PLANTS)
        self.on_wall = [m for m in indoor if m.elevation > 0.2 and m.elevation + m.height < 2.6 and m.depth < 0.7]
        self.on_ceiling = [m for m in of(catalogue.models, "Lights") if m.elevation > 1.2 and m.depth < 1.4]
        self.doors = [m for m in of(catalogue.models, "Doors and windows") if m.height < 2.4 and m.width < 2]
        self.people = [m for m in of(catalogue.models, "Characters") if m.height < 2]
        self.lamps = [m for m in lights if m.elevation == 0 and 0.75 <= m.height < 2]


class OutdoorThings:
    """The models that stand outdoors."""

    def __init__(self, catalogue: Catalogue):
        self.catalogue = catalogue
        exterior, vehicles = of(catalogue.models, "Exterior"), of(catalogue.models, "Vehicles")
        self.cars = unnamed([m for m in vehicles if 2.3 < max(m.depth, m.width) < 4.9], ["lift"])
        self.trucks = [m for m in vehicles if 4.9 <= max(m.depth, m.width) < 14.5]
        self.bikes = [m for m in vehicles if 1 < max(m.depth, m.width) <= 2.3]
        self.trees = unnamed(named(exterior, TREES), ["coconut"])
        self.bushes = named(exterior, BUSHES)
        self.street = named(exterior, STREET)
        self.street += named(of(catalogue.models, "Miscellaneous"), ["cone", "fence", "recycling"])
        self.street += [m for m in of(catalogue.models, "Lights") if m.height > 2]
        self.garden = [m for m in exterior if m.elevation == 0 and 0.3 < m.height < 3.5 and max(m.width, m.depth) < 4]
        self.people = of(catalogue.models, "Characters")
        self.standing = [m for m in self.people if m.height > 1.4]


def lacking(stock: Furniture | OutdoorThings) -> list[str]:
    """What a stock has no model for."""
    lists = vars(stock) | getattr(stock, "large", {})
    return [name for name, models in lists.items() if models == []]


def of(models: Iterable[Model], category: str) -> list[Model]:
    """Those of one of the catalogue's categories."""
    return [model for model in models if model.category == category]


def named(models: Iterable[Model], words: Iterable[str]) -> list[Model]:
    """Those with one of `words` in their names."""
    return [model for model in models if any(word in model.name.lower() for word in words)]


def unnamed(models: Iterable[Model], words: Iterable[str]) -> list[Model]:
    """Those with none of `words` in their names."""
    return [model for model in models if not named([model], words)]


def pick(rng: np.random.Generator, models: Sequence[Model]) -> Model:
    """One at random."""
    return models[rng.integers(len(models))]
