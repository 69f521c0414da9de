//! The kernel's own maps, by `bpf(2)`: the same operations have the same outcome there. Needs root.
#![expect(unsafe_code, reason = "bpf(2)")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nearside_engine::MapReader;
use nearside_programs::{MapKind, MapSpec};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::model::{flags, key, specs, value};
use super::{spec, try_maps};

const CREATE: libc::c_long = 0;
const LOOKUP: libc::c_long = 1;
const UPDATE: libc::c_long = 2;
const DELETE: libc::c_long = 3;
const NEXT_KEY: libc::c_long = 4;

/// `union bpf_attr` of these commands; zeros behind it are as good as absent.
#[derive(Default)]
#[repr(C, align(8))]
struct Attributes {
    words: [u64; 16],
}

/// A map in the kernel.
struct KernelMap {
    file: OwnedFd,
    value_len: usize,
}

fn bpf(command: libc::c_long, attributes: &mut Attributes) -> Result<i32, i32> {
    // SAFETY: `attributes` is a whole `bpf_attr` of its size; pointers in it are of buffers that live across the call and are as long
    // as the map's keys and values.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<Attributes>()) };
    if result < 0 { Err(io::Error::last_os_error().raw_os_error().unwrap()) } else { Ok(result as i32) }
}

/// CPUs the kernel has per-CPU values for.
fn possible_cpus() -> usize {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap();
    text.trim().rsplit(['-', ',']).next().unwrap().parse::<usize>().unwrap() + 1
}

impl KernelMap {
    fn new(spec: &MapSpec, value_len: usize) -> Result<Self, i32> {
        let mut attributes = Attributes::default();
        attributes.words[0] = u64::from(spec.kind.number()) | u64::from(spec.key_len) << 32;
        attributes.words[1] = u64::from(spec.value_len) | u64::from(spec.entries_max) << 32;
        attributes.words[2] = spec.flags.into();
        let file = bpf(CREATE, &mut attributes)?;
        // SAFETY: the kernel just made it for us.
        Ok(Self { file: unsafe { OwnedFd::from_raw_fd(file) }, value_len })
    }

    fn command(&self, command: libc::c_long, key: *const u8, value: *mut u8, flags: u64) -> Result<(), i32> {
        let words = [self.file.as_raw_fd() as u64, key as u64, value as u64, flags];
        let mut attributes = Attributes::default();
        attributes.words[..4].copy_from_slice(&words);
        bpf(command, &mut attributes).map(|_| ())
    }

    fn lookup(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut value = vec![0; self.value_len];
        self.command(LOOKUP, key.as_ptr(), value.as_mut_ptr(), 0).ok().map(|()| value)
    }

    fn update(&self, key: &[u8], value: &[u8], flags: u64) -> i32 {
        self.command(UPDATE, key.as_ptr(), value.to_vec().as_mut_ptr(), flags).err().unwrap_or(0)
    }

    fn delete(&self, key: &[u8]) -> i32 {
        self.command(DELETE, key.as_ptr(), std::ptr::null_mut(), 0).err().unwrap_or(0)
    }

    fn entries(&self, key_len: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut entries = Vec::new();
        let (mut key, mut next) = (std::ptr::null(), vec![0; key_len]);
        let mut last;
        while self.command(NEXT_KEY, key, next.as_mut_ptr(), 0).is_ok() {
            entries.extend(self.lookup(&next).map(|value| (next.clone(), value)));
            last = next.clone();
            key = last.as_ptr();
        }
        entries
    }
}

/// Why these tests cannot run here.
fn skipped(test: &str) -> bool {
    match KernelMap::new(&spec("probe", MapKind::Array, 4, 4, 1), 4) {
        Ok(_) => false,
        Err(errno) => {
            println!("SKIP {test}: bpf(2): {}", io::Error::from_raw_os_error(errno));
            true
        }
    }
}

/// The host's operations, and what is there in the end.
#[test]
fn the_kernels_maps_do_the_same() {
    if skipped("the_kernels_maps_do_the_same") {
        return;
    }
    let cpus = possible_cpus() as u32;
    let devices = [spec("devmap", MapKind::DevMap, 4, 4, 5), spec("devmap_hash", MapKind::DevMapHash, 4, 4, 5)];
    for (seed, spec) in specs().iter().chain(&devices).enumerate() {
        let maps = try_maps(std::slice::from_ref(spec), cpus).unwrap();
        let ours = maps.host(0).unwrap();
        let kernel = KernelMap::new(spec, ours.value_len()).unwrap();
        let mut random = StdRng::seed_from_u64(seed as u64);
        for _ in 0..3000 {
            // The kernel's system call looks at higher flags itself.
            let (key, flags) = (key(&mut random, spec), flags(&mut random));
            let context = format!("{} {key:x?} {flags}", spec.name);
            match random.random_range(0..10) {
                0..3 => assert_eq!(ours.lookup(&key), Ok(kernel.lookup(&key)), "{context}"),
                3..7 => {
                    let value = given(&mut random, spec, &ours);
                    let outcome = ours.update(&key, &value, flags).map_or_else(|error| error.errno(), |()| 0);
                    assert_eq!(outcome, kernel.update(&key, &value, flags), "{context}");
                }
                _ => {
                    let outcome = ours.delete(&key).map_or_else(|error| error.errno(), |()| 0);
                    assert_eq!(outcome, kernel.delete(&key), "{context}");
                }
            }
        }
        let (mut found, mut expected) = (ours.entries().unwrap(), kernel.entries(spec.key_len as usize));
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{}", spec.name);
    }
}

/// A value for every CPU; of a devmap, the loopback interface or none.
fn given(random: &mut StdRng, spec: &MapSpec, ours: &MapReader<'_>) -> Vec<u8> {
    if matches!(spec.kind, MapKind::DevMap | MapKind::DevMapHash) {
        return vec![random.random_range(0..2), 0, 0, 0];
    }
    let padded = (ours.value_len() > spec.value_len as usize).then(|| spec.value_len.next_multiple_of(8) as usize);
    let padded = padded.unwrap_or(spec.value_len as usize);
    let value = |_| [value(random, spec), vec![0; padded - spec.value_len as usize]].concat();
    (0..ours.value_len() / padded).flat_map(value).collect()
}

/// What cannot be declared here cannot be created there, and the other way round, except where the difference is named.
#[test]
fn the_kernel_takes_the_same_declarations() {
    if skipped("the_kernel_takes_the_same_declarations") {
        return;
    }
    use MapKind::*;
    let kinds = [
        Hash,
        Array,
        ProgramArray,
        PerfEventArray,
        PerCpuHash,
        PerCpuArray,
        LruHash,
        LruPerCpuHash,
        LpmTrie,
        DevMap,
        DevMapHash,
        RingBuffer,
    ];
    for kind in kinds {
        for key_len in [0, 1, 4, 5, 260, 261] {
            for value_len in [0, 4, 5, 8, 32_768, 32_769] {
                for entries in [0, 1, 4096, 12_288] {
                    for flags in [0, 1, 1 << 7, 1 << 20] {
                        // Here, a prefix map may do without BPF_F_NO_PREALLOC, a devmap is read-only in any case, and a perf event array with as
                        // many elements as CPUs may be declared with none.
                        let ours_only = kind == LpmTrie && flags & 1 == 0 || kind == PerfEventArray && entries == 0;
                        let spec = MapSpec { flags, ..spec("map", kind, key_len, value_len, entries) };
                        let kernel = KernelMap::new(&spec, 0).map(|_| ());
                        let out_of_memory = kernel == Err(libc::ENOMEM);
                        if !ours_only && !out_of_memory && u64::from(entries) * u64::from(value_len) < 1 << 20 {
                            assert_eq!(try_maps(std::slice::from_ref(&spec), 1).is_ok(), kernel.is_ok(), "{spec:?}: {kernel:?}");
                        }
                    }
                }
            }
        }
    }
}
