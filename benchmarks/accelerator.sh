#!/usr/bin/env bash
# What one rented GPU makes of jaxmotion: a table, and a file of JSON. Planned for twelve minutes.
#
#   benchmarks/accelerator.sh                 # needs Python >= 3.11 and a CUDA driver, nothing else
#   benchmarks/accelerator.sh --small         # on CPU, tiny: does it run?
#   PYTHON=.venv/bin/python benchmarks/accelerator.sh --installed   # with what is installed there
#
# JAX and PyTorch get an environment each, with the CUDA libraries that each was built for. They are
# made in $ENVIRONMENTS (a temporary folder by default) and used again if they are there.
# Options behind these go to benchmarks/accelerator.py; --help lists them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1:-} == --installed ]]; then
  shift
  exec "${PYTHON:-python3}" benchmarks/accelerator.py "$@"
fi

small=no
for option in "$@"; do [[ $option == --small ]] && small=yes; done

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "error: no Python >= 3.11 among ${PYTHON:-python3, python3.13, python3.12, python3.11}" >&2
  return 2
}

python="$(find_python)"
environments="${ENVIRONMENTS:-$(mktemp -d)}"
jax=(-e . "jax[cuda12]")
torch=(torch numpy)
[[ $small == yes ]] && jax=(-e .)

made() { [[ -e $environments/$1/made ]]; }
make() {
  local name=$1
  shift
  made "$name" && return
  echo "installing $* in $environments/$name"
  "$python" -m venv "$environments/$name"
  "$environments/$name/bin/python" -m pip install --quiet --upgrade pip
  "$environments/$name/bin/python" -m pip install --quiet "$@"
  touch "$environments/$name/made"
}

make torch "${torch[@]}" >"$environments/torch.log" 2>&1 &
installing=$!
make jax "${jax[@]}"
if ! wait "$installing"; then
  echo "no twin: PyTorch could not be installed, $environments/torch.log says why" >&2
fi
exec "$environments/jax/bin/python" benchmarks/accelerator.py \
  --twin-python "$environments/torch/bin/python" "$@"
