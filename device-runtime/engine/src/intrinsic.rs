//! Helpers that are functions of their arguments and the cage, or move control: what they compute, and when. Both engines follow
//! this page.

use nearside_programs::abi::helper;

/// A helper the engine runs itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intrinsic {
    Wide(WideOp),
    WideCompare,
    Float(FloatOp),
    FloatFromInt,
    FloatFromUnsigned,
    FloatFromSingle,
    FloatFromWide,
    SingleFromFloat,
    /// Calls a function once for each number below a count; see [`check_loop`].
    Loop,
    /// Goes on in an entry point, in the same frame; see [`TAIL_CALLS_MAX`].
    TailCall,
}

/// Most calls of a `loop`: the kernel's `BPF_MAX_LOOPS`.
pub(crate) const LOOP_COUNT_MAX: u32 = 1 << 23;

/// Most tail calls of a run: the kernel's `MAX_TAIL_CALL_CNT`. The element is looked up first, so that a register that refers to no
/// program array is a trap at any time.
pub(crate) const TAIL_CALLS_MAX: u32 = 33;

/// r0 of a tail call whose element is empty or beyond the end.
pub(crate) const NO_SUCH_PROGRAM: u64 = errno(libc::ENOENT);

/// r0 of the 34th tail call.
pub(crate) const TOO_MANY_TAIL_CALLS: u64 = errno(libc::E2BIG);

/// What a `loop` returns without calling anything, nor looking at its callback: an error for flags, then for too many calls.
pub(crate) fn check_loop(count: u64, flags: u64) -> Result<u32, u64> {
    // The kernel's prototype has 32 bits of it.
    match (flags, count as u32) {
        (0, count) if count <= LOOP_COUNT_MAX => Ok(count),
        (0, _) => Err(LOOP_TOO_LONG),
        _ => Err(LOOP_FLAGS),
    }
}

/// See [`check_loop`].
pub(crate) const LOOP_TOO_LONG: u64 = errno(libc::E2BIG);
/// See [`check_loop`].
pub(crate) const LOOP_FLAGS: u64 = errno(libc::EINVAL);

/// As a helper returns it.
const fn errno(number: i32) -> u64 {
    (-(number as i64)).cast_unsigned()
}

/// Arithmetic on 128-bit integers in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WideOp {
    Add,
    Sub,
    Mul,
    Div,
}

/// Arithmetic on binary64 in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FloatOp {
    Add,
    Sub,
    Mul,
    Div,
}

impl Intrinsic {
    pub(crate) fn by_number(number: u32) -> Option<Self> {
        Some(match number {
            helper::I128_ADD => Self::Wide(WideOp::Add),
            helper::I128_SUB => Self::Wide(WideOp::Sub),
            helper::I128_MUL => Self::Wide(WideOp::Mul),
            helper::I128_DIV => Self::Wide(WideOp::Div),
            helper::I128_COMPARE => Self::WideCompare,
            helper::F64_ADD => Self::Float(FloatOp::Add),
            helper::F64_SUB => Self::Float(FloatOp::Sub),
            helper::F64_MUL => Self::Float(FloatOp::Mul),
            helper::F64_DIV => Self::Float(FloatOp::Div),
            helper::F64_FROM_I64 => Self::FloatFromInt,
            helper::F64_FROM_U64 => Self::FloatFromUnsigned,
            helper::F64_FROM_F32 => Self::FloatFromSingle,
            helper::F64_FROM_I128 => Self::FloatFromWide,
            helper::F32_FROM_F64 => Self::SingleFromFloat,
            helper::LOOP => Self::Loop,
            helper::TAIL_CALL => Self::TailCall,
            _ => return None,
        })
    }
}

impl WideOp {
    /// The wrapped result, and whether it wrapped; division by zero gives zero, and counts as wrapped.
    pub(crate) fn apply(self, a: i128, b: i128) -> (i128, bool) {
        match self {
            Self::Add => a.overflowing_add(b),
            Self::Sub => a.overflowing_sub(b),
            Self::Mul => a.overflowing_mul(b),
            Self::Div if b == 0 => (0, true),
            Self::Div => a.overflowing_div(b),
        }
    }
}

impl FloatOp {
    /// IEEE 754 on bit patterns. A NaN is what x86-64's `addsd a, b` makes, on every processor: the first NaN operand, quiet,
    /// or else the negative default.
    pub(crate) fn apply(self, a: u64, b: u64) -> u64 {
        let (x, y) = (f64::from_bits(a), f64::from_bits(b));
        let result = match self {
            Self::Add => x + y,
            Self::Sub => x - y,
            Self::Mul => x * y,
            Self::Div => x / y,
        };
        if !result.is_nan() {
            result.to_bits()
        } else if x.is_nan() {
            a | QUIET
        } else if y.is_nan() {
            b | QUIET
        } else {
            DEFAULT_NAN
        }
    }
}

/// The bit that tells a quiet NaN from a signalling one.
pub(crate) const QUIET: u64 = 1 << 51;

/// What x86-64 makes of an invalid operation.
pub(crate) const DEFAULT_NAN: u64 = 0xfff8_0000_0000_0000;

/// -1, 0 or 1 as an unsigned register.
pub(crate) fn wide_compare(a: i128, b: i128) -> u64 {
    i64::from(a.cmp(&b) as i8) as u64
}

/// Nearest binary64, ties to even.
pub(crate) fn float_from_int(value: u64) -> u64 {
    (value.cast_signed() as f64).to_bits()
}

/// [`float_from_int`] of an unsigned value.
pub(crate) fn float_from_unsigned(value: u64) -> u64 {
    (value as f64).to_bits()
}

/// [`float_from_int`] of a wide value.
pub(crate) fn float_from_wide(value: i128) -> u64 {
    (value as f64).to_bits()
}

/// Nearest binary32, ties to even, zero-extended. A NaN keeps its sign and the top of its payload, quiet.
pub(crate) fn single_from_float(value: u64) -> u64 {
    if !f64::from_bits(value).is_nan() {
        return u64::from((f64::from_bits(value) as f32).to_bits());
    }
    (value >> 63) << 31 | 0x7fc0_0000 | (value >> 29) & 0x007f_ffff
}

/// The low 32 bits as binary32, widened; exact, except that a signalling NaN becomes quiet.
pub(crate) fn float_from_single(value: u64) -> u64 {
    let single = value as u32;
    if !f32::from_bits(single).is_nan() {
        return f64::from(f32::from_bits(single)).to_bits();
    }
    let sign = u64::from(single >> 31) << 63;
    let payload = u64::from(single & 0x007f_ffff) << 29;
    sign | 0x7ff0_0000_0000_0000 | QUIET | payload
}

#[cfg(test)]
mod tests {
    use nearside_programs::abi::helper::{HELPERS, Kind};

    use super::*;

    /// An intrinsic in the ABI's table that the engine lacks would be refused as unknown.
    #[test]
    fn every_intrinsic_of_the_table_exists() {
        for helper in HELPERS {
            assert_eq!(Intrinsic::by_number(helper.number).is_some(), helper.kind == Kind::Intrinsic, "{}", helper.name);
        }
    }

    /// NaNs are the x86-64 ones: first operand wins, signalling becomes quiet, a new one is negative.
    #[test]
    fn nans_are_those_of_x86() {
        let infinity = f64::INFINITY.to_bits();
        let (signalling, quiet) = (0x7ff0_0000_0000_0001, 0x7ff8_0000_0000_0002);
        let add = |a, b| FloatOp::Add.apply(a, b);
        assert_eq!(FloatOp::Sub.apply(infinity, infinity), DEFAULT_NAN);
        assert_eq!(FloatOp::Mul.apply(infinity, 0), DEFAULT_NAN);
        assert_eq!(add(signalling, quiet), 0x7ff8_0000_0000_0001);
        assert_eq!(add(quiet, signalling), quiet);
        assert_eq!(add(0, signalling), 0x7ff8_0000_0000_0001);
        assert_eq!(float_from_single(0xff80_0001), 0xfff8_0000_2000_0000);
        assert_eq!(single_from_float(0xfff0_0000_2000_0001), 0xffc0_0001);
    }
}
