//! Runs generated code, and what generated code calls back.
#![expect(unsafe_code, reason = "calls into and out of generated code")]

use super::code::Compiled;
use super::context::{Context, FUEL_MAX, Host, TrapKind};
use super::signal::{self, Active};
use super::trampoline;
use crate::cage::Cage;
use crate::fuel::Fuel;
use crate::helpers::{HelperFault, Helpers, helper_trap, invoke};
use crate::intrinsic::{self, NO_SUCH_PROGRAM, TAIL_CALLS_MAX, TOO_MANY_TAIL_CALLS, WideOp};
use crate::memory::Operation;
use crate::trap::Trap;
use crate::verify::{Program, helper_in_register};

/// Runs function `entry` of a compiled program. After a memory trap, `fuel` is at least what is left.
pub(crate) fn run(
    compiled: &Compiled,
    program: &Program,
    cage: &mut Cage,
    entry: usize,
    arguments: [u64; 5],
    fuel: &mut Fuel,
    helpers: &mut dyn Helpers,
) -> Result<u64, Trap> {
    signal::install().map_err(|errno| Trap::NoFaultHandler { errno })?;
    // What is beyond generated code's numbers it cannot use up, either.
    let beyond = fuel.0.saturating_sub(FUEL_MAX);
    let mut context = Context {
        saved_stack: 0,
        fuel: Fuel(fuel.0 - beyond),
        base: cage.base(),
        target: compiled.functions[entry],
        functions: compiled.functions.as_ptr(),
        arguments,
        result: [0; 2],
        trap: 0,
        detail: 0,
        host: Host { cage, helpers, program, tail_calls: 0, fault: None, fault_pc: 0 },
    };
    let result = call(compiled, &mut context);
    *fuel = Fuel(context.fuel.0.wrapping_add(beyond));
    match TrapKind::unpack(context.trap) {
        None => Ok(result),
        Some((TrapKind::OutOfFuel, pc)) => {
            // A jump takes its cost before it knows whether there was enough.
            fuel.0 = fuel.0.wrapping_add(context.detail);
            Err(Trap::OutOfFuel { pc })
        }
        Some((kind, pc)) => Err(trap(compiled, &context, kind, pc)),
    }
}

fn call(compiled: &Compiled, context: &mut Context<'_>) -> u64 {
    let window = context.host.cage.window();
    let context: *mut Context<'_> = context;
    let active = Active { code: compiled.range.clone(), window, context: context.cast() };
    let outer = signal::begin(&active);
    // SAFETY: `compiled` is borrowed for the call and owns the code; `context` was made for it and for this cage, which it borrows
    // mutably, and nothing else uses it until the call returns. Generated code touches only the context, the window (faults come
    // back through `leave`), its own stack, and what the functions below do.
    let result = unsafe { trampoline::enter(context) };
    signal::end(outer);
    result
}

fn trap(compiled: &Compiled, context: &Context<'_>, kind: TrapKind, pc: u32) -> Trap {
    match kind {
        TrapKind::OutOfFuel => Trap::OutOfFuel { pc },
        TrapKind::Unaligned => Trap::Unaligned { pc, address: context.detail as u32 },
        TrapKind::CallDepth => Trap::CallDepth { pc },
        TrapKind::NotAFunction => Trap::NotAFunction { pc, value: context.detail },
        TrapKind::Helper => helper_trap(pc, context.detail as u32, context.host.fault.unwrap_or(HelperFault::Panicked)),
        TrapKind::Memory => {
            let site = compiled.site(context.host.fault_pc);
            let (pc, operation) = site.map_or((0, Operation::Load), |site| (site.pc, site.operation));
            Trap::Memory { pc, operation, address: context.detail as u32 }
        }
    }
}

/// What generated code calls for a helper: 0 if [`Context::result`] has the answer, 1 if [`Host::fault`] has the reason.
///
/// # Safety
/// Called by generated code with the context of its run.
pub(super) unsafe extern "C" fn call_helper(context: *mut Context<'_>, number: u64) -> u64 {
    // SAFETY: generated code passes the context of its run, which `call` keeps alive and does not touch meanwhile.
    let context = unsafe { &mut *context };
    let host = &mut context.host;
    let called = invoke(host.helpers, number as u32, context.arguments, &mut host.cage.memory(), &mut context.fuel);
    match called {
        Ok(result) => {
            context.result[0] = result;
            0
        }
        Err(fault) => {
            host.fault = Some(fault);
            1
        }
    }
}

/// What generated code calls for `tail_call`: machine code to go on in; 0 if [`Context::result`] has what to return instead; 1 if
/// [`Host::fault`] has the reason.
///
/// # Safety
/// Called by generated code with the context of its run.
pub(super) unsafe extern "C" fn find_program(context: *mut Context<'_>, programs: u64, index: u64) -> u64 {
    // SAFETY: generated code passes the context of its run, which `call` keeps alive and does not touch meanwhile.
    let context = unsafe { &mut *context };
    let host = &mut context.host;
    let fault = HelperFault::Argument { index: 2, value: programs };
    let entry = match host.cage.maps().ok_or(fault).and_then(|maps| maps.program(programs, index as u32)) {
        Ok(entry) => entry,
        Err(fault) => {
            host.fault = Some(fault);
            return 1;
        }
    };
    let Some(target) = entry.and_then(|entry| host.program.entry(entry)) else {
        context.result[0] = NO_SUCH_PROGRAM;
        return 0;
    };
    if host.tail_calls == TAIL_CALLS_MAX {
        context.result[0] = TOO_MANY_TAIL_CALLS;
        return 0;
    }
    host.tail_calls += 1;
    // SAFETY: the table has an address for each function of the program.
    let code = unsafe { *context.functions.add(target) };
    code as u64
}

/// What generated code calls for a `callx` on something that is no function: as [`call_helper`], or 2 if it is no helper, either.
///
/// # Safety
/// As for [`call_helper`].
pub(super) unsafe extern "C" fn call_helper_in_register(context: *mut Context<'_>, value: u64) -> u64 {
    // SAFETY: generated code passes the context of its run, which `call` keeps alive and does not touch meanwhile.
    let target = unsafe { &*context }.host.program.target;
    match helper_in_register(target, value) {
        // SAFETY: what our caller promises.
        Some(number) => unsafe { call_helper(context, number.into()) },
        None => 2,
    }
}

/// What generated code calls for `i128_mul`: the product goes to [`Context::result`]; 1 if it wrapped.
///
/// # Safety
/// Called by generated code with the context of its run.
pub(super) unsafe extern "C" fn multiply(context: *mut Context<'_>, a_low: u64, a_high: u64, b_low: u64, b_high: u64) -> u64 {
    // SAFETY: generated code passes the context of its run, which `call` keeps alive and does not touch meanwhile.
    let context = unsafe { &mut *context };
    wide_arithmetic(context, WideOp::Mul, wide(a_low, a_high), wide(b_low, b_high))
}

/// What generated code calls for `i128_div`: the quotient goes to [`Context::result`]; 1 if it wrapped, or the divisor is zero.
///
/// # Safety
/// Called by generated code with the context of its run.
pub(super) unsafe extern "C" fn divide(context: *mut Context<'_>, a_low: u64, a_high: u64, b_low: u64, b_high: u64) -> u64 {
    // SAFETY: generated code passes the context of its run, which `call` keeps alive and does not touch meanwhile.
    let context = unsafe { &mut *context };
    wide_arithmetic(context, WideOp::Div, wide(a_low, a_high), wide(b_low, b_high))
}

/// What generated code calls for `f64_from_i128`.
pub(super) extern "C" fn float_from_wide(low: u64, high: u64) -> u64 {
    intrinsic::float_from_wide(wide(low, high))
}

fn wide(low: u64, high: u64) -> i128 {
    i128::from(high.cast_signed()) << 64 | i128::from(low)
}

fn wide_arithmetic(context: &mut Context<'_>, op: WideOp, a: i128, b: i128) -> u64 {
    let (value, wrapped) = op.apply(a, b);
    context.result = [value as u64, (value >> 64) as u64];
    wrapped.into()
}
