"""The plan of a clip: which roads, which scene, where the ego car goes, and everybody else on wheels."""

from dataclasses import dataclass

import numpy as np

from samodal.data.synthetic import people, vehicles
from samodal.data.synthetic.roads import Path, Road, draw_road, straight, turning, winding
from samodal.data.synthetic.solids import Sculptor
from samodal.data.synthetic.style import Style
from samodal.data.synthetic.textures import Rng
from samodal.data.synthetic.traffic import Driver, Lane, Solid, drive, gait, queue
from samodal.data.synthetic.vehicles import Model

SCENES = {"street": 0.42, "wait": 0.36, "over": 0.08, "turn": 0.14}
"""Along a street, waiting at a red light, driving over a crossing, turning at one; with their shares."""
STEP = 0.1
"""Seconds from frame to frame."""
STOP_LINE = 5.2
"""Metres before a junction."""


@dataclass
class Town:
    """What every other part of the world is fitted to.

    Attributes:
        roads: the main road, along which the ego car comes, and perhaps one that crosses it.
        scene: see `SCENES`.
        frames: T.
        speed: metres a second that people like to drive; busy: factor on how many there are.
        ego: the ego car, which nobody sees; parked: it stands at the kerb all the time.
        night: lamps are on.
    """

    style: Style
    scene: str
    frames: int
    speed: float
    busy: float
    night: bool
    roads: list[Road]
    ego: Driver
    parked: bool

    @property
    def main(self) -> Road:
        """The road along which the ego car comes."""
        return self.roads[0]

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return self.frames * STEP

    def span(self, road: Road) -> tuple[float, float]:
        """The part of a road (metres along it) that can be seen well."""
        if road is self.main:
            return -12.0, 70 + self.speed * self.seconds * (self.scene in ("street", "over"))
        return -55.0, 55.0


def plan_town(rng: Rng, style: Style, frames: int, night: bool) -> Town:
    """Draw the roads, the scene and the way of the ego car."""
    scene = str(rng.choice(list(SCENES), p=list(SCENES.values())))
    parked = scene == "street" and rng.random() < 0.2
    bend = float(rng.uniform(0, 0.35)) if scene == "street" and not parked else 0.0
    speed = float(rng.uniform(5, 12))
    main = draw_road(rng, winding(rng, -90, 150 + frames * STEP * 13, bend))
    roads = [main]
    if scene != "street":
        side = draw_road(rng, main.path)
        at = {"wait": 14.0, "over": 30.0, "turn": 13.0}[scene] + main.kerb + side.kerb
        side.path = straight(at, 0, np.pi / 2 + rng.uniform(-0.12, 0.12), -140, 140)
        main.gap = (at - side.kerb - 3, at + side.kerb + 3)
        side.gap = (-main.kerb - 3, main.kerb + 3)
        roads.append(side)
    busy = float(rng.uniform(1.1, 1.5) if style.hard else rng.uniform(0.7, 1.0))
    ego = _ego(rng, scene, parked, roads, speed, frames * STEP)
    return Town(style, scene, frames, speed, busy, night, roads, ego, parked)


def _ego(rng: Rng, scene: str, parked: bool, roads: list[Road], speed: float, seconds: float) -> Driver:
    main = roads[0]
    blank = Sculptor()
    blank.box((-2.2, 2.2), (-0.9, 0.9), (0, 1.5), np.zeros(3))
    ego = Driver(Model([blank.finish()], (), 4.4, 1.8, 1.5), Lane(main.path, 0.0), 0.0, speed, speed)
    ego.lane = Lane(main.path, main.offset(1, int(rng.integers(main.lanes))))
    if parked:
        ego.lane = Lane(main.path, -(main.lanes * main.lane + main.bike + main.parking / 2))
        ego.speed = ego.wish = 0.0
    elif scene == "street" and rng.random() < 0.3:
        begin = rng.uniform(0, seconds)
        ego.brake = (begin, begin + rng.uniform(1, 3))
    elif scene == "wait":
        assert main.gap is not None
        ego.stop = main.gap[0] - STOP_LINE - 0.2
        before = rng.uniform(0, 14) if rng.random() < 0.5 else 0.0
        ego.progress = ego.stop - 2.7 - before
        ego.speed = float(np.sqrt(before * 2 * 1.5))
    elif scene == "turn":
        ego.lane = _turn(rng, *roads)
        ego.speed = ego.wish = float(rng.uniform(3.5, 6))
    return ego


def _turn(rng: Rng, main: Road, side: Road) -> Lane:
    """To the left or to the right, from the main road into the crossing one."""
    assert main.gap is not None
    left = rng.random() < 0.5
    begin = Lane(main.path, main.offset(1, 0 if left else main.lanes - 1)).pose(main.gap[0])
    direction = 1 if left else -1
    goal = Lane(side.path, side.offset(direction, 0 if left else side.lanes - 1), direction)
    path = turning(begin, goal.pose(main.kerb + 3.0), 25, 120)
    return Lane(Path(path.points, path.s + 6, path.heading), 0.0)


def draw_traffic(rng: Rng, town: Town) -> list[Solid]:
    """Everybody on wheels that moves, or could; the ego car is the first."""
    drivers = [town.ego]
    for number, road in enumerate(town.roads):
        red = town.scene == ("wait" if number == 0 else "over") or (number == 1 and town.scene == "turn")
        for direction in (1, -1):
            stop = np.inf
            if road.gap is not None and red:
                stop = (road.gap[0] if direction == 1 else -road.gap[1]) - STOP_LINE
            for k in range(road.lanes):
                drivers += _lane_traffic(
                    rng, town, road, Lane(road.path, road.offset(direction, k), direction), stop
                )
            if number == 0 and road.bike:
                drivers += _cyclists(rng, town, direction, stop)
    ways = drive(drivers, town.frames, STEP)
    return [
        Solid(d.model, d.lane.pose(way), gait(d.model, way)) for d, way in zip(drivers, ways, strict=True)
    ]


def _lane_traffic(rng: Rng, town: Town, road: Road, lane: Lane, stop: float) -> list[Driver]:
    ego, mine = town.ego, road is town.main
    if mine and ego.lane.path is lane.path and abs(ego.lane.d - lane.d) < 0.01:
        lane = ego.lane
    inner = road.lanes > 1 and abs(lane.d) < road.lane
    wish = town.speed * rng.uniform(0.75, 1.25) * (1.1 if inner else 0.95)
    if mine:
        ahead = 80 + town.speed * town.seconds
        span = (-25.0, ahead) if lane.direction == 1 else (-ahead - 8 * town.seconds, 25.0)
    else:
        span = (-75.0, 30.0)
    spacing = (52 if mine else 18) / town.busy * (1.4 if road.lanes > 1 else 1.0)
    line = queue(rng, lambda: draw_vehicle(rng, town.style, town.night), lane, span, spacing, wish, stop)
    if lane is ego.lane or (mine and town.scene == "turn" and lane.direction == 1):
        line = [d for d in line if not -12 < d.progress - ego.progress < 9 + d.model.length]
    if mine and town.scene == "street" and rng.random() < 0.6:
        line = _with_pass(rng, town, lane, line, wish)
    return line


def _with_pass(rng: Rng, town: Town, lane: Lane, line: list[Driver], wish: float) -> list[Driver]:
    """Send something large past the ego car within the clip, so that what is behind it vanishes for a while."""
    if lane is town.ego.lane:
        return line
    make = [vehicles.lorry, vehicles.bus, vehicles.van][rng.integers(3)]
    model = make(rng, town.style, town.night)
    meet = rng.uniform(0.25, 0.8) * town.seconds
    wish = wish if lane.direction == -1 else town.ego.speed + rng.uniform(3, 6)
    at = lane.direction * (town.ego.progress + town.ego.speed * meet) - wish * meet
    room = [d for d in line if abs(d.progress - at) > (d.model.length + model.length) / 2 + 6]
    return [*room, Driver(model, lane, at, wish, wish)]


def _cyclists(rng: Rng, town: Town, direction: int, stop: float) -> list[Driver]:
    main = town.main
    lane = Lane(main.path, -direction * (main.lanes * main.lane + main.bike / 2), direction)
    span = (4.0, 60.0) if direction == 1 else (-80.0, -4.0)
    return queue(
        rng, lambda: people.rider(rng, town.style, False, town.night), lane, span, 32 / town.busy,
        rng.uniform(3.5, 6.5), stop,
    )  # fmt: skip


def draw_vehicle(rng: Rng, style: Style, night: bool) -> Model:
    """Somebody in a lane: a car, a van, a lorry, a bus or a motorcycle."""
    large = 0.36 if style.hard else 0.26
    kind = str(
        rng.choice(
            ["car", "van", "lorry", "bus", "motor"], p=[0.86 - large, 0.09, large * 0.6, large * 0.4, 0.05]
        )
    )
    if kind == "motor":
        return people.rider(rng, style, True, night)
    make = {"car": vehicles.car, "van": vehicles.van, "lorry": vehicles.lorry, "bus": vehicles.bus}[kind]
    return make(rng, style, night)
