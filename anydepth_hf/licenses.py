"""Under which licences a model may be published, from the licences of what it was made from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class License:
    """
    Args:
        identifier: the Hub's `license`, or `license_name` where that is `other`.
        title, url: for people.
        derivatives: identifiers under which works made from it may be published.
        needs_copy: its text must lie in the repository as `LICENSE` or `LICENSE.md`.
        notice: a sentence that the card must show.
    """

    identifier: str
    title: str
    url: str
    derivatives: tuple[str, ...]
    needs_copy: bool = False
    notice: str = ""

    @property
    def is_commercial(self) -> bool:
        """Whether commercial use is permitted."""
        return "-nc" not in self.identifier

    def __str__(self) -> str:
        limits = "" if self.is_commercial else ", not for commercial use"
        return f"{self.title}{limits} ({self.url})"

    @property
    def metadata(self) -> dict[str, str]:
        """The card's `license`, `license_name` and `license_link`."""
        if self.identifier in ("apache-2.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"):
            return {"license": self.identifier}
        return {"license": "other", "license_name": self.identifier, "license_link": self.url}


CC_BY_NC_SA = License(
    "cc-by-nc-sa-4.0",
    "CC BY-NC-SA 4.0",
    "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    derivatives=("cc-by-nc-sa-4.0",),
)
CC_BY_NC = License(
    "cc-by-nc-4.0",
    "CC BY-NC 4.0",
    "https://creativecommons.org/licenses/by-nc/4.0/",
    derivatives=("cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
)
# Works made from DINOv3 may be passed on under its own licence only, with a copy of it. The notice stands in the
# version at the URL and not in the one of the code repository; the stricter is followed.
DINOV3 = License(
    "dinov3-license",
    "DINOv3 License",
    "https://ai.meta.com/resources/models-and-libraries/dinov3-license/",
    derivatives=("dinov3-license",),
    needs_copy=True,
    notice="Built with DINOv3",
)
APACHE = License(
    "apache-2.0",
    "Apache 2.0",
    "https://www.apache.org/licenses/LICENSE-2.0",
    derivatives=("apache-2.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "dinov3-license"),
)

# The tag of a card whose model was trained without anybody else's weights, and so names no `base_model`.
FROM_SCRATCH = "from-scratch"

# Licences of weights by repository on the Hub, as their owners state them.
WEIGHTS: dict[str, License] = {
    "AIGeeksGroup/AnyDepth": CC_BY_NC_SA,
    "facebook/dinov3-vits16-pretrain-lvd1689m": DINOV3,
    "facebook/dinov3-vitb16-pretrain-lvd1689m": DINOV3,
    "facebook/dinov3-vitl16-pretrain-lvd1689m": DINOV3,
    "facebook/dinov2-small": APACHE,
    "facebook/dinov2-base": APACHE,
    "facebook/dinov2-large": APACHE,
    "depth-anything/Depth-Anything-V2-Small": APACHE,
    "depth-anything/Depth-Anything-V2-Base": CC_BY_NC,
    "depth-anything/Depth-Anything-V2-Large": CC_BY_NC,
    "depth-anything/DA3-SMALL": APACHE,
    "depth-anything/DA3-BASE": APACHE,
    "depth-anything/DA3MONO-LARGE": APACHE,
    "depth-anything/DA3METRIC-LARGE": APACHE,
    "depth-anything/DA3-LARGE": CC_BY_NC,
    "depth-anything/DA3-LARGE-1.1": CC_BY_NC,
    "depth-anything/DA3-GIANT": CC_BY_NC,
    "depth-anything/DA3-GIANT-1.1": CC_BY_NC,
    "facebook/VGGT-1B": CC_BY_NC,
}


def license_problems(identifier: str, base_models: list[str]) -> list[str]:
    """
    Why a model made from `base_models` may not be published under `identifier`; empty if it may.

    Args:
        identifier: the card's `license`, or its `license_name` where that is `other`.
    """
    problems = []
    for name in base_models:
        if name not in WEIGHTS:
            problems.append(f"the licence of {name} is not known here; read it and add it to anydepth_hf/licenses.py")
        elif identifier not in WEIGHTS[name].derivatives:
            allowed = " or ".join(WEIGHTS[name].derivatives)
            problems.append(
                f"{name} is under the {WEIGHTS[name].title} licence, so the model may be published as {allowed}, "
                f"not as {identifier}"
            )
    return problems
