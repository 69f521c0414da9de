//! The kernel agrees: what it accepts does the same in it (`BPF_PROG_TEST_RUN`), in the interpreter and in the JIT, on the same packets and maps:
//! what is returned, bytes, contents of maps.
//!
//! The programs are C, in `c/`. Of redirects only that they happen is compared, and of ring buffers positions and room.

mod common;

use common::cases::{self, Case};
use common::kernel::{self, Kernel};
use common::outcome::{Outcome, here, packets};
use nearside_programs::abi::packet::Action;

fn in_kernel(kernel: &Kernel, program: &str, packets: &[Vec<u8>]) -> Outcome {
    let run = |packet: &Vec<u8>| {
        let (returned, bytes) = kernel.run(program, packet);
        (Action::by_number(returned).unwrap_or(Action::Aborted), bytes)
    };
    Outcome { packets: packets.iter().map(run).collect(), maps: kernel.maps() }
}

/// Runs a program everywhere; `compared` maps must be the same in the end, and hold something.
fn check(test: &str, case: Case) {
    let Case { source, program, setup, compared } = case;
    let folder = tempfile::tempdir().unwrap();
    let loaded = kernel::compile(source, folder.path()).and_then(|object| Ok((Kernel::load(&object)?, object)));
    let (kernel, object) = match loaded {
        Ok(loaded) => loaded,
        Err(reason) => return println!("SKIP {test}: {reason}"),
    };
    kernel.set_up(&setup);
    let packets = packets();
    let expected = in_kernel(&kernel, program, &packets);
    for engine in ["--interpreter", "--jit"] {
        let outcome = here(&object, program, &setup, &packets, engine);
        for (index, (expected, found)) in expected.packets.iter().zip(&outcome.packets).enumerate() {
            assert!(expected == found, "{engine}, packet {index}: kernel {expected:x?}, here {found:x?}");
        }
        assert_eq!(expected.packets.len(), outcome.packets.len());
        for map in compared {
            // Of global data, the kernel's name begins with the object's.
            let name = map.strip_prefix('.').map_or_else(|| (*map).to_owned(), |section| format!("{source}_{section}"));
            let (expected, found) = (&expected.maps[&name], &outcome.maps[*map]);
            assert!(!expected.is_empty(), "{map} is empty");
            assert_eq!(expected, found, "{engine}, map {map}: kernel left, here right");
        }
    }
}

#[test]
fn the_kernel_parses_and_counts_alike() {
    check("the_kernel_parses_and_counts_alike", cases::parse());
}

#[test]
fn the_kernel_moves_packets_alike() {
    check("the_kernel_moves_packets_alike", cases::room());
}

#[test]
fn the_kernel_sums_alike() {
    check("the_kernel_sums_alike", cases::checksum());
}

#[test]
fn the_kernel_calls_tails_alike() {
    check("the_kernel_calls_tails_alike", cases::tails());
}

#[test]
fn the_kernel_loops_and_calls_alike() {
    check("the_kernel_loops_and_calls_alike", cases::loops());
}

#[test]
fn the_kernel_keeps_records_alike() {
    check("the_kernel_keeps_records_alike", cases::ring());
}

#[test]
fn the_kernel_nests_maps_and_redirects_alike() {
    check("the_kernel_nests_maps_and_redirects_alike", cases::nested());
}
