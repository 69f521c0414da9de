//! The way into generated code, and the ways out.
//!
//! [`enter`] saves what a callee must preserve and where the stack was; [`leave`] restores both from anywhere inside, so that a trap
//! in the eighth frame ends the run like one in the first. Only generated code lies between the two, which has nothing to clean up.
#![expect(unsafe_code, reason = "the stack is switched back by hand")]

use std::arch::naked_asm;
use std::mem::offset_of;

use super::context::Context;
use crate::memory::STACK_TOP;

/// Calls the function that `context` names, by the convention of the program's functions: context, frame pointer, r1 to r5. Returns what it returns, or anything
/// after [`leave`].
///
/// # Safety
/// `context` is valid for reads and writes, belongs to this run, and describes a compiled module that outlives the call.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn enter(context: *mut Context<'_>) -> u64 {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "mov [rdi + {saved_stack}], rsp",
        "mov rax, [rdi + {arguments} + 32]",
        "mov [rsp], rax",
        "mov esi, {stack_top}",
        "mov rdx, [rdi + {arguments}]",
        "mov rcx, [rdi + {arguments} + 8]",
        "mov r8, [rdi + {arguments} + 16]",
        "mov r9, [rdi + {arguments} + 24]",
        "call [rdi + {target}]",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        saved_stack = const offset_of!(Context<'static>, saved_stack),
        arguments = const offset_of!(Context<'static>, arguments),
        target = const offset_of!(Context<'static>, target),
        stack_top = const STACK_TOP,
    )
}

/// Ends the run of `context`: returns from its [`enter`].
///
/// # Safety
/// Called by generated code of that run, on its thread, with no Rust frame in between.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn leave(context: *mut Context<'_>) -> ! {
    naked_asm!(
        "mov rsp, [rdi + {saved_stack}]",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        saved_stack = const offset_of!(Context<'static>, saved_stack),
    )
}

/// Calls the function that `context` names, by the convention of the program's functions: context, frame pointer, r1 to r5. Returns what it returns, or anything
/// after [`leave`].
///
/// # Safety
/// `context` is valid for reads and writes, belongs to this run, and describes a compiled module that outlives the call.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn enter(context: *mut Context<'_>) -> u64 {
    naked_asm!(
        "stp x29, x30, [sp, #-160]!",
        "mov x29, sp",
        "stp x19, x20, [sp, #16]",
        "stp x21, x22, [sp, #32]",
        "stp x23, x24, [sp, #48]",
        "stp x25, x26, [sp, #64]",
        "stp x27, x28, [sp, #80]",
        "stp d8, d9, [sp, #96]",
        "stp d10, d11, [sp, #112]",
        "stp d12, d13, [sp, #128]",
        "stp d14, d15, [sp, #144]",
        "str x29, [x0, {saved_stack}]",
        "mov w1, {stack_top}",
        "ldr x2, [x0, {arguments}]",
        "ldr x3, [x0, {arguments} + 8]",
        "ldr x4, [x0, {arguments} + 16]",
        "ldr x5, [x0, {arguments} + 24]",
        "ldr x6, [x0, {arguments} + 32]",
        "ldr x9, [x0, {target}]",
        "blr x9",
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp d8, d9, [sp, #96]",
        "ldp d10, d11, [sp, #112]",
        "ldp d12, d13, [sp, #128]",
        "ldp d14, d15, [sp, #144]",
        "ldp x29, x30, [sp], #160",
        "ret",
        saved_stack = const offset_of!(Context<'static>, saved_stack),
        arguments = const offset_of!(Context<'static>, arguments),
        target = const offset_of!(Context<'static>, target),
        stack_top = const STACK_TOP,
    )
}

/// Ends the run of `context`: returns from its [`enter`].
///
/// # Safety
/// Called by generated code of that run, on its thread, with no Rust frame in between.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn leave(context: *mut Context<'_>) -> ! {
    naked_asm!(
        "ldr x9, [x0, {saved_stack}]",
        "mov sp, x9",
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp d8, d9, [sp, #96]",
        "ldp d10, d11, [sp, #112]",
        "ldp d12, d13, [sp, #128]",
        "ldp d14, d15, [sp, #144]",
        "ldp x29, x30, [sp], #160",
        "ret",
        saved_stack = const offset_of!(Context<'static>, saved_stack),
    )
}
