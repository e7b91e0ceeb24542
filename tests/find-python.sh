#!/bin/sh
# Prints the newest Python of a version, for example 3.12: on the path, or installed by pyenv. Exit 1 where there is none that runs.
for python in "python$1" $(ls -d "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python 2>/dev/null | sort -rV); do
  if "$python" -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != sys.argv[1])' "$1" >/dev/null 2>&1; then
    command -v "$python"
    exit 0
  fi
done
exit 1
