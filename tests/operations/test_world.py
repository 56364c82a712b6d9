from collections import Counter
from itertools import pairwise

from streammf.operations.world import World


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    first, again, other = (World(seed, people=50) for seed in (1, 1, 2))
    assert first.films == again.films
    assert list(first.clicks(500)) == list(again.clicks(500))
    assert list(World(1, people=50).clicks(500)) != list(other.clicks(500))


def test_every_film_has_a_title_of_its_own() -> None:
    world = World()
    assert len(world.films) >= 2_000
    assert len({film.id for film in world.films}) == len({film.title for film in world.films}) == len(world.films)


def test_clicks_come_in_time_order_and_some_films_are_much_more_popular_than_others() -> None:
    clicks = list(World().clicks(20_000))
    assert all(a.time < b.time for a, b in pairwise(clicks))
    counts = sorted(Counter(click.item for click in clicks).values(), reverse=True)
    assert counts[0] > 50 * counts[len(counts) // 2]


def test_people_have_tastes() -> None:
    world = World()
    genre = {film.id: film.genre for film in world.films}
    watched: dict[str, Counter[str]] = {}
    for click in world.clicks(20_000):
        watched.setdefault(click.user, Counter())[genre[click.item]] += 1
    busy = [genres for genres in watched.values() if genres.total() >= 20]
    favourite = sum(genres.most_common(1)[0][1] for genres in busy) / sum(genres.total() for genres in busy)
    assert favourite > 0.4, "ten genres, yet most clicks of a person are in one"
