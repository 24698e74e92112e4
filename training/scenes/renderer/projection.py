"""Matrices from the world to the camera and to the screen, OpenGL's conventions, column vectors."""

import numpy as np
from numpy.typing import ArrayLike


def look_at(eye: np.ndarray, target: ArrayLike, roll: float = 0.0) -> np.ndarray:
    """World to camera (4, 4): x right, y up, looking along -z."""
    forward = np.asarray(target, np.float64) - eye
    forward /= np.linalg.norm(forward)
    up = np.array([0.0, 1.0, 0.0]) if abs(forward[1]) < 0.999 else np.array([1.0, 0.0, 0.0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    right, up = np.cos(roll) * right + np.sin(roll) * up, np.cos(roll) * up - np.sin(roll) * right
    view = np.eye(4)
    view[:3, :3] = right, up, -forward
    view[:3, 3] = -view[:3, :3] @ eye
    return view


def perspective(fov: float, aspect: float, near: float, far: float) -> np.ndarray:
    """Projection (4, 4) of horizontal field of view `fov` (radians)."""
    focal = 1 / np.tan(fov / 2)
    result = np.zeros((4, 4))
    result[0, 0], result[1, 1] = focal, focal * aspect
    result[2, 2:] = (far + near) / (near - far), 2 * far * near / (near - far)
    result[3, 2] = -1
    return result


def parallel(half: float, near: float, far: float) -> np.ndarray:
    result = np.eye(4)
    result[0, 0] = result[1, 1] = 1 / half
    result[2, 2:] = -2 / (far - near), -(far + near) / (far - near)
    return result
