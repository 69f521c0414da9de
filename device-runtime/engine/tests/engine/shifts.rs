//! Two shifted values joined: the JIT makes other instructions of some of these.

use crate::common::{Both, FUEL};

const VALUES: [u64; 6] = [0, 1, u64::MAX, 0x8000_0000_8000_0001, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];

/// Counts of both shifts that add up to the width, and some that overlap or leave a gap.
fn counts(width: u32) -> impl Iterator<Item = (u32, u32)> {
    [1, 7, width / 2, width - 1]
        .into_iter()
        .flat_map(move |left| [width - left, 1, width / 2, 0].map(|right| (left, right % width)))
}

/// In either order, by instructions of either width.
#[test]
fn shifted_values_are_joined() {
    for (shift, width) in [('r', 64), ('w', 32)] {
        for (left, right) in counts(width) {
            for join in ['r', 'w'] {
                for is_swapped in [false, true] {
                    let (first, second) = if is_swapped { (2, 1) } else { (1, 2) };
                    let program = Both::text(&format!(
                        "{shift}1 <<= {left}\n{shift}2 >>= {right}\nr0 = r{first}\n{join}0 |= {join}{second}\nexit"
                    ));
                    for a in VALUES {
                        for b in VALUES {
                            let (x, y) = match shift {
                                'r' => (a << left, b >> right),
                                _ => (u64::from((a as u32) << left), u64::from(b as u32 >> right)),
                            };
                            let joined = if join == 'r' { x | y } else { u64::from((x | y) as u32) };
                            let outcome = program.run_with([a, b, 0, 0, 0], FUEL);
                            assert_eq!(outcome.result, Ok(joined), "{shift} {left} {right} {join} {is_swapped} {a:#x} {b:#x}");
                        }
                    }
                }
            }
        }
    }
}

/// Over a program's own shifts, which it makes narrower or wider before it joins them.
#[test]
fn shifts_of_both_widths_are_joined() {
    for (left, right) in [(1, 63), (33, 31), (40, 24), (1, 31), (31, 1)] {
        for (l, r) in [('r', 'w'), ('w', 'r')] {
            let (left, right) = if l == 'r' { (left, right % 32) } else { (left % 32, right) };
            for join in ['r', 'w'] {
                let program = Both::text(&format!("{l}1 <<= {left}\n{r}2 >>= {right}\n{join}1 |= {join}2\nr0 = r1\nexit"));
                for a in VALUES {
                    for b in VALUES {
                        let x = if l == 'r' { a << left } else { u64::from((a as u32) << left) };
                        let y = if r == 'r' { b >> right } else { u64::from(b as u32 >> right) };
                        let joined = if join == 'r' { x | y } else { u64::from((x | y) as u32) };
                        assert_eq!(program.run_with([a, b, 0, 0, 0], FUEL).result, Ok(joined), "{l}{left} {r}{right} {join}");
                    }
                }
            }
        }
    }
}

/// A value beside itself is a rotation.
#[test]
fn a_value_is_rotated() {
    for (register, width) in [('r', 64), ('w', 32)] {
        for left in [1, 5, width / 2, width - 1] {
            let right = width - left;
            let program = Both::text(&format!(
                "r2 = r1\n{register}1 <<= {left}\n{register}2 >>= {right}\n{register}1 |= {register}2\nr0 = r1\nexit"
            ));
            for a in VALUES {
                let rotated = if width == 64 { a.rotate_left(left) } else { u64::from((a as u32).rotate_left(left)) };
                assert_eq!(program.run_with([a, 0, 0, 0, 0], FUEL).result, Ok(rotated), "{register} {left} {a:#x}");
            }
        }
    }
}
