//! Values that an edit holds: [`EditValues`], known by a hash of their content.

use std::fmt;

use burn::tensor::{Tensor, TensorData};
use sha2::{Digest, Sha256};

use crate::{Activation, Result, hex};

/// A tensor of an edit. Values of equal shape and content are equal.
#[derive(Clone)]
pub struct EditValues {
    id: String,
    /// The SHA-256 of shape and content.
    hash: [u8; 32],
    is_finite: bool,
    values: Activation,
}

impl EditValues {
    /// Takes values, and reads them once for their hash.
    pub fn new(values: impl Into<Activation>) -> Self {
        let values = values.into();
        let mut hash = Sha256::new();
        values.dims().iter().for_each(|dim| hash.update((*dim as u64).to_le_bytes()));
        let numbers = values.to_vec();
        numbers.iter().for_each(|value| hash.update(value.to_le_bytes()));
        let is_finite = numbers.iter().all(|value| value.is_finite());
        let hash: [u8; 32] = hash.finalize().into();
        Self { id: hex(&hash[..4]), hash, is_finite, values }
    }

    /// The first eight hexadecimal digits of the SHA-256 of shape and content.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The values.
    pub fn activation(&self) -> &Activation {
        &self.values
    }

    /// All of them multiplied by `factor`: how far to steer along a direction.
    pub fn scaled(&self, factor: f64) -> Self {
        Self::new(match &self.values {
            Activation::Wide(x) => Activation::Wide(x.clone() * factor),
            Activation::Heads(x) => Activation::Heads(x.clone() * factor),
        })
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.is_finite
    }

    pub(crate) fn has_heads(&self) -> bool {
        matches!(self.values, Activation::Heads(_))
    }

    /// The values for some windows of the corpus; those of a single window are used for all.
    pub(crate) fn for_windows(&self, windows: &[usize]) -> Result<Activation> {
        let n = self.values.dims()[0];
        if n == 1 {
            return Ok(self.values.clone());
        }
        if let Some(&missing) = windows.iter().find(|&&window| window >= n) {
            let reason = format!("it has values for {n} windows, and window {missing} runs");
            return Err(crate::CoreError::BadEdit { edit: format!("values #{}", self.id), reason });
        }
        let indices: Vec<i32> = windows.iter().map(|&window| window as i32).collect();
        let indices = Tensor::from_data(TensorData::new(indices, [windows.len()]), &self.values.device());
        Ok(match &self.values {
            Activation::Wide(x) => Activation::Wide(x.clone().select(0, indices)),
            Activation::Heads(x) => Activation::Heads(x.clone().select(0, indices)),
        })
    }
}

impl PartialEq for EditValues {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl fmt::Debug for EditValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EditValues(#{}, {:?})", self.id, self.values.dims())
    }
}

impl<A: Into<Activation>> From<A> for EditValues {
    fn from(values: A) -> Self {
        Self::new(values)
    }
}

impl From<&Activation> for EditValues {
    fn from(values: &Activation) -> Self {
        Self::new(values.clone())
    }
}

impl From<&[f32]> for EditValues {
    /// A vector that is the same at every position, `[1, 1, width]`; it is moved to the model's device when it is used.
    fn from(vector: &[f32]) -> Self {
        let data = TensorData::new(vector.to_vec(), [1, 1, vector.len()]);
        Self::new(Tensor::<3>::from_data(data, &burn::tensor::Device::default()))
    }
}
