//! Loops of one block, which the JIT translates several turns at a time or with their fuel taken early: results, traps and fuel are the interpreter's.

use nearside_engine::Trap;

use crate::common::{Both, FUEL, GROWING, READ_ONLY, READ_WRITE, cage};

/// Turns around the number that is translated at once, and its multiples.
const TURNS: [u64; 12] = [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33];

/// A loop of r2 turns over 8-byte words from r1, with so many idle instructions in it.
fn sum(idle: usize) -> String {
    let idle = "r4 ^= r3\n".repeat(idle);
    format!(
        "r0 = 0x0\n<row>:\nr3 = *(u64 *)(r1 + 0x0)\nr0 += r3\n{idle}r1 += 0x8\nr2 += -0x1\nif r2 != 0x0 goto row\nr0 += r4\nexit"
    )
}

/// The same with a store.
fn copy(idle: usize) -> String {
    let idle = "r5 += 0x3\n".repeat(idle);
    format!(
        "<row>:\nr4 = *(u64 *)(r1 + 0x0)\n*(u64 *)(r3 - 0x8) = r4\n{idle}r1 += 0x8\nr3 += 0x8\nr2 -= 0x1\nif r2 > 0x0 goto row\nr0 = r5\nexit"
    )
}

/// Short ones, long ones, and some between.
fn programs() -> Vec<Both> {
    [0, 1, 4, 9, 12, 30, 60].iter().flat_map(|idle| [Both::text(&sum(*idle)), Both::text(&copy(*idle))]).collect()
}

/// Every amount of fuel up to enough: where it is used up, and what is left.
#[test]
fn every_amount_of_fuel() {
    for program in programs() {
        let arguments = |turns| [READ_ONLY.into(), turns, u64::from(READ_WRITE) + 8, 0, 0];
        for turns in TURNS {
            let enough = FUEL - program.run_with(arguments(turns), FUEL).fuel;
            for fuel in
                (0..=enough).rev().take(40).chain((0..=enough).step_by(7)).chain([enough + 1, 1 << 62, (1 << 62) + 1, u64::MAX])
            {
                let outcome = program.run_with(arguments(turns), fuel);
                assert_eq!(outcome.result.is_ok(), fuel >= enough, "{turns} turns with {fuel} of {enough}");
            }
        }
    }
}

/// The first access beyond a region is what traps, in whichever turn; what was written before stays.
#[test]
fn faults_in_any_turn() {
    let end = u64::from(READ_WRITE) + 0x1_0000;
    for program in programs() {
        for inside in TURNS {
            let outcome = program.run([end - 8 * inside, 100, u64::from(READ_WRITE) + 8, 0, 0]);
            assert!(matches!(outcome, Err(Trap::Memory { address, .. }) if u64::from(address) == end), "{inside}: {outcome:?}");
            // With too little fuel for several turns, they are taken one by one.
            for fuel in (10..200).step_by(9) {
                program.run_with([end - 8 * inside, 100, u64::from(READ_WRITE) + 8, 0, 0], fuel);
            }
        }
        // At the end of all addresses, and over it.
        for start in [u64::from(u32::MAX) - 63, u64::from(u32::MAX) - 3, u64::MAX - 31, 0x1_0000_0000 + u64::from(READ_ONLY) - 8]
        {
            program.run([start, 40, u64::from(READ_WRITE) + 8, 0, 0]).unwrap_err();
        }
    }
}

/// Only the low half of a pointer counts, before and after steps of any size.
#[test]
fn pointers_wrap() {
    let program = Both::text(
        "r0 = 0x0\n<row>:\nr6 = r1\nr6 += 0x1000\nr6 += -0xfff\nr3 = *(u8 *)(r6 - 0x1)\nr0 += r3\nr1 += 0x1\nr2 += -0x1\nif r2 != 0x0 goto row\nexit",
    );
    let given = |high: u64| program.run([high << 32 | u64::from(READ_ONLY), 100, 0, 0, 0]);
    let expected: u64 = cage().region(0)[..100].iter().map(|byte| u64::from(*byte)).sum();
    assert_eq!((given(0), given(1), given(u64::from(u32::MAX))), (Ok(expected), Ok(expected), Ok(expected)));
}

/// A loop may be left by its count, by what it reads, and be entered again from another loop.
#[test]
fn nested_and_conditional() {
    let program = Both::text(
        "r0 = 0x0\n<outer>:\nr6 = r1\nr7 = r2\n<row>:\nr3 = *(u8 *)(r6 + 0x0)\nr0 += r3\nr6 += 0x1\nr7 += -0x1\nif w7 s> 0x2 goto row\nr3 &= 0x7f\n\
         <find>:\nr8 = *(u8 *)(r6 + 0x0)\nr6 += 0x1\nif r8 > r3 goto find\nr0 += r6\nr4 += -0x1\nif r4 != 0x0 goto outer\nexit",
    );
    let arguments = [READ_ONLY.into(), 37, 0, 21, 0];
    let all = program.run_with(arguments, FUEL);
    assert!(all.result.is_ok(), "{all:?}");
    for fuel in (0..=FUEL - all.fuel).step_by(5) {
        program.run_with(arguments, fuel);
    }
}

/// Pointers that a long loop moves up, down, far and twice a turn: their values afterwards, whatever their high halves, and where they fault, with the greatest offsets.
#[test]
fn strides() {
    let idle = "r9 ^= r8\n".repeat(40);
    for (first, second, offset) in [
        (8, 0, 0),
        (-8, 0, 16),
        (4096, 0, -1),
        (-4096, 1, 0),
        (4095, 1, 32_767),
        (-4000, -96, -32_768),
        (3, 5, -3),
        (64, 0, 0),
        (65, -1, 0),
        (-64, 0, 32_767),
        (4097, 0, 0),
        (0, 0, 4),
    ] {
        let (sign, far) = (if offset < 0 { '-' } else { '+' }, i32::abs(offset));
        let [plus, minus] = [first, -second].map(|value: i32| format!("{}{:#x}", if value < 0 { "-" } else { "" }, value.abs()));
        let program = Both::text(&format!(
            "r0 = 0x0\n<again>:\nr7 = r2\n<row>:\nr8 = *(u16 *)(r1 {sign} {far:#x})\nr1 += {plus}\nr0 += r8\n{idle}r1 -= {minus}\n*(u8 *)(r3 + 0x0) = r8\nr3 += 0x1\nr7 += -0x1\n\
             if r7 != 0x0 goto row\nr4 += -0x1\nif r4 s> 0x0 goto again\nr0 ^= r1\nr0 += r3\nexit"
        ));
        let mut ends = [false; 2];
        for high in [0, 7, u64::from(u32::MAX)] {
            for start in [READ_ONLY, READ_ONLY + 0x8000, READ_WRITE + 0xff00, 0, u32::MAX - 4, 0x7000, 0xffff_8000] {
                for (turns, rounds) in [(1, 1), (3, 2), (30, 1), (5, 7)] {
                    let r1 = high << 32 | u64::from(start);
                    let outcome = program.run([r1, turns, high << 32 | u64::from(GROWING), rounds, 0]);
                    ends[usize::from(outcome.is_ok())] = true;
                }
            }
        }
        assert_eq!(ends, [true; 2], "{first} {second} {offset}: some runs fault, some do not");
    }
}

/// Loops that end where a register is at a number: up and down, in steps that hit it, pass it or begin there, in 64 bits and in 32, with any amount of fuel.
#[test]
fn counts() {
    for (idle, step, end) in [
        (0, 1, 9),
        (0, -1, 0),
        (3, 4, 64),
        (3, -8, 0),
        (30, 2, -6),
        (30, 16, 0),
        (1, 3, 30),
        (40, 0x4000_0000, 0),
        (0, 0x10_0000, 0),
    ] {
        for (r, other) in [('r', 'r'), ('w', 'w'), ('w', 'r')] {
            let idle = "r4 += r5\n".repeat(idle);
            let sign = if step < 0 { "-" } else { "" };
            let program = Both::text(&format!(
                "r0 = 0x0\n<row>:\nr0 += 0x1\n*(u64 *)(r3 + 0x0) = r0\n{idle}{other}1 += {sign}{:#x}\nif {r}1 != {} goto row\nr0 ^= r1\nr0 += r4\nexit",
                i32::abs(step),
                if end < 0 { format!("-{:#x}", -end) } else { format!("{end:#x}") },
            ));
            for turns in [0, 1, 2, 7, 8, 9, 16, 23, 1 << 31, u64::MAX] {
                let start = (end as u64).wrapping_sub((step as u64).wrapping_mul(turns));
                for beside in [0, 1, u64::from(u32::MAX), 1 << 32] {
                    for fuel in [0, 1, 40, 1000, 5003] {
                        program.run_with([start.wrapping_add(beside), 0, READ_WRITE.into(), 5, 7], fuel);
                    }
                }
            }
        }
    }
}
