//! `bpf(2)`: loads a program into the kernel and runs it on bytes.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nearside_programs::isa::Slot;

/// Program types of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Type {
    SocketFilter = 1,
    Xdp = 6,
}

const PROG_LOAD: libc::c_long = 5;
const PROG_TEST_RUN: libc::c_long = 10;

/// Bytes of what the verifier has to say.
const LOG_LEN: usize = 1 << 16;

/// `union bpf_attr` for `BPF_PROG_LOAD`, its first fields.
#[repr(C)]
#[derive(Default)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// `union bpf_attr` for `BPF_PROG_TEST_RUN`, its first fields.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
}

/// A loaded program.
pub(super) struct Program(OwnedFd);

/// What the kernel said, with its verifier's words if it has any.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) error: io::Error,
    pub(super) log: String,
}

impl Program {
    pub(super) fn load(kind: Type, slots: &[Slot]) -> Result<Self, Refused> {
        let bytes: Vec<u8> = slots.iter().flat_map(|slot| slot.to_bytes()).collect();
        let mut log = vec![0_u8; LOG_LEN];
        let mut attributes = Load {
            prog_type: kind as u32,
            insn_cnt: slots.len() as u32,
            insns: bytes.as_ptr() as u64,
            license: c"GPL".as_ptr() as u64,
            log_level: 1,
            log_size: LOG_LEN as u32,
            log_buf: log.as_mut_ptr() as u64,
            ..Load::default()
        };
        match bpf(PROG_LOAD, &mut attributes) {
            // SAFETY: the call succeeded, so this is a descriptor that nobody else has.
            Ok(descriptor) => Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) })),
            Err(error) => {
                let end = log.iter().position(|byte| *byte == 0).unwrap_or(0);
                Err(Refused { error, log: String::from_utf8_lossy(&log[..end]).into_owned() })
            }
        }
    }

    /// The low 32 bits of r0.
    pub(super) fn run(&self, packet: &[u8]) -> io::Result<u32> {
        let mut attributes = TestRun {
            prog_fd: self.0.as_raw_fd() as u32,
            data_size_in: packet.len() as u32,
            data_in: packet.as_ptr() as u64,
            repeat: 1,
            ..TestRun::default()
        };
        bpf(PROG_TEST_RUN, &mut attributes).map(|_| attributes.retval)
    }
}

fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<i32> {
    let attributes: *mut T = attributes;
    // SAFETY: the attributes are fields the command has, in its order, with pointers to memory that outlives the call and the lengths
    // of it; the kernel takes what follows them as 0.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}
