"""The catalogue sorted by what a room needs."""

from .catalogue import Catalogue

INDOOR = ("Living room", "Kitchen", "Bedroom", "Bathroom", "Office")
# words of names by where the things go
TABLES = ("table", "desk", "island")
SEATS = ("chair", "stool", "seat", "puff", "ottoman")
SOFAS = ("sofa", "couch", "futon", "bench", "armchair")
NOT_INDOORS = ("shower", "swimming", "container", "rail", "chimney", "escalator", "pool lounge")
OPENINGS = ("door", "window", "shutter", "curtain", "blind")


class Furniture:
    """The catalogue sorted by what a room needs."""

    def __init__(self, catalogue: Catalogue):
        self.catalogue = catalogue
        models = [m for m in catalogue.models if not any(w in m.name.lower() for w in NOT_INDOORS)]
        indoor = [m for m in models if m.category in (*INDOOR, "Lights", "Miscellaneous", "Staircases")]

        def named(*words, among=indoor):
            return [m for m in among if any(word in m.name.lower() for word in words)]

        standing = [
            m for m in indoor if m.elevation == 0 and m.category != "Lights" and not named(*OPENINGS, among=[m])
        ]
        self.small = [m for m in standing if max(m.width, m.depth, m.height) < 0.5 and min(m.width, m.depth) > 0.02]
        self.small += [m for m in indoor if m.category == "Lights" and m.elevation == 0 and m.height < 0.75]
        self.tiny = [m for m in self.small if max(m.width, m.depth, m.height) < 0.22]
        big = [m for m in standing if max(m.width, m.depth, m.height) >= 0.5]
        self.tables = [m for m in named(*TABLES, among=big) if m.height > 0.35]
        self.seats = named(*SEATS, among=big)
        self.sofas = named(*SOFAS, among=big)
        middle = {*self.tables, *self.seats}
        self.large = {c: [m for m in big if m.category == c and m not in middle and m.height > 0.3] for c in INDOOR}
        self.odd = [
            m for m in big if m.category == "Miscellaneous" and m.height > 0.15 and max(m.width, m.depth) < 1.6
        ]
        self.plants = named(
            "plant", "ficus", "yucca", "flower", "bonsai", "tulip", "lily", "bamboo", "orchid", "cactus"
        )
        self.on_wall = [m for m in indoor if m.elevation > 0.2 and m.elevation + m.height < 2.6 and m.depth < 0.7]
        self.on_ceiling = [
            m for m in catalogue.models if m.category == "Lights" and m.elevation > 1.2 and m.depth < 1.4
        ]
        self.doors = [
            m for m in catalogue.models if m.category == "Doors and windows" and m.height < 2.4 and m.width < 2
        ]
        self.people = [m for m in catalogue.models if m.category == "Characters" and m.height < 2]
        self.lamps = [m for m in indoor if m.category == "Lights" and m.elevation == 0 and 0.75 <= m.height < 2]
