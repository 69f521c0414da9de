//! Packets: where they are, what helpers do to them, what becomes of them; the same in both engines.

use nearside_engine::packet::{Mode, Packet, PacketError, Redirect, Verdict};
use nearside_engine::{Code, Fuel, HelperFault, Trap};
use nearside_programs::abi::packet::{Action, PACKET_LEN_MAX};
use nearside_programs::isa::Slot;
use nearside_programs::manifest::Target;
use nearside_programs::{MapKind, MapSpec};

use crate::common::{FUEL, text_code};
use crate::lanes::{Lane, Lanes, Outcome};

/// CPUs that per-CPU maps have a value for.
const CPUS: u32 = 4;

/// Programs over packets of one interface and queue.
struct Both(Lanes);

impl Both {
    fn new(text: &str) -> Self {
        Self::with_code(&text_code(text).code, &[])
    }

    fn with_code(slots: &[Slot], specs: &[MapSpec]) -> Self {
        let lanes = Lanes::new(Code { slots, entries: &[0], maps: specs, target: Target::Packet }, &[], CPUS);
        for lane in &lanes.0 {
            if let Some(devices) = lane.maps.find("devices") {
                lane.maps.host(devices).unwrap().update(&[1, 0, 0, 0], &[9, 0, 0, 0], 0).unwrap();
            }
        }
        Self(lanes)
    }

    fn run(&mut self, bytes: &[u8]) -> Outcome {
        let outcome = self.0.run(Packet { bytes, ingress_ifindex: 7, rx_queue_index: 9 }, FUEL);
        self.0.compare_maps(CPUS);
        outcome
    }
}

fn run(text: &str, bytes: &[u8]) -> Outcome {
    Both::new(text).run(bytes)
}

/// The low half of r0, signed: helpers return negative error numbers.
#[track_caller]
fn returns(text: &str, bytes: &[u8], expected: i32) -> Outcome {
    let outcome = run(text, bytes);
    assert_eq!(outcome.verdict.result, Ok(expected as u32), "{text}");
    outcome
}

const BYTES: [u8; 64] = {
    let mut bytes = [0; 64];
    let mut index = 0;
    while index < 64 {
        bytes[index] = index as u8 + 1;
        index += 1;
    }
    bytes
};

#[test]
fn the_context_is_the_kernels() {
    returns("r2 = *(u32 *)(r1 + 0x0)\nr0 = *(u32 *)(r1 + 0x4)\nr0 -= r2\nexit", &BYTES, 64);
    returns("r2 = *(u32 *)(r1 + 0x0)\nr0 = *(u32 *)(r1 + 0x8)\nr0 -= r2\nexit", &BYTES, 0);
    returns("r2 = *(u32 *)(r1 + 0x0)\nr0 = *(u32 *)(r2 + 0x3c)\nexit", &BYTES, 0x403f_3e3d);
    returns("r0 = *(u32 *)(r1 + 0xc)\nexit", &BYTES, 7);
    returns("r0 = *(u32 *)(r1 + 0x10)\nexit", &BYTES, 9);
    returns("r0 = *(u32 *)(r1 + 0x14)\nexit", &BYTES, 0);
    returns("r2 = *(u32 *)(r1 + 0x0)\nr0 = *(u32 *)(r1 + 0x4)\nr0 -= r2\nexit", &[], 0);
}

#[test]
fn the_context_is_read_only() {
    let outcome = run("*(u32 *)(r1 + 0x0) = 0x0\nr0 = 0x2\nexit", &BYTES);
    assert!(matches!(outcome.verdict.result, Err(Trap::Memory { pc: 0, .. })));
    assert_eq!(outcome.verdict.action(), Action::Aborted);
}

#[test]
fn results_are_actions() {
    for action in Action::ALL {
        let outcome = run(&format!("r0 = {:#x}\nexit", action.number()), &BYTES);
        assert_eq!((outcome.verdict.action(), outcome.verdict.redirect), (*action, None));
        assert_eq!(outcome.packet, BYTES);
    }
    assert_eq!(returns("r0 = 0x5\nexit", &BYTES, 5).verdict.action(), Action::Aborted);
    assert_eq!(returns("r0 = -0x1\nexit", &BYTES, -1).verdict.action(), Action::Aborted);
    // The kernel looks at 32 bits.
    assert_eq!(returns("r0 = 0x100000002 ll\nexit", &BYTES, 2).verdict.action(), Action::Pass);
}

/// Whatever a program wrote around its packet, the next packet has zeros there.
#[test]
fn nothing_is_left_of_earlier_packets() {
    let text = "r2 = *(u32 *)(r1 + 0x0)\nr0 = *(u64 *)(r2 - 0x100)\nr3 = *(u64 *)(r2 + 0x20)\nr0 |= r3\nr3 = *(u64 *)(r2 + 0xe00)\nr0 |= r3
        r4 = -0x1\n*(u64 *)(r2 - 0x100) = r4\n*(u64 *)(r2 + 0x20) = r4\n*(u64 *)(r2 + 0xe00) = r4\nexit";
    let mut both = Both::new(text);
    for _ in 0..2 {
        assert_eq!(both.run(&BYTES[..32]).verdict.result, Ok(0));
    }
}

const ADJUST: &str = "r6 = r1\nr2 = DELTA\ncall HELPER\nexit";

fn adjust(helper: u32, delta: i32) -> String {
    let delta = if delta < 0 { format!("-{:#x}", -delta) } else { format!("{delta:#x}") };
    ADJUST.replace("DELTA", &delta).replace("HELPER", &format!("{helper:#x}"))
}

#[test]
fn heads_move_within_the_head_room() {
    let check = |delta, expected| returns(&adjust(44, delta), &BYTES, expected);
    assert_eq!(check(14, 0).packet, &BYTES[14..]);
    assert_eq!(check(50, 0).packet, &BYTES[50..]);
    assert_eq!(check(51, -22).packet, BYTES);
    let grown = check(-216, 0).packet;
    assert_eq!((&grown[..216], &grown[216..]), (&[0; 216][..], &BYTES[..]));
    assert_eq!(check(-217, -22).packet, BYTES);
    check(i32::MAX, -22);
    check(i32::MIN + 1, -22);
    // Shorter than a header: not even this.
    returns(&adjust(44, 0), &BYTES[..13], -22);
}

#[test]
fn tails_move_within_the_buffer() {
    let check = |delta, expected| returns(&adjust(65, delta), &BYTES, expected);
    assert_eq!(check(-50, 0).packet, &BYTES[..14]);
    assert_eq!(check(-51, -22).packet, BYTES);
    let grown = check(3520 - 64, 0).packet;
    assert_eq!((grown.len(), &grown[..64], grown[64..].iter().max()), (3520, &BYTES[..], Some(&0)));
    check(3521 - 64, -22);
    check(i32::MAX, -22);
    check(i32::MIN + 1, -22);
    // What a packet gains is zero, though the program wrote there before.
    let text = "r2 = *(u32 *)(r1 + 0x4)\n*(u32 *)(r2 + 0x0) = 0x7f\nr2 = 0x4\ncall 0x41\nexit";
    assert_eq!(returns(text, &BYTES, 0).packet[64..], [0; 4]);
}

#[test]
fn metadata_is_bounded_and_moves_with_the_head() {
    let check = |delta, expected| returns(&adjust(54, delta), &BYTES, expected).metadata.len();
    assert_eq!(check(-4, 0), 4);
    assert_eq!(check(-252, -22), 0);
    assert_eq!(check(-216, 0), 216);
    assert_eq!(check(-6, -13), 0);
    assert_eq!(check(4, -22), 0);
    assert_eq!(check(0, 0), 0);
    let text =
        "r6 = r1\nr2 = -0x8\ncall 0x36\nr2 = *(u32 *)(r6 + 0x8)\n*(u32 *)(r2 + 0x0) = 0x11223344\n*(u32 *)(r2 + 0x4) = 0x55667788
        r1 = r6\nr2 = 0x4\ncall 0x2c\nexit";
    let outcome = returns(text, &BYTES, 0);
    assert_eq!(outcome.metadata, [0x44, 0x33, 0x22, 0x11, 0x88, 0x77, 0x66, 0x55]);
    assert_eq!(outcome.packet, &BYTES[4..]);
}

#[test]
fn bytes_are_moved_within_the_packet() {
    let transfer = |helper: u32, offset: u32, len: u32| {
        format!(
            "r6 = r1\n*(u64 *)(r10 - 0x8) = 0x7f\nr2 = {offset:#x}\nr3 = r10\nr3 += -0x8\nr4 = {len:#x}\ncall {helper:#x}
             if r0 != 0x0 goto +0x1\nr0 = *(u32 *)(r10 - 0x8)\nexit"
        )
    };
    returns(&transfer(189, 60, 4), &BYTES, 0x403f_3e3d);
    returns(&transfer(189, 61, 4), &BYTES, -22);
    returns(&transfer(189, 0xffff, 4), &BYTES, -22);
    returns(&transfer(189, 0x1_0000, 4), &BYTES, -14);
    returns(&transfer(189, 0, 0x1_0000), &BYTES, -14);
    assert_eq!(returns(&transfer(190, 1, 2), &BYTES, 0x7f).packet[..4], [1, 0x7f, 0, 4]);
    returns(&transfer(190, 64, 1), &BYTES, -22);
    returns("call 0xbc\nexit", &BYTES, 64);
    // What lies beyond the stack is not written to.
    let text = "r2 = 0x0\nr3 = r10\nr3 += -0x4\nr4 = 0x8\ncall 0xbd\nexit";
    assert!(matches!(
        run(text, &BYTES).verdict.result,
        Err(Trap::Helper { pc: 4, number: 189, fault: HelperFault::Memory { .. } })
    ));
}

#[test]
fn only_the_context_is_one() {
    let outcome = run("r1 = 0x20000 ll\nr2 = 0x0\ncall 0x2c\nexit", &BYTES);
    let fault = HelperFault::Argument { index: 1, value: 0x2_0000 };
    assert_eq!(outcome.verdict.result, Err(Trap::Helper { pc: 3, number: 44, fault }));
}

#[test]
fn redirects_have_a_target() {
    let outcome = returns("r1 = 0x5\nr2 = 0x0\ncall 0x17\nexit", &BYTES, 4);
    assert_eq!(outcome.verdict.redirect, Some(Redirect::Interface(5)));
    let outcome = returns("r1 = 0x5\nr2 = 0x1\ncall 0x17\nexit", &BYTES, 0);
    assert_eq!(outcome.verdict.redirect, None);
}

fn spec(name: &str, kind: MapKind, value_len: u32) -> MapSpec {
    let (inner, initial, named) = (None, vec![], vec![]);
    MapSpec { name: name.into(), kind, key_len: 4, value_len, entries_max: 4, flags: 0, inner, initial, named }
}

/// Entry 1 of the devmap is interface 9; no other is there.
#[test]
fn redirects_by_map_have_a_target_or_a_fallback() {
    let run = |kind, key: u32, flags: u32| {
        let mut code = text_code(&format!("r1 = 0x0 ll\nr2 = {key:#x}\nr3 = {flags:#x}\ncall 0x33\nexit")).code;
        code[0].src = 5;
        let verdict = Both::with_code(&code, &[spec("devices", kind, 4)]).run(&BYTES).verdict;
        (verdict.result, verdict.redirect)
    };
    let device = Redirect::Map { map: 0, key: 1, value: 9 };
    for kind in [MapKind::DevMap, MapKind::DevMapHash, MapKind::CpuMap] {
        assert_eq!(run(kind, 1, 0), (Ok(4), Some(device)));
        assert_eq!(run(kind, 1, 2), (Ok(4), Some(device)));
        assert_eq!([0, 1, 2, 3].map(|action| run(kind, 0, action)), [0, 1, 2, 3].map(|action| (Ok(action), None)));
        assert_eq!(run(kind, 77, 1), (Ok(1), None));
        assert_eq!(run(kind, 1, 4), (Ok(0), None));
    }
    let all = |exclude_ingress| (Ok(4), Some(Redirect::All { map: 0, exclude_ingress }));
    assert_eq!(run(MapKind::DevMap, 0, 8), all(false));
    assert_eq!(run(MapKind::DevMapHash, 0, 0x18), all(true));
    assert_eq!(run(MapKind::CpuMap, 1, 8), (Ok(0), None));
}

/// Formats and sums may be in maps, and packets go there and come from there.
#[test]
fn helpers_reach_into_maps() {
    // r6: the value; 16 bytes of the packet go there; r7: their sum; 4 of them come back to the packet's begin.
    let text = "r6 = 0x0 ll\nr2 = 0x10\nr3 = r6\nr4 = 0x10\nr8 = r1\ncall 0xbd\nr1 = 0x0\nr2 = 0x0\nr3 = r6\nr4 = 0x4\nr5 = 0x0\ncall 0x1c\nr7 = r0
        r1 = r8\nr2 = 0x0\nr3 = r6\nr3 += 0x8\nr4 = 0x4\ncall 0xbe\nr0 = r7\nexit";
    let mut code = text_code(text).code;
    code[0].src = 6;
    let outcome = Both::with_code(&code, &[spec("values", MapKind::Array, 16)]).run(&BYTES);
    assert_eq!(outcome.verdict.result, Ok(0x1211 + 0x1413));
    assert_eq!(outcome.packet[..5], [25, 26, 27, 28, 5]);
}

#[test]
fn surroundings_are_the_environments() {
    for clock in [5, 125, 160] {
        returns(&format!("call {clock:#x}\nexit"), &BYTES, 1_000_000_007);
    }
    returns("call 0x8\nexit", &BYTES, 1);
    // Two draws differ, and a second environment of the same seed draws the same.
    let text = "call 0x7\nr6 = r0\ncall 0x7\nr0 ^= r6\nexit";
    let first = run(text, &BYTES).verdict.result;
    assert_ne!(first, Ok(0));
    assert_eq!(run(text, &BYTES).verdict.result, first);
}

/// 0x0201 + 0x0403 and so on; the old sum leaves, the new one comes.
#[test]
fn checksums_have_differences() {
    let diff = |from: u32, to: u32, seed: u32| {
        format!("r1 = *(u32 *)(r1 + 0x0)\nr3 = r1\nr3 += 0x10\nr2 = {from:#x}\nr4 = {to:#x}\nr5 = {seed:#x}\ncall 0x1c\nexit")
    };
    returns(&diff(0, 0, 0), &BYTES, 0);
    returns(&diff(0, 0, 0x1_ffff), &BYTES, 1);
    returns(&diff(0, 4, 0), &BYTES, 0x1211 + 0x1413);
    returns(&diff(4, 0, 0), &BYTES, 0xffff - (0x0201 + 0x0403));
    returns(&diff(4, 4, 5), &BYTES, 0x1211 + 0x1413 + 5 - (0x0201 + 0x0403));
    let outcome = run("r1 = 0x0\nr2 = 0x4\nr3 = 0x0\nr4 = 0x0\nr5 = 0x0\ncall 0x1c\nexit", &BYTES);
    assert!(matches!(outcome.verdict.result, Err(Trap::Helper { number: 28, .. })));
    let long = "r1 = *(u32 *)(r1 + 0x0)\nr2 = 0x10000000\nr3 = 0x0\nr4 = 0x0\nr5 = 0x0\ncall 0x1c\nexit";
    assert_eq!(run(long, &BYTES).verdict.result, Err(Trap::OutOfFuel { pc: 5 }));
}

/// The packet is the format; r0 is the length of the line, or -EINVAL.
#[test]
fn lines_are_formatted_as_the_kernel_does() {
    let print = |format: &str| {
        let mut bytes = format.as_bytes().to_vec();
        bytes.push(0);
        let text = "r2 = *(u32 *)(r1 + 0x4)\nr1 = *(u32 *)(r1 + 0x0)\nr2 -= r1\nr3 = -0x2\nr4 = 0xab\nr5 = r1\ncall 0x6\nexit";
        let outcome = run(text, &bytes);
        let len = outcome.verdict.result.unwrap() as i32;
        (len, outcome.log.into_iter().next())
    };
    let line =
        |format: &str, expected: &str| assert_eq!(print(format), (expected.len() as i32, Some(expected.into())), "{format}");
    line("plain 100%%", "plain 100%");
    line("%d %u", "-2 171");
    line("%u %x", "4294967294 ab");
    line("%ld %lu", "-2 171");
    line("%llx %X", "fffffffffffffffe AB");
    line("%i|%5d|", "-2|  171|");
    line("%lu|%-5d|%s", "18446744073709551614|171  |%lu|%-5d|%s");
    line("%d|%05d", "-2|00171");
    line("%d|%+d %p", "-2|+171 0000000000020100");
    line("%d%c", "-2\u{ab}");
    assert_eq!(print("end\n"), (4, Some("end".into())));
    for refused in ["%d %d %d %d", "%y", "%", "%lp", "%ls", "%pK", "\u{1}", "é"] {
        assert_eq!(print(refused), (-22, None), "{refused}");
    }
}

#[test]
fn packets_have_a_length_limit() {
    let mut both = Both::new("r2 = *(u32 *)(r1 + 0x4)\nr0 = *(u8 *)(r2 - 0x1)\nexit");
    let mut bytes = vec![0; PACKET_LEN_MAX as usize];
    *bytes.last_mut().unwrap() = 77;
    assert_eq!(both.run(&bytes).verdict.result, Ok(77));
    assert_eq!(both.run(&BYTES).verdict.result, Ok(64));
    bytes.push(0);
    let Lane { module, cage, environment, .. } = &mut both.0.0[0];
    let packet = Packet { bytes: &bytes, ingress_ifindex: 0, rx_queue_index: 0 };
    let error = cage.run(module, 0, packet, &mut Fuel(FUEL), environment, Mode::Run).unwrap_err();
    assert!(matches!(error, PacketError::TooLong(_)));
    assert_eq!(error.to_string(), "a packet of 65536 bytes; the limit is 65535");
    // A long packet has no tail room.
    let long = returns(&adjust(65, 1), &[0; 3521], -22);
    assert_eq!(long.packet.len(), 3521);
}

/// An `lddw` is one instruction.
#[test]
fn instructions_are_counted() {
    let Lane { module, mut cage, mut environment, .. } =
        Both::new("r0 = 0x2 ll\nif r0 == 0x2 goto +0x1\nr0 = 0x1\nexit").0.0.into_iter().next_back().unwrap();
    let packet = Packet { bytes: &BYTES, ingress_ifindex: 0, rx_queue_index: 0 };
    let verdict = cage.run(&module, 0, packet, &mut Fuel(FUEL), &mut environment, Mode::Count).unwrap();
    assert_eq!(verdict, Verdict { result: Ok(2), redirect: None, instructions: Some(3) });
}
