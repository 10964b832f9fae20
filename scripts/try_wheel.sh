#!/usr/bin/env bash
# Installs a wheel into an environment of its own and runs a short quickstart there, away from the checkout.
# Usage: scripts/try_wheel.sh PYTHON WHEEL
set -euo pipefail
python=$1 wheel=$(realpath "$2")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

"$python" -m venv venv
venv/bin/python -m pip install --quiet "$wheel[train]"
venv/bin/signloom --version
# Recipes, scripts and styles are data files, which a wheel can lack without an error.
venv/bin/signloom recipes
venv/bin/python -c 'import signloom; print(signloom.demo_model())'
venv/bin/signloom quickstart --output run --workers 1 --epochs 1 \
    --num_signs 6 --num_train 24 --num_dev 6 --num_test 6
venv/bin/signloom doctor run --format json >doctor.json || [ $? = 1 ]
grep -q '<script' run/score-test.html
test -s run/report.html
# The page is in the wheel where there was Node.js to build it.
if "$python" -m zipfile -l "$wheel" | grep signloom/page/site/index.html >listed.txt; then
    venv/bin/python -m pip install --quiet "$wheel[export]"
    venv/bin/signloom page run --output site
    test -s site/sw.js && test -s site/data/model.onnx
fi
