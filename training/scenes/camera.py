"""Camera distributions: driving, hand-held indoors, and free."""

import math

DEGREE = math.pi / 180


def focal_of(scene, horizontal_fov):
    """Focal length in pixels for a horizontal field of view in degrees."""
    return scene.width / 2 / math.tan(horizontal_fov * DEGREE / 2)


def clipped_gauss(rng, mean, deviation, low, high):
    return min(high, max(low, rng.gauss(mean, deviation)))


def indoor_lens(scene):
    """Focal length in pixels: around 60 degrees for 4:3 (NYUv2's Kinect), narrower for portraits, wider else."""
    fov = clipped_gauss(scene.rng, 60, 7, 42, 85)
    aspect = scene.width / scene.height
    # The field of view belongs to a 4:3 frame; other shapes are crops of, or windows wider than, that frame.
    frame_width = scene.width if aspect <= 4 / 3 else scene.width * (4 / 3 / aspect) ** 0.5
    return frame_width / 2 / math.tan(fov * DEGREE / 2)


def hand_held(scene, position, yaw, pitch_mean=-9, pitch_deviation=9, low=-38, high=14):
    """Looks from `position` along `yaw` (radians) with the small pitch and roll of a person's hands."""
    rng = scene.rng
    pitch = clipped_gauss(rng, pitch_mean, pitch_deviation, low, high) * DEGREE
    roll = clipped_gauss(rng, 0, 2.5, -9, 9) * DEGREE
    scene.look(position, yaw, pitch, roll, indoor_lens(scene))


def driving(scene, x, y, ground, yaw):
    """A camera on a car: 1.65 m high and level as in KITTI's frames when the image is wide, freer otherwise."""
    rng = scene.rng
    aspect = scene.width / scene.height
    if aspect >= 1.9:
        # KITTI: 81 degrees for 3.3:1. Narrower crops of that frame keep its focal length.
        fov = 2 * math.atan(math.tan(40.7 * DEGREE) * min(1, aspect / 3.31) ** 0.7) / DEGREE
        fov = clipped_gauss(rng, fov, 6, 45, 100)
        height = clipped_gauss(rng, 1.65, 0.15, 1.2, 2.6)
        pitch, roll = rng.gauss(-0.5, 1.2), rng.gauss(0, 0.8)
        center = (rng.gauss(0.49, 0.02), clipped_gauss(rng, 0.47, 0.05, 0.3, 0.65))
    else:
        fov = clipped_gauss(rng, 62, 12, 35, 95)
        height = clipped_gauss(rng, 1.6, 0.3, 0.6, 2.8) if rng.random() < 0.85 else rng.uniform(2.5, 9)
        pitch = clipped_gauss(rng, -1 if height < 2.8 else -9, 5, -30, 14)
        roll = rng.gauss(0, 1.8)
        center = (0.5, 0.5)
    scene.look((x, y, ground + height), yaw, pitch * DEGREE, roll * DEGREE, focal_of(scene, fov), center)
