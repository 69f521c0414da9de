#!/bin/sh
# RUSTC_WRAPPER of `cargo xtask fuzz`: the code generator is not what is fuzzed, and its branches would drown ours and take most of the time.
crate=
next=
for argument; do
    case $next in --crate-name) crate=$argument ;; esac
    next=$argument
done
case $crate in
cranelift* | regalloc2)
    count=$#
    while [ "$count" -gt 0 ]; do
        argument=$1
        shift
        case $argument in
        -Cpasses=sancov-module | -Cllvm-args=-sanitizer-coverage-*) ;;
        *) set -- "$@" "$argument" ;;
        esac
        count=$((count - 1))
    done
    ;;
esac
exec "$@"
