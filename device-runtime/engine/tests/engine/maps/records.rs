//! Ring buffers and perf event arrays.

use nearside_engine::{EVENT_LEN_MAX, EVENT_QUEUE_LEN, Fuel, MapError, MapHelpers, PacketBytes, RESERVED_MAX};
use nearside_programs::MapKind;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{KEY, VALUE, World, compile, errno, reference, spec};
use crate::common::{FUEL, READ_ONLY, text_code};

const OUTPUT: u32 = 130;
const RESERVE: u32 = 131;
const SUBMIT: u32 = 132;
const DISCARD: u32 = 133;
const QUERY: u32 = 134;

fn world() -> World {
    World::new(&[spec("ring", MapKind::RingBuffer, 0, 0, 4096)])
}

fn query(world: &mut World) -> [u64; 5] {
    [0, 1, 2, 3, 4].map(|what| world.call(QUERY, [reference(0), what, 0, 0, 0]).unwrap())
}

/// Records come out in order, whole, however they lie in the ring; positions are the kernel's, headers included.
#[test]
fn outputs_come_out_in_order() {
    let mut world = world();
    let mut random = StdRng::seed_from_u64(7);
    let (mut expected, mut produced, mut consumed) = (std::collections::VecDeque::new(), 0, 0);
    for _ in 0..2000 {
        let record: Vec<u8> = (0..random.random_range(0..700)).map(|_| random.random()).collect();
        let taken = (record.len() as u64 + 8).next_multiple_of(8);
        let fits = produced + taken - consumed < 4096;
        world.put(VALUE, &record);
        let result = world.call(OUTPUT, [reference(0), VALUE, record.len() as u64, random.random_range(0..3), 0]);
        assert_eq!(result, Ok(if fits { 0 } else { errno(libc::EAGAIN) }));
        if fits {
            produced += taken;
            expected.push_back(record);
        }
        for taken in world.host(0, |host| host.consume(2).unwrap()) {
            let record: Vec<u8> = expected.pop_front().unwrap();
            consumed += (record.len() as u64 + 8).next_multiple_of(8);
            assert_eq!(taken, record);
        }
        assert_eq!(query(&mut world), [produced - consumed, 4096, consumed, produced, 0]);
    }
    assert!(produced > 20 * 4096);
}

/// A busy record holds back those behind it; a discarded one is never seen. A run's own records are discarded if it forgets them.
#[test]
fn records_wait_for_those_before_them() {
    let text = format!(
        "r6 = r1\nr2 = 0x10\nr3 = 0x0\ncall {RESERVE:#x}\nif r0 == 0x0 goto +0xe\nr7 = r0\n*(u64 *)(r7 + 0x0) = 0x1\n*(u64 *)(r7 + 0x8) = 0x2\n\
         r1 = r6\nr2 = r10\nr2 += -0x8\nr3 = 0x8\nr4 = 0x0\ncall {OUTPUT:#x}\nr1 = r7\nr2 = 0x0\ncall {{end}}\nr0 = 0x0\nexit\nr0 = 0x1\nexit"
    );
    let run = |world: &mut World, end: u32| {
        let slots = text_code(&text.replace("{end}", &format!("{end:#x}"))).code;
        for side in &mut world.sides {
            let module = compile(&slots, &[0], &world.specs, side.backend);
            let run = module.run(&mut side.cage, 0, [reference(0), 0, 0, 0, 0], &mut Fuel(FUEL), &mut MapHelpers::new(0));
            assert_eq!(run, Ok(0));
        }
    };
    let mut world = world();
    run(&mut world, SUBMIT);
    let first = [1_u64.to_le_bytes(), 2_u64.to_le_bytes()].concat();
    assert_eq!(world.host(0, |host| host.consume(1)), Ok(vec![first.clone()]));
    assert_eq!(world.host(0, |host| host.consume(9)), Ok(vec![vec![0; 8]]));
    run(&mut world, DISCARD);
    assert_eq!(world.host(0, |host| host.consume(9)), Ok(vec![vec![0; 8]]));
    assert_eq!(query(&mut world)[0], 0);
    // `get_smp_processor_id` in place of the end: the reservation is forgotten, and what came after it is still seen.
    run(&mut world, 8);
    assert_eq!(world.host(0, |host| host.consume(9)), Ok(vec![vec![0; 8]]));
    // While a run lasts, its record is busy.
    let slots = text_code(&format!("call {RESERVE:#x}\nexit")).code;
    for side in &mut world.sides {
        let module = compile(&slots, &[0], &world.specs, side.backend);
        let mut helpers = MapHelpers::new(0);
        let run = module.run(&mut side.cage, 0, [reference(0), 8, 0, 0, 0], &mut Fuel(FUEL), &mut helpers);
        assert!(run.unwrap() > 0);
        let host = side.maps.host(0).unwrap();
        let mut other = MapHelpers::new(1);
        let output = other.call(OUTPUT, [reference(0), KEY, 4, 0, 0], &mut side.cage.memory(), &mut Fuel(FUEL));
        assert_eq!(output, Some(Ok(0)));
        assert_eq!(host.consume(9), Ok(vec![]));
        drop(helpers);
        assert_eq!(host.consume(9).unwrap().len(), 1);
    }
}

/// Refused with the kernel's values.
#[test]
fn rings_have_limits() {
    let mut world = world();
    let mut reserve = |len, flags| world.call(RESERVE, [reference(0), len, flags, 0, 0]).unwrap();
    assert_eq!(reserve(8, 1), 0);
    for len in [4096, 4089, u64::from(u32::MAX / 4) + 1, u64::MAX] {
        assert_eq!(reserve(len, 0), 0, "{len}");
    }
    // 4088 and a header are the whole ring, which is never full.
    assert_eq!(reserve(4088, 0), 0);
    assert!(reserve(4080, 0) > 0);
    assert_eq!(reserve(0, 0), 0);
    let mut output = |len, flags| world.call(OUTPUT, [reference(0), VALUE, len, flags, 0]).unwrap();
    assert_eq!(output(8, 4), errno(libc::EINVAL));
    assert_eq!(output(8, 0), errno(libc::EAGAIN));
    assert_eq!(output(u64::MAX, 0), errno(libc::EAGAIN));
    assert_eq!(world.host(0, |host| host.lookup(&[])), Err(MapError::NotSupported));
    assert_eq!(world.host(0, |host| host.update(&[], &[], 0)), Err(MapError::NotSupported));
    // A run reserves so many at a time.
    let text = format!(
        "r6 = r1\nr7 = 0x0\nr1 = r6\nr2 = 0x0\nr3 = 0x0\ncall {RESERVE:#x}\nif r0 == 0x0 goto +0x2\nr7 += 0x1\ngoto -0x7\nr0 = r7\nexit"
    );
    let slots = text_code(&text).code;
    assert!(world.host(0, |host| host.consume(9)).is_ok());
    for side in &mut world.sides {
        let module = compile(&slots, &[0], &world.specs, side.backend);
        let run = module.run(&mut side.cage, 0, [reference(0), 0, 0, 0, 0], &mut Fuel(FUEL), &mut MapHelpers::new(0));
        assert_eq!(run, Ok(RESERVED_MAX as u64));
    }
}

/// Records go to the CPU's own queue, which is bounded; what it loses is counted.
#[test]
fn events() {
    let mut world = World::new(&[spec("events", MapKind::PerfEventArray, 4, 4, 2)]);
    world.put(VALUE, b"event");
    let any = u64::from(u32::MAX);
    let output = |world: &mut World, flags, len| world.call(25, [0, reference(0), flags, VALUE, len]).unwrap();
    world.cpu = 1;
    assert_eq!(output(&mut world, any, 5), 0);
    assert_eq!(output(&mut world, 1, 3), 0);
    assert_eq!(output(&mut world, 0, 5), errno(libc::EOPNOTSUPP));
    assert_eq!(output(&mut world, 2, 5), errno(libc::E2BIG));
    assert_eq!(output(&mut world, any | 1 << 52, 5), errno(libc::EINVAL));
    assert_eq!(output(&mut world, any | 1 << 32, 5), errno(libc::EFAULT));
    assert_eq!(output(&mut world, any, EVENT_LEN_MAX as u64 + 1), errno(libc::E2BIG));
    world.cpu = 2;
    assert_eq!(output(&mut world, any, 5), errno(libc::E2BIG));
    let take = |world: &World, cpu, max| world.host(0, |host| host.take_events(cpu, max));
    assert_eq!(take(&world, 1, 1), Ok((vec![b"event".to_vec()], 0)));
    assert_eq!(take(&world, 1, 9), Ok((vec![b"eve".to_vec()], 0)));
    assert_eq!(take(&world, 0, 9), Ok((vec![], 0)));
    assert_eq!(take(&world, 2, 9), Err(MapError::NotFound));
    world.cpu = 0;
    let fit = EVENT_QUEUE_LEN / (60_000 + 32);
    for round in 0..fit + 3 {
        let expected = if round < fit { 0 } else { errno(libc::ENOSPC) };
        assert_eq!(output(&mut world, any, 60_000), expected, "{round}");
    }
    assert_eq!(take(&world, 0, 1).map(|(records, lost)| (records.len(), lost)), Ok((1, 3)));
    assert_eq!(output(&mut world, any, 60_000), 0);
    // With some of the packet.
    let packet = Some(PacketBytes { address: READ_ONLY, len: 100 });
    for side in &mut world.sides {
        let mut helpers = MapHelpers::new(1);
        let mut output = |flags, side: &mut super::world::Side| {
            let arguments = [0, reference(0), flags, VALUE, 5];
            helpers.perf_event_output(arguments, packet, &mut side.cage.memory(), &mut Fuel(FUEL))
        };
        assert_eq!(output(any | 100 << 32, side), Ok(0));
        assert_eq!(output(any | 101 << 32, side), Ok(errno(libc::EFAULT)));
        let records = side.maps.host(0).unwrap().take_events(1, 9).unwrap().0;
        assert_eq!(records, [[b"event".as_slice(), &[0; 100]].concat()]);
    }
}
