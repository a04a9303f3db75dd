//! Tensors that calls of one shape share, such as rotary angles: [`Kept`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Device;

/// Values that depend on positions alone, kept on their device so that they are made and uploaded once, not at every call. Clones
/// share them.
pub(super) struct Kept<T>(Arc<Mutex<Vec<Entry<T>>>>);

/// What a value depends on: numbers of positions, and what else its owner puts in.
pub(super) type Key = [usize; 3];

struct Entry<T> {
    key: Key,
    device: Device,
    value: T,
}

impl<T: Clone> Kept<T> {
    /// How many values are kept; the oldest goes first.
    const MOST: usize = 4;

    /// The value for a key on a device, which is made where it is not kept. With automatic differentiation it is made each time.
    pub(super) fn get(&self, key: Key, device: &Device, make: impl FnOnce() -> T) -> T {
        if device.is_autodiff() {
            return make();
        }
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.iter().find(|entry| entry.key == key && entry.device == *device) {
            return entry.value.clone();
        }
        let value = make();
        if entries.len() == Self::MOST {
            entries.remove(0);
        }
        entries.push(Entry { key, device: device.clone(), value: value.clone() });
        value
    }
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_made_once_for_each_key() {
        let (kept, device) = (Kept::default(), Device::flex());
        let get = |key: usize, value: usize| kept.clone().get([key, 0, 0], &device, || value);
        assert_eq!([get(1, 10), get(1, 11), get(2, 20)], [10, 10, 20]);
        for key in 3..6 {
            get(key, 0);
        }
        assert_eq!([get(2, 21), get(1, 12)], [20, 12], "four are kept");
    }
}
