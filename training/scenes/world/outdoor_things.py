"""The catalogue sorted by what stands outdoors."""


class OutdoorThings:
    """The catalogue sorted by what stands outdoors."""

    def __init__(self, catalogue):
        self.catalogue = catalogue

        def named(*words, category=None, without=()):
            return [
                m
                for m in catalogue.models
                if (category is None or m.category == category)
                and any(w in m.name.lower() for w in words)
                and not any(w in m.name.lower() for w in without)
            ]

        vehicles = [m for m in catalogue.models if m.category == "Vehicles"]
        self.cars = [m for m in vehicles if 2.3 < max(m.depth, m.width) < 4.9 and "lift" not in m.name.lower()]
        self.trucks = [m for m in vehicles if 4.9 <= max(m.depth, m.width) < 14.5]
        self.bikes = [m for m in vehicles if 1 < max(m.depth, m.width) <= 2.3]
        self.trees = named(
            "acacia",
            "beech",
            "cypress",
            "maple",
            "poplar",
            "pine",
            "tree",
            "blossom",
            "sycamore",
            "palm",
            category="Exterior",
            without=("coconut",),
        )
        self.bushes = named("bush", "hedge", "plant box", "bamboo", "flower box", category="Exterior")
        self.street = named(
            "trashcan",
            "hydrant",
            "bench",
            "mailbox",
            "railing",
            "lamp",
            "light",
            "cone",
            "bank",
            "fence",
            category="Exterior",
        )
        self.street += named("cone", "fence", "recycling", category="Miscellaneous")
        self.street += [m for m in catalogue.models if m.category == "Lights" and m.height > 2]
        self.garden = [
            m
            for m in catalogue.models
            if m.category == "Exterior" and m.elevation == 0 and 0.3 < m.height < 3.5 and max(m.width, m.depth) < 4
        ]
        self.people = [m for m in catalogue.models if m.category == "Characters"]
        self.standing = [m for m in self.people if m.height > 1.4]
