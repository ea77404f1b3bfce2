"""A world in which the past has happened, made once and copied for each case."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from sqlalchemy.orm.instrumentation import manager_of_class
from sqlmodel import SQLModel

from tests.simulation.memory_rows import Values
from tests.simulation.provider_log import Effect, Habits
from tests.simulation.scenes import SCENES
from tests.simulation.simulated_book import Mark
from tests.simulation.world import MERCHANT, World


@dataclass(frozen=True)
class Snapshot:
    """All that the past leaves behind."""

    seconds: float
    rows: list[tuple[type[SQLModel], tuple[Any, ...], Values]]
    keys: dict[tuple[Any, ...], tuple[type[SQLModel], tuple[Any, ...]]]
    book: Mark
    effects: list[Effect]
    asked: tuple[Any, ...]
    numbers: int


@cache
def _past_of(scene_name: str) -> Snapshot:
    scene = SCENES[scene_name]
    world = World()
    for merchant_id, changes in {MERCHANT: {}, **scene.others}.items():
        world.merchant(**{"id": merchant_id, **scene.merchant, **changes})
    for saga in scene.before:
        world.ask(saga)
        world.clock.run()
    rows = [
        (table, key, {n: v for n, v in row.__dict__.items() if n[0] != "_"})
        for table, found in world.store.tables.items()
        for key, row in found.items()
    ]
    where = {id(row): (t, k) for t, found in world.store.tables.items() for k, row in found.items()}
    return Snapshot(
        world.clock.seconds,
        rows,
        {key: where[id(row)] for key, row in world.store.taken.items()},
        world.store.book.mark(),
        world.provider.effects,
        tuple(world.asked),
        world.store.numbers,
    )


def world_of(scene_name: str, seed: int) -> World:
    """A fresh world in which the scene may begin."""
    past = _past_of(scene_name)
    scene = SCENES[scene_name]
    world = World(seed)
    world.route(scene.merchant)
    random.seed(seed)
    world.clock.seconds = past.seconds
    store = world.store
    for table, key, values in past.rows:
        store.tables.setdefault(table, {})[key] = _row(table, values)
    store.taken = {key: store.tables[table][at] for key, (table, at) in past.keys.items()}
    store.numbers = past.numbers
    store.book.back_to(past.book)
    world.provider.effects = [replace(effect) for effect in past.effects]
    world.provider.habits = Habits(**scene.habits)
    world.asked = list(past.asked)
    return world


def _row(table: type[SQLModel], values: Values) -> SQLModel:
    row: SQLModel = table.__new__(table)
    manager_of_class(table).setup_instance(row)
    row.__dict__.update(values)
    return row
