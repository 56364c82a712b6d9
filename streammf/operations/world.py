"""A small believable world to show StreamMF on: films with titles in genres, and people whose tastes drift.

Rules of this file:
1. Everything follows from one seed; nothing is downloaded and no real person's rows are in it.
2. It knows nothing of StreamMF: it makes titles and events, as a producer would.
"""

from collections.abc import Iterator
from itertools import product
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: genre → (first words, second words): every pair is a title.
GENRES: Final[dict[str, tuple[str, str]]] = {
    "Western": (
        "Dusty Lonesome Iron Last Crooked Silver Burning Quiet Broken Wild Stolen Bitter Golden Ragged Red",
        "Canyon Saddle Sheriff Prairie Outpost Spur Mesa Stagecoach Railroad Homestead Posse Wagon Gulch Marshal",
    ),
    "Science fiction": (
        "Orbital Quantum Distant Silent Synthetic Frozen Second Hollow Recursive Stellar Dark Final Borrowed Parallel Lost",
        "Colony Signal Android Horizon Nebula Airlock Paradox Station Voyage Reactor Eclipse Protocol Moon Galaxy",
    ),
    "Romance": (
        "Summer Parisian Secret Tender Late Borrowed Midnight Reluctant Autumn Perfect Unsent Second Velvet Rainy Foolish",
        "Letters Waltz Promise Kiss Wedding Bouquet Balcony Holiday Sonnet Reunion Café Valentine Serenade Train",
    ),
    "Horror": (
        "Whispering Hollow Blood Forgotten Pale Screaming Cursed Black Rotting Nameless Sleepless Drowned Hungry Cold Buried",
        "Cellar Orphanage Doll Séance Crypt Mirror Asylum Woods Nursery Shadow Coffin Well Attic Mask",
    ),
    "Comedy": (
        "Accidental Clumsy Terrible Totally Incredible Awkward Hungry "
        "Overbooked Uninvited Reluctant Lazy Loud Double Lucky Sneaky",
        "Roommates Wedding Vacation Landlord Babysitter Dentist Reunion "
        "Neighbours Butler Plumber Honeymoon Interns Uncle Picnic",
    ),
    "Crime": (
        "Cold Crooked Perfect Double Silent Paper Dirty Velvet Broken Midnight Missing Loaded Marked Last Hidden",
        "Alibi Heist Witness Verdict Informant Detective Ledger Ransom Safe Getaway Confession Syndicate Badge Motive",
    ),
    "Fantasy": (
        "Crystal Emerald Forgotten Winter Dragon Raven Ancient "
        "Moonlit Thorn Whispering Golden Shattered Ember Silver Wandering",
        "Crown Tower Sorceress Kingdom Blade Prophecy Grimoire Gate Throne Forest Phoenix Alchemist Citadel Oath",
    ),
    "Documentary": (
        "Inside Beyond Hidden Vanishing Secret Living Shared Rising Deep Wild Patient Ordinary Small Great Silent",
        "Oceans Glaciers Factories Beekeepers Bridges Deserts Orchestras "
        "Rivers Villages Volcanoes Archives Harbours Forests Kitchens",
    ),
    "War": (
        "Fallen Forgotten Northern Muddy Distant Iron Last Broken Scarlet Endless Winter Bitter Silent Burning Lost",
        "Regiment Trench Armistice Convoy Bunker Frontier Battalion Letters Garrison Siege Bridgehead Bugle Squadron Barracks",
    ),
    "Musical": (
        "Dancing Broadway Golden Tap Midnight Rhythm Glitter Jazz Swinging Velvet Summer Electric Blue Crazy Sparkling",
        "Chorus Encore Parade Spotlight Melody Cabaret Ballroom Duet Trumpet Rehearsal Overture Matinee Footlights Orchestra",
    ),
}

#: ms since the epoch of the first event where the caller names no other: a Monday in 2024.
START: Final = 1_704_067_200_000


class Film(NamedTuple):
    """An item: its id is what events carry, its title what people read."""

    id: str
    title: str
    genre: str


class Click(NamedTuple):
    """One event of the world."""

    user: str
    item: str
    time: int
    """ms since the epoch"""


class World:
    """Films, people and their tastes, all from a seed."""

    def __init__(self, seed: int = 7, people: int = 1_500) -> None:
        self._chance = np.random.default_rng(seed)
        every = {f"The {a} {b}": g for g, (first, second) in GENRES.items() for a, b in product(first.split(), second.split())}
        titles = list(every.items())
        order = self._chance.permutation(len(titles))
        self.films = [Film(f"film-{n:04d}", *titles[at]) for n, at in enumerate(order)]
        self.titles = {film.id: f"{film.title} ({film.genre})" for film in self.films}
        names = list(GENRES)
        genre_of = np.array([names.index(film.genre) for film in self.films])
        appeal = self._chance.zipf(1.6, len(self.films)).clip(1, 400).astype(np.float64)
        self._shelves = [np.flatnonzero(genre_of == g) for g in range(len(names))]
        self._appeal = [np.cumsum(appeal[shelf]) / appeal[shelf].sum() for shelf in self._shelves]
        self.people = [f"user-{n:04d}" for n in range(people)]
        self._activity = self._chance.zipf(1.7, people).clip(1, 60).astype(np.float64)
        self._tastes = self._chance.dirichlet(np.full(len(names), 0.15), people)

    def clicks(self, count: int, start: int = START, gap: float = 20_000.0) -> Iterator[Click]:
        """`count` clicks in time order, `gap` ms apart on average; one person in four turns to another taste half way."""
        who = self._chance.choice(len(self.people), count, p=self._activity / self._activity.sum())
        gaps = self._chance.exponential(gap, count)
        time = start
        for n in range(count):
            if n == count // 2:
                self._drift()
            time += 1 + int(gaps[n])
            yield Click(self.people[who[n]], self.films[self._film(who[n])].id, time)

    def _drift(self) -> None:
        turned = self._chance.choice(len(self.people), len(self.people) // 4, replace=False)
        self._tastes[turned] = np.roll(self._tastes[turned], 3, axis=1)

    def _film(self, person: int) -> int:
        genre = self._one_of(np.cumsum(self._tastes[person]))
        return int(self._shelves[genre][self._one_of(self._appeal[genre])])

    def _one_of(self, cumulated: NDArray[np.float64]) -> int:
        return min(int(np.searchsorted(cumulated, self._chance.random())), len(cumulated) - 1)
