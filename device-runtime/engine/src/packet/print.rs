//! `trace_printk`: a line for whoever debugs, by a format of the kernel's kind.

use std::fmt::Write;

use super::helpers::{INVALID, Result as HelperResult, bytes_cost, copied, errno};
use crate::fuel::Fuel;
use crate::helpers::HelperFault;
use crate::memory::Memory;

/// Most bytes of a format, its zero included.
const FORMAT_LEN_MAX: u32 = 1024;
/// Most bytes of a line.
const LINE_LEN_MAX: usize = 1024;
/// Most bytes of a `%s`, its zero included.
const TEXT_LEN_MAX: usize = 512;
/// What a call can print.
const VALUES_MAX: usize = 3;

/// r0, and the line if the format is one.
pub(super) fn format(
    [format, format_len, values @ ..]: [u64; 5],
    memory: &Memory<'_>,
    fuel: &mut Fuel,
) -> Result<(u64, Option<String>), HelperFault> {
    let format_len = (format_len as u32).min(FORMAT_LEN_MAX);
    fuel.charge(bytes_cost(u64::from(format_len) + (VALUES_MAX * TEXT_LEN_MAX) as u64))?;
    let bytes = copied(format, format_len as usize, memory)?;
    let line = bytes.iter().position(|byte| *byte == 0).and_then(|end| {
        let text = std::str::from_utf8(&bytes[..end]).ok().filter(|text| text.bytes().all(is_printable))?;
        Printer { format: text.as_bytes(), values: values.into_iter(), memory, line: String::new() }.print()
    });
    let refused: HelperResult = errno(INVALID);
    Ok(match line {
        Some(mut line) => {
            let len = line.len() as u64;
            line.truncate(line.floor_char_boundary(line.trim_end_matches('\n').len().min(LINE_LEN_MAX)));
            (len, Some(line))
        }
        None => (refused?, None),
    })
}

fn is_printable(byte: u8) -> bool {
    byte.is_ascii_graphic() || byte == b' ' || (b'\t'..=b'\r').contains(&byte)
}

/// One conversion: what is between `%` and its letter.
#[derive(Default)]
struct Conversion {
    zeros: bool,
    left: bool,
    plus: bool,
    space: bool,
    width: usize,
    long: bool,
}

struct Printer<'a, 'm> {
    /// What is left of it.
    format: &'a [u8],
    values: std::array::IntoIter<u64, VALUES_MAX>,
    memory: &'a Memory<'m>,
    line: String,
}

impl Printer<'_, '_> {
    /// `None`: the kernel refuses the format.
    fn print(mut self) -> Option<String> {
        while let Some(byte) = self.next() {
            match byte {
                b'%' if self.format.first() == Some(&b'%') => {
                    self.next();
                    self.line.push('%');
                }
                b'%' => self.conversion()?,
                byte => self.line.push(byte.into()),
            }
        }
        Some(self.line)
    }

    fn next(&mut self) -> Option<u8> {
        self.format.split_off_first().copied()
    }

    fn next_if(&mut self, wanted: impl Fn(u8) -> bool) -> Option<u8> {
        if wanted(*self.format.first()?) { self.next() } else { None }
    }

    fn conversion(&mut self) -> Option<()> {
        let value = self.values.next()?;
        let mut conversion = Conversion::default();
        while let Some(flag) = self.next_if(|byte| b"0+- ".contains(&byte)) {
            match flag {
                b'0' => conversion.zeros = true,
                b'+' => conversion.plus = true,
                b'-' => conversion.left = true,
                _ => conversion.space = true,
            }
        }
        while let Some(digit) = self.next_if(|byte| byte.is_ascii_digit()) {
            conversion.width = (conversion.width * 10 + usize::from(digit - b'0')).min(LINE_LEN_MAX);
        }
        for _ in 0..2 {
            conversion.long |= self.next_if(|byte| byte == b'l').is_some();
        }
        let letter = self.next()?;
        if conversion.long && !b"diuxX".contains(&letter) {
            return None;
        }
        let text = self.convert(letter, value, &conversion)?;
        self.pad(&text, &conversion, letter);
        Some(())
    }

    fn convert(&mut self, letter: u8, value: u64, conversion: &Conversion) -> Option<String> {
        let unsigned = if conversion.long { value } else { u64::from(value as u32) };
        let signed = if conversion.long { value.cast_signed() } else { i64::from(value as i32) };
        Some(match letter {
            b'd' | b'i' => {
                let sign = if signed >= 0 && conversion.plus {
                    "+"
                } else if signed >= 0 && conversion.space {
                    " "
                } else {
                    ""
                };
                format!("{sign}{signed}")
            }
            b'u' => unsigned.to_string(),
            b'x' => format!("{unsigned:x}"),
            b'X' => format!("{unsigned:X}"),
            b'c' => char::from(value as u8).to_string(),
            b's' => self.text(value),
            b'p' => self.pointer(value)?,
            _ => return None,
        })
    }

    /// `%p` is a plain address, as there is nothing to hide; `%px`, too. The kernel's other kinds print its own structures.
    fn pointer(&mut self, value: u64) -> Option<String> {
        self.next_if(|byte| byte == b'x');
        if self.format.first().is_some_and(u8::is_ascii_alphanumeric) {
            return None;
        }
        let mut text = String::new();
        write!(text, "{value:016x}").ok()?;
        Some(text)
    }

    /// Up to its zero, or where the memory ends; nothing if there is none, as in the kernel.
    fn text(&self, address: u64) -> String {
        let byte =
            |index| copied(address.wrapping_add(index as u64), 1, self.memory).ok().map(|byte| byte[0]).filter(|byte| *byte != 0);
        let bytes: Vec<u8> = (0..TEXT_LEN_MAX - 1).map_while(byte).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn pad(&mut self, text: &str, conversion: &Conversion, letter: u8) {
        let missing = conversion.width.saturating_sub(text.len());
        let numeric = b"diuxX".contains(&letter);
        if conversion.left {
            self.line.push_str(text);
            self.line.extend(std::iter::repeat_n(' ', missing));
        } else if conversion.zeros && numeric {
            let (sign, digits) = text.split_at(text.len() - text.trim_start_matches(['+', '-', ' ']).len());
            self.line.push_str(sign);
            self.line.extend(std::iter::repeat_n('0', missing));
            self.line.push_str(digits);
        } else {
            self.line.extend(std::iter::repeat_n(' ', missing));
            self.line.push_str(text);
        }
        self.line.truncate(self.line.floor_char_boundary(LINE_LEN_MAX));
    }
}
