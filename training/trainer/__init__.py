"""The training run behind `training.train`."""
