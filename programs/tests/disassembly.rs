//! The disassembly of every form of instruction: as recorded, as `llvm-objdump` prints it, and back.

#[path = "samples/linked.rs"]
mod linked;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nearside_programs::isa::{
    AluOp, AtomicOp, ByteOrder, CallTarget, Instruction, JumpOp, Operand, Reg, Size, Slot, WideSource, Width, encode,
};
use nearside_programs::{Function, Object, assemble};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/every_form.txt");

/// LLVM's text changed up to this version.
const LLVM_VERSION_MIN: u32 = 19;

const WIDTHS: [Width; 2] = [Width::W64, Width::W32];
const SIZES: [Size; 4] = [Size::B, Size::H, Size::W, Size::D];

fn operands() -> [Operand; 4] {
    [Operand::Reg(Reg::R2), Operand::Imm(-5), Operand::Imm(0), Operand::Imm(i32::MIN)]
}

fn arithmetic() -> Vec<Instruction> {
    use AluOp::*;
    let mut forms = Vec::new();
    for width in WIDTHS {
        for op in [Add, Sub, Mul, Div, SDiv, Or, And, Lsh, Rsh, Mod, SMod, Xor, Mov, Arsh] {
            forms.extend(operands().map(|src| Instruction::Alu { width, op, dst: Reg::R1, src }));
        }
        forms.push(Instruction::Neg { width, dst: Reg::R3 });
        let bits = if width == Width::W64 { &[8, 16, 32][..] } else { &[8, 16] };
        forms.extend(bits.iter().map(|&bits| Instruction::MoveSigned { width, dst: Reg::R1, src: Reg::R10, bits }));
    }
    for order in [ByteOrder::Little, ByteOrder::Big, ByteOrder::Swap] {
        forms.extend([16, 32, 64].map(|bits| Instruction::Endian { order, dst: Reg::R9, bits }));
    }
    forms
}

fn memory() -> Vec<Instruction> {
    let (dst, base) = (Reg::R1, Reg::R10);
    let mut forms = Vec::new();
    for size in SIZES {
        for offset in [0, 4, -4, i16::MIN] {
            forms.push(Instruction::Load { size, signed: false, dst, base, offset });
            forms.extend(operands().map(|src| Instruction::Store { size, base, offset, src }));
            if size != Size::D {
                forms.push(Instruction::Load { size, signed: true, dst, base, offset });
            }
        }
        if size != Size::D {
            forms.push(Instruction::LoadPacket { size, index: None, imm: 12 });
            forms.extend([0, 12, -12].map(|imm| Instruction::LoadPacket { size, index: Some(Reg::R6), imm }));
        }
    }
    forms
}

fn atomics() -> Vec<Instruction> {
    let mut forms = Vec::new();
    for size in [Size::W, Size::D] {
        let atomic = |op, fetch, offset| Instruction::Atomic { size, op, fetch, base: Reg::R1, offset, src: Reg::R2 };
        for op in [AtomicOp::Add, AtomicOp::Or, AtomicOp::And, AtomicOp::Xor] {
            forms.extend([atomic(op, false, 8), atomic(op, true, 8), atomic(op, true, -8)]);
        }
        forms.extend([atomic(AtomicOp::Exchange, true, 0), atomic(AtomicOp::CompareExchange, true, -8)]);
    }
    forms
}

fn wide_loads() -> Vec<Instruction> {
    use WideSource::*;
    let load = |source, value| Instruction::LoadImm64 { dst: Reg::R1, source, value };
    let immediates = [0, 5, u64::MAX, 1 << 63, 0xffff_ffff, 0x1_0000_0000].map(|value| load(Immediate, value));
    // The address of an instruction that is not there: of another one, the object would have a relocation instead.
    let pseudo = [(MapByFd, 7), (Variable, 7), (Code, 0x7000_0000), (MapByIndex, 7)].map(|(source, value)| load(source, value));
    let values = [MapValueByFd, MapValueByIndex].map(|source| load(source, 0x10_0000_0007));
    [&immediates[..], &pseudo, &values].concat()
}

fn control() -> Vec<Instruction> {
    use JumpOp::*;
    let mut forms = Vec::new();
    for width in WIDTHS {
        for op in [Eq, Gt, Ge, Set, Ne, SGt, SGe, Lt, Le, SLt, SLe] {
            forms.extend(operands().map(|src| Instruction::Branch { width, op, dst: Reg::R1, src, offset: -3 }));
        }
    }
    forms.extend([7, -7, 0].map(|offset| Instruction::Jump { offset, long: false }));
    forms.extend([40_000, -4].map(|offset| Instruction::Jump { offset, long: true }));
    let targets = [
        CallTarget::Helper(1),
        CallTarget::Helper(65_536),
        CallTarget::Local(3),
        CallTarget::Local(-3),
        CallTarget::HelperByBtf(33),
        CallTarget::Register(Reg::R3),
    ];
    forms.extend(targets.map(Instruction::Call));
    forms.push(Instruction::Exit);
    forms
}

/// Two functions with every form of instruction between them.
fn every_form() -> Object {
    let code = |forms: &[Vec<Instruction>]| -> Vec<Slot> {
        forms.concat().into_iter().flat_map(|instruction| encode(instruction).unwrap().to_vec()).collect()
    };
    let mut slots = code(&[arithmetic(), memory(), atomics()]);
    let first = slots.len() as u32;
    slots.extend(code(&[wide_loads(), control()]));
    let second = slots.len() as u32 - first;
    let functions = vec![Function::new("data", 0, first), Function::new("control", first, second)];
    Object { code: slots, functions, maps: Vec::new(), manifest: None, license: String::new() }
}

/// The text does not change unnoticed; where LLVM is too old to compare with, this is what it was compared with.
#[test]
fn the_disassembly_is_as_recorded() {
    let text = every_form().disassemble().with_comments().to_string();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(GOLDEN, &text).unwrap();
    }
    let golden = fs::read_to_string(GOLDEN).unwrap_or_default();
    assert!(text == golden, "the disassembly differs from {GOLDEN}; UPDATE_GOLDEN=1 records it");
}

/// What is disassembled can be assembled, comments or not.
#[test]
fn the_disassembly_assembles() {
    let object = every_form();
    for text in [object.disassemble().to_string(), object.disassemble().with_comments().to_string()] {
        let assembled = assemble(&text).unwrap();
        assert_eq!(assembled.code, object.code);
        assert_eq!(assembled.functions, object.functions);
    }
}

/// What an address is of stands beside it.
#[test]
fn addresses_have_names() {
    let text = linked::linked().disassemble().with_comments().to_string();
    let comments: Vec<_> = text.lines().filter_map(|line| line.split_once("\t; ").map(|(_, comment)| comment)).collect();
    assert_eq!(comments, ["programs", ".rodata+0x8", ".bss+0x0", "leaf", "map_lookup_elem"]);
}

/// Slots that are no instruction have a line too, and notes of a stranger have no power over the terminal.
#[test]
fn anything_has_a_disassembly() {
    let slot = |opcode| Slot { opcode, ..Slot::default() };
    let code = vec![slot(0xff), slot(0x18)];
    let object = Object { code, functions: Vec::new(), maps: Vec::new(), manifest: None, license: String::new() };
    assert_eq!(
        object.disassemble().with_comments().to_string(),
        "0000000000000000 <.text>:\n\
         \x20      0:\tff 00 00 00 00 00 00 00\t<unknown>\t; instruction 0: opcode 0xff does not exist\n\
         \x20      1:\t18 00 00 00 00 00 00 00\t<unknown>\t; instruction 1: lddw without its second slot\n"
    );
    let function = Function::new("a\x1b[2Jb\n", 0, 2);
    let text = Object { functions: vec![function], ..object }.disassemble().to_string();
    assert!(text.starts_with("0000000000000000 <a\\u{1b}[2Jb\\n>:\n"), "{text:?}");
}

/// LLVM reads our objects and says the same, but for what its text leaves out.
#[test]
fn the_disassembly_reads_like_llvms() {
    let Some(objdump) = llvm_objdump() else {
        println!("SKIP the_disassembly_reads_like_llvms: no llvm-objdump of LLVM {LLVM_VERSION_MIN} or newer in PATH");
        return;
    };
    let object = every_form();
    let file = std::env::temp_dir().join(format!("nearside-every-form-{}.o", std::process::id()));
    fs::write(&file, object.write()).unwrap();
    let output = Command::new(objdump).args(["-d", "--mcpu=v4"]).arg(&file).output().unwrap();
    fs::remove_file(&file).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (ours, theirs) = (lines(&object.disassemble().to_string()), lines(&String::from_utf8_lossy(&output.stdout)));
    assert_eq!(ours.len(), theirs.len());
    for (index, line) in ours {
        assert_eq!(as_llvm(&line), with_wide_registers(&theirs[&index]), "instruction {index}");
    }
}

/// Bytes and text by slot.
fn lines(disassembly: &str) -> BTreeMap<usize, String> {
    let line = |line: &str| {
        let (slot, text) = line.split_once(":\t")?;
        Some((slot.trim().parse().ok()?, text.replace('\t', " ")))
    };
    disassembly.lines().filter_map(line).collect()
}

/// Takes from our text what LLVM's leaves out.
fn as_llvm(line: &str) -> String {
    if let Some((bytes, target)) = line.split_once("call +") {
        return format!("{bytes}call {}", without_symbol(target));
    }
    if line.contains("call ") {
        return without_symbol(line).replace("btf ", "");
    }
    if let Some((text, _)) = line.split_once("skb[r6 ") {
        return format!("{text}skb[r6]");
    }
    if line.contains("ld_pseudo") && line.matches(',').count() == 3 {
        return line.rsplit_once(',').unwrap().0.into();
    }
    line.into()
}

fn without_symbol(text: &str) -> &str {
    text.split_once(" <").map_or(text, |(text, _)| text)
}

/// LLVM for `v4` names the 32-bit register in loads and stores of up to 4 bytes.
fn with_wide_registers(line: &str) -> String {
    let is_plain_access = line.contains("*(u") && !line.contains("lock") && !line.contains("atomic");
    if is_plain_access { line.replace('w', "r") } else { line.into() }
}

fn llvm_objdump() -> Option<PathBuf> {
    let versions = (LLVM_VERSION_MIN..LLVM_VERSION_MIN + 10).map(|version| format!("llvm-objdump-{version}"));
    std::iter::once("llvm-objdump".into()).chain(versions).map(PathBuf::from).find(|name| is_new_enough(name))
}

fn is_new_enough(objdump: &Path) -> bool {
    let Ok(output) = Command::new(objdump).arg("--version").output() else { return false };
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_once("LLVM version ").and_then(|(_, rest)| rest.split('.').next()?.parse::<u32>().ok());
    version.is_some_and(|version| version >= LLVM_VERSION_MIN)
}
