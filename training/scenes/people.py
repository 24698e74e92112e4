"""People."""

from . import palette as P


def person(scene, frame, height=None):
    """Clothed figure out of ellipsoids and rods; about 12 primitives."""
    rng = scene.rng
    h = height or rng.uniform(1.5, 1.9)
    skin = P.plain(scene, P.hsv(rng.gauss(0.06, 0.01), rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.95)), 0.1)
    shirt, trousers = P.cloth(scene), P.cloth(scene, P.near(rng, P.grey(rng, 0.1, 0.5), 0.3))
    hip, shoulder = 0.5 * h, 0.81 * h
    stride = rng.gauss(0, 0.14)
    for side in (-1, 1):
        foot = (side * 0.09, stride * side, 0.03)
        knee = (side * 0.095, stride * side * 0.4 - 0.03, 0.27 * h)
        scene.rod(frame, (side * 0.085, 0, hip), knee, 0.075, trousers)
        scene.rod(frame, knee, foot, 0.055, trousers)
        scene.ellipsoid(frame, foot[0], foot[1] - 0.06, 0.04, 0.05, 0.13, 0.045, trousers)
        elbow = (side * 0.25, -stride * side * 0.5, 0.63 * h)
        scene.rod(frame, (side * 0.19, 0, shoulder - 0.03), elbow, 0.05, shirt)
        scene.rod(
            frame, elbow, (side * 0.24, -stride * side - 0.1, 0.49 * h), 0.04, skin if rng.random() < 0.5 else shirt
        )
    scene.ellipsoid(frame, 0, 0, 0.66 * h, 0.2, 0.13, 0.2 * h, shirt)
    scene.ellipsoid(frame, 0, 0, hip, 0.17, 0.13, 0.1 * h, trousers)
    scene.ellipsoid(frame, 0, -0.01, 0.925 * h, 0.085, 0.105, 0.125, skin)
    scene.ellipsoid(
        frame, 0, 0.02, 0.95 * h, 0.095, 0.105, 0.11, P.cloth(scene, P.hsv(0.08, 0.5, rng.uniform(0.05, 0.5)))
    )
