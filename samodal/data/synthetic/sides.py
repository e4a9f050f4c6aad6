"""The sides of the roads: parked cars, people on foot, trees and poles, houses."""

import numpy as np

from samodal.data.synthetic import people, scenery, textures, vehicles
from samodal.data.synthetic.order import overlap, rectangles
from samodal.data.synthetic.roads import Road
from samodal.data.synthetic.textures import Rng
from samodal.data.synthetic.town import STEP, Town
from samodal.data.synthetic.traffic import Solid, cross, drop_collisions, walk
from samodal.data.synthetic.vehicles import Model


def _still(model: Model, road: Road, s: float, d: float, turn: float = 0.0) -> Solid:
    """Something that stands at a road, turned with the traffic on its side."""
    pose = road.path.at(s, d)[None].copy()
    pose[:, 2] += turn + (np.pi if d > 0 else 0.0)
    return Solid(model, pose, np.zeros(1, int))


def draw_parked(rng: Rng, town: Town) -> list[Solid]:
    """Cars, vans and a few lorries along the kerb."""
    result = []
    for road in town.roads:
        if road.parking < 2:
            continue
        for side in (-1, 1):
            share = rng.uniform(0.0, 0.6) ** 1.6 * town.busy
            at, end = town.span(road)
            while at < end:
                kind = rng.random()
                make = vehicles.car if kind < 0.74 else vehicles.van if kind < 0.95 else vehicles.lorry
                model = make(rng, town.style, False)
                at += model.length / 2 + rng.uniform(0.7, 1.6)
                if rng.random() < share and road.free(at, model.length / 2 + 5):
                    d = side * (road.kerb - road.parking / 2 + rng.uniform(-0.1, 0.1))
                    result.append(_still(model, road, at, d, rng.normal(0, 0.015)))
                at += model.length / 2
    return result


def draw_walkers(rng: Rng, town: Town) -> list[Solid]:
    """People on the pavements, alone and in groups, and some who cross where the lights let them."""
    result = []
    few = 26 / town.busy * (1.5 if len(town.roads) > 1 else 1.0)
    for road in town.roads:
        begin, end = town.span(road)
        for side in (-1, 1):
            for s in rng.uniform(begin + 8, end, rng.poisson((end - begin) / few)):
                d = side * rng.uniform(road.kerb + 1.1, road.front - 0.5)
                pace = 0.0 if rng.random() < 0.12 else rng.uniform(0.8, 1.8) * rng.choice([-1, 1])
                for _ in range(1 + (rng.random() < 0.3) * int(rng.integers(1, 3))):
                    model = people.pedestrian(rng, town.style)
                    result.append(walk(rng, model, road, town.frames, STEP, s, d, pace))
                    s += rng.uniform(0.3, 0.9) * rng.choice([-1, 1])
                    d += rng.uniform(0.7, 0.9) * rng.choice([-1, 1])
    return result + (_on_zebras(rng, town) if town.main.gap is not None else _across_street(rng, town))


def _on_zebras(rng: Rng, town: Town) -> list[Solid]:
    road = town.roads[0 if town.scene == "wait" else 1]
    assert road.gap is not None
    result = []
    for at, back in ((road.gap[0], -1), (road.gap[1], 1)):
        for _ in range(rng.poisson(4 * town.busy)):
            pace = rng.uniform(1.0, 1.7) * rng.choice([-1, 1])
            start = rng.uniform(-road.kerb - 1, 0.7 * road.kerb) * np.sign(pace)
            s = at + back * rng.uniform(1.2, 3.9)
            model = people.pedestrian(rng, town.style)
            result.append(cross(rng, model, road, town.frames, STEP, s, start, pace))
    return result


def _across_street(rng: Rng, town: Town) -> list[Solid]:
    result = []
    for _ in range(rng.integers(0, 3)):
        pace = rng.uniform(1.0, 2.0) * rng.choice([-1, 1])
        start = -np.sign(pace) * rng.uniform(0, town.main.kerb + 1)
        model = people.pedestrian(rng, town.style)
        result.append(cross(rng, model, town.main, town.frames, STEP, rng.uniform(10, 50), start, pace))
    return result


def draw_furniture(rng: Rng, town: Town) -> list[Solid]:
    """Poles, trees, bushes and kiosks between kerb and pavement."""
    result = []
    crowns = scenery.crowns(rng, town.style)
    for road in town.roads:
        begin, end = town.span(road)
        for side in (-1, 1):
            every = rng.uniform(9, 18) if rng.random() < 0.6 else np.inf
            next_tree, at = begin + min(rng.uniform(0, 10), every), begin
            while at < end:
                at += rng.uniform(5, 12)
                if not road.free(at, 1.0):
                    continue
                d = side * (road.kerb + rng.uniform(0.45, 0.65))
                if at > next_tree and np.isfinite(every):
                    result.append(_still(scenery.tree(rng, crowns), road, at, d))
                    next_tree = at + every
                elif rng.random() < 0.3:
                    result.append(_still(scenery.pole(rng, town.night), road, at, d))
                elif rng.random() < 0.3 and road.free(at, 6.0):
                    result.append(_still(scenery.kiosk(rng, town.style), road, at, side * (road.kerb + 1.2)))
                elif rng.random() < 0.12:
                    result.append(_still(scenery.bush(rng, crowns), road, at, d))
    return result


def draw_houses(rng: Rng, town: Town) -> list[Solid]:
    """Blocks, gardens and hedges behind the pavements, never on a road or in one another."""
    style = town.style
    crowns = scenery.crowns(rng, style, 2)
    walls = [textures.facade(rng, style.wall(rng), style.wall_kind(rng), town.night) for _ in range(4)]
    result: list[Solid] = []
    for road in town.roads:
        for side in (-1, 1):
            garden = rng.random() < 0.3
            setback = rng.uniform(6, 12) if garden else rng.uniform(0.2, 3)
            tall = rng.uniform(5, 16)
            at, end = town.span(road)
            while at < end + 20:
                width, depth = rng.uniform(8, 24), rng.uniform(8, 14)
                at += width / 2
                height = float(np.clip(tall * rng.uniform(0.7, 1.4), 4, 23))
                model = scenery.house(rng, walls, float(width), float(depth), height)
                d = side * (road.front + setback + depth / 2)
                result.append(_still(model, road, at, d, -np.pi / 2))
                at += width / 2 + (0.1 if rng.random() < 0.6 else rng.uniform(1, 9))
            if garden:
                result += _garden(rng, town, road, side, crowns)
    streets = np.concatenate([_strips(road) for road in town.roads])
    result = [solid for solid in result if not overlap(solid.corners(), streets).any()]
    return drop_collisions(result, 1, keep=0)


def _garden(
    rng: Rng, town: Town, road: Road, side: int, crowns: list[list[tuple[np.ndarray, np.ndarray]]]
) -> list[Solid]:
    result = []
    at, end = town.span(road)
    while at < end:
        at += rng.uniform(2, 9)
        make = [scenery.tree, scenery.bush][rng.integers(2)]
        result.append(_still(make(rng, crowns), road, at, side * (road.front + rng.uniform(0.5, 3.5))))
        if rng.random() < 0.4:
            at += 3
            result.append(_still(scenery.hedge(rng, town.style, 4.5), road, at, side * (road.front + 0.5)))
            at += 2
    return result


def _strips(road: Road) -> np.ndarray:
    """Rectangles (N, 4, 2) that cover a road with its pavements."""
    line = road.path.at(np.arange(road.path.s[0], road.path.s[-1], 6.0))[:, :2]
    step = np.diff(line, axis=0)
    poses = np.column_stack([line[:-1] + step / 2, np.arctan2(step[:, 1], step[:, 0])])
    return rectangles(poses, 6.0, 2 * road.front - 0.1)
