from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import napari_medseg
from napari_medseg.core.errors import InputError
from napari_medseg.io import samples
from napari_medseg.train.simulate import six_class_tissue


@pytest.mark.parametrize("name", list(samples.SAMPLES))
def test_every_pixel_has_a_named_class(name):
    sample = samples.open_sample(name)
    truth = sample.truth.read()[..., 0]
    assert truth.shape == sample.image.shape() and sample.truth.kind == "labels"
    assert set(np.unique(truth)) == set(sample.classes)
    assert sample.image.axes == "yxc" and sample.image.channels == 3 and sample.image.dtype == np.uint8
    assert sample.credit


def test_tumour_is_large_and_so_is_the_rest():
    truth = samples.open_sample("he_tumour").truth.read()
    assert truth.shape == (640, 640, 1) and 0.3 < (truth == 2).mean() < 0.4


def test_nuclei_are_numbered_and_dark():
    sample = samples.open_sample("nuclei")
    assert sample.objects is not None
    numbers, truth = sample.objects.read()[..., 0], sample.truth.read()[..., 0]
    assert numbers.max() == 111 and len(np.unique(numbers)) == 112
    assert np.array_equal(numbers > 0, truth == 2)
    rgb = sample.image.read()
    assert rgb[truth == 2].mean() < rgb[truth == 1].mean() - 30


def test_the_tissue_is_the_generator_s():
    sample = samples.open_sample("tissue")
    rgb, labels = six_class_tissue(512, 0)
    assert np.array_equal(sample.image.read(), rgb) and np.array_equal(sample.truth.read()[..., 0], labels)


def test_an_unknown_name():
    with pytest.raises(InputError, match="no sample 'brain'; known are: he_tumour, nuclei, tissue"):
        samples.open_sample("brain")


@pytest.mark.parametrize("make", [samples.he_tumour_layers, samples.nuclei_layers, samples.tissue_layers])
def test_napari_takes_the_layers(make):
    from napari.layers import Layer

    ((data, arguments, kind),) = make()
    layer = Layer.create(data, arguments, kind)
    assert layer.rgb and layer.ndim == 2 and layer.metadata["credit"]
    assert layer.axis_labels == ("y", "x") and [str(unit) for unit in layer.units] == ["pixel", "pixel"]


def test_files_are_found_inside_an_installed_package(tmp_path):
    """As in a wheel: the folder lies in the package, and there is no repository around it."""
    package = tmp_path / "napari_medseg"
    for part in ("core", "io"):
        shutil.copytree(Path(napari_medseg.__file__).parent / part, package / part)
    (package / "__init__.py").touch()
    shutil.copytree(samples.folder(), package / "sample_data")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from napari_medseg.io import samples\n"
        "samples.open_sample('he_tumour')\n"
        "print(samples.folder())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(package / "sample_data")
    shutil.rmtree(package / "sample_data")
    lost = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "he_tumour.jpg is missing; install napari-medseg again" in lost.stderr
