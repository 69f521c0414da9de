//! Encodings and text: each is read back as what it was written from.

use nearside_programs::isa::{
    AluOp, AtomicOp, ByteOrder, CallTarget, Instruction, JumpOp, Operand, Reg, Size, WideSource, Width, decode, encode,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

fn reg() -> impl Strategy<Value = Reg> {
    (0..=10_u8).prop_map(|number| Reg::new_checked(number).unwrap())
}

fn width() -> impl Strategy<Value = Width> {
    select(vec![Width::W32, Width::W64])
}

fn size() -> impl Strategy<Value = Size> {
    select(vec![Size::B, Size::H, Size::W, Size::D])
}

fn operand() -> impl Strategy<Value = Operand> {
    prop_oneof![reg().prop_map(Operand::Reg), any::<i32>().prop_map(Operand::Imm)]
}

fn alu() -> impl Strategy<Value = Instruction> {
    use AluOp::*;
    let op = select(vec![Add, Sub, Mul, Div, SDiv, Or, And, Lsh, Rsh, Mod, SMod, Xor, Mov, Arsh]);
    (width(), op, reg(), operand()).prop_map(|(width, op, dst, src)| Instruction::Alu { width, op, dst, src })
}

fn unary() -> impl Strategy<Value = Instruction> {
    let order = select(vec![ByteOrder::Little, ByteOrder::Big, ByteOrder::Swap]);
    prop_oneof![
        (width(), reg()).prop_map(|(width, dst)| Instruction::Neg { width, dst }),
        (width(), reg(), reg(), select(vec![8, 16])).prop_map(|(width, dst, src, bits)| Instruction::MoveSigned {
            width,
            dst,
            src,
            bits
        }),
        (reg(), reg()).prop_map(|(dst, src)| Instruction::MoveSigned { width: Width::W64, dst, src, bits: 32 }),
        (order, reg(), select(vec![16, 32, 64])).prop_map(|(order, dst, bits)| Instruction::Endian { order, dst, bits }),
    ]
}

fn load_imm64() -> impl Strategy<Value = Instruction> {
    use WideSource::*;
    let narrow = (reg(), select(vec![MapByFd, Variable, Code, MapByIndex]), any::<u32>().prop_map(u64::from));
    let wide = (reg(), select(vec![Immediate, MapValueByFd, MapValueByIndex]), any::<u64>());
    prop_oneof![
        narrow.prop_map(|(dst, source, value)| Instruction::LoadImm64 { dst, source, value }),
        wide.prop_map(|(dst, source, value)| Instruction::LoadImm64 { dst, source, value }),
    ]
}

fn memory() -> impl Strategy<Value = Instruction> {
    let signed = prop_oneof![(size(), Just(false)), (select(vec![Size::B, Size::H, Size::W]), Just(true))];
    let packet_size = select(vec![Size::B, Size::H, Size::W]);
    prop_oneof![
        (signed, reg(), reg(), any::<i16>()).prop_map(|((size, signed), dst, base, offset)| Instruction::Load {
            size,
            signed,
            dst,
            base,
            offset
        }),
        (size(), reg(), any::<i16>(), operand()).prop_map(|(size, base, offset, src)| Instruction::Store {
            size,
            base,
            offset,
            src
        }),
        (packet_size, proptest::option::of(reg()), any::<i32>()).prop_map(|(size, index, imm)| Instruction::LoadPacket {
            size,
            index,
            imm
        }),
    ]
}

fn atomic() -> impl Strategy<Value = Instruction> {
    use AtomicOp::*;
    let op = prop_oneof![(select(vec![Add, Or, And, Xor]), any::<bool>()), (select(vec![Exchange, CompareExchange]), Just(true))];
    (select(vec![Size::W, Size::D]), op, reg(), any::<i16>(), reg())
        .prop_map(|(size, (op, fetch), base, offset, src)| Instruction::Atomic { size, op, fetch, base, offset, src })
}

fn control() -> impl Strategy<Value = Instruction> {
    use JumpOp::*;
    let op = select(vec![Eq, Gt, Ge, Set, Ne, SGt, SGe, Lt, Le, SLt, SLe]);
    let target = prop_oneof![
        any::<u32>().prop_map(CallTarget::Helper),
        any::<i32>().prop_map(CallTarget::Local),
        any::<u32>().prop_map(CallTarget::HelperByBtf),
        reg().prop_map(CallTarget::Register),
    ];
    prop_oneof![
        any::<i16>().prop_map(|offset| Instruction::Jump { offset: offset.into(), long: false }),
        any::<i32>().prop_map(|offset| Instruction::Jump { offset, long: true }),
        (width(), op, reg(), operand(), any::<i16>()).prop_map(|(width, op, dst, src, offset)| Instruction::Branch {
            width,
            op,
            dst,
            src,
            offset
        }),
        target.prop_map(Instruction::Call),
        Just(Instruction::Exit),
    ]
}

fn instruction() -> impl Strategy<Value = Instruction> {
    prop_oneof![alu(), unary(), load_imm64(), memory(), atomic(), control()]
}

/// Always the same cases: a failure replays by itself.
fn config() -> ProptestConfig {
    ProptestConfig { cases: 4096, rng_seed: RngSeed::Fixed(9669), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// Encoding loses nothing.
    #[test]
    fn encodings_round_trip(instruction in instruction()) {
        let slots = encode(instruction).unwrap();
        prop_assert_eq!(slots.len(), instruction.slot_count());
        prop_assert_eq!(decode(&slots, 0), Ok(instruction));
    }

    /// Text loses nothing.
    #[test]
    fn texts_round_trip(instruction in instruction()) {
        let text = instruction.to_string();
        prop_assert_eq!(text.parse(), Ok(instruction), "{}", text);
    }

    /// Whatever the text is, the parser answers; and what it accepts has an encoding.
    #[test]
    fn any_text_is_answered(text in "[rw*(]?[a-z0-9 =+*()<>&-]{0,24}") {
        if let Ok(instruction) = text.parse::<Instruction>() {
            prop_assert!(encode(instruction).is_ok());
        }
    }
}
