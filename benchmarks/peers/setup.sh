#!/bin/sh
# Makes .venv-peers in the repository root: napari-convpaint in an environment of its own.
# torch comes first and is held, so that no CUDA packages come with what follows. convpaint names torchvision among its
# needs but only asks it for ready-made networks; the registry's torchvision does not load beside the CPU build of
# torch, so it is left out (and timm with it) and convpaint_peer.py builds the one network that the defaults use.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
environment="$root/.venv-peers"
if [ -f "$environment/.complete" ]; then
    exit 0
fi
"${PYTHON:-python3}" -m venv "$environment"
constraint="$environment/constraint.txt"
echo "torch==2.13.0" > "$constraint"
pip="$environment/bin/python -m pip install --quiet --disable-pip-version-check -c $constraint"
$pip torch
$pip catboost==1.2.10 dask einops joblib magicgui napari napari-annotation-project napari-guitils numpy omegaconf \
    pandas pyyaml qtpy PyQt6 scikit-learn scikit-image tifffile zarr sparse
$pip --no-deps napari-convpaint==1.2.0 ilastik-napari==0.3.1
touch "$environment/.complete"
