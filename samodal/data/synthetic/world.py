"""A world from a seed: roads, scenery, people and vehicles, light, and the way of the camera through it."""

from dataclasses import dataclass, field

import numpy as np

from samodal.data.synthetic import people, scenery, textures, vehicles
from samodal.data.synthetic.camera import Camera
from samodal.data.synthetic.order import overlap, rectangles
from samodal.data.synthetic.roads import Path, Road, draw_road, straight, turning, winding
from samodal.data.synthetic.solids import Sculptor
from samodal.data.synthetic.style import Style
from samodal.data.synthetic.textures import Rng
from samodal.data.synthetic.traffic import (
    Driver,
    Lane,
    Solid,
    cross,
    drive,
    drop_collisions,
    gait,
    queue,
    walk,
)
from samodal.data.synthetic.vehicles import Model
from samodal.data.synthetic.weather import Weather, draw_weather

FPS = 10.0
PRESETS = ("easy", "hard")


@dataclass
class World:
    """Everything that can be seen in a clip, at all times. T frames.

    Attributes:
        cameras: (T, 6) x, y, z in metres, yaw, pitch, roll in radians.
        fov: horizontal field of view in radians.
        solids: with their ways; those that are instances carry track ids.
        ground, sky: pictures; weather: light.
        plate: (h, w, 3) int16 sensor noise, shifted at random from frame to frame.
        seed: for what is drawn anew in every frame (rain, shift of the noise).
    """

    cameras: np.ndarray
    fov: float
    solids: list[Solid]
    ground: scenery.Ground
    sky: np.ndarray
    weather: Weather
    plate: np.ndarray
    seed: int
    categories: dict[int, int] = field(default_factory=dict)

    def camera(self, frame: int, size: tuple[int, int]) -> Camera:
        """The camera of a frame for images of size (H, W)."""
        x, y, z, yaw, pitch, roll = self.cameras[frame]
        return Camera(np.array([x, y, z]), yaw, pitch, roll, self.fov, size)


def build_world(seed: int, frames: int, preset: str = "easy") -> World:
    """The world of a seed. Scenes: a street, waiting at a crossing, driving over one, turning at one."""
    if preset not in PRESETS:
        raise ValueError(f"preset {preset!r}: choose one of {', '.join(PRESETS)}")
    hard = preset == "hard"
    rng = np.random.default_rng([seed, int(hard)])
    style, weather = Style(hard), draw_weather(rng)
    scene = str(rng.choice(["street", "wait", "over", "turn"], p=[0.42, 0.36, 0.08, 0.14]))
    town = _Town(rng, style, weather, scene, frames)
    solids = drop_collisions(
        [town.ego_solid, *town.furniture(), *town.parked(), *town.driving(), *town.walking()], frames
    )
    solids = solids[1:] + town.houses()
    categories: dict[int, int] = {}
    for solid in solids:
        first = len(categories) + 1
        solid.track_ids = tuple(range(first, first + len(solid.model.categories)))
        categories.update(zip(solid.track_ids, solid.model.categories, strict=True))
    cameras = town.cameras()
    low = cameras[:, :2].min(0) - 85
    high = cameras[:, :2].max(0) + 85
    skyline = (weather.haze * 0.75 + 0.25 * style.wall(rng) * weather.ambient).clip(0, 255)
    return World(
        cameras=cameras,
        fov=float(np.radians(rng.uniform(60, 88))),
        solids=solids,
        ground=scenery.draw_ground(rng, style, town.roads, low, high, weather.name == "rain"),
        sky=textures.sky(rng, weather.top, weather.low, weather.clouds, skyline),
        weather=weather,
        plate=np.round(rng.normal(0, weather.noise, (512, 512, 3))).astype(np.int16),
        seed=seed,
        categories=categories,
    )


class _Town:
    """Draws the parts of a world one after the other; later ones know where the roads and the ego car are."""

    def __init__(self, rng: Rng, style: Style, weather: Weather, scene: str, frames: int) -> None:
        self.rng, self.style, self.scene, self.frames = rng, style, scene, frames
        self.night = weather.lamps
        self.step = 1 / FPS
        self.speed = float(rng.uniform(5, 12))
        self.busy = float(rng.uniform(0.6, 1.1) if not style.hard else rng.uniform(1.1, 1.6))
        reach = 150 + frames * self.step * 13
        parked = scene == "street" and rng.random() < 0.2
        bend = float(rng.uniform(0, 0.35)) if scene == "street" and not parked else 0.0
        main = draw_road(rng, winding(rng, -90, reach, bend))
        self.roads = [main]
        self.crossing = 0.0
        if scene != "street":
            side = draw_road(rng, straight(0, 0, np.pi / 2, -140, 140))
            self.crossing = {"wait": 14.0, "over": 30.0, "turn": 13.0}[scene] + main.kerb + side.kerb
            side.path = straight(self.crossing, 0, np.pi / 2 + rng.uniform(-0.12, 0.12), -140, 140)
            main.gap = (self.crossing - side.kerb - 3, self.crossing + side.kerb + 3)
            side.gap = (-main.kerb - 3, main.kerb + 3)
            self.roads.append(side)
        self.main = main
        self._ego(parked)
        self._lanes = self._all_lanes()
        self._drive()

    def _ego(self, parked: bool) -> None:
        rng, main = self.rng, self.main
        stop, start, speed = np.inf, 0.0, self.speed
        brake = (np.inf, np.inf)
        lane = Lane(main.path, main.offset(1, int(rng.integers(main.lanes))))
        if parked:
            lane, speed = Lane(main.path, -(main.lanes * main.lane + main.bike + main.parking / 2)), 0.0
        elif self.scene == "street" and rng.random() < 0.3:
            begin = rng.uniform(0, self.frames * self.step)
            brake = (begin, begin + rng.uniform(1, 3))
        elif self.scene == "wait":
            stop = main.gap[0] - 5.4  # type: ignore[index]
            start = stop - 2.7 - (rng.uniform(0, 14) if rng.random() < 0.5 else 0)
            speed = float(np.sqrt(max(stop - 2.7 - start, 0) * 2 * 1.5))
        elif self.scene == "turn":
            lane, start, speed = self._turn_lane(), 0.0, float(rng.uniform(3.5, 6))
        self.stands = parked
        wish = speed if self.scene in ("turn",) or parked else self.speed
        blank = Sculptor()
        blank.box((-2.2, 2.2), (-0.9, 0.9), (0, 1.5), np.zeros(3))
        car = Model([blank.finish()], (), 4.4, 1.8, 1.5)
        self.ego = Driver(car, lane, start, speed, wish, stop, brake)

    def _turn_lane(self) -> Lane:
        main, side = self.roads
        left = self.rng.random() < 0.5
        assert main.gap is not None
        assert side.gap is not None
        entry = Lane(main.path, main.offset(1, 0 if left else main.lanes - 1)).pose(main.gap[0])
        goal = Lane(
            side.path, side.offset(1 if left else -1, 0 if left else side.lanes - 1), 1 if left else -1
        )
        path = turning(entry, goal.pose(main.kerb + 3.0), 25, 120)
        return Lane(Path(path.points, path.s + 6, path.heading), 0.0)

    def _all_lanes(self) -> list[tuple[Road, Lane, float]]:
        """Road, lane and the progress at which its stop line is (infinite: green or none)."""
        red = {0: self.scene == "wait", 1: self.scene in ("over", "turn")}
        lanes = []
        for number, road in enumerate(self.roads):
            for direction in (1, -1):
                for k in range(road.lanes):
                    lane = Lane(road.path, road.offset(direction, k), direction)
                    mine = self.ego.lane
                    if mine.path is lane.path and abs(mine.d - lane.d) < 0.01:
                        lane = self.ego.lane
                    stop = np.inf
                    if road.gap is not None and red[number]:
                        stop = road.gap[0] - 5.2 if direction == 1 else -(road.gap[1] + 5.2)
                    lanes.append((road, lane, stop))
        return lanes

    def _vehicle(self) -> Model:
        rng, style = self.rng, self.style
        large = 0.26 if not style.hard else 0.36
        kind = rng.choice(
            ["car", "van", "lorry", "bus", "motor"], p=[0.86 - large, 0.09, large * 0.6, large * 0.4, 0.05]
        )
        if kind == "motor":
            return people.rider(rng, style, True, self.night)
        make = {"car": vehicles.car, "van": vehicles.van, "lorry": vehicles.lorry, "bus": vehicles.bus}[
            str(kind)
        ]
        return make(rng, style, self.night)

    def _drive(self) -> None:
        rng = self.rng
        drivers = [self.ego]
        for road, lane, stop in self._lanes:
            mine = road is self.main
            ahead = 80 + (self.speed * self.frames * self.step if mine else 0)
            span = (-25.0, ahead) if lane.direction == 1 else (-ahead - self.frames * self.step * 8, 25.0)
            if not mine:
                span = (-75.0, 30.0)
            wish = (
                self.speed
                * rng.uniform(0.75, 1.25)
                * (1.1 if abs(lane.d) < road.lane and road.lanes > 1 else 0.95)
            )
            spacing = (44 if mine else 17) / self.busy
            line = queue(rng, self._vehicle, lane, span, spacing, wish, stop)
            if lane is self.ego.lane or (mine and self.scene == "turn" and lane.direction == 1):
                line = [d for d in line if not -12 < d.progress - self.ego.progress < 9 + d.model.length]
            drivers += line
        if self.main.bike:
            for direction in (1, -1):
                d = -direction * (self.main.lanes * self.main.lane + self.main.bike / 2)
                span = (4.0, 60.0) if direction == 1 else (-80.0, -4.0)
                make = lambda: people.rider(rng, self.style, False, self.night)  # noqa: E731
                stop = np.inf if self.scene != "wait" or direction < 0 else self.main.gap[0] - 5.2  # type: ignore[index]
                drivers += queue(
                    rng,
                    make,
                    Lane(self.main.path, d, direction),
                    span,
                    24 / self.busy,
                    rng.uniform(3.5, 6.5),
                    stop,
                )
        progress = drive(drivers, self.frames, self.step)
        self.solids = [
            Solid(driver.model, driver.lane.pose(way), gait(driver.model, way))
            for driver, way in zip(drivers, progress, strict=True)
        ]
        self.ego_solid = self.solids[0]

    def driving(self) -> list[Solid]:
        """Everybody else on wheels."""
        return self.solids[1:]

    def cameras(self) -> np.ndarray:
        """(T, 6) poses: in the ego car, 1.2 to 1.7 m high, shaking a little."""
        rng, pose = self.rng, self.ego_solid.poses
        time = np.arange(self.frames) * self.step
        moved = np.linalg.norm(np.diff(pose[:, :2], axis=0, append=pose[-1:, :2]), axis=1) / self.step
        if self.frames > 1:
            moved[-1] = moved[-2]
        dive = np.gradient(moved, self.step) if self.frames > 1 else np.zeros(1)
        shake = rng.normal(0, 1, (3, self.frames)) * 0.0012 * np.minimum(moved, 8) / 8
        turn = rng.uniform(0.1, 0.6) if self.stands else rng.normal(0, 0.05)
        sway = rng.uniform(0, 0.006) * np.sin(rng.uniform(1.5, 4) * time + rng.uniform(0, 6))
        forward = np.column_stack([np.cos(pose[:, 2]), np.sin(pose[:, 2])])
        return np.column_stack(
            [
                pose[:, :2] + 0.8 * forward,
                np.full(self.frames, rng.uniform(1.2, 1.7)),
                pose[:, 2] + turn + shake[0],
                rng.uniform(-0.07, 0.0) + shake[1] + sway + 0.003 * dive,
                rng.normal(0, 0.006) + shake[2] + 0.5 * sway,
            ]
        )

    def _span(self, road: Road) -> tuple[float, float]:
        """The part of a road that can be seen."""
        if road is self.main:
            return -12.0, 70 + self.speed * self.frames * self.step * (self.scene in ("street", "over"))
        return -55.0, 55.0

    def _still(self, model: Model, road: Road, s: float, d: float, turn: float = 0.0) -> Solid:
        pose = road.path.at(s, d)[None].copy()
        pose[:, 2] += turn + (np.pi if d > 0 else 0.0)
        return Solid(model, pose, np.zeros(1, int))

    def parked(self) -> list[Solid]:
        """Cars, vans and a few lorries along the kerb."""
        rng = self.rng
        result = []
        for road in self.roads:
            if road.parking < 2:
                continue
            for side in (-1, 1):
                share = rng.uniform(0.0, 0.6) ** 1.3 * self.busy
                at, end = self._span(road)
                while at < end:
                    kind = rng.random()
                    make = vehicles.car if kind < 0.74 else vehicles.van if kind < 0.95 else vehicles.lorry
                    model = make(rng, self.style, False)
                    at += model.length / 2 + rng.uniform(0.7, 1.6)
                    if rng.random() < share and road.free(at, model.length / 2 + 5):
                        d = side * (road.kerb - road.parking / 2 + rng.uniform(-0.1, 0.1))
                        result.append(self._still(model, road, at, d, rng.normal(0, 0.015)))
                    at += model.length / 2
        return result

    def walking(self) -> list[Solid]:
        """People on the pavements, in groups, waiting, and crossing where the lights let them."""
        rng, result = self.rng, []
        for road in self.roads:
            begin, end = self._span(road)
            for side in (-1, 1):
                for _ in range(rng.poisson((end - begin) / 20 * self.busy)):
                    s = rng.uniform(begin + 8, end)
                    d = side * rng.uniform(road.kerb + 1.1, road.front - 0.5)
                    pace = 0.0 if rng.random() < 0.12 else rng.uniform(0.8, 1.8) * rng.choice([-1, 1])
                    group = 1 + (rng.random() < 0.3) * int(rng.integers(1, 3))
                    for _ in range(group):
                        model = people.pedestrian(rng, self.style)
                        result.append(walk(rng, model, road, self.frames, self.step, s, d, pace))
                        s, d = (
                            s + rng.uniform(0.3, 0.9) * rng.choice([-1, 1]),
                            d + rng.uniform(0.7, 0.9) * rng.choice([-1, 1]),
                        )
        if self.main.gap is not None:
            road = self.main if self.scene == "wait" else self.roads[1]
            assert road.gap is not None
            for at, back in ((road.gap[0], -1), (road.gap[1], 1)):
                for _ in range(rng.poisson(4 * self.busy)):
                    pace = rng.uniform(1.0, 1.7) * rng.choice([-1, 1])
                    lead = rng.uniform(-road.kerb - 1, 0.7 * road.kerb) * np.sign(pace)
                    s = at + back * rng.uniform(1.2, 3.9)
                    result.append(
                        cross(
                            rng,
                            people.pedestrian(rng, self.style),
                            road,
                            self.frames,
                            self.step,
                            s,
                            lead,
                            pace,
                        )
                    )
        elif rng.random() < 0.5:
            pace = rng.uniform(1.0, 2.0) * rng.choice([-1, 1])
            s = rng.uniform(14, 50)
            lead = -np.sign(pace) * rng.uniform(0, self.main.kerb + 1)
            result.append(
                cross(
                    rng, people.pedestrian(rng, self.style), self.main, self.frames, self.step, s, lead, pace
                )
            )
        return result

    def furniture(self) -> list[Solid]:
        """Poles, trees, bushes and kiosks between kerb and pavement."""
        rng, result = self.rng, []
        crowns = scenery.crowns(rng, self.style)
        for road in self.roads:
            begin, end = self._span(road)
            for side in (-1, 1):
                trees = rng.uniform(7, 14) if rng.random() < 0.6 else 1e9
                next_tree, at = begin + rng.uniform(0, 10), begin
                while at < end:
                    at += rng.uniform(3.5, 9)
                    if not road.free(at, 1.0):
                        continue
                    d = side * (road.kerb + rng.uniform(0.45, 0.65))
                    if at > next_tree and trees < 100:
                        result.append(self._still(scenery.tree(rng, crowns), road, at, d))
                        next_tree = at + trees
                    elif rng.random() < 0.45:
                        result.append(self._still(scenery.pole(rng, self.night), road, at, d))
                    elif rng.random() < 0.25 and road.free(at, 6.0):
                        result.append(
                            self._still(scenery.kiosk(rng, self.style), road, at, side * (road.kerb + 1.2))
                        )
                    elif rng.random() < 0.12:
                        result.append(self._still(scenery.bush(rng, crowns), road, at, d))
        return result

    def houses(self) -> list[Solid]:
        """Blocks and hedges along the pavements, never on a road or in one another."""
        rng, style = self.rng, self.style
        crowns = scenery.crowns(rng, style, 2)
        walls = [textures.facade(rng, style.wall(rng), style.wall_kind(rng), self.night) for _ in range(4)]
        result: list[Solid] = []
        for road in self.roads:
            begin, end = self._span(road)
            for side in (-1, 1):
                green = rng.random() < 0.3
                setback = rng.uniform(0.2, 3) if not green else rng.uniform(6, 12)
                storeys = rng.uniform(5, 16)
                at = begin
                while at < end + 20:
                    width, depth = rng.uniform(8, 24), rng.uniform(8, 14)
                    at += width / 2
                    height = float(np.clip(storeys * rng.uniform(0.7, 1.4), 4, 23))
                    d = side * (road.front + setback + depth / 2)
                    model = scenery.house(rng, walls, float(width), float(depth), height)
                    result.append(self._still(model, road, at, d, -np.pi / 2))
                    at += width / 2 + (0.1 if rng.random() < 0.6 else rng.uniform(1, 9))
                at = begin
                while green and at < end:
                    at += rng.uniform(2, 9)
                    near = side * (road.front + rng.uniform(0.5, 3.5))
                    model = [scenery.tree, scenery.bush][rng.integers(2)](rng, crowns)
                    result.append(self._still(model, road, at, near))
                    if rng.random() < 0.4:
                        at += 3
                        result.append(
                            self._still(scenery.hedge(rng, style, 4.5), road, at, side * (road.front + 0.5))
                        )
                        at += 2
        streets = np.concatenate([_strips(road) for road in self.roads])
        result = [solid for solid in result if not overlap(solid.corners(), streets).any()]
        return drop_collisions(result, 1, keep=0)


def _strips(road: Road) -> np.ndarray:
    """Rectangles (N, 4, 2) that cover a road with its pavements."""
    line = road.path.at(np.arange(road.path.s[0], road.path.s[-1], 6.0))[:, :2]
    begin, end = line[:-1], line[1:]
    step = end - begin
    poses = np.column_stack([(begin + end) / 2, np.arctan2(step[:, 1], step[:, 0])])
    return rectangles(poses, 6.0, 2 * road.front - 0.1)
