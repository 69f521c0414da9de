//! Several threads on the same maps: totals are exact, nothing is lost or invented.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nearside_engine::{Cage, Fuel, MapHelpers, Maps};
use nearside_programs::isa::Slot;
use nearside_programs::{MapKind, MapSpec};

use super::{BACKENDS, compile, spec, try_maps};
use crate::common::text_code;

const THREADS: u32 = 4;
const ROUNDS: u64 = 3000;

/// Runs a program `ROUNDS` times on each thread, half of them in each engine, with r1 = the round; meanwhile, `watch`.
fn hammer(slots: &[Slot], specs: &[MapSpec], maps: &Arc<Maps>, watch: impl Fn() + Sync) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|cpu| {
                let module = compile(slots, &[0], specs, BACKENDS[cpu as usize % 2]);
                scope.spawn(move || {
                    let mut cage = Cage::new(&[]).unwrap();
                    cage.attach(maps).unwrap();
                    for round in 0..ROUNDS {
                        let mut helpers = MapHelpers::new(cpu);
                        let run = module.run(&mut cage, 0, [round, cpu.into(), 0, 0, 0], &mut Fuel(10_000), &mut helpers);
                        assert_eq!(run, Ok(0));
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                watch();
            }
        });
        let outcomes: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        done.store(true, Ordering::Relaxed);
        assert!(outcomes.iter().all(Result::is_ok));
    });
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

/// Atomic additions of both widths, next to each other in one word, from interpreter and machine code; plain ones on the CPU's own.
#[test]
fn additions_are_exact() {
    let specs = [spec("sums", MapKind::Array, 4, 16, 1), spec("own", MapKind::PerCpuArray, 4, 8, 1)];
    let text = "ld_pseudo r6, 0x6, 0x0, 0x0\nr1 = 0x1\nlock *(u32 *)(r6 + 0x0) += r1\nr1 = 0x3\nlock *(u32 *)(r6 + 0x4) += r1\n\
                r1 = 0x5\nlock *(u64 *)(r6 + 0x8) += r1\n*(u32 *)(r10 - 0x4) = 0x0\nr2 = r10\nr2 += -0x4\nld_pseudo r1, 0x5, 0x1\ncall 0x1\n\
                if r0 == 0x0 goto +0x4\nr1 = *(u64 *)(r0 + 0x0)\nr1 += 0x1\n*(u64 *)(r0 + 0x0) = r1\nr0 = 0x0\nexit";
    let maps = try_maps(&specs, THREADS).unwrap();
    let total = u64::from(THREADS) * ROUNDS;
    hammer(&text_code(text).code, &specs, &maps, || {
        let value = maps.reader(0).unwrap().lookup(&[0; 4]).unwrap().unwrap();
        let (small, wide) = (number(&value), number(&value[8..]));
        assert!(u64::from(small as u32) <= total && small >> 32 <= 3 * total && wide <= 5 * total && wide % 5 == 0);
    });
    let value = maps.reader(0).unwrap().lookup(&[0; 4]).unwrap().unwrap();
    assert_eq!((number(&value), number(&value[8..])), (total | (3 * total) << 32, 5 * total));
    let own = maps.reader(1).unwrap().lookup(&[0; 4]).unwrap().unwrap();
    assert!(own.chunks(8).all(|value| number(value) == ROUNDS));
}

/// Threads insert and delete their own keys; a reader sees values that belong to their keys, and no key twice.
#[test]
fn entries_come_and_go() {
    for kind in [MapKind::Hash, MapKind::LruHash] {
        let specs = [spec("hash", kind, 8, 16, 64)];
        // Key: thread, round % 8. Value: the key, twice. Deletes every third.
        let text = "r6 = r1\nr1 &= 0x7\nr2 <<= 0x8\nr1 |= r2\n*(u64 *)(r10 - 0x8) = r1\n*(u64 *)(r10 - 0x18) = r1\n*(u64 *)(r10 - 0x10) = r1\n\
                    ld_pseudo r1, 0x5, 0x0\nr2 = r10\nr2 += -0x8\nr3 = r10\nr3 += -0x18\nr4 = 0x0\ncall 0x2\nif r0 != 0x0 goto +0x7\n\
                    r6 %= 0x3\nif r6 != 0x0 goto +0x5\nld_pseudo r1, 0x5, 0x0\nr2 = r10\nr2 += -0x8\ncall 0x3\nexit";
        let maps = try_maps(&specs, THREADS).unwrap();
        hammer(&text_code(text).code, &specs, &maps, || {
            let mut entries = maps.reader(0).unwrap().batch(0, 1000).unwrap().entries;
            assert!(entries.iter().all(|(key, value)| key == &value[..8] && key == &value[8..]), "{entries:x?}");
            entries.sort();
            assert!(entries.windows(2).all(|pair| pair[0].0 != pair[1].0) && entries.len() <= 64);
        });
    }
}

/// Every record of every thread arrives once, a thread's own in order.
#[test]
fn records_arrive() {
    let specs = [spec("ring", MapKind::RingBuffer, 0, 0, 1 << 19)];
    let text = "r6 = r1\nr7 = r2\nld_pseudo r1, 0x5, 0x0\nr2 = 0x10\nr3 = 0x0\ncall 0x83\nif r0 == 0x0 goto -0x6\n\
                *(u64 *)(r0 + 0x0) = r6\n*(u64 *)(r0 + 0x8) = r7\nr1 = r0\nr2 = 0x0\ncall 0x84\nr0 = 0x0\nexit";
    let maps = try_maps(&specs, THREADS).unwrap();
    let seen = std::sync::Mutex::new(vec![0; THREADS as usize]);
    let consume = || {
        let mut seen = seen.lock().unwrap();
        for record in maps.host(0).unwrap().consume(100).unwrap() {
            let next = &mut seen[number(&record[8..]) as usize];
            assert_eq!(number(&record), *next);
            *next += 1;
        }
    };
    hammer(&text_code(text).code, &specs, &maps, consume);
    while seen.lock().unwrap().iter().any(|count| *count < ROUNDS) {
        consume();
    }
    assert_eq!(*seen.lock().unwrap(), vec![ROUNDS; THREADS as usize]);
}
