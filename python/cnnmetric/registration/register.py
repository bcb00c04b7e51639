# SPDX-License-Identifier: Apache-2.0
"""One call that registers two images."""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import get_args

from cnnmetric.errors import SettingsError
from cnnmetric.images.conversion import as_itk
from cnnmetric.images.conversion import optional_mask
from cnnmetric.metric import arguments
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.plugin.iteration import Iteration
from cnnmetric.plugin.package_data import DEFAULT_MODEL
from cnnmetric.registration import own_parameters
from cnnmetric.registration.checks import check_images
from cnnmetric.registration.field_level import levels_for
from cnnmetric.registration.initial import initial_transforms
from cnnmetric.registration.result import RegistrationResult
from cnnmetric.registration.run import RegistrationRun
from cnnmetric.types import Deformation

# elastix's stages of every kind of deformation; the displacement field comes after its own.
_STAGES: dict[Deformation, tuple[str, ...]] = {
    "field": ("similarity", "affine"),
    "bspline": ("similarity", "bspline", "bspline_fine"),
    "affine": ("similarity", "affine"),
    "similarity": ("similarity",),
    "rigid": ("rigid",),
}


def register(
    fixed: Any,
    moving: Any,
    *,
    fixed_modality: str = "",
    model: str | Path = DEFAULT_MODEL,
    deformation: Deformation = "field",
    initial: Any = None,
    fixed_mask: Any = None,
    moving_mask: Any = None,
    parameters: Any = (),
    grid_spacing: float | None = None,
    field_smoothing: float | None = None,
    device: str = "auto",
    threads: int = 0,
    seed: int = 1,
    on_iteration: Callable[[Iteration], object] | None = None,
    progress: bool = False,
    verbose: bool = False,
) -> RegistrationResult:
    """Register two images of different modalities by the learned metric.

    Parameters
    ----------
    fixed, moving
        The image whose grid counts, and the one that is moved: a file name, an image of ITK (2D or
        3D, any type of number), SimpleITK or nibabel, or a pair of a NumPy array (z, y, x) and its
        voxel size in mm (x, y, z).
    fixed_modality
        For a model of two modalities, which of them the fixed image shows, for example ``"T1"``, in
        letters of any case; empty for its first one. Models that treat both images alike, as all
        shipped ones but ``t1t2`` do, only warn of a name that they do not know, and ``any`` knows
        them all.
    model
        Name of an installed model, or path of an ``.onnx`` file.
    deformation
        ``"field"``: similarity and affine transform, then a displacement for every voxel, the most
        accurate. ``"bspline"``: similarity transform, then two B-splines. ``"affine"``,
        ``"similarity"``, ``"rigid"``: no local deformation.
    initial
        A transform from fixed to moving points to start from: of ITK, of elastix
        (``itk.ParameterObject``), a file of either, or an earlier result or its saved folder.
        Without one, the centres of the images are laid on each other.
    fixed_mask, moving_mask
        Where to compare: images as above, of any type; voxels that are not 0 count.
    parameters
        Parameter files of elastix, in order, that replace the built-in stages; also dictionaries or
        an ``itk.ParameterObject``. At least one names the metric ``"CNNMetric"``. Model, modality,
        device and seed go to where they leave these out.
    grid_spacing
        Voxel size of the finest level in mm; None chooses it from the size of what the fixed image
        shows and the images' voxels, and says in the log why
        (:func:`cnnmetric.registration.grid.choose_grid`).
    field_smoothing
        Resistance of the displacement field against deformation: standard deviation, in voxels of a
        level, of the Gaussian that the whole field is filtered with after every step. None is 1
        and, at the finest level, 2 where images fit without the field's detail, as two of one
        subject do; the log says which. Models of two channels, as ``t1t2``, always have 1.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    threads
        Of the registration; 0 for all processors that this process may use.
    seed
        Of whatever is random: the same seed gives the same result.
    on_iteration
        Called with an :class:`cnnmetric.Iteration` after every iteration; an exception that it
        raises stops the registration.
    progress
        Show stage, level, iteration, the metric's value and the time that is left: bars on a
        terminal and in a notebook, elsewhere a line per level; on standard error.
    verbose
        Print what is done, and elastix's log.

    Returns
    -------
    RegistrationResult
        The warped image, the transform and its Jacobian; it applies the transform to further
        images, label maps and points, inverts it and saves everything.

    Raises
    ------
    DataError
        If an image, a mask, the initial transform or a parameter file cannot be used.
    SettingsError
        If another argument is out of range, or the model does not know the modality.
    ModelError
        If the model cannot be used.
    MetricError
        If the images cannot be compared, or ONNX Runtime fails.
    RegistrationError
        If elastix fails, with the reason from its log.

    Examples
    --------
    >>> result = cnnmetric.register("T1.nii.gz", "T2.nii.gz")
    >>> result.save("out")
    >>> labels = result.apply("T2_labels.nii.gz", labels=True)
    """
    maps = check_arguments(
        deformation=deformation,
        parameters=parameters,
        grid_spacing=grid_spacing,
        field_smoothing=field_smoothing,
        threads=threads,
        seed=seed,
    )
    # Of NumPy's types, too, which neither elastix nor JSON takes.
    threads, seed = int(threads), int(seed)
    grid_spacing = None if grid_spacing is None else float(grid_spacing)
    field_smoothing = None if field_smoothing is None else float(field_smoothing)
    arguments.callback("on_iteration", on_iteration)
    given = as_itk(fixed, role="fixed image")
    fixed_image, moving_image = given.image, as_itk(moving, role="moving image").image
    model_name = own_parameters.model_of(maps, str(model))
    network = DissimilarityNetwork(model_name, device=device, number_of_threads=threads)
    check_images(fixed_image, moving_image, network)
    run = RegistrationRun(
        fixed=fixed_image,
        moving=moving_image,
        network=network,
        model=model_name,
        fixed_modality=_modality(network, fixed_modality),
        initial=initial_transforms(initial, fixed_image, moving_image),
        fixed_mask=optional_mask(fixed_mask, fixed_image, role="fixed mask"),
        moving_mask=optional_mask(moving_mask, moving_image, role="moving mask"),
        grid_spacing=grid_spacing,
        device=device,
        threads=threads,
        seed=seed,
        on_iteration=on_iteration,
        progress=progress,
        verbose=verbose,
    )
    names = _STAGES[deformation]
    if maps:
        own = run.own_stages(maps, model=str(model), fixed_modality=fixed_modality)
        run.run(own, levels=())
    elif deformation == "field":
        levels = run.field_levels(run.choose_grid(), smoothing=field_smoothing)
        run.run(run.shipped_stages(names, finest=None), levels)
    elif deformation == "bspline":
        run.run(run.shipped_stages(names, finest=run.choose_grid()), levels=())
    else:
        run.run(run.shipped_stages(names, finest=grid_spacing), levels=())
    return run.result(
        restore=given.restore,
        names=(_name(fixed), _name(moving)),
        settings={
            "fixed_modality": fixed_modality,
            "model": model_name,
            "deformation": None if maps else deformation,
            "parameters": [dict(values) for _, values in maps],
            "initial": initial is not None,
            "fixed_mask": fixed_mask is not None,
            "moving_mask": moving_mask is not None,
            "grid_spacing": grid_spacing,
            "field_smoothing": field_smoothing,
            "device": device,
            "threads": threads,
            "seed": seed,
        },
    )


def _modality(network: DissimilarityNetwork, fixed_modality: str) -> str:
    """Return the model's own name of the fixed image's modality; its first one if none is given."""
    return network.modalities[network.fixed_channel(fixed_modality)]


def _name(given: Any) -> str:
    """Return the name of an image for people; empty if it is no file."""
    return Path(given).name if isinstance(given, (str, Path)) else ""


def check_arguments(
    *,
    deformation: str,
    parameters: Any,
    grid_spacing: float | None,
    field_smoothing: float | None,
    threads: int,
    seed: int,
) -> own_parameters.Maps:
    """Refuse arguments of :func:`register` that need no images to be judged.

    Returns
    -------
    list
        The user's own parameter maps; empty for the built-in stages.

    Raises
    ------
    SettingsError
        Naming the argument.
    DataError
        If a parameter file cannot be read.
    """
    if not isinstance(deformation, str) or deformation not in get_args(Deformation):
        known = ", ".join(map(repr, get_args(Deformation)))
        msg = f"deformation is {deformation!r} but must be one of {known}"
        raise SettingsError(msg)
    if grid_spacing is not None and not (
        0 < arguments.real("grid_spacing", grid_spacing) < math.inf
    ):
        msg = f"grid_spacing is {grid_spacing} but must be above 0 (mm), or None to choose it"
        raise SettingsError(msg)
    if field_smoothing is not None:
        _check_smoothing(field_smoothing, deformation)
    arguments.whole_number("threads", threads, smallest=0, largest=arguments.MOST_THREADS)
    arguments.seed_of(seed)
    maps = own_parameters.read_all(parameters)
    if maps:
        said = {
            "deformation": deformation != "field",
            "grid_spacing": grid_spacing is not None,
            "field_smoothing": field_smoothing is not None,
        }
        _check_alone(said)
    return maps


def _check_smoothing(field_smoothing: float, deformation: str) -> None:
    levels_for(1.0, field_smoothing=field_smoothing)  # which refuse what they cannot have
    if deformation != "field":
        msg = (
            f"field_smoothing is for a displacement field, and deformation is {deformation!r}; "
            'leave it out, or take deformation="field"'
        )
        raise SettingsError(msg)


def _check_alone(said: Mapping[str, bool]) -> None:
    """Refuse what the user's own parameter files decide."""
    for name, given in said.items():
        if given:
            msg = f"{name} is for the built-in stages; parameter files decide it by themselves"
            raise SettingsError(msg)
