#!/bin/sh
# Says at once if PYTHON cannot run signloom or cannot make environments: check_python.sh PYTHON
python=$1
least=$(sed -n 's/^requires-python = ">=\(.*\)"$/\1/p' "$(dirname "$0")/../pyproject.toml")

fail() {
    others=""
    for other in python3.12 python3.11 python3.13; do
        if [ "$other" != "$python" ] && "$other" -c "import ensurepip" 2>/dev/null; then others=$other; break; fi
    done
    echo "$1; give another: make ... PYTHON=${others:-/path/to/python3.12}" >&2
    exit 1
}

version=$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) ||
    fail "signloom needs Python $least or later; $python does not run"
"$python" -c "import sys; sys.exit(sys.version_info[:2] < ($(echo "$least" | tr . ,)))" ||
    fail "signloom needs Python $least or later; $python is $version"
"$python" -c "import ensurepip, venv" 2>/dev/null ||
    fail "$python cannot make environments; on Debian and Ubuntu install python3-venv"
