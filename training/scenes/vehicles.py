"""Vehicles, along local x, front +x."""

from . import palette as P


def _tyres(scene, frame, wheelbase, half_width, radius):
    rubber = P.plain(scene, P.grey(scene.rng, 0.03, 0.12), 0.1)
    rim = P.plain(scene, P.grey(scene.rng, 0.3, 0.8), 0.6)
    for sx in (-1, 1):
        for sy in (-1, 1):
            x = sx * wheelbase / 2
            scene.rod(
                frame, (x, sy * (half_width - 0.2), radius), (x, sy * (half_width + 0.01), radius), radius, rubber
            )
            scene.rod(
                frame, (x, sy * (half_width - 0.1), radius), (x, sy * (half_width + 0.025), radius), radius * 0.6, rim
            )


def car(scene, frame, near=True):
    """Passenger car along local x, front +x. `near` adds wheels, lights and a number plate."""
    rng = scene.rng
    color = P.grey(rng, 0.03, 0.95) if rng.random() < 0.65 else P.any_color(rng)
    paint = scene.material(
        P.TEXTURE_IDS["soft"][1],
        3.0,
        color,
        P.near(rng, color, 0.05),
        specular=0.8,
        gloss=90,
        mirror=rng.uniform(0.2, 0.8),
        dirt=rng.uniform(0.02, 0.2),
    )
    glass = P.glazing(scene)
    hx, hy, top = rng.uniform(1.75, 2.4), rng.uniform(0.78, 0.93), rng.uniform(1.35, 1.6) + 0.25 * (rng.random() < 0.3)
    belt = rng.uniform(0.82, 0.98)
    estate = rng.random() < 0.5
    scene.frustum(frame, 0, 0, 0.22, hx * 0.98, hy, (belt - 0.4) / 2, paint, top_x=1.0, top_y=1.0)
    scene.frustum(frame, 0, 0, belt - 0.2, hx, hy, 0.1, paint, top_x=0.95, top_y=0.94)
    shift = -0.12 if estate else -0.04
    cabin = hx * (0.78 if estate else 0.66)
    scene.frustum(
        frame,
        hx * (-0.2 if estate else -0.1),
        0,
        belt,
        cabin,
        hy * 0.93,
        (top - belt) / 2,
        glass,
        top_x=0.72 if estate else 0.58,
        top_y=0.82,
        shift=shift,
    )
    scene.box(
        frame,
        hx * (-0.2 if estate else -0.1) + shift * cabin,
        0,
        top - 0.02,
        cabin * (0.7 if estate else 0.56),
        hy * 0.76,
        0.02,
        paint,
    )
    if not near:
        scene.box(frame, 0, 0, 0.02, hx * 0.8, hy * 0.9, 0.12, glass, tint=0.3)
        return
    for x in (-0.62, 0.02, 0.6):  # pillars
        scene.box(
            frame,
            hx * (-0.2 if estate else -0.1) + x * cabin * 0.8 + 0.7 * shift * cabin,
            0,
            belt,
            0.035,
            hy * 0.9,
            (top - belt) * 0.47,
            paint,
        )
    _tyres(scene, frame, hx * 1.22, hy, rng.uniform(0.29, 0.36))
    white, red = (
        P.glowing(scene, (0.8, 0.8, 0.75), rng.choice((0.2, 0.2, 6))),
        P.glowing(scene, (0.6, 0.02, 0.02), rng.choice((0.2, 0.2, 3))),
    )
    for side in (-1, 1):
        scene.box(frame, hx * 0.965, side * hy * 0.72, belt - 0.28, 0.04, 0.14, 0.06, white)
        scene.box(frame, -hx * 0.965, side * hy * 0.78, belt - 0.25, 0.04, 0.1, 0.08, red)
        scene.box(frame, hx * 0.3, side * (hy + 0.08), belt, 0.06, 0.1, 0.06, paint)
        scene.box(
            frame,
            side * hx * 0.97,
            0,
            0.42,
            0.03,
            0.26,
            0.055,
            P.plain(scene, (0.7, 0.7, 0.65), 0.1) if side > 0 else white,
        )
    scene.box(frame, hx * 0.95, 0, 0.3, 0.04, hy * 0.6, 0.07, glass, tint=0.5)


def truck(scene, frame, near=True):
    """Van, lorry, bus or tram along local x."""
    rng = scene.rng
    paint, glass = P.plain(scene, None, 0.4), P.glazing(scene)
    hx, hy, top = rng.uniform(2.3, 6.5), rng.uniform(0.95, 1.27), rng.uniform(2.0, 3.6)
    if rng.random() < 0.5:  # one body with a band of windows
        scene.frustum(frame, 0, 0, 0.35, hx, hy, (top - 0.35) / 2, paint, top_x=0.97, top_y=0.93)
        scene.box(frame, 0.05, 0, top * 0.55, hx * 0.95, hy * 0.985, top * 0.13, glass)
        scene.box(frame, hx * 0.9, 0, top * 0.5, hx * 0.087, hy * 0.85, top * 0.17, glass)
    else:
        load = P.picture(scene) if rng.random() < 0.3 else P.plain(scene, None, 0.2)
        scene.box(frame, -0.9, 0, 0.9, hx - 0.9, hy, (top - 0.9) / 2, load)
        scene.box(frame, -0.3, 0, 0.45, hx - 0.3, hy * 0.6, 0.22, glass, tint=0.4)
        scene.frustum(
            frame,
            hx - 0.85,
            0,
            0.4,
            0.8,
            hy * 0.95,
            min(top, 2.6) / 2 - 0.2,
            paint,
            top_x=0.8,
            top_y=0.92,
            shift=-0.15,
        )
        scene.box(frame, hx - 0.8, 0, min(top, 2.6) * 0.55, 0.74, hy * 0.955, 0.28, glass)
    if near:
        _tyres(scene, frame, hx * 1.3, hy, 0.45)
