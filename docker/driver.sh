#!/bin/sh
# vaestudy in a container that is none of the Ray cluster's: a study's driver needs a Ray beside it, so `launch` and
# `resume` first join the cluster at RAY_HEAD, with no CPU to train on. That Ray knows no credential.
set -eu
case ${1:-} in
    launch | resume)
        secrets=$(env | sed -n 's/^\(VAESTUDY_CREDENTIAL_[A-Z0-9_]*\)=.*/--unset=\1/p')
        log=$(mktemp)
        # shellcheck disable=SC2086 # one option each
        env $secrets ray start --address="${RAY_HEAD:?}" --num-cpus=0 > "$log" 2>&1 || {
            cat "$log" >&2
            exit 4 # a service does not answer
        }
        ;;
esac
exec vaestudy "$@"
