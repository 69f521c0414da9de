//! Where a redirected packet goes.

use nearside_programs::abi::packet::Action;

/// A target, as `redirect` or `redirect_map` set it. It counts if the program then returns [`Action::Redirect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// To the interface of that index.
    Interface(u32),
}

/// `redirect(ifindex, flags)`.
pub(super) fn to_interface(target: &mut Option<Redirect>, ifindex: u64, flags: u64) -> u64 {
    if flags != 0 {
        return Action::Aborted.number().into();
    }
    *target = Some(Redirect::Interface(ifindex as u32));
    Action::Redirect.number().into()
}
