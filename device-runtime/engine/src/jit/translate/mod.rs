//! One function of a program to Cranelift's intermediate form.
//!
//! Registers and the fuel are variables; Cranelift finds out where they live. Every access to the cage is marked with its [`Site`].

mod alu;
mod calls;
mod counted;
mod intrinsics;
mod memory;
mod packet;
mod strides;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, Block, BlockArg, FuncRef, Function as NativeFunction, InstBuilder, MemFlagsData, SigRef, Signature, SourceLoc,
    StackSlot, StackSlotData, StackSlotKind, TrapCode, Value, types,
};
use cranelift_codegen::isa::TargetFrontendConfig;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use cranelift_jit::JITModule;
use cranelift_module::{FuncId, Module};
use nearside_programs::isa::{CallTarget, Instruction, Operand, Reg, Width};

use self::strides::InLoop;
use super::checks::{Checks, Options};
use super::context::{Context, TrapKind};
use crate::memory::Operation;
use crate::verify::{Function, Program, jump_cost, jump_target};

pub(super) use turns::{OneBlock, one_block_loops};

/// Which instruction a piece of machine code belongs to, and what it does to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) pc: u32,
    pub(super) operation: Operation,
}

impl From<SourceLoc> for Site {
    fn from(location: SourceLoc) -> Self {
        let operation = if location.bits() & 1 == 0 { Operation::Load } else { Operation::Store };
        Self { pc: location.bits() >> 1, operation }
    }
}

impl From<Site> for SourceLoc {
    fn from(site: Site) -> Self {
        Self::new(site.pc << 1 | u32::from(site.operation == Operation::Store))
    }
}

/// How generated code is called and calls.
pub(super) struct Signatures {
    /// A function of the program: context, frame pointer, r1 to r5; returns r0.
    pub(super) function: Signature,
    /// Context; does not return.
    pub(super) leave: Signature,
    /// Context, number; returns 0 if all went well.
    pub(super) helper: Signature,
    /// Context, program array, index; returns machine code, or why there is none.
    pub(super) find_program: Signature,
    /// Context, two wide integers; returns 1 if the result wrapped.
    pub(super) wide: Signature,
    /// A wide integer; returns a binary64.
    pub(super) float_from_wide: Signature,
}

/// What a function may refer to.
pub(super) struct Externals {
    pub(super) leave: FuncId,
    pub(super) helper: FuncId,
    pub(super) find_program: FuncId,
    pub(super) helper_in_register: FuncId,
    pub(super) multiply: FuncId,
    pub(super) divide: FuncId,
    pub(super) float_from_wide: FuncId,
    /// By function of the program.
    pub(super) functions: Vec<FuncId>,
    pub(super) signatures: Signatures,
}

pub(super) fn signatures(module: &JITModule) -> Signatures {
    let signature = |parameters: usize, returns: usize| {
        let mut signature = module.make_signature();
        signature.params = vec![AbiParam::new(types::I64); parameters];
        signature.returns = vec![AbiParam::new(types::I64); returns];
        signature
    };
    Signatures {
        function: signature(7, 1),
        leave: signature(1, 0),
        helper: signature(2, 1),
        find_program: signature(3, 1),
        wide: signature(5, 1),
        float_from_wide: signature(2, 1),
    }
}

fn argument_offset(index: usize) -> usize {
    offset_of!(Context<'static>, arguments) + 8 * index
}

/// Translates one function.
pub(super) struct Translator<'a> {
    builder: FunctionBuilder<'a>,
    program: &'a Program,
    function: Function,
    config: TargetFrontendConfig,
    imports: Imports,
    registers: [Variable; 11],
    fuel: Variable,
    /// By slot, where jumps lead.
    blocks: BTreeMap<usize, Block>,
    /// Slots backward jumps lead to: their blocks get predecessors after they were translated.
    loop_heads: BTreeSet<usize>,
    /// Parameters: what [`Context::trap`] and [`Context::detail`] become.
    trap: Block,
    /// Holds the context: loops do not need it, and have better uses for a register.
    context: StackSlot,
    base: Value,
    /// Whether control can reach the current place.
    reachable: bool,
    checks: Checks,
    /// By first slot, loops of one block that are still to come.
    one_block_loops: BTreeMap<usize, OneBlock>,
    /// The branch at the end of a loop of one block whose fuel was taken at its beginning.
    prepaid: Option<usize>,
    anchors: Anchors,
    in_loop: InLoop,
}

/// By register: an earlier value, and what was added to that to make the current one. So addresses that are steps of each other become one address
/// with several offsets.
type Anchors = [Option<Anchor>; 11];

#[derive(Clone, Copy)]
struct Anchor {
    value: Value,
    offset: i32,
}

/// Most that may lie between a register and its anchor.
const ANCHOR_OFFSET_MAX: u32 = 1 << 12;

struct Imports {
    leave: FuncRef,
    helper: FuncRef,
    find_program: FuncRef,
    helper_in_register: FuncRef,
    multiply: FuncRef,
    divide: FuncRef,
    float_from_wide: FuncRef,
    function_signature: SigRef,
    /// Functions this one calls, by index in the program.
    callees: BTreeMap<usize, FuncRef>,
}

impl<'a> Translator<'a> {
    pub(super) fn new(
        native: &'a mut NativeFunction,
        builder: &'a mut FunctionBuilderContext,
        module: &mut JITModule,
        externals: &Externals,
        program: &'a Program,
        function: Function,
        options: Options,
    ) -> Self {
        let mut callees = BTreeMap::new();
        for index in callees_of(program, function) {
            callees.entry(index).or_insert_with(|| module.declare_func_in_func(externals.functions[index], native));
        }
        let mut import = |function| module.declare_func_in_func(function, native);
        let (leave, helper) = (import(externals.leave), import(externals.helper));
        let find_program = import(externals.find_program);
        let helper_in_register = import(externals.helper_in_register);
        let (multiply, divide) = (import(externals.multiply), import(externals.divide));
        let float_from_wide = import(externals.float_from_wide);
        let mut builder = FunctionBuilder::new(native, builder);
        let function_signature = builder.import_signature(externals.signatures.function.clone());
        let imports = Imports {
            leave,
            helper,
            helper_in_register,
            find_program,
            multiply,
            divide,
            float_from_wide,
            function_signature,
            callees,
        };

        let registers = std::array::from_fn(|_| builder.declare_var(types::I64));
        let fuel = builder.declare_var(types::I64);
        let blocks = leaders(program, function).into_iter().map(|slot| (slot, builder.create_block())).collect();
        let loop_heads = jumps(program, function).filter(|jump| jump.target <= jump.pc).map(|jump| jump.target).collect();
        let loops = if options.turns { one_block_loops(program, function) } else { Vec::new() };
        let one_block_loops = loops.into_iter().map(|one| (one.head(), one)).collect();
        let trap = builder.create_block();
        builder.set_cold_block(trap);
        let entry = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        builder.seal_block(entry);
        let given = builder.block_params(entry)[0];
        let context = builder.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, 8, 3));
        builder.ins().stack_store(types::I64, given, context, 0);
        let fixed = MemFlagsData::trusted().with_readonly().with_can_move();
        let base = builder.ins().load(types::I64, fixed, given, offset_of!(Context<'static>, base) as i32);
        let config = module.target_config();
        Self {
            builder,
            program,
            function,
            config,
            imports,
            registers,
            fuel,
            blocks,
            loop_heads,
            trap,
            context,
            base,
            reachable: true,
            checks: options.checks,
            one_block_loops,
            prepaid: None,
            anchors: Anchors::default(),
            in_loop: InLoop::default(),
        }
    }

    pub(super) fn translate(mut self) {
        self.prologue();
        for (pc, instruction) in self.program.body(self.function) {
            self.begin(pc);
            if let (true, Some(one)) = (self.reachable, self.one_block_loops.remove(&pc)) {
                self.begin_loop(one);
                // Turns that were translated already have left the mark at their end.
                self.mark(pc, Operation::Load);
            }
            if self.reachable {
                self.instruction(pc, instruction);
            }
        }
        self.trap_block();
        self.builder.seal_all_blocks();
        self.builder.finalize(self.config);
    }

    /// Registers as a callee finds them, and the charge for the entry.
    fn prologue(&mut self) {
        let entry = self.builder.current_block();
        let parameters: Vec<Value> = entry.map(|entry| self.builder.block_params(entry).to_vec()).unwrap_or_default();
        let zero = self.builder.ins().iconst(types::I64, 0);
        for register in [0, 6, 7, 8, 9] {
            self.builder.def_var(self.registers[register], zero);
        }
        self.builder.def_var(self.registers[10], parameters[1]);
        for (register, &value) in (1..=5).zip(&parameters[2..]) {
            self.builder.def_var(self.registers[register], value);
        }
        self.load_fuel();
        self.charge(self.function.start, self.function.cost());
    }

    /// Goes to the block of this slot, if jumps lead there.
    fn begin(&mut self, pc: usize) {
        self.mark(pc, Operation::Load);
        if let Some(&block) = self.blocks.get(&pc) {
            if self.reachable {
                self.builder.ins().jump(block, &[]);
            }
            self.builder.switch_to_block(block);
            if !self.loop_heads.contains(&pc) {
                self.builder.seal_block(block);
            }
            self.reachable = true;
            self.anchors = Anchors::default();
        }
    }

    fn instruction(&mut self, pc: usize, instruction: Instruction) {
        match instruction {
            Instruction::Alu { width, op, dst, src } => self.alu(width, op, dst, src),
            Instruction::Neg { width, dst } => {
                let value = self.get(width, dst);
                let value = self.builder.ins().ineg(value);
                self.set(dst, value);
            }
            Instruction::MoveSigned { width, dst, src, bits } => self.move_signed(width, dst, src, bits),
            Instruction::Endian { order, dst, bits } => self.endian(order, dst, bits),
            Instruction::LoadImm64 { dst, source, value } => self.load_immediate(pc, dst, source, value),
            Instruction::Load { size, signed, dst, base, offset } => self.load(size, signed, dst, base, offset),
            Instruction::Store { size, base, offset, src } => self.store(pc, size, base, offset, src),
            Instruction::Atomic { size, op, fetch, base, offset, src } => {
                let address = self.address(base, offset);
                self.atomic(pc, size, op, fetch, address, src);
            }
            Instruction::Jump { offset, .. } => self.jump(pc, offset),
            Instruction::Branch { width, op, dst, src, offset } => {
                let condition = self.condition(width, op, dst, src);
                self.branch(pc, condition, offset.into());
            }
            Instruction::Call(target) => self.call(pc, target),
            Instruction::LoadPacket { size, index, imm } => self.load_packet(size, index, imm),
            Instruction::Exit => {
                let result = self.get(Width::W64, Reg::R0);
                self.exit(result);
                self.reachable = false;
            }
        }
    }

    /// Returns from the function.
    fn exit(&mut self, result: Value) {
        self.store_fuel();
        self.builder.ins().return_(&[result]);
    }

    /// r1 to r5 do not survive a call.
    fn clear_arguments(&mut self) {
        let zero = self.builder.ins().iconst(types::I64, 0);
        for register in 1..=5 {
            self.builder.def_var(self.registers[register], zero);
            self.anchors[register] = None;
        }
    }

    /// What follows belongs to this instruction.
    fn mark(&mut self, pc: usize, operation: Operation) {
        self.builder.set_srcloc(Site { pc: pc as u32, operation }.into());
    }

    /// A register, its low half only if the operation is 32 bits wide.
    fn get(&mut self, width: Width, register: Reg) -> Value {
        let value = self.builder.use_var(self.registers[register.index()]);
        match width {
            Width::W32 => self.builder.ins().ireduce(types::I32, value),
            Width::W64 => value,
        }
    }

    /// Narrower values are zero-extended.
    fn set(&mut self, register: Reg, value: Value) {
        let narrow = self.builder.func.dfg.value_type(value) != types::I64;
        let value = if narrow { self.builder.ins().uextend(types::I64, value) } else { value };
        self.builder.def_var(self.registers[register.index()], value);
        self.anchors[register.index()] = None;
    }

    /// What a register is a step from, itself if nothing else.
    fn anchor(&mut self, register: Reg) -> Anchor {
        let anchor = self.anchors[register.index()];
        anchor.unwrap_or_else(|| Anchor { value: self.get(Width::W64, register), offset: 0 })
    }

    fn operand(&mut self, width: Width, operand: Operand) -> Value {
        match (operand, width) {
            (Operand::Reg(register), _) => self.get(width, register),
            (Operand::Imm(value), Width::W64) => self.builder.ins().iconst(types::I64, i64::from(value)),
            // Cranelift wants constants of 32 bits without their sign.
            (Operand::Imm(value), Width::W32) => self.builder.ins().iconst(types::I32, i64::from(value as u32)),
        }
    }

    fn jump(&mut self, pc: usize, offset: i32) {
        let target = jump_target(pc, offset);
        self.jump_to(pc, target);
        self.reachable = false;
    }

    /// Charges for a jump and jumps.
    fn jump_to(&mut self, pc: usize, target: usize) {
        let (block, cost) = (self.blocks[&target], jump_cost(pc, target));
        if cost == 0 || !self.checks.fuel {
            self.builder.ins().jump(block, &[]);
            return;
        }
        let short = self.builder.create_block();
        self.builder.set_cold_block(short);
        self.take_or_else(cost, block, short);
        self.switch_to(short);
        let cost = self.builder.ins().iconst(types::I64, cost as i64);
        self.trap(TrapKind::OutOfFuel, pc, Some(cost));
    }

    fn branch(&mut self, pc: usize, condition: Value, offset: i32) {
        let slot = jump_target(pc, offset);
        let cost = jump_cost(pc, slot);
        let (target, next) = (self.blocks[&slot], self.blocks[&(pc + 1)]);
        if cost == 0 || !self.checks.fuel {
            self.builder.ins().brif(condition, target, &[], next, &[]);
        } else if self.prepaid == Some(pc) {
            // The last thing of the loop is the branch to its head: what goes with it there is computed before, once, and not on each of the two ways.
            let leaves = self.builder.create_block();
            self.builder.ins().brif(condition, target, &[], leaves, &[]);
            self.switch_to(leaves);
            self.give_back(cost);
            self.builder.ins().jump(next, &[]);
        } else {
            let taken = self.builder.create_block();
            // In this order, so that the way around the loop is laid out before what follows it.
            let leaves = self.builder.ins().icmp_imm_s(IntCC::Equal, condition, 0);
            self.builder.ins().brif(leaves, next, &[], taken, &[]);
            self.switch_to(taken);
            self.jump_to(pc, slot);
        }
        self.reachable = false;
    }

    /// Takes fuel and goes on in one block, or in the other if that was too little: it is taken there as well, and what is left has wrapped.
    fn take_or_else(&mut self, cost: u64, enough: Block, short: Block) {
        if !self.checks.fuel {
            self.builder.ins().jump(enough, &[]);
            return;
        }
        // What is left wraps if there was too little, and is then one of the `cost` greatest numbers. Comparing that spares a register for what there was.
        let left = self.builder.use_var(self.fuel);
        let left = self.builder.ins().iadd_imm_s(left, (cost as i64).wrapping_neg());
        self.builder.def_var(self.fuel, left);
        let wrapped = self.builder.ins().iconst(types::I64, (cost as i64).wrapping_neg());
        let is_enough = self.builder.ins().icmp(IntCC::UnsignedLessThan, left, wrapped);
        self.builder.ins().brif(is_enough, enough, &[], short, &[]);
    }

    fn give_back(&mut self, cost: u64) {
        if self.checks.fuel {
            let left = self.builder.use_var(self.fuel);
            let left = self.builder.ins().iadd_imm_s(left, cost as i64);
            self.builder.def_var(self.fuel, left);
        }
    }

    /// A block that has all its predecessors.
    fn switch_to(&mut self, block: Block) {
        self.builder.switch_to_block(block);
        self.builder.seal_block(block);
    }

    /// Takes `cost` from the fuel, or traps without taking anything.
    fn charge(&mut self, pc: usize, cost: u64) {
        if cost == 0 || !self.checks.fuel {
            return;
        }
        let left = self.builder.use_var(self.fuel);
        let cost = self.builder.ins().iconst(types::I64, cost as i64);
        let short = self.builder.ins().icmp(IntCC::UnsignedLessThan, left, cost);
        self.trap_if(short, TrapKind::OutOfFuel, pc, None);
        let left = self.builder.ins().isub(left, cost);
        self.builder.def_var(self.fuel, left);
    }

    /// Ends the run if `condition` is not 0.
    fn trap_if(&mut self, condition: Value, kind: TrapKind, pc: usize, detail: Option<Value>) {
        let (cold, goes_on) = (self.builder.create_block(), self.builder.create_block());
        self.builder.set_cold_block(cold);
        self.builder.ins().brif(condition, cold, &[], goes_on, &[]);
        self.builder.switch_to_block(cold);
        self.builder.seal_block(cold);
        self.trap(kind, pc, detail);
        self.builder.switch_to_block(goes_on);
        self.builder.seal_block(goes_on);
    }

    /// Ends the run, in a block of its own: the constants are made here, off the way; as arguments of a branch they would take registers on it.
    fn trap(&mut self, kind: TrapKind, pc: usize, detail: Option<Value>) {
        let trap = self.builder.ins().iconst(types::I64, kind.at(pc) as i64);
        let detail = detail.unwrap_or_else(|| self.builder.ins().iconst(types::I64, 0));
        self.builder.ins().jump(self.trap, &[BlockArg::Value(trap), BlockArg::Value(detail)]);
    }

    fn trap_block(&mut self) {
        let trap = self.builder.append_block_param(self.trap, types::I64);
        let detail = self.builder.append_block_param(self.trap, types::I64);
        self.builder.switch_to_block(self.trap);
        self.store_fuel();
        self.store_field(offset_of!(Context<'static>, trap), trap);
        self.store_field(offset_of!(Context<'static>, detail), detail);
        let context = self.context();
        self.builder.ins().call(self.imports.leave, &[context]);
        // `leave` does not return.
        self.builder.ins().trap(TrapCode::unwrap_user(1));
    }

    fn load_fuel(&mut self) {
        let fuel = self.load_field(offset_of!(Context<'static>, fuel));
        self.builder.def_var(self.fuel, fuel);
    }

    fn store_fuel(&mut self) {
        let fuel = self.builder.use_var(self.fuel);
        self.store_field(offset_of!(Context<'static>, fuel), fuel);
    }

    fn context(&mut self) -> Value {
        self.builder.ins().stack_load(types::I64, types::I64, self.context, 0)
    }

    fn load_field(&mut self, offset: usize) -> Value {
        let context = self.context();
        self.builder.ins().load(types::I64, MemFlagsData::trusted(), context, offset as i32)
    }

    fn store_field(&mut self, offset: usize, value: Value) {
        let context = self.context();
        self.builder.ins().store(MemFlagsData::trusted(), value, context, offset as i32);
    }
}

/// Functions a function calls, with repetitions.
fn callees_of(program: &Program, function: Function) -> impl Iterator<Item = usize> + '_ {
    program.body(function).filter_map(|(pc, instruction)| match instruction {
        Instruction::Call(CallTarget::Local(offset)) => program.function_at(jump_target(pc, offset)),
        _ => None,
    })
}

/// A jump or branch.
struct Jump {
    pc: usize,
    target: usize,
    conditional: bool,
}

fn jumps(program: &Program, function: Function) -> impl Iterator<Item = Jump> + '_ {
    program.body(function).filter_map(|(pc, instruction)| match instruction {
        Instruction::Jump { offset, .. } => Some(Jump { pc, target: jump_target(pc, offset), conditional: false }),
        Instruction::Branch { offset, .. } => Some(Jump { pc, target: jump_target(pc, offset.into()), conditional: true }),
        _ => None,
    })
}

/// Slots that need a block: where jumps lead and where branches go on.
fn leaders(program: &Program, function: Function) -> BTreeSet<usize> {
    let slots = jumps(program, function).map(|jump| [Some(jump.target), jump.conditional.then_some(jump.pc + 1)]);
    slots.flatten().flatten().collect()
}
