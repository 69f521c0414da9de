//! What conformance runners rely on: the command line, what is printed where, exit codes; in both engines.

mod common;

use common::nearside_run;
use nearside_programs::assemble;

/// A program as runners write it: two digits a byte, two spaces between bytes.
fn program(text: &str) -> String {
    let bytes = assemble(text).unwrap().code.into_iter().flat_map(|slot| slot.to_bytes());
    bytes.map(|byte| format!("{byte:02x}  ")).collect()
}

/// Both engines print this on standard output, nothing else, and exit with 0.
#[track_caller]
fn prints(arguments: &[&str], text: &str, expected: &str) {
    for engine in ["--interpreter", "--jit"] {
        let output = nearside_run(&[&[engine], arguments].concat(), &program(text));
        let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        assert_eq!((&*stdout, &*stderr, output.status.code()), (expected, "", Some(0)), "{engine} {arguments:?}");
    }
}

/// One line on standard error, nothing on standard output.
#[track_caller]
fn fails(arguments: &[&str], input: &str, code: i32, message: &str) {
    for engine in ["--interpreter", "--jit"] {
        let output = nearside_run(&[&[engine], arguments].concat(), input);
        let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        assert_eq!((&*stdout, output.status.code()), ("", Some(code)), "{engine} {arguments:?}: {stderr}");
        assert_eq!(stderr, format!("nearside-run: {message}\n"), "{engine} {arguments:?}");
    }
}

const SUM_OF_TWO: &str = "r0 = *(u8 *)(r1 + 0x0)\nr3 = *(u8 *)(r1 + 0x1)\nr0 += r3\nexit";

#[test]
fn r0_is_printed_in_hex() {
    prints(&[], "r0 = 0x7fffffff\nexit", "7fffffff\n");
    prints(&[], "r0 = -0x1\nexit", "ffffffffffffffff\n");
    prints(&[], "exit", "0\n");
    prints(&[], "r0 = 0x1122334455667788 ll\nexit", "1122334455667788\n");
}

/// As an option or as the first argument; a second one is empty if the runner has no options to pass on.
#[test]
fn memory_is_an_option_or_the_first_argument() {
    for arguments in [&["--memory", "2a 01"][..], &["2a01"], &["2a  01  ", ""], &["--memory=2a01"]] {
        prints(arguments, SUM_OF_TWO, "2b\n");
    }
    prints(&["010203"], "r0 = r2\nexit", "3\n");
}

#[test]
fn no_memory_is_address_zero() {
    for arguments in [&[][..], &[""], &["", ""], &["--memory", ""]] {
        prints(arguments, "r0 = r1\nr0 |= r2\nexit", "0\n");
    }
}

#[test]
fn memory_and_stack_can_be_written() {
    let text = "*(u32 *)(r1 + 0x4) = 0x55\n*(u64 *)(r10 - 0x200) = r1\nr3 = *(u64 *)(r10 - 0x200)\nr0 = *(u64 *)(r3 + 0x0)\nexit";
    prints(&["ff00000000000000"], text, "55000000ff\n");
}

#[test]
fn the_program_may_be_an_argument() {
    let sum = program(SUM_OF_TWO);
    prints(&["0203", "--program", &sum], "exit", "5\n");
}

#[test]
fn what_is_rejected_is_named() {
    fails(&[], "", 1, "rejected: a program of 0 slots: 1 to 1000000 are allowed");
    fails(&[], &program("r0 = 0x1\nr10 = 0x0\nexit"), 1, "rejected: instruction 1: writes to r10 (r10 = 0x0)");
    fails(&[], "ff00000000000000", 1, "rejected: instruction 0: opcode 0xff does not exist");
}

#[test]
fn traps_are_named() {
    let wild = program("r0 = 0x1\nr0 = *(u64 *)(r0 + 0x7)\nexit");
    fails(&["00"], &wild, 1, "trap: instruction 1: load at 0x8, which is not mapped for it (r0 = *(u64 *)(r0 + 0x7))");
    fails(&["--fuel", "1000"], &program("goto -0x1"), 1, "trap: instruction 0: fuel used up (goto -0x1)");
}

#[test]
fn what_is_no_hex_is_a_usage_error() {
    fails(&[], "950", 2, "program: 3 hex digits are no whole bytes");
    fails(&[], "95 00", 2, "program: 2 bytes are no whole instructions of 8 bytes");
    fails(&[], "hello", 2, "program: 'h' at character 1 is no hex digit");
    fails(&["--memory", "1"], "", 2, "memory: 1 hex digits are no whole bytes");
    fails(&["0x00"], "", 2, "memory: 'x' at character 2 is no hex digit");
}

#[test]
fn contradictions_are_usage_errors() {
    for arguments in [&["--interpreter", "--jit"][..], &["00", "--memory", "00"], &["--nonsense"], &["00", "11"]] {
        assert_eq!(nearside_run(arguments, &program("exit")).status.code(), Some(2), "{arguments:?}");
    }
}
