"""Draws the camera's sensor: exposure, colours, noise and sharpness."""


def draw_sensor(scene):
    """Fills `scene.sensor` from the scene's generator; builders may have set values of their own before."""
    rng = scene.rng
    noisy = rng.random() < 0.3
    low_light = rng.random() ** 2
    warmth, tint = rng.gauss(0, 0.09), rng.gauss(0, 0.025)
    blur = max(0.0, rng.gauss(0.03, 0.08))
    values = {
        "exposure": rng.gauss(0.05, 0.5),
        "gamma": rng.uniform(1.8, 2.4),
        "contrast": max(-0.15, rng.gauss(0.25, 0.3)),
        "saturation": max(0.0, rng.gauss(0.92, 0.22)) * (rng.random() > 0.04),
        "white_balance": (1 + warmth, 1 + tint, 1 - warmth),
        "vignette": max(0.0, rng.gauss(0.1, 0.2)),
        "shot_noise": (0.01 + 0.03 * low_light) if noisy else 0.01 * rng.random(),
        "read_noise": (0.002 + 0.008 * low_light) if noisy else 0.002 * rng.random(),
        "blur": (min(0.3, blur), min(0.3, blur * rng.uniform(0.5, 1.5))),
        "sharpen": max(0.0, rng.gauss(0.3, 0.45)),
        "black": max(0.0, rng.gauss(0, 0.03)),
        "chroma_blur": rng.random(),
    }
    scene.sensor = values | scene.sensor
