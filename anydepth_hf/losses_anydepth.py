"""Training losses for dense depth: affine-invariant disparity (the paper's recipe) and scale-invariant log depth.

Everything here is computed in float32 (float64 for float64 input) even under autocast, over the whole batch at once
and without reading a value back from the device. Each image counts the same: a loss is the mean over the images that
have a label at all, and zero, still connected to the graph, when none has (so that every DDP process has a backward).
"""

import torch

EPSILON = 1e-6
GRADIENT_MATCHING_WEIGHT = 2.0  # L_ssi : L_gm = 1 : 2, arXiv:2601.02760 section 4.2 and arXiv:2406.09414 section 7.1
SILOG_VARIANCE_FOCUS = 0.5  # lambda of Eigen et al., arXiv:1406.2283 equation 4


def valid_labels(labels: torch.Tensor, max_depth: float = float("inf")) -> torch.Tensor:
    """Where depth `labels` (any shape) hold a label: finite, above 0 and not beyond `max_depth`. Returns bool."""
    return torch.isfinite(labels) & (labels > 0) & (labels <= max_depth)


def depth_to_disparity_target(labels: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """
    Disparity 1/depth, stretched per image to [0, 1] over the valid pixels; 0 elsewhere and in constant images.

    Args:
        labels: depth (B, H, W), metres or unitless.
        valid: bool (B, H, W).
    """
    disparity = torch.where(valid, labels, 1.0).reciprocal()
    return _stretch_to_unit(disparity, valid)


def affine_invariant_normalize(values: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """
    Removes shift and positive scale per image: subtract the median, divide by the mean absolute deviation from it.

    Both statistics are taken over valid pixels only (Ranftl et al., arXiv:1907.01341 equation 5). The median of an
    even count is the lower of the two middle values, as `torch.median` has it, so that it is always one of the pixels.

    Args:
        values: (B, H, W) float. valid: bool (B, H, W).

    Returns:
        (B, H, W); 0 at invalid pixels. An image of one value gives zeros.
    """
    mask = valid.flatten(1)
    flat = torch.where(mask, values.flatten(1), 0.0)
    median = torch.where(mask, flat, torch.nan).nanmedian(dim=1, keepdim=True).values
    median = torch.where(mask.any(dim=1, keepdim=True), median, 0.0)
    centered = torch.where(mask, flat - median, 0.0)
    deviation = centered.abs().sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True).clamp(min=1)
    return (centered / deviation.clamp(min=EPSILON)).view_as(values)


def gradient_matching_loss(residual: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """
    L_gm: |d/dx| + |d/dy| of the residual, summed over the scales ::1, ::2, ::4, ::8.

    A difference counts where both neighbours are valid; each scale is divided by its number of valid pixels
    (Ranftl et al., arXiv:1907.01341 equation 11).

    Args:
        residual: normalised prediction minus normalised target, or `log_residual` (B, H, W).
        valid: bool (B, H, W).

    Returns:
        One value per image, (B,).
    """
    loss = residual.new_zeros(residual.shape[0])
    for step in (1, 2, 4, 8):
        values, mask = residual[:, ::step, ::step], valid[:, ::step, ::step]
        in_x = torch.where(mask[:, :, 1:] & mask[:, :, :-1], values.diff(dim=2).abs(), 0.0).sum(dim=(1, 2))
        in_y = torch.where(mask[:, 1:] & mask[:, :-1], values.diff(dim=1).abs(), 0.0).sum(dim=(1, 2))
        loss = loss + (in_x + in_y) / mask.sum(dim=(1, 2)).clamp(min=1)
    return loss


def log_residual(prediction: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Difference ln prediction - ln target of depth (B, H, W), 0 where not `valid`; predictions are at least 1e-6."""
    error = prediction.clamp(min=EPSILON).log() - torch.where(valid, target, 1.0).log()
    return torch.where(valid, error, 0.0)


def scale_invariant_log_loss(residual: torch.Tensor, valid: torch.Tensor, variance_focus: float) -> torch.Tensor:
    """
    SILog: sqrt(mean(e^2) - variance_focus * mean(e)^2) of e = ln prediction - ln target; no scale of either changes it
    at a variance focus of 1.

    Args:
        residual: `log_residual` (B, H, W). valid: bool (B, H, W).

    Returns:
        One value per image, (B,); 0 with no gradient where an image is already exact.
    """
    variance = _mean_per_image(residual.square(), valid) - variance_focus * _mean_per_image(residual, valid).square()
    exact = variance <= EPSILON**2  # the slope of sqrt is infinite at 0
    return torch.where(exact, 0.0, torch.where(exact, 1.0, variance).sqrt())


def depth_loss(
    prediction: torch.Tensor,
    labels: torch.Tensor,
    *,
    prediction_type: str = "disparity",
    depth_estimation_type: str = "relative",
    relative_loss: str = "affine_invariant",
    gradient_matching_weight: float = GRADIENT_MATCHING_WEIGHT,
    max_depth: float = 100.0,
) -> torch.Tensor:
    """
    The training loss of a model, from its raw output and depth labels.

    Relative models: L_ssi, the mean absolute residual, + 2 L_gm, against per-image min-max disparity (or depth, for
    models that predict it), or, with the `relative_loss` "log", SILog with a variance focus of 1 and L_gm, both of
    ln prediction - ln labels (after Li and Snavely, arXiv:1804.00607 section 4).
    Metric models: SILog on metres; a predicted disparity is then 1/metre.

    Args:
        prediction: (B, H, W) float, disparity or depth as `prediction_type` says.
        labels: ground-truth depth (B, H, W), metres (or unitless for relative models). 0, negative, NaN and infinite
            mean "no label", and so does depth beyond the far plane `max_depth`.

    Returns:
        Scalar: mean over the images that have a label; 0, with zero gradients, when none has.
    """
    with torch.autocast(device_type=prediction.device.type, enabled=False):
        dtype = torch.promote_types(prediction.dtype, torch.float32)
        prediction, labels = prediction.to(dtype), labels.to(dtype)
        valid = valid_labels(labels, max_depth)
        is_metric = depth_estimation_type == "metric"
        if is_metric or relative_loss == "log":
            depth = prediction if prediction_type == "depth" else prediction.clamp(min=EPSILON).reciprocal()
            residual = log_residual(depth, labels, valid)
            per_image = scale_invariant_log_loss(residual, valid, SILOG_VARIANCE_FOCUS if is_metric else 1.0)
        else:
            to_target = depth_to_disparity_target if prediction_type == "disparity" else _stretch_to_unit
            target = affine_invariant_normalize(to_target(labels, valid), valid)
            residual = affine_invariant_normalize(prediction, valid) - target
            per_image = _mean_per_image(residual.abs(), valid)
        if not is_metric:
            per_image = per_image + gradient_matching_weight * gradient_matching_loss(residual, valid)
        return per_image.sum() / valid.flatten(1).any(dim=1).sum().clamp(min=1)


def _mean_per_image(values: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Mean over the valid pixels of each image, 0 without any. `values` are 0 at invalid pixels."""
    return values.sum(dim=(1, 2)) / valid.sum(dim=(1, 2)).clamp(min=1)


def _stretch_to_unit(values: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    low = torch.where(valid, values, torch.inf).amin(dim=(1, 2), keepdim=True)
    high = torch.where(valid, values, -torch.inf).amax(dim=(1, 2), keepdim=True)
    span = high - low
    stretched = (values - low) / torch.where(span > 0, span, 1.0)
    return torch.where(valid, stretched, 0.0)
