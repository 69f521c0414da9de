//! How deep local calls go, where that can be told without running the program.

use nearside_programs::isa::{CallTarget, Instruction};

use super::{CompileError, FRAMES_MAX, Program, Reason, jump_target};

/// Refuses a chain of local calls that needs more frames than there are. Functions on or behind a recursion, and `callx`, are left
/// to run time.
///
/// A function is looked at once all its callers were (Kahn's order), so the pass is linear.
pub(super) fn check_depth(program: &Program) -> Result<(), CompileError> {
    let calls = local_calls(program);
    let mut callers = vec![0_u32; program.functions.len()];
    for call in &calls {
        callers[call.callee] += 1;
    }
    // Frames in use when the function runs, at most.
    let mut depth = vec![1; program.functions.len()];
    let mut ready: Vec<usize> = (0..callers.len()).filter(|&function| callers[function] == 0).collect();
    while let Some(function) = ready.pop() {
        let first = calls.partition_point(|call| call.caller < function);
        for call in calls[first..].iter().take_while(|call| call.caller == function) {
            depth[call.callee] = depth[call.callee].max(depth[function] + 1);
            if depth[call.callee] > FRAMES_MAX {
                return Err(CompileError::at(call.pc, Reason::CallDepth));
            }
            callers[call.callee] -= 1;
            if callers[call.callee] == 0 {
                ready.push(call.callee);
            }
        }
    }
    Ok(())
}

struct LocalCall {
    pc: usize,
    caller: usize,
    callee: usize,
}

/// By ascending `pc`, and so by ascending caller.
fn local_calls(program: &Program) -> Vec<LocalCall> {
    let in_function = |(caller, function): (usize, &super::Function)| {
        (function.start..function.end).filter_map(move |pc| match program.instructions[pc] {
            Instruction::Call(CallTarget::Local(offset)) => {
                program.function_at(jump_target(pc, offset)).map(|callee| LocalCall { pc, caller, callee })
            }
            _ => None,
        })
    };
    program.functions.iter().enumerate().flat_map(in_function).collect()
}
