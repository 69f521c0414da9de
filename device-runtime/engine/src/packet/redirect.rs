//! Where a redirected packet goes.

use nearside_programs::MapKind;
use nearside_programs::abi::packet::Action;

use super::helpers::Result;
use crate::fuel::Fuel;
use crate::helpers::HelperFault;
use crate::memory::Memory;
use crate::verify::MAP_BASE;

/// A target, as `redirect` or `redirect_map` set it. It counts if the program then returns [`Action::Redirect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// To the interface of that index.
    Interface(u32),
    /// To what an entry of a devmap, cpumap or xskmap names.
    Map {
        /// Index of the map.
        map: u32,
        /// The entry.
        key: u32,
        /// What it holds: interface, queue length or socket.
        value: u32,
    },
    /// To every interface of a devmap.
    All {
        /// Index of the map.
        map: u32,
        /// Except the one that the packet came from.
        exclude_ingress: bool,
    },
}

/// Flags of `redirect_map`: the action if there is no entry.
const ACTION: u64 = 3;
/// `BPF_F_BROADCAST`.
const BROADCAST: u64 = 8;
/// `BPF_F_EXCLUDE_INGRESS`.
const EXCLUDE_INGRESS: u64 = 16;
/// Fuel of a look into a map.
const LOOKUP_COST: u64 = 16;

const REDIRECT: u64 = Action::Redirect as u64;
const ABORTED: u64 = Action::Aborted as u64;

/// `redirect(ifindex, flags)`.
pub(super) fn to_interface(target: &mut Option<Redirect>, ifindex: u64, flags: u64) -> u64 {
    if flags != 0 {
        return ABORTED;
    }
    *target = Some(Redirect::Interface(ifindex as u32));
    REDIRECT
}

/// `redirect_map(map, key, flags)`. Without an entry, nothing that was said before counts either.
pub(super) fn to_entry(
    target: &mut Option<Redirect>,
    [reference, key, flags]: [u64; 3],
    memory: &Memory<'_>,
    fuel: &mut Fuel,
) -> Result {
    fuel.charge(LOOKUP_COST)?;
    let no_map = HelperFault::Argument { index: 1, value: reference };
    let maps = memory.maps().ok_or(no_map)?;
    let (map, key) = (reference.wrapping_sub(MAP_BASE) as u32, key as u32);
    let value = maps.redirect_target(reference, key)?;
    let kind = maps.specs().nth(map as usize).ok_or(no_map)?.kind;
    let broadcasts = matches!(kind, MapKind::DevMap | MapKind::DevMapHash);
    let allowed = if broadcasts { ACTION | BROADCAST | EXCLUDE_INGRESS } else { ACTION };
    if flags & !allowed != 0 {
        return Ok(ABORTED);
    }
    *target = match value {
        _ if flags & BROADCAST != 0 => Some(Redirect::All { map, exclude_ingress: flags & EXCLUDE_INGRESS != 0 }),
        Some(value) => Some(Redirect::Map { map, key, value }),
        None => None,
    };
    Ok(if target.is_some() { REDIRECT } else { flags & ACTION })
}
