//! The `packet` target: a program over one network packet, as the kernel's XDP programs are.
//!
//! An entry point is called with r1 = the cage address of a [context](FIELDS), the kernel's `struct xdp_md`, read-only, and returns an [`Action`] in r0. The
//! packet is `[data, data_end)`, the metadata before it `[data_meta, data)`; both may be read and written. `data` is [`HEADROOM`] bytes into its buffer.
//!
//! A program that keeps within these bounds, as the kernel's verifier makes it, does here what it does there.

pub use super::Field;

/// Version of this ABI.
pub const VERSION: u32 = 1;

/// Bytes before the packet (`XDP_PACKET_HEADROOM`).
pub const HEADROOM: u32 = 256;

/// Of these, what the kernel keeps for itself (`struct xdp_frame`): neither packet nor metadata may grow into it.
pub const FRAME_HEADER_LEN: u32 = 40;

/// Bytes of a packet's buffer, [`HEADROOM`] and [`TAIL_LEN`] included: one page.
pub const BUFFER_LEN: u32 = 4096;

/// What the kernel keeps for itself at the buffer's end (`struct skb_shared_info`).
pub const TAIL_LEN: u32 = 320;

/// A packet cannot be made shorter than an Ethernet header.
pub const ETHERNET_HEADER_LEN: u32 = 14;

/// Most bytes of metadata, which are a multiple of 4.
pub const METADATA_LEN_MAX: u32 = 252;

/// Most bytes of a packet. Where the kernel cuts what exceeds [`BUFFER_LEN`] into fragments, the packet is in one piece here, and cannot be made longer.
pub const PACKET_LEN_MAX: u32 = 65_535;

context! {
    DATA = 0, "data", "address of the packet's first byte";
    DATA_END = 4, "data_end", "address behind its last byte";
    DATA_META = 8, "data_meta", "address of the metadata; data if there is none";
    INGRESS_IFINDEX = 12, "ingress_ifindex", "index of the interface it came from";
    RX_QUEUE_INDEX = 16, "rx_queue_index", "receive queue it came from";
    EGRESS_IFINDEX = 20, "egress_ifindex", "0: programs of a devmap do not run here";
}

/// Bytes of the context.
pub const CONTEXT_LEN: u32 = 24;

macro_rules! actions {
    ($($action:ident = $number:literal, $name:literal, $doc:literal;)*) => {
        /// What becomes of a packet (`enum xdp_action`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $(#[doc = $doc] $action = $number,)*
        }

        impl Action {
            /// Every action, by number.
            pub const ALL: &[Self] = &[$(Self::$action,)*];

            /// The action of that number.
            pub fn by_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$action),)*
                    _ => None,
                }
            }

            /// Its name, lower case.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$action => $name,)*
                }
            }
        }
    };
}

actions! {
    Aborted = 0, "aborted", "Thrown away because the program failed.";
    Drop = 1, "drop", "Thrown away.";
    Pass = 2, "pass", "Goes on to the network stack.";
    Tx = 3, "tx", "Goes back out of the interface it came from.";
    Redirect = 4, "redirect", "Goes where the program said by `redirect` or `redirect_map`.";
}

impl Action {
    /// Its number.
    pub fn number(self) -> u32 {
        self as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The context has no holes and no overlaps.
    #[test]
    fn fields_are_dense() {
        for (index, field) in FIELDS.iter().enumerate() {
            assert_eq!(field.offset as usize, index * 4, "{}", field.name);
        }
        assert_eq!(CONTEXT_LEN as usize, FIELDS.len() * 4);
    }

    #[test]
    fn actions_have_their_numbers() {
        for (number, action) in (0..).zip(Action::ALL) {
            assert_eq!((Action::by_number(number), action.number()), (Some(*action), number));
        }
        assert_eq!(Action::by_number(5), None);
    }
}
