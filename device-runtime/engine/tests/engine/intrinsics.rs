//! Intrinsic helpers: results, and faults of the memory they touch.

use nearside_engine::{Operation, Trap};
use nearside_programs::abi::helper;

use crate::common::{Both, FUEL, READ_ONLY, READ_WRITE};

const WIDE: [i128; 12] = [
    0,
    1,
    -1,
    42,
    i64::MAX as i128,
    i64::MIN as i128,
    u64::MAX as i128,
    1 << 64,
    i128::MAX,
    i128::MIN,
    i128::MAX - 1,
    -(1 << 100) + 12345,
];

/// Stores r1:r2 and r3:r4 (low, high) on the stack, calls the helper on them, and returns r0 ^ result, r5 choosing the part.
fn wide_program(number: u32, compares: bool) -> Both {
    let arguments = if compares {
        "r1 = r10\nr1 += -0x10\nr2 = r10\nr2 += -0x20"
    } else {
        "r1 = r6\nr2 = r10\nr2 += -0x10\nr3 = r10\nr3 += -0x20"
    };
    Both::text(&format!(
        "*(u64 *)(r10 - 0x10) = r1\n*(u64 *)(r10 - 0x8) = r2\n*(u64 *)(r10 - 0x20) = r3\n*(u64 *)(r10 - 0x18) = r4\nr6 = r5\n\
         {arguments}\ncall {number:#x}\nexit"
    ))
}

fn halves(a: i128, b: i128, dst: u32) -> [u64; 5] {
    [a as u64, (a >> 64) as u64, b as u64, (b >> 64) as u64, dst.into()]
}

#[test]
fn wide_arithmetic_wraps_and_says_so() {
    type Model = fn(i128, i128) -> (i128, bool);
    let models: [(u32, Model); 4] = [
        (helper::I128_ADD, |a, b| (a.wrapping_add(b), a.checked_add(b).is_none())),
        (helper::I128_SUB, |a, b| (a.wrapping_sub(b), a.checked_sub(b).is_none())),
        (helper::I128_MUL, |a, b| (a.wrapping_mul(b), a.checked_mul(b).is_none())),
        (helper::I128_DIV, |a, b| (if b == 0 { 0 } else { a.wrapping_div(b) }, a.checked_div(b).is_none())),
    ];
    for (number, model) in models {
        let program = wide_program(number, false);
        for a in WIDE {
            for b in WIDE {
                let outcome = program.run_with(halves(a, b, READ_WRITE + 3), FUEL);
                let (expected, wraps) = model(a, b);
                assert_eq!(outcome.result, Ok(wraps.into()), "{number} {a} {b}");
                assert_eq!(outcome.memory[1][3..19], expected.to_le_bytes(), "{number} {a} {b}");
            }
        }
    }
}

#[test]
fn wide_comparison_is_signed() {
    let program = wide_program(helper::I128_COMPARE, true);
    for a in WIDE {
        for b in WIDE {
            let expected = i64::from(a > b) - i64::from(a < b);
            assert_eq!(program.compute(halves(a, b, 0)), Ok(expected as u64), "{a} {b}");
        }
    }
}

/// Operands are read in order, low half first, then the result is written; the trap is at the call.
#[test]
fn wide_operands_must_be_mapped() {
    for number in [helper::I128_ADD, helper::I128_SUB, helper::I128_MUL, helper::I128_DIV] {
        let program = Both::text(&format!("r0 = 0x0\ncall {number:#x}\nexit"));
        let (readable, writable) = (u64::from(READ_ONLY), u64::from(READ_WRITE));
        let trap = |operation, address| Err(Trap::Memory { pc: 1, operation, address });
        let check = |dst, a, b, operation, address| assert_eq!(program.run([dst, a, b, 0, 0]), trap(operation, address));
        check(0, 8, 16, Operation::Load, 8);
        check(0, readable, 16, Operation::Load, 16);
        check(0, readable - 8, 0, Operation::Load, READ_ONLY - 8);
        check(0, readable, readable, Operation::Store, 0);
        check(readable, writable, writable, Operation::Store, READ_ONLY);
        // The upper half reaches into the unit of `GROWING` that is not open; the lower one was stored.
        check(0x10_fff8, readable, readable, Operation::Store, 0x11_0000);
    }
    let program = Both::text(&format!("r0 = 0x0\ncall {:#x}\nexit", helper::I128_COMPARE));
    let expected = Err(Trap::Memory { pc: 1, operation: Operation::Load, address: 0x10 });
    assert_eq!(program.run([READ_ONLY.into(), 0x10, 0, 0, 0]), expected);
}

const FLOATS: [u64; 14] = [
    0,
    1 << 63,
    1,
    0x3ff0_0000_0000_0000,
    0xbff8_0000_0000_0000,
    0x7fef_ffff_ffff_ffff,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0x7ff8_0000_0000_0000,
    0xfff8_0000_0000_0001,
    0x7ff0_0000_0000_0001,
    0xfff7_ffff_ffff_ffff,
    0x4340_0000_0000_0001,
    0x3ca0_0000_0000_0000,
];

/// On finite numbers: IEEE. With a NaN: the first operand that is one, quiet; a new one is negative, as on x86-64.
#[test]
fn float_arithmetic_is_that_of_x86() {
    type Model = fn(f64, f64) -> f64;
    let models: [(u32, Model); 4] = [
        (helper::F64_ADD, |a, b| a + b),
        (helper::F64_SUB, |a, b| a - b),
        (helper::F64_MUL, |a, b| a * b),
        (helper::F64_DIV, |a, b| a / b),
    ];
    for (number, model) in models {
        let program = Both::text(&format!("call {number:#x}\nexit"));
        for a in FLOATS {
            for b in FLOATS {
                let (x, y) = (f64::from_bits(a), f64::from_bits(b));
                let expected = match (x.is_nan(), y.is_nan()) {
                    (true, _) => a | 0x0008_0000_0000_0000,
                    (false, true) => b | 0x0008_0000_0000_0000,
                    _ if model(x, y).is_nan() => 0xfff8_0000_0000_0000,
                    _ => model(x, y).to_bits(),
                };
                assert_eq!(program.compute([a, b, 0, 0, 0]), Ok(expected), "{number} {a:#x} {b:#x}");
            }
        }
    }
}

#[test]
fn conversions_to_float() {
    let program = Both::text(&format!("call {:#x}\nexit", helper::F64_FROM_I64));
    for value in [0, 1, -1, i64::MAX, i64::MIN, (1 << 53) + 1, (1 << 53) + 3, -((1 << 54) + 2)] {
        assert_eq!(program.compute([value as u64, 0, 0, 0, 0]), Ok((value as f64).to_bits()), "{value}");
    }
    let program = Both::text(&format!("call {:#x}\nexit", helper::F64_FROM_U64));
    for value in [0, 1, u64::MAX, 1 << 63, (1 << 63) + 1024, (1 << 63) + 1025, (1 << 63) + 3072, (1 << 53) + 1, (1 << 53) + 3] {
        assert_eq!(program.compute([value, 0, 0, 0, 0]), Ok((value as f64).to_bits()), "{value}");
    }
    let program = Both::text(&format!(
        "*(u64 *)(r10 - 0x10) = r1\n*(u64 *)(r10 - 0x8) = r2\nr1 = r10\nr1 += -0x10\ncall {:#x}\nexit",
        helper::F64_FROM_I128
    ));
    for value in WIDE {
        assert_eq!(program.compute([value as u64, (value >> 64) as u64, 0, 0, 0]), Ok((value as f64).to_bits()), "{value}");
    }
    let program = Both::text(&format!("call {:#x}\nexit", helper::F64_FROM_F32));
    let cases: [(u32, u64); 9] = [
        (0, 0),
        (0x8000_0000, 0x8000_0000_0000_0000),
        (1, 0x36a0_0000_0000_0000), // the least subnormal
        (0x3fc0_0000, 0x3ff8_0000_0000_0000),
        (0x7f80_0000, 0x7ff0_0000_0000_0000),
        (0xff80_0000, 0xfff0_0000_0000_0000),
        (0x7fc0_0001, 0x7ff8_0000_2000_0000),
        (0x7f80_0001, 0x7ff8_0000_2000_0000), // signalling becomes quiet
        (0xffbf_ffff, 0xffff_ffff_e000_0000),
    ];
    for (single, double) in cases {
        assert_eq!(program.compute([0xdead << 32 | u64::from(single), 0, 0, 0, 0]), Ok(double), "{single:#x}");
    }
}

/// One rounding, to the nearest; what is too large is infinite; a NaN keeps what fits.
#[test]
fn conversion_to_single() {
    let program = Both::text(&format!("call {:#x}\nexit", helper::F32_FROM_F64));
    let half = |bits: u32| f64::from(f32::from_bits(bits)).midpoint(f64::from(f32::from_bits(bits + 1))).to_bits();
    let cases: [(u64, u32); 13] = [
        (0, 0),
        (1 << 63, 0x8000_0000),
        (1, 0),
        (half(0x3f80_0000), 0x3f80_0000), // ties go to the even one
        (half(0x3f80_0001), 0x3f80_0002),
        (half(0x3f80_0000) + 1, 0x3f80_0001),
        (half(0), 0), // so do those of subnormals
        (half(0) + 1, 1),
        (0x47ef_ffff_f000_0000, 0x7f80_0000),
        (0x47ef_ffff_efff_ffff, 0x7f7f_ffff),
        (0xfff0_0000_0000_0000, 0xff80_0000),
        (0x7ff0_0000_2000_0001, 0x7fc0_0001), // signalling becomes quiet
        (0xfff8_0000_0000_0000, 0xffc0_0000),
    ];
    for (double, single) in cases {
        assert_eq!(program.compute([double, 0, 0, 0, 0]), Ok(u64::from(single)), "{double:#x}");
    }
}
