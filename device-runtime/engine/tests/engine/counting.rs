//! Counting runs: exact, and otherwise like any other run.

use nearside_engine::{Backend, BlockCount, Fuel, Trap};

use crate::common::{FUEL, Summing, cage, module, text_code};

fn block(first_slot: u32, executions: u64, instructions: u64) -> BlockCount {
    BlockCount { first_slot, executions, instructions }
}

/// `lddw` is one instruction of two slots; a call does not end a block; a function is one of its own.
#[test]
fn blocks_are_counted_exactly() {
    let text = "<main>:\nr1 = 0x1234567890 ll\nr6 = 0x3\nloop:\ncall f\nr6 += -0x1\nif r6 != 0x0 goto loop\nr0 = 0x1\nexit\n<f>:\nr0 = 0x0\nexit";
    for backend in [Backend::Interpreter, Backend::Jit] {
        let module = module(&text_code(text).code, backend);
        let mut fuel = Fuel(FUEL);
        let counted = module.run_counting(&mut cage(), 0, [0; 5], &mut fuel, &mut Summing);
        assert_eq!(counted.result, Ok(1));
        assert_eq!(counted.blocks, [block(0, 1, 2), block(3, 3, 9), block(6, 1, 2), block(8, 3, 6)]);
        // What is charged is never less than what is executed.
        let executed: u64 = counted.blocks.iter().map(|block| block.instructions).sum();
        assert!(FUEL - fuel.0 >= executed);

        let mut again = Fuel(FUEL);
        assert_eq!(module.run(&mut cage(), 0, [0; 5], &mut again, &mut Summing), Ok(1));
        assert_eq!(fuel, again);
    }
}

/// The block a trap ends counts up to and with the instruction that trapped.
#[test]
fn a_trap_ends_the_count() {
    let module = module(&text_code("r0 = 0x1\nr0 = *(u8 *)(r1 + 0x0)\nr0 += 0x1\nexit").code, Backend::Interpreter);
    let counted = module.run_counting(&mut cage(), 0, [0; 5], &mut Fuel(FUEL), &mut Summing);
    assert!(matches!(counted.result, Err(Trap::Memory { pc: 1, .. })));
    assert_eq!(counted.blocks, [block(0, 1, 2)]);
    let counted = module.run_counting(&mut cage(), 3, [0; 5], &mut Fuel(FUEL), &mut Summing);
    assert_eq!((counted.result, counted.blocks), (Err(Trap::NoSuchEntry { entry: 3 }), vec![]));
}
