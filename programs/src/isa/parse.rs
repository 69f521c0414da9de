//! Text to instructions: the syntax of [`super::display`], and what LLVM writes instead of it.

use std::str::FromStr;

use super::encode::encode;
use super::instruction::{AluOp, AtomicOp, ByteOrder, CallTarget, Instruction, Operand, Reg, Size, WideSource, Width};
use super::opcode::{self, ALU_OPS, JUMP_OPS};

/// Text that is no instruction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Something else was expected at this place.
    #[error("expected {expected}, found `{found}`")]
    Expected {
        /// What would have been right.
        expected: &'static str,
        /// What there is; empty at the end.
        found: String,
    },
    /// A number that does not fit its field.
    #[error("{value} does not fit {bits} bits")]
    Range {
        /// The number.
        value: i128,
        /// The field.
        bits: usize,
    },
    /// Operands that no instruction has together.
    #[error("no such instruction")]
    NoEncoding,
    /// Characters after the end.
    #[error("`{0}` after the instruction")]
    Trailing(String),
}

type Result<T, E = ParseError> = std::result::Result<T, E>;

/// An instruction whose target may be a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Statement<'a> {
    /// The instruction; its offset is 0 if it has a name instead.
    pub(crate) instruction: Instruction,
    /// The label or function it goes to, or the helper it calls.
    pub(crate) target: Option<&'a str>,
}

impl FromStr for Instruction {
    type Err = ParseError;

    /// Reads one instruction, with a number where it has a target.
    fn from_str(text: &str) -> Result<Self> {
        match parse(text)? {
            Statement { instruction, target: None } => Ok(instruction),
            Statement { target: Some(name), .. } => Err(expected("an offset", name)),
        }
    }
}

/// Reads one instruction. A remark in angle brackets at the end is skipped.
pub(crate) fn parse(text: &str) -> Result<Statement<'_>> {
    let mut parser = Parser { rest: without_remark(text.trim()) };
    let statement = parser.statement()?;
    match parser.rest {
        "" => {}
        rest => return Err(ParseError::Trailing(rest.into())),
    }
    match encode(statement.instruction) {
        Ok(_) => Ok(statement),
        Err(_) => Err(ParseError::NoEncoding),
    }
}

/// `goto +0x3 <f+0x18>` without the symbol.
fn without_remark(text: &str) -> &str {
    match text.strip_suffix('>').and_then(|text| text.rsplit_once(" <")) {
        Some((text, _)) => text.trim_end(),
        None => text,
    }
}

/// What is left of the line; always without space in front.
struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn statement(&mut self) -> Result<Statement<'a>> {
        let plain = |instruction| Ok(Statement { instruction, target: None });
        if self.take("*") {
            return plain(self.store()?);
        }
        let before = self.rest;
        match self.word() {
            "exit" => plain(Instruction::Exit),
            "callx" => plain(Instruction::Call(CallTarget::Register(self.register64()?))),
            "call" => self.call(),
            "goto" => self.jump(false),
            "gotol" => self.jump(true),
            "if" => self.branch(),
            "lock" => plain(self.locked()?),
            "ld_pseudo" => plain(self.pseudo()?),
            word => {
                let (width, dst) = register(word).ok_or_else(|| expected("an instruction", before))?;
                plain(self.assignment(width, dst)?)
            }
        }
    }

    fn call(&mut self) -> Result<Statement<'a>> {
        let target = if self.take("btf ") {
            CallTarget::HelperByBtf(fit(self.number()?)?)
        } else if self.rest.starts_with(['+', '-']) {
            CallTarget::Local(fit(self.number()?)?)
        } else if self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            CallTarget::Helper(fit(self.number()?)?)
        } else {
            let target = Some(self.name()?);
            return Ok(Statement { instruction: Instruction::Call(CallTarget::Local(0)), target });
        };
        Ok(Statement { instruction: Instruction::Call(target), target: None })
    }

    fn jump(&mut self, long: bool) -> Result<Statement<'a>> {
        let (offset, target) = self.offset()?;
        Ok(Statement { instruction: Instruction::Jump { offset, long }, target })
    }

    fn branch(&mut self) -> Result<Statement<'a>> {
        let (width, dst) = self.register()?;
        let op = self.operator(&JUMP_OPS, |entry| entry.1.symbol())?.1;
        let src = self.operand(width)?;
        self.expect("goto ", "`goto`")?;
        let (offset, target) = self.offset()?;
        let offset = fit(offset.into())?;
        Ok(Statement { instruction: Instruction::Branch { width, op, dst, src, offset }, target })
    }

    /// What comes after `*` of a store.
    fn store(&mut self) -> Result<Instruction> {
        let (size, base, offset) = self.place()?;
        self.expect("=", "`=`")?;
        let src = match self.any_operand()? {
            // LLVM names the 32-bit register where no more is stored.
            (Some(Width::W32), _) if size == Size::D => return Err(ParseError::NoEncoding),
            (_, src) => src,
        };
        Ok(Instruction::Store { size, base, offset, src })
    }

    /// What comes after `lock`.
    fn locked(&mut self) -> Result<Instruction> {
        self.expect("*", "`*`")?;
        let (size, base, offset) = self.place()?;
        let op = self.operator(&ARITHMETIC, |op| op.symbol())?;
        let src = self.register_of(size)?;
        Ok(Instruction::Atomic { size, op, fetch: false, base, offset, src })
    }

    fn pseudo(&mut self) -> Result<Instruction> {
        let dst = self.register64()?;
        self.expect(",", "`,`")?;
        let source = fit::<u8>(self.number()?)?;
        let source =
            opcode::wide_source(source).filter(|source| *source != WideSource::Immediate).ok_or(ParseError::NoEncoding)?;
        self.expect(",", "`,`")?;
        let low: u32 = fit(self.number()?)?;
        let high: u32 = if self.take(",") { fit(self.number()?)? } else { 0 };
        Ok(Instruction::LoadImm64 { dst, source, value: u64::from(high) << 32 | u64::from(low) })
    }

    /// What comes after the register on the left.
    fn assignment(&mut self, width: Width, dst: Reg) -> Result<Instruction> {
        let op = self.operator(&ALU_OPS, |entry| entry.2.symbol())?.2;
        if op != AluOp::Mov {
            return Ok(Instruction::Alu { width, op, dst, src: self.operand(width)? });
        }
        if self.take("*") {
            return self.load(width, dst);
        }
        if self.take("(s") {
            return self.move_signed(width, dst);
        }
        let negated = self.rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(['r', 'w']));
        if negated && self.take("-") {
            return if self.register()? == (width, dst) {
                Ok(Instruction::Neg { width, dst })
            } else {
                Err(ParseError::NoEncoding)
            };
        }
        if self.rest.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            return self.constant(width, dst);
        }
        let before = self.rest;
        let word = self.word();
        match register(word) {
            Some((of, src)) if of == width => Ok(Instruction::Alu { width, op, dst, src: Operand::Reg(src) }),
            Some(_) => Err(ParseError::NoEncoding),
            None if self.rest.starts_with('(') => self.atomic(word, width, dst),
            None => self.endian(word, width, dst).ok_or_else(|| expected("an operand", before))?,
        }
    }

    fn constant(&mut self, width: Width, dst: Reg) -> Result<Instruction> {
        let value = self.number()?;
        if !self.take("ll") {
            return Ok(Instruction::Alu { width, op: AluOp::Mov, dst, src: Operand::Imm(fit(value)?) });
        }
        if width == Width::W32 {
            return Err(ParseError::NoEncoding);
        }
        // All 64 bits, written with a sign or without.
        let value = i64::try_from(value).map_or_else(|_| fit(value), |value| Ok(value as u64))?;
        Ok(Instruction::LoadImm64 { dst, source: WideSource::Immediate, value })
    }

    /// What comes after `*` of a load.
    fn load(&mut self, width: Width, dst: Reg) -> Result<Instruction> {
        self.expect("(", "`(`")?;
        let (signed, size) = self.size()?;
        self.expect("*", "`*`")?;
        self.expect(")", "`)`")?;
        if self.take("skb[") {
            return if dst == Reg::R0 && !signed { self.load_packet(size) } else { Err(ParseError::NoEncoding) };
        }
        // LLVM names the 32-bit register where no more is loaded.
        if width == Width::W32 && (signed || size == Size::D) {
            return Err(ParseError::NoEncoding);
        }
        let (base, offset) = self.address()?;
        Ok(Instruction::Load { size, signed, dst, base, offset })
    }

    fn load_packet(&mut self, size: Size) -> Result<Instruction> {
        let (index, imm) = if self.rest.starts_with('r') {
            let index = self.register64()?;
            let imm = if self.rest.starts_with(']') { 0 } else { fit(self.number()?)? };
            (Some(index), imm)
        } else {
            (None, fit(self.number()?)?)
        };
        self.expect("]", "`]`")?;
        Ok(Instruction::LoadPacket { size, index, imm })
    }

    /// What comes after `(s`.
    fn move_signed(&mut self, width: Width, dst: Reg) -> Result<Instruction> {
        let bits = fit(self.number()?)?;
        self.expect(")", "`)`")?;
        let (of, src) = self.register()?;
        if of == width { Ok(Instruction::MoveSigned { width, dst, src, bits }) } else { Err(ParseError::NoEncoding) }
    }

    /// What comes after `be16`: the destination again.
    fn endian(&mut self, word: &str, width: Width, dst: Reg) -> Option<Result<Instruction>> {
        let orders = [("le", ByteOrder::Little), ("be", ByteOrder::Big), ("bswap", ByteOrder::Swap)];
        let (bits, order) = orders.iter().find_map(|(name, order)| Some((word.strip_prefix(name)?.parse().ok()?, *order)))?;
        Some(match self.register() {
            Ok(again) if again == (width, dst) && width == Width::W64 => Ok(Instruction::Endian { order, dst, bits }),
            Ok(_) => Err(ParseError::NoEncoding),
            Err(error) => Err(error),
        })
    }

    /// What comes after the name of an atomic function; `dst` is what it returns to.
    fn atomic(&mut self, name: &str, width: Width, dst: Reg) -> Result<Instruction> {
        self.expect("(", "`(`")?;
        let size = if width == Width::W64 { Size::D } else { Size::W };
        let suffix = if width == Width::W64 { "_64" } else { "32_32" };
        let (op, base, offset) = if let Some(op) = name.strip_prefix("atomic_fetch_") {
            let op =
                ARITHMETIC.into_iter().find(|known| known.name() == op).ok_or_else(|| expected("an atomic operation", name))?;
            let (of, base, offset) = self.place()?;
            if of != size {
                return Err(ParseError::NoEncoding);
            }
            (op, base, offset)
        } else {
            let exchanges = [AtomicOp::Exchange, AtomicOp::CompareExchange];
            let op = exchanges.into_iter().find(|known| name.strip_suffix(suffix) == Some(known.name()));
            let op = op.ok_or_else(|| expected("an atomic operation", name))?;
            let base = self.register64()?;
            (op, base, fit(self.number()?)?)
        };
        self.expect(",", "`,`")?;
        let first = self.register_of(size)?;
        if first != dst || (op == AtomicOp::CompareExchange && dst != Reg::R0) {
            return Err(ParseError::NoEncoding);
        }
        let src = if op == AtomicOp::CompareExchange {
            self.expect(",", "`,`")?;
            self.register_of(size)?
        } else {
            first
        };
        self.expect(")", "`)`")?;
        Ok(Instruction::Atomic { size, op, fetch: true, base, offset, src })
    }

    /// `(u32 *)(r1 + 0x4)`.
    fn place(&mut self) -> Result<(Size, Reg, i16)> {
        self.expect("(", "`(`")?;
        let (signed, size) = self.size()?;
        if signed {
            return Err(ParseError::NoEncoding);
        }
        self.expect("*", "`*`")?;
        self.expect(")", "`)`")?;
        let (base, offset) = self.address()?;
        Ok((size, base, offset))
    }

    /// `(r1 + 0x4)`.
    fn address(&mut self) -> Result<(Reg, i16)> {
        self.expect("(", "`(`")?;
        let base = self.register64()?;
        let offset = fit(self.number()?)?;
        self.expect(")", "`)`")?;
        Ok((base, offset))
    }

    /// `u32`, `s8`.
    fn size(&mut self) -> Result<(bool, Size)> {
        let before = self.rest;
        let word = self.word();
        let signed = word.starts_with('s');
        let size = match word.get(1..) {
            Some("8") => Size::B,
            Some("16") => Size::H,
            Some("32") => Size::W,
            Some("64") => Size::D,
            _ => return Err(expected("a type", before)),
        };
        if word.starts_with(['u', 's']) { Ok((signed, size)) } else { Err(expected("a type", before)) }
    }

    /// A number, or the name of a target.
    fn offset(&mut self) -> Result<(i32, Option<&'a str>)> {
        if self.rest.starts_with(|c: char| c == '+' || c == '-' || c.is_ascii_digit()) {
            return Ok((fit(self.number()?)?, None));
        }
        Ok((0, Some(self.name()?)))
    }

    fn operand(&mut self, width: Width) -> Result<Operand> {
        match self.any_operand()? {
            (Some(of), _) if of != width => Err(ParseError::NoEncoding),
            (_, operand) => Ok(operand),
        }
    }

    /// A register with its width, or an immediate.
    fn any_operand(&mut self) -> Result<(Option<Width>, Operand)> {
        if self.rest.starts_with(['r', 'w']) {
            let (width, register) = self.register()?;
            return Ok((Some(width), Operand::Reg(register)));
        }
        Ok((None, Operand::Imm(fit(self.number()?)?)))
    }

    fn register_of(&mut self, size: Size) -> Result<Reg> {
        match self.register()? {
            (Width::W64, register) if size == Size::D => Ok(register),
            // LLVM below `-mcpu=v3` names the 64-bit register here too.
            (_, register) if size == Size::W => Ok(register),
            _ => Err(ParseError::NoEncoding),
        }
    }

    fn register64(&mut self) -> Result<Reg> {
        match self.register()? {
            (Width::W64, register) => Ok(register),
            (Width::W32, _) => Err(ParseError::NoEncoding),
        }
    }

    fn register(&mut self) -> Result<(Width, Reg)> {
        let before = self.rest;
        register(self.word()).ok_or_else(|| expected("a register", before))
    }

    /// One of a table's operators; the longest that fits.
    fn operator<T: Copy>(&mut self, table: &[T], symbol: impl Fn(&T) -> &'static str) -> Result<T> {
        let fitting = table.iter().filter(|entry| self.rest.starts_with(symbol(entry)));
        let entry = fitting.max_by_key(|entry| symbol(entry).len()).ok_or_else(|| expected("an operator", self.rest))?;
        self.take(symbol(entry));
        Ok(*entry)
    }

    /// Decimal or hexadecimal, with an optional sign that may stand apart.
    fn number(&mut self) -> Result<i128> {
        let before = self.rest;
        let negative = self.take("-");
        if !negative {
            self.take("+");
        }
        let word = self.word();
        let magnitude = match word.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => word.parse(),
        };
        let magnitude = i128::from(magnitude.map_err(|_| expected("a number", before))?);
        Ok(if negative { -magnitude } else { magnitude })
    }

    fn name(&mut self) -> Result<&'a str> {
        let before = self.rest;
        match self.word() {
            "" => Err(expected("a name", before)),
            name => Ok(name),
        }
    }

    /// Letters, digits, `_`, `.` and `$`, as many as there are.
    fn word(&mut self) -> &'a str {
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || "_.$".contains(c))).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        word
    }

    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str, what: &'static str) -> Result<()> {
        if self.take(token) { Ok(()) } else { Err(expected(what, self.rest)) }
    }
}

/// Atomic operations that have an operator.
const ARITHMETIC: [AtomicOp; 4] = [AtomicOp::Add, AtomicOp::Or, AtomicOp::And, AtomicOp::Xor];

fn register(word: &str) -> Option<(Width, Reg)> {
    let width = match word.as_bytes().first()? {
        b'r' => Width::W64,
        b'w' => Width::W32,
        _ => return None,
    };
    let number = &word[1..];
    let canonical = number == "0" || !number.starts_with(['0', '+']);
    Some((width, Reg::new_checked(number.parse().ok().filter(|_| canonical)?)?))
}

fn fit<T: TryFrom<i128>>(value: i128) -> Result<T> {
    T::try_from(value).map_err(|_| ParseError::Range { value, bits: size_of::<T>() * 8 })
}

fn expected(expected: &'static str, found: &str) -> ParseError {
    ParseError::Expected { expected, found: found.chars().take(40).collect() }
}
