//! Judges of all crates together: real daemons in other processes, real queries. The tests are in `tests/`.
#![forbid(unsafe_code)]
