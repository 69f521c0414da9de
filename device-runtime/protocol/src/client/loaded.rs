//! The objects a client has loaded: to load them again when the device's lease is over, and not to send what is there.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use nearside_device::ProgramDigest;

/// Most bytes of objects a client keeps; the oldest go first.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// Objects by digest, digests by object.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    objects: HashMap<ProgramDigest, Bytes>,
    digests: HashMap<Bytes, ProgramDigest>,
    /// In the order of loading.
    order: VecDeque<ProgramDigest>,
    bytes: usize,
}

impl Loaded {
    /// Keeps an object; an older one of the same digest (names and notes are not part of it) is forgotten.
    pub(super) fn insert(&mut self, object: Bytes, digest: ProgramDigest) {
        self.remove(&digest);
        self.bytes += object.len();
        self.digests.insert(object.clone(), digest.clone());
        self.objects.insert(digest.clone(), object);
        self.order.push_back(digest);
        while self.bytes > KEPT_BYTES_MAX
            && let Some(oldest) = self.order.front().cloned()
        {
            self.remove(&oldest);
        }
    }

    pub(super) fn object(&self, digest: &ProgramDigest) -> Option<Bytes> {
        self.objects.get(digest).cloned()
    }

    pub(super) fn digest(&self, object: &Bytes) -> Option<ProgramDigest> {
        self.digests.get(object).cloned()
    }

    pub(super) fn remove(&mut self, digest: &ProgramDigest) {
        if let Some(object) = self.objects.remove(digest) {
            self.bytes -= object.len();
            self.digests.remove(&object);
            self.order.retain(|kept| kept != digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The memory of a client that loads for ever is bounded, and the newest objects are the ones it still has.
    #[test]
    fn the_oldest_objects_go_first() {
        let mut loaded = Loaded::default();
        let object = |index: u8| Bytes::from(vec![index; KEPT_BYTES_MAX / 4]);
        let digest = |index: u8| ProgramDigest(format!("{index}"));
        for index in 0..6 {
            loaded.insert(object(index), digest(index));
        }
        assert_eq!(loaded.bytes, KEPT_BYTES_MAX);
        for index in 0..6 {
            assert_eq!(loaded.object(&digest(index)).is_some(), index >= 2, "{index}");
            assert_eq!(loaded.digest(&object(index)).is_some(), index >= 2, "{index}");
        }
        loaded.insert(object(9), digest(5)); // another object of the same program
        assert_eq!(loaded.digest(&object(5)), None);
        assert_eq!(loaded.object(&digest(5)), Some(object(9)));
        loaded.remove(&digest(5));
        assert_eq!((loaded.order.len(), loaded.bytes), (3, KEPT_BYTES_MAX / 4 * 3));
    }
}
